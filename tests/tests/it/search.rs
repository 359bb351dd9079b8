//! Search: everything is found by its words, alike on every database and under every locale; and what others hide changes nothing of
//! what a question costs.

use crate::engine::{PATIENCE, Views, Writer};
use circolo_domain::{
    Event, GroupId, PersonId, StreamName,
    access::Privacy,
    group::{self, Policy},
    membership,
    testing::{NOON, communal},
};
use circolo_events::{EventStore, Memory};
use circolo_projections::{
    Db, FromValues, Options, Projector, Sql, Value,
    groups::{self, Directory},
    memberships, search,
    search::Words,
};
use circolo_tests::postgres::test_postgres;
use rusqlite::StatementStatus;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use uuid::Uuid;

/// Names that databases split and fold in ways of their own.
const NAMES: &[&str] = &[
    "Node.js",
    "COVID-19",
    "Web 2.0",
    "a/b",
    "3.5mm",
    "2026-01-31",
    "Via Roma 12/b",
    "ann@example.org",
    "https://example.org/a?b=c",
    "ΟΔΥΣΣΕΥΣ",
    "Οδυσσεύς",
    "İstanbul",
    "ISTANBUL",
    "ılık",
    "Straße",
    "STRASSE",
    "Crème brûlée",
    "Москва хлеб",
    "Ёлка",
    "Żółć",
    "ﬁne ＡＢＣ",
    "½ price",
    "東京都の黒猫クラブ",
    "iPhone手机壳",
    "中文 群组",
    "ชมรมขนมปัง",
    "고양이를 좋아하는 사람",
    "I ❤️ 🇮🇹",
    "👍🏽 👨‍👩‍👧",
    "हिन्दी पुस्तक",
    "مُحَمَّد",
    "خانه‌ها",
    "Rock & Roll",
    "C++",
    "C#",
    ".NET",
    "?!",
    "''",
    "\\'\\",
    "a:b* | !(c)",
    "NEAR OR AND NOT",
    "\"quoted\"",
    "snake_case",
    "L'amico",
    "O’Brien",
    "x²",
    "№ 5",
];

/// What people write who look for them, and some that find nothing.
const ASKED: &[&str] = &[
    "node.js",
    "JS",
    "covid 19",
    "2.0",
    "mm",
    "5mm",
    "roma 12",
    "example",
    "οδυσσευς",
    "ΟΔΥΣΣΕΥΣ",
    "istanbul",
    "İSTANBUL",
    "ilik",
    "ILIK",
    "strasse",
    "STRAẞE",
    "creme",
    "Москва",
    "МОСКВА",
    "елка",
    "zółc",
    "zolc",
    "fine abc",
    "東京",
    "黒猫",
    "猫",
    "ｸﾗﾌﾞ",
    "京東",
    "手机",
    "ขนม",
    "고양이",
    "좋아",
    "❤",
    "🇮🇹",
    "🇹🇮",
    "👍",
    "👧",
    "हिन्दी",
    "محمد",
    "خانه",
    "roll",
    "&",
    "c++",
    "net",
    "?!",
    "!",
    "quoted",
    "snake",
    "amico",
    "brien",
    "x2",
    "no",
    "near",
    "tomato",
    "%",
    "_",
    "\u{200b}",
];

fn created(name: &str, privacy: Privacy) -> Event {
    let (name, founder) = (name.to_owned(), PersonId(Uuid::from_u128(7)));
    group::Event::Created { name: communal(&name), description: None, privacy, membership: Policy::InviteOnly, founder }.into()
}

fn group(number: usize) -> GroupId {
    GroupId(Uuid::from_u128(0x1000 + number as u128))
}

/// Read models of these events.
async fn fed(db: &Db, events: Vec<(StreamName, Event)>) {
    let store: Arc<dyn EventStore> = Arc::new(Memory::new(Uuid::from_u128(9)));
    let head = Writer::default().write(&*store, events).await;
    let projections = vec![groups::groups(), memberships::memberships()];
    let projector = Projector::start(db.clone(), store, projections, Options::new(Arc::new(|| NOON))).await.unwrap();
    projector.wait_for(head, PATIENCE).await.unwrap();
    projector.settled().await;
}

async fn found(db: &Db, asked: &str) -> BTreeSet<String> {
    let page = Directory { query: Some(asked.to_owned()), limit: 100, ..Directory::default() };
    groups::directory(db, &page).await.unwrap().into_iter().map(|group| group.name).collect()
}

/// What each question finds, when every name has been found by itself and by each of its words.
async fn finds(db: &Db) -> Vec<(String, BTreeSet<String>)> {
    let named = NAMES.iter().enumerate().map(|(number, name)| (group::stream(group(number)), created(name, Privacy::Public)));
    fed(db, named.collect()).await;
    let mut all = Vec::new();
    for name in NAMES {
        for asked in name.split_whitespace().chain([*name, &name.to_uppercase(), &name.to_lowercase()]) {
            let found = found(db, asked).await;
            assert!(found.contains(*name), "{name} by {asked}: {found:?}");
            all.push((asked.to_owned(), found));
        }
    }
    for asked in ASKED {
        all.push(((*asked).to_owned(), found(db, asked).await));
    }
    all
}

/// A database of this process' own in the tests' cluster, under another locale.
async fn database(url: &str, name: &str, locale: &str) -> String {
    let name = format!("circolo_{name}_{}", std::process::id());
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"))).await.unwrap();
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {locale}");
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// Whether a database may have a locale of ICU.
async fn knows_icu(url: &str) -> bool {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let version: String = sqlx::query_scalar("SHOW server_version_num").fetch_one(&mut connection).await.unwrap();
    version.parse::<u32>().unwrap() >= 150_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_found_alike_on_every_database_and_under_every_locale() {
    let Some(Views::Sqlite(dir)) = Views::new("sqlite").await else { panic!("SQLite is always there") };
    let on_sqlite = finds(&Db::sqlite(dir.path().join("views.sqlite")).await.unwrap()).await;
    let Some(url) = test_postgres() else { return };
    let knows_icu = knows_icu(&url).await;
    for (name, locale) in [
        ("c", "LOCALE 'C'"),
        ("c_utf8", "LOCALE 'C.UTF-8'"),
        ("german", "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C.UTF-8'"),
        // Where I is no capital of i.
        ("turkish", "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C'"),
    ] {
        if locale.contains("icu") && !knows_icu {
            eprintln!("skipped: {locale}, for this Postgres is older than 15");
            continue;
        }
        let own = database(&url, name, locale).await;
        let db = Db::postgres(&own).await.unwrap();
        for (there, here) in finds(&db).await.iter().zip(&on_sqlite) {
            assert_eq!(there, here, "under {locale}");
        }
        drop(db);
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let (_, database) = own.rsplit_once('/').unwrap();
        connection.execute(AssertSqlSafe(format!("DROP DATABASE {database} WITH (FORCE)"))).await.unwrap();
    }
}

/// So many that a plan would change for them.
const SECRETS: usize = 2_500;
const PUBLIC: usize = 300;

/// Somebody who is in one secret group, among many whose names all have `word`.
fn reader() -> PersonId {
    PersonId(Uuid::from_u128(0xE0))
}

async fn hiding(db: &Db, word: &str) {
    let public = (0..PUBLIC).map(|n| (group::stream(group(n)), created(&format!("Club {n} bread"), Privacy::Public)));
    let secret = (0..SECRETS).map(|n| (group::stream(group(PUBLIC + n)), created(&format!("{word} {word}{n} {n}"), Privacy::Secret)));
    let joined = membership::Event::Joined { episode: 1, era: 1, way: membership::Way::Founding, admitted_by: None };
    let own = (membership::stream(group(PUBLIC), reader()), joined.into());
    fed(db, public.chain(secret).chain([own]).collect()).await;
}

/// What a question sends to the database.
type Sent = Vec<(Sql, Vec<Value>)>;

/// What a search sends for somebody, and the names that it finds.
async fn asks(db: &Db, asked: &str, reader: Option<PersonId>) -> (Sent, BTreeSet<String>) {
    let sent = Arc::new(Mutex::new(Sent::new()));
    let watch = Arc::clone(&sent);
    let watched = db.clone().watched(move |sql, params| watch.lock().unwrap().push((sql.clone(), params.to_vec())));
    let page = Directory { query: Some(asked.to_owned()), reader, limit: 21, ..Directory::default() };
    let found = groups::directory(&watched, &page).await.unwrap().into_iter().map(|group| group.name).collect();
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    (sent, found)
}

/// What the database does for these questions, step by step.
async fn steps(views: &Views, sent: &Sent) -> Vec<String> {
    let mut steps = Vec::new();
    for (sql, params) in sent {
        match views {
            Views::Sqlite(dir) => {
                let connection = rusqlite::Connection::open(dir.path().join("views.sqlite")).unwrap();
                let plan = format!("EXPLAIN QUERY PLAN {}", sql.sqlite);
                let mut plan = connection.prepare(&plan).unwrap();
                let lines = plan.query_map(rusqlite::params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
                steps.extend(lines.map(Result::unwrap));
                let mut statement = connection.prepare(&sql.sqlite).unwrap();
                let rows = statement.query_map(rusqlite::params_from_iter(params), |_| Ok(())).unwrap().count();
                let counters = [StatementStatus::VmStep, StatementStatus::FullscanStep, StatementStatus::Sort];
                steps.push(format!("{rows} rows, {:?}", counters.map(|counter| statement.get_status(counter))));
            }
            Views::Postgres(url) => {
                let db = Db::postgres(url).await.unwrap();
                let explained = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {}", sql.postgres);
                let explain = Sql { sqlite: "".into(), postgres: explained.into() };
                steps.extend(db.query::<Line>(explain, params.clone()).await.unwrap().into_iter().map(|Line(line)| line));
            }
        }
    }
    steps
}

struct Line(String);

impl FromValues for Line {
    fn from_values(values: Vec<Value>) -> Result<Self, circolo_projections::ColumnError> {
        let Some(Value::Text(line)) = values.into_iter().next() else { panic!("a line of a plan is expected") };
        // What a sort or a hash takes of memory is no step, nor on how many pages rows came to stand.
        let physical = line.contains("Memory") || line.contains("Heap Blocks");
        Ok(Self(if physical { String::new() } else { line }))
    }
}

/// The terms of everyone in the index, and of how many groups each is.
fn public_terms(views: &Views) -> Vec<(String, i64)> {
    let Views::Sqlite(dir) = views else { return vec![] };
    let connection = rusqlite::Connection::open(dir.path().join("views.sqlite")).unwrap();
    connection.execute_batch("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, groups_v2__g1__search, row)").unwrap();
    let mut statement = connection.prepare("SELECT term, doc FROM temp.words WHERE substr(term, 1, 10) = ?1 ORDER BY term").unwrap();
    let terms = statement.query_map([search::code("everyone")], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    terms.map(Result::unwrap).collect()
}

async fn what_others_hide_takes_no_step(backend: &str) {
    let (Some(loud), Some(quiet)) = (Views::new(backend).await, Views::new(backend).await) else { return };
    let (loud_db, quiet_db) = (loud.open().await, quiet.open().await);
    hiding(&loud_db, "tomato").await;
    hiding(&quiet_db, "potato").await;
    for views in [&loud, &quiet] {
        views.tamper("ANALYZE").await;
    }
    let terms = public_terms(&loud);
    assert_eq!(terms, public_terms(&quiet));
    assert!(terms.iter().all(|(_, groups)| usize::try_from(*groups).unwrap() <= PUBLIC), "{terms:?}");
    let stranger = PersonId(Uuid::from_u128(0xE1));
    for asked in ["tomato", "tom", "t", "tomato 7", "tomato7", "bread", "club 7", "tomato bread"] {
        for who in [None, Some(stranger), Some(reader())] {
            let (sent, found) = asks(&loud_db, asked, who).await;
            let (sent_there, found_there) = asks(&quiet_db, asked, who).await;
            assert_eq!(sent, sent_there, "{asked}: the same way is taken");
            let own = who == Some(reader()) && Words::parse(asked) == Words::parse("tomato");
            let names: Vec<String> = found.iter().filter(|name| name.starts_with("tomato")).cloned().collect();
            if who != Some(reader()) {
                assert_eq!(found, found_there, "{asked}");
                assert_eq!(steps(&loud, &sent).await, steps(&quiet, &sent_there).await, "{asked} by {who:?}");
                assert!(names.is_empty(), "{asked} by {who:?}: {names:?}");
            } else if own {
                assert_eq!(names, ["tomato tomato0 0"], "one's own is found, and no other");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_hide_takes_no_step_on_sqlite() {
    what_others_hide_takes_no_step("sqlite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_hide_takes_no_step_on_postgres() {
    what_others_hide_takes_no_step("postgres").await;
}
