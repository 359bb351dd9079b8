//! As of: what is read of the past is what was read then, by today's rights; and read models of any moment as files.

use crate::community::{admit, answer, ask, ban, found, offer, promote};
use crate::conversations::{Shop, shop};
use crate::exports::history;
use circolo_domain::{Span, Timestamp};
use circolo_events::{
    Position,
    transfer::{Lens, Moments},
};
use circolo_projections::{
    Db, Options, Value as Cell, all,
    as_of::{Snapshot, Wanted, plain_name, write},
    prepare,
};
use circolo_tests::{actor::Actor, server::binary, stories, world::World};
use serde_json::{Value, json};
use std::{path::Path, process::Command, sync::Arc};

stories!(the_past_is_what_was_read_then, the_past_opens_nothing, what_was_not_there_yet_is_unknown);

/// The answer to `path`, without what is today's.
async fn read(who: &Actor, path: &str) -> Value {
    let mut body = who.get(path).await.expect(200).json();
    if let Value::Object(fields) = &mut body {
        fields.remove("role");
    }
    body
}

/// What happens in one half hour.
async fn happens(step: u32, [ann, bea, cem]: [&Actor; 3], shop: &Shop, (group, skis, question): (&str, &str, &str)) {
    match step {
        1 => drop(ann.patch(group, json!({ "name": "Andes", "description": "High" })).await.expect(200)),
        2 => drop(bea.patch(skis, json!({ "title": "Old skis", "price": { "amount_minor": 7000, "currency": "EUR" } })).await.expect(200)),
        3 => {
            admit(ann, group, cem).await;
            answer(cem, question, "Two metres").await;
            shop.write(&shop.fan, "Hello?").await.expect(201);
        }
        4 => {
            promote(ann, group, cem, "moderator").await;
            bea.post(&format!("{skis}/sold"), json!({})).await.expect(200);
        }
        5 => {
            ban(ann, group, cem).await.expect(200);
            shop.send(&shop.agent, &shop.fan, "Yes?").await.expect(201);
        }
        6 => drop(bea.post(&format!("{group}/leave"), ()).await.expect(200)),
        _ => {}
    }
}

async fn the_past_is_what_was_read_then(world: World) {
    let shop = shop(&world).await;
    let (ann, bea, cem) = (world.person("Ann").await, world.person("Bea").await, world.person("Cem").await);
    let group = found(&ann, "closed", "request").await;
    admit(&ann, &group, &bea).await;
    let skis = offer(&bea, &group, "Skis", 80).await;
    let question = ask(&ann, &group, "How deep?").await;
    let paths = [
        group.clone(),
        format!("{group}/members"),
        format!("{group}/members?status=banned"),
        format!("{group}/members?limit=1"),
        skis.clone(),
    ];
    let mut seen: Vec<(Timestamp, Vec<Value>, Value)> = Vec::new();
    for step in 0..7 {
        happens(step, [&ann, &bea, &cem], &shop, (&group, &skis, &question)).await;
        world.settled().await;
        let mut answers = Vec::new();
        for path in &paths {
            answers.push(read(&ann, path).await);
        }
        let rate = read(&shop.owner, &format!("{}/response-rate", shop.page)).await;
        seen.push((world.clock().now(), answers, rate));
        world.clock().advance(Span::minutes(30));
    }
    for (time, answers, rate) in &seen {
        for (path, answer) in paths.iter().zip(answers) {
            let separator = if path.contains('?') { '&' } else { '?' };
            assert_eq!(&read(&ann, &format!("{path}{separator}as_of={time}")).await, answer, "{path} as of {time}");
        }
        assert_eq!(&read(&shop.owner, &format!("{}/response-rate?as_of={time}", shop.page)).await, rate, "as of {time}");
    }
    // Pages of the past go on in the past.
    let (time, answers, _) = &seen[4];
    let next = answers[3]["next"].as_str().unwrap();
    let rest = ann.get(&format!("{group}/members?limit=100&as_of={time}&after={next}")).await.expect(200).items();
    assert_eq!(rest, answers[1]["items"].as_array().unwrap()[1..]);
    let both = format!("{}/response-rate?as_of={time}&at={time}", shop.page);
    let refused = ann.get(&both).await.expect_problem(422, "invalid_request").json();
    assert_eq!(refused["fields"][0]["field"], "as_of");
    let future = world.clock().now().plus(Span::hours(1));
    ann.get(&format!("{group}?as_of={future}")).await.expect_problem(400, "as_of_in_future");
    ann.get(&format!("{group}?as_of=yesterday")).await.expect_problem(400, "bad_query");
}

async fn the_past_opens_nothing(world: World) {
    let (ann, bea, otto) = (world.person("Ann").await, world.person("Bea").await, world.person("Otto").await);
    let group = found(&ann, "secret", "invite_only").await;
    admit(&ann, &group, &bea).await;
    let skis = offer(&bea, &group, "Skis", 80).await;
    let secret = world.clock().now();
    world.clock().advance(Span::hours(1));
    ann.patch(&group, json!({ "privacy": "public", "membership": "open", "name": "No longer hidden" })).await.expect(200);
    let public = world.clock().now();
    world.clock().advance(Span::hours(1));
    otto.post(&format!("{group}/join"), ()).await.expect(200);
    world.settled().await;
    for reader in [&otto, &world.anonymous()] {
        reader.get(&group).await.expect(200);
        reader.get(&format!("{group}?as_of={public}")).await.expect(200).expect_json(json!({ "members": 2 }));
        for path in ["", "/members"] {
            reader.get(&format!("{group}{path}?as_of={secret}")).await.expect_problem(404, "not_found");
        }
        reader.get(&format!("{skis}?as_of={secret}")).await.expect_problem(404, "not_found");
    }
    ann.get(&format!("{group}?as_of={secret}")).await.expect(200).expect_json(json!({ "members": 2, "privacy": "secret" }));
    // Who may not read today may not read the past either, though they were there.
    bea.post(&format!("{group}/leave"), ()).await.expect(200);
    world.clock().advance(Span::days(1));
    ann.patch(&group, json!({ "privacy": "secret", "membership": "invite_only" })).await.expect(200);
    for time in [secret, public] {
        for path in [&group, &format!("{group}/members"), &skis] {
            let (refused, today) = (bea.get(&format!("{path}?as_of={time}")).await, bea.get(path).await);
            assert_eq!(refused.visible(), today.visible(), "{refused}");
            assert_eq!(refused.status.as_u16(), 404);
        }
    }
    // What a seller took back is not read in its past.
    let other = found(&ann, "public", "open").await;
    let boots = offer(&ann, &other, "Boots", 40).await;
    let offered = world.clock().now();
    world.clock().advance(Span::hours(1));
    ann.post(&format!("{boots}/withdraw"), json!({})).await.expect(200);
    world.settled().await;
    let view = otto.get(&format!("{boots}?as_of={offered}")).await.expect(200).json();
    assert_eq!((&view["status"], &view["title"]), (&json!("for_sale"), &Value::Null));
    assert_eq!(ann.get(&format!("{boots}?as_of={offered}")).await.expect(200).json()["title"], "Boots");
}

async fn what_was_not_there_yet_is_unknown(world: World) {
    let before = world.clock().now();
    world.clock().advance(Span::minutes(1));
    let shop = shop(&world).await;
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let skis = offer(&ann, &group, "Skis", 80).await;
    world.settled().await;
    for path in [group.clone(), format!("{group}/members"), skis, format!("{}/response-rate", shop.page)] {
        ann.get(&format!("{path}?as_of={before}")).await.expect_problem(404, "not_found");
        ann.get(&path).await.expect(200);
    }
}

/// All rows of a table, in order.
fn rows(path: &Path, table: &str, columns: &str) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    let sql = format!("SELECT {columns} FROM {table} ORDER BY 1");
    Snapshot::open(path)
        .unwrap()
        .query(&sql, |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_holds_every_table_as_it_was_and_no_text() {
    let (log, folder) = (history(7, 1_500).await, tempfile::tempdir().unwrap());
    let head = log.head().await.unwrap();
    let clock = circolo::clock::system();
    for position in [Position(0), Position(700), head] {
        let path = folder.path().join(format!("as-of-{position}.db"));
        let engine = folder.path().join(format!("folded-{position}.db"));
        let db = Db::sqlite(&engine).await.unwrap();
        prepare(db, log.clone(), all(), Options::new(clock.clone()), Some(position)).await.unwrap();
        for masked in [false, true] {
            let lens = Arc::new(Lens::new(log.clone(), position, masked, Box::new(|_| ())));
            write(Wanted { lens, position, projections: all(), masked, version: "test" }, Options::new(clock.clone()), &path)
                .await
                .unwrap();
            for projection in all() {
                for fold in &projection.tables {
                    let columns: Vec<_> = fold.table.columns.iter().map(|column| column.name).collect();
                    let columns = columns.join(", ");
                    let (then, plain) = (rows(&engine, fold.table.name, &columns), plain_name(&fold.table, projection.version));
                    let found = rows(&path, plain, &columns);
                    assert_eq!(found.len(), then.len(), "{plain} as of {position}");
                    assert!(masked || found == then, "{plain} as of {position}");
                }
            }
            let about = rows(&path, "circolo_as_of", "position, masked, version");
            assert_eq!(about, [vec![Cell::Int(position.0), Cell::Int(i64::from(masked)), Cell::Text("test".into())]]);
        }
        for (table, text) in
            [("questions", "title"), ("questions", "body"), ("people", "display_name"), ("messages", "text"), ("posts", "text")]
        {
            assert!(rows(&path, table, &format!("DISTINCT {text}")).iter().flatten().all(|cell| *cell == Cell::Null), "{table}.{text}");
        }
        #[cfg(feature = "parquet")]
        {
            let parquet = folder.path().join(format!("parquet-{position}"));
            Snapshot::open(&path).unwrap().to_parquet(&parquet).unwrap();
            let file = std::fs::File::open(parquet.join("questions.parquet")).unwrap();
            let reader = parquet::file::reader::SerializedFileReader::new(file).unwrap();
            let count = parquet::file::reader::FileReader::metadata(&reader).file_metadata().num_rows();
            assert_eq!(usize::try_from(count).unwrap(), rows(&path, "questions", "id").len());
        }
    }
}

#[tokio::test]
async fn a_time_is_the_last_position_recorded_by_then() {
    let store = history(8, 3_500).await;
    let events = crate::backend::whole(&*store, 1_000).await;
    let moments = Moments::default();
    let mut times: Vec<Timestamp> = events.iter().step_by(97).map(|stored| stored.event.recorded_at).collect();
    times.extend([Timestamp::from_micros(0), events.last().unwrap().event.recorded_at.plus(Span::hours(1))]);
    for time in times {
        let last = events.iter().rev().find(|stored| stored.event.recorded_at <= time);
        let expected = last.map_or(Position::START, |stored| stored.position);
        assert_eq!(moments.position(&*store, time).await.unwrap(), expected, "{time}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_answers_a_query_of_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let storage = circolo_tests::server::Storage { folder: folder.path().join("data"), database: None };
    storage.run(&["simulate", "--people", "30", "--groups", "3", "--days", "10", "--events", "700"]);
    let out = folder.path().join("past.db");
    let count = "SELECT count(*) AS questions, count(title) AS titles FROM questions";
    let at = ["as-of", "--at", "2026-01-06T00:00:00Z"];
    let masked = storage.run(&[&at[..], &["--out", out.to_str().unwrap(), "--query", count]].concat());
    let [heading, row] = masked.lines().collect::<Vec<_>>()[..] else { panic!("{masked}") };
    let asked: i64 = row.split_once(',').unwrap().0.parse().unwrap();
    assert!(heading == "questions,titles" && asked > 0 && row.ends_with(",0"), "{masked}");
    let whole = storage.run(&[&at[..], &["--unmask", "--projection", "questions", "--query", count]].concat());
    assert_eq!(whole.lines().last(), Some(&*format!("{asked},{asked}")));
    let connection = rusqlite::Connection::open(&out).unwrap();
    let time: String = connection.query_row("SELECT time FROM circolo_as_of", [], |row| row.get(0)).unwrap();
    assert!(time.as_str() <= "2026-01-06T00:00:00Z", "{time}");
    // A running server gives the same.
    let server = circolo_tests::server::Server::start(&storage).await;
    let token = storage.token("una", "analyst:unmask");
    for (unmask, expected) in [(None, masked), (Some("--unmask"), whole)] {
        let mut command = Command::new(binary());
        command.args(at).args(["--url", server.url(), "--token", &token, "--query", count]).args(unmask);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
    let tail = storage.run(&["events", "tail", "--after", "0", "--type", "unmasking", "--no-follow"]);
    assert_eq!(tail.lines().count(), 2, "one for each use: {tail}");
    server.kill().await;
}
