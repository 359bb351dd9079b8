//! As of: what is read of the past is what was read then, by today's rights; and read models of any moment as files.

use crate::care::conversations::{Shop, shop};
use crate::exports::history;
use crate::given::{admit, answer, ask, ban, found, offer, promote};
use circolo_domain::{Span, Timestamp};
use circolo_events::{
    Position,
    transfer::{MaskedView, TimeIndex},
};
use circolo_projections::{
    Db, Options, Table, Value as Cell, all,
    as_of::{Snapshot, Wanted, plain_name, write},
    prepare,
    value::Meaning,
};
use circolo_tests::{actor::Actor, server::binary, stories, world::World};
use serde_json::{Value, json};
use std::{path::Path, process::Command, sync::Arc};

stories!(the_past_is_what_was_read_then, the_past_opens_nothing, what_was_not_there_yet_is_unknown, the_past_is_for_who_is_registered,);

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
    for reader in [&otto, &world.person("Pia").await] {
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

/// What may be known of today comes first, then who asks, then what is asked.
async fn the_past_is_for_who_is_registered(world: World) {
    let shop = shop(&world).await;
    let ann = world.person("Ann").await;
    let (open, secret) = (found(&ann, "public", "open").await, found(&ann, "secret", "invite_only").await);
    let (skis, hidden) = (offer(&ann, &open, "Skis", 80).await, offer(&ann, &secret, "Boots", 80).await);
    let unknown = uuid::Uuid::from_u128(7);
    let (now, future) = (world.clock().now(), world.clock().now().plus(Span::hours(1)));
    world.settled().await;
    let rate = format!("{}/response-rate", shop.page);
    for (reader, status, code) in [(world.anonymous(), 401, "unauthenticated"), (world.stranger("ghost"), 403, "not_registered")] {
        for path in [&open, &format!("{open}/members"), &skis, &rate] {
            reader.get(path).await.expect(200);
            for time in [now, future] {
                reader.get(&format!("{path}?as_of={time}")).await.expect_problem(status, code);
            }
        }
        reader.get(&format!("{rate}?at={now}")).await.expect_problem(status, code);
        let pairs = [("groups", "", &secret), ("groups", "/members", &secret), ("listings", "", &hidden)];
        for (things, what, path) in pairs {
            let made_up = reader.get(&format!("/v1/{things}/{unknown}{what}?as_of={now}")).await.expect_problem(404, "not_found");
            let invisible = reader.get(&format!("{path}{what}?as_of={now}")).await;
            assert_eq!(invisible.visible(), made_up.visible(), "{invisible}");
        }
        reader.get(&format!("{open}?as_of=yesterday")).await.expect_problem(400, "bad_query");
    }
    for path in [&open, &format!("{open}/members"), &skis, &rate] {
        ann.get(&format!("{path}?as_of={now}")).await.expect(200);
        ann.get(&format!("{path}?as_of={future}")).await.expect_problem(400, "as_of_in_future");
    }
}

/// A look folds so much and no more, and says so.
#[tokio::test]
async fn what_is_too_much_to_fold_is_refused() {
    let http = circolo::config::Http { as_of_events: 12, ..circolo_tests::world::settings() };
    let world = World::with(circolo_tests::world::Backend::Memory, http).await.unwrap();
    let shop = shop(&world).await;
    let ann = world.person("Ann").await;
    let group = found(&ann, "public", "open").await;
    let members = format!("{group}/members");
    let rate = format!("{}/response-rate", shop.page);
    let skis = offer(&ann, &group, "Skis", 80).await;
    for n in 0..11 {
        world.person(&format!("P{n}")).await.post(&format!("{group}/join"), ()).await.expect(200);
        shop.write(&shop.fan, "Hello?").await.expect(201);
    }
    let enough = world.clock().now();
    shop.write(&shop.fan, "Hello?").await.expect(201);
    world.clock().advance(Span::minutes(1));
    for path in [&group, &members, &rate] {
        // Twelve: the founder's and eleven others'; a dozen messages.
        ann.get(&format!("{path}?as_of={enough}")).await.expect(200);
    }
    world.person("Pia").await.post(&format!("{group}/join"), ()).await.expect(200);
    shop.write(&shop.fan, "Hello?").await.expect(201);
    let now = world.clock().now();
    for path in [&group, &members, &rate] {
        let refused = ann.get(&format!("{path}?as_of={now}")).await.expect_problem(422, "as_of_too_large");
        assert_eq!(refused.json()["fields"][0]["field"], "as_of");
        ann.get(&format!("{path}?as_of={enough}")).await.expect(200);
        ann.get(path).await.expect(200);
    }
    ann.get(&format!("{skis}?as_of={now}")).await.expect(200);
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
            let view = Arc::new(MaskedView::new(log.clone(), position, masked, Box::new(|_| ())));
            write(Wanted { log: view, position, projections: all(), masked, version: "test" }, Options::new(clock.clone()), &path)
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
            Snapshot::open(&path).unwrap().to_parquet(&all(), &parquet).unwrap();
            for projection in all() {
                for fold in &projection.tables {
                    parquet_holds_what_the_table_holds(&parquet, &path, &fold.table, plain_name(&fold.table, projection.version));
                }
            }
        }
    }
}

/// The same rows, with times as timestamps and truths as booleans.
#[cfg(feature = "parquet")]
fn parquet_holds_what_the_table_holds(folder: &Path, database: &Path, table: &Table, name: &str) {
    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::Field,
    };
    let columns = table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let reader = SerializedFileReader::new(std::fs::File::open(folder.join(format!("{name}.parquet"))).unwrap()).unwrap();
    let mut expected = rows(database, name, &columns).into_iter();
    for row in reader.get_row_iter(None).unwrap() {
        let (row, expected) = (row.unwrap(), expected.next().unwrap());
        for ((column, (written, found)), expected) in table.columns.iter().zip(row.get_column_iter()).zip(expected) {
            assert_eq!(column.name, written);
            let wanted = match (expected, column.meaning) {
                (Cell::Null | Cell::List(_), _) | (Cell::Int(i64::MAX), Meaning::Time) => Field::Null,
                (Cell::Int(number), Meaning::Truth) => Field::Bool(number == 1),
                (Cell::Int(number), Meaning::Time) => Field::TimestampMicros(number),
                (Cell::Int(number), Meaning::Plain) => Field::Long(number),
                (Cell::Float(number), _) => Field::Double(number),
                (Cell::Text(text), _) => Field::Str(text),
            };
            assert_eq!(*found, wanted, "{name}.{written}");
        }
    }
    assert_eq!(expected.next(), None, "{name}");
}

#[tokio::test]
async fn a_time_is_the_last_position_recorded_by_then() {
    let store = history(8, 3_500).await;
    let events = crate::backend::whole(&*store, 1_000).await;
    let index = TimeIndex::default();
    let mut times: Vec<Timestamp> = events.iter().step_by(97).map(|stored| stored.event.recorded_at).collect();
    times.extend([Timestamp::from_micros(0), events.last().unwrap().event.recorded_at.plus(Span::hours(1))]);
    for time in times {
        let last = events.iter().rev().find(|stored| stored.event.recorded_at <= time);
        let expected = last.map_or(Position::START, |stored| stored.position);
        assert_eq!(index.position(&*store, time).await.unwrap(), expected, "{time}");
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
