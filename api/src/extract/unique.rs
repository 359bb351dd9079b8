//! JSON in which a name stands once in an object: of two values under one name every reader would take another.

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use std::{cell::RefCell, fmt};

/// Reads any JSON; besides, where in it the first name stands that the same object had before, if there is one.
///
/// What is no JSON is told as that, also behind such a name.
pub(super) fn read(text: &[u8]) -> serde_json::Result<(Value, Option<String>)> {
    let (mut json, twice) = (serde_json::Deserializer::from_slice(text), RefCell::new(None));
    let value = Reader { place: None, twice: &twice }.deserialize(&mut json)?;
    json.end()?;
    Ok((value, twice.into_inner()))
}

/// Where a value stands. The way to it is written down only if somebody asks.
#[derive(Clone, Copy)]
struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Number(usize),
}

impl Place<'_> {
    fn path(&self) -> String {
        let above = self.above.map(Place::path);
        match self.step {
            Step::Name(name) => super::join(&above.unwrap_or_default(), &super::short(name)),
            Step::Number(number) => format!("{}[{number}]", above.unwrap_or_default()),
        }
    }
}

struct Reader<'a> {
    place: Option<&'a Place<'a>>,
    twice: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        loop {
            let place = Place { above: self.place, step: Step::Number(read.len()) };
            let Some(item) = items.next_element_seed(Reader { place: Some(&place), ..self })? else { return Ok(read.into()) };
            read.push(item);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let place = Place { above: self.place, step: Step::Name(&name) };
            if read.contains_key(&name) {
                self.twice.borrow_mut().get_or_insert_with(|| place.path());
            }
            let value = fields.next_value_seed(Reader { place: Some(&place), ..self })?;
            read.insert(name, value);
        }
        Ok(read.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_found_at_any_depth() {
        for (text, place) in [
            (r#"{"a":1,"b":2}"#, None),
            (r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#, None),
            (r#"{"a":1,"a":1}"#, Some("a")),
            (r#"{"a":1,"\u0061":2}"#, Some("a")),
            (r#"{"a":{"b":[0,{"c":1,"d":2,"c":3}]},"a":1}"#, Some("a.b[1].c")),
            (r#"[[{"":1,"":2}]]"#, Some("[0][0].")),
        ] {
            let (value, twice) = read(text.as_bytes()).unwrap();
            assert_eq!(twice.as_deref(), place, "{text}");
            assert_eq!(value, serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_no_json_wherever_a_name_stands_twice() {
        for text in [r#"{"a":1,"a":2"#, r#"{"a":1,"a":2} x"#, "", r#"{"a":1e999}"#, &"[".repeat(200)] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn everything_is_read_as_it_stands() {
        for text in
            ["null", "-7", "18446744073709551615", "1.5", "123456789012345678901234567890", "\"\\u00e9\"", "[]", "{}", "[true,[false]]"]
        {
            assert_eq!(read(text.as_bytes()).unwrap(), (serde_json::from_str::<Value>(text).unwrap(), None), "{text}");
        }
    }
}
