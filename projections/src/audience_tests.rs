//! Tests of the statements over audiences.

use super::*;

const TABLE: Readable<'static> = Readable { table: "things_v1", written: "at", filter: "" };

fn key(place: &str, since: i64, until: i64) -> Key {
    Key { since, until, ..Key::always(place.into(), 0, 0) }
}

#[test]
fn nobody_without_keys_reads_anything() {
    assert_eq!(TABLE.newest(&[], None, 10), None);
}

#[test]
fn every_key_is_a_range_of_its_own() {
    let (part, params) = TABLE.newest(&[key("a", i64::MIN, i64::MAX), key("b", 5, 9)], Some(7), 10).unwrap();
    let sql = part.sqlite;
    assert_eq!(sql.matches("UNION ALL SELECT k").count(), 1);
    assert!(sql.contains("t.audience = $4 AND t.at >= $5 AND t.at < $6 AND t.position < ("), "{sql}");
    let (end, start) = (9 + SKEW, 5 - SKEW);
    let b = || Value::from("b:0");
    let expected = [7.into(), 10.into(), "a:0".into(), b(), 5.into(), 9.into(), b(), end.into(), b(), start.into()];
    assert_eq!(params, expected.map(|value: Value| value));
}

#[test]
fn a_page_goes_on_behind_a_row_in_any_order() {
    let order = Order { columns: &["price", "position"], descending: false, after: vec![7, 70] };
    let table = Readable { filter: " AND t.kind = $1", ..TABLE };
    let (part, params) = table.page(&["a", "b"].map(|place| key(place, i64::MIN, i64::MAX)), &order, vec!["bike".into()], 10).unwrap();
    let sql = part.sqlite;
    assert!(
        sql.contains("t.audience = $6 AND t.kind = $1 AND (t.price, t.position) > ($2, $3) ORDER BY t.price, t.position LIMIT $4"),
        "{sql}"
    );
    assert!(sql.ends_with("u ORDER BY u.price, u.position LIMIT $4"), "{sql}");
    assert_eq!(params, ["bike".into(), Value::Int(7), 70.into(), 10.into(), "a:0".into(), "b:0".into()]);
    let newest = Order { columns: &["position"], descending: true, after: vec![] };
    let (Part { sqlite: sql, .. }, _) = table.page(&[key("a", i64::MIN, i64::MAX)], &newest, vec!["bike".into()], 10).unwrap();
    assert!(sql.contains("t.audience = $3 AND t.kind = $1 ORDER BY t.position DESC LIMIT $2"), "{sql}");
}

#[test]
fn what_may_always_be_read_is_one_list_and_windows_stand_beside_it() {
    let mut params = vec![Value::Int(1)];
    let keys = [("a", i64::MIN), ("b", 5), ("c", i64::MIN)].map(|(place, since)| key(place, since, i64::MAX));
    let part = Part::alike("(t.audience = ANY($2) OR (t.audience = $3 AND t.at >= $4))".into());
    assert_eq!(TABLE.allowed(&keys, &mut params), part);
    assert_eq!(params[1], Value::List(vec!["a:0".into(), "c:0".into()]));
}

#[test]
fn however_many_keys_there_are_the_text_is_the_same_and_the_parameters_are_few() {
    let order = || Order { columns: &["position"], descending: true, after: vec![] };
    let texts = |count: u32| {
        let keys: Vec<Key> = (0..count).map(|n| Key { first: n * 10, last: n * 10 + 9, ..key("a", n.into(), i64::MAX) }).collect();
        let mut params = vec![];
        let allowed = TABLE.allowed(&keys, &mut params);
        let (newest, of_newest) = TABLE.newest(&keys, None, 10).unwrap();
        let (page, of_page) = TABLE.page(&keys, &order(), vec![], 10).unwrap();
        ((allowed, newest, page), (params.len(), of_newest.len(), of_page.len()))
    };
    assert_eq!(texts(1), texts(1_000));
    assert_eq!(texts(1).1, (2, 4, 2));
}
