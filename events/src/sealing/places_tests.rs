//! Places in a JSON text: what is found is what `serde_json` finds, and nothing else is touched.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

const TEXT: &str = r#" {"title":"How \"warm\"?" , "n":1.50e+3,"list":[ {"a":null}, "x,]" ,[]],"a/b":{"~":true},"":0,"u\u0065":"ü\\"} "#;

#[test]
fn what_a_pointer_names_is_found_as_it_is_written() {
    for (pointer, written) in [
        ("/title", r#""How \"warm\"?""#),
        ("/n", "1.50e+3"),
        ("/list", r#"[ {"a":null}, "x,]" ,[]]"#),
        ("/list/0/a", "null"),
        ("/list/1", r#""x,]""#),
        ("/list/2", "[]"),
        ("/a~1b/~0", "true"),
        ("/", "0"),
        ("/ue", r#""ü\\""#),
    ] {
        assert_eq!(&TEXT[find(TEXT, &[pointer]).unwrap()[0].clone()], written, "{pointer}");
    }
}

#[test]
fn what_names_nothing_or_too_much_is_told() {
    for pointer in ["/no", "title", "/title/0", "/list/3", "/list/00", "/list/-", "/a/b", &"/list".repeat(200)] {
        assert_eq!(find(TEXT, &[pointer]), Err(NoPlace::Missing(pointer.to_owned())));
    }
    assert_eq!(find(TEXT, &["/title", "/title"]), Err(NoPlace::Twice("/title".to_owned())));
    assert_eq!(find(TEXT, &["/list/0/a", "/list"]), Err(NoPlace::Twice("/list/0/a".to_owned())));
    assert_eq!(find(r#"{"a":1,"a":2}"#, &["/a"]), Err(NoPlace::Twice("/a".to_owned())));
    for broken in ["", "{", r#"{"a""#, r#"{"a":}"#, r#"{"a":1"#, r#"{"a":1}}"#, r#"{"a":"x}"#, r#"{"a":"x\"#, "{a:1}", r#"{"a":1,}"#] {
        assert!(matches!(find(broken, &["/a"]), Err(NoPlace::Broken(_))), "{broken}");
    }
}

#[test]
fn values_are_replaced_and_all_else_stays() {
    let places = find(TEXT, &["/list/1", "/title"]).unwrap();
    let masked = replaced(TEXT, places.into_iter().map(|place| (place, "null")).collect());
    assert_eq!(masked, TEXT.replace(r#""x,]""#, "null").replace(r#""How \"warm\"?""#, "null"));
}

#[test]
fn members_come_as_they_are_written() {
    let found = members(r#"{"a": 1 ,"b\n":[{}]}"#).unwrap();
    let found: Vec<_> = found.iter().map(|member| (&*member.name, member.whole, member.value)).collect();
    assert_eq!(found, [("a", r#""a": 1"#, "1"), ("b\n", r#""b\n":[{}]"#, "[{}]")]);
    assert!(members("{}").unwrap().is_empty());
    assert!(members("[]").is_err() && members("{} {}").is_err());
}

/// JSON of any shape.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        "[a-z/~\"\\\\\n, ü\\]}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-c/~\"\\\\\n0-9]{0,3}", inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every pointer into `value`.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), all)),
        Value::Object(map) => {
            map.iter().for_each(|(name, item)| pointers(item, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), all));
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn every_pointer_leads_where_another_reader_is_led(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let mut all = vec![];
        pointers(&value, "", &mut all);
        for pointer in all {
            let place = find(&text, &[&pointer]).unwrap()[0].clone();
            prop_assert_eq!(Some(&serde_json::from_str::<Value>(&text[place]).unwrap()), value.pointer(&pointer), "{}", pointer);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[{}\\[\\]\",:\\\\ a0ü-]{0,24}") {
        let _ = find(&text, &["/a", "/0", ""]);
        let _ = members(&text);
    }
}
