//! Lists: `?limit=&after=`, a page of items, and an opaque cursor to go on from.

use crate::{Problem, extract::Json};
use axum::{
    http::Uri,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use circolo_domain::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

/// The most items on a page.
pub const MOST: u32 = 100;
/// Longer cursors are not ours.
const LONGEST: usize = 1024;
/// Bytes of the checksum in front of a cursor's content.
const CHECK: usize = 6;

/// How many items to list: 1 to 100, 20 if not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = u32, minimum = 1, maximum = 100, default = 20)]
pub struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

impl Limit {
    /// The number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// What to ask the database for: one more, to know whether there is more.
    pub const fn and_one(self) -> i64 {
        self.0 as i64 + 1
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse() {
            Ok(limit @ 1..=MOST) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(Self(limit)),
            _ => Err(de::Error::custom("out_of_range: a number from 1 to 100 is expected")),
        }
    }
}

/// As of when a thing is read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AsOf {
    /// As it was then, from what was recorded by then; who may read it is decided by today's rights. For registered callers.
    #[param(value_type = Option<String>, format = DateTime)]
    pub as_of: Option<Timestamp>,
}

/// Where a page ended, for one list; opaque to clients, checked when it comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor for the list called `list` that ends at `key`.
    pub fn new(list: &str, key: &impl Serialize) -> Self {
        let content = serde_json::to_vec(key).unwrap_or_default();
        Self(BASE64_URL_SAFE_NO_PAD.encode([&check(list, &content)[..], &content].concat()))
    }

    /// The cursor as clients see it.
    pub fn into_text(self) -> String {
        self.0
    }

    /// The key it ends at, if it is a cursor of the list called `list`.
    pub fn read<K: DeserializeOwned>(&self, list: &str) -> Result<K, Problem> {
        let bad = || Problem::bad_request("bad_cursor", "after takes a cursor of this list, as it was given");
        let bytes = (self.0.len() <= LONGEST).then(|| BASE64_URL_SAFE_NO_PAD.decode(&self.0).ok()).flatten().ok_or_else(bad)?;
        let (found, content) = bytes.split_at_checked(CHECK).ok_or_else(bad)?;
        if *found != check(list, content) {
            return Err(bad());
        }
        serde_json::from_slice(content).map_err(|_| bad())
    }
}

/// Not a secret: it finds typing errors and cursors of other lists. Rights are checked on every page anyway.
fn check(list: &str, content: &[u8]) -> [u8; CHECK] {
    let digest: [u8; 32] = Sha256::new().chain_update(list).chain_update([0]).chain_update(content).finalize().into();
    std::array::from_fn(|i| digest[i])
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Listing<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Send this as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Listing<T> {
    /// A page of at most `limit` of `rows`, which hold one more if there is more. `key` tells where a row stands in the list.
    pub fn page<R, K: Serialize>(list: &str, limit: Limit, mut rows: Vec<R>, key: impl Fn(&R) -> K, view: impl FnMut(R) -> T) -> Self {
        let more = rows.len() > limit.get();
        rows.truncate(limit.get());
        let next = rows.last().filter(|_| more).map(|last| Cursor::new(list, &key(last)).0);
        Self { items: rows.into_iter().map(view).collect(), next }
    }
}

/// Put into the answer, so that the layer which knows the address can write the `Link` header.
#[derive(Debug, Clone)]
pub(crate) struct Next(String);

impl<T: Serialize> IntoResponse for Listing<T> {
    fn into_response(self) -> Response {
        let next = self.next.clone().map(Next);
        let mut response = Json(self).into_response();
        if let Some(next) = next {
            response.extensions_mut().insert(next);
        }
        response
    }
}

impl Next {
    /// The `Link` header of a page that was asked for at `uri`.
    pub(crate) fn link(&self, uri: &Uri) -> String {
        let others = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
        let query: Vec<_> = others.map(str::to_owned).chain([format!("after={}", self.0)]).collect();
        format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_only_to_its_own_list() {
        let cursor = Cursor::new("groups", &(7, "x"));
        assert_eq!(cursor.read::<(i64, String)>("groups").unwrap(), (7, "x".to_owned()));
        assert_eq!(cursor.read::<(i64, String)>("questions").unwrap_err().code(), "bad_cursor");
    }

    #[test]
    fn a_cursor_that_was_tampered_with_is_refused() {
        let Cursor(text) = Cursor::new("groups", &7);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = Cursor(String::from_utf8(bytes).unwrap());
            // The last character may hold unused bits, but then it is not valid base64 either.
            assert!(tampered.read::<i64>("groups").is_err(), "{at}");
        }
        for bad in ["", "A", "%%%", &"A".repeat(5000)] {
            assert!(Cursor(bad.to_owned()).read::<i64>("groups").is_err());
        }
    }

    #[test]
    fn a_page_knows_whether_there_is_more() {
        let limit = Limit(2);
        let page = |n: i64| Listing::page("numbers", limit, (0..n).collect(), |n| *n, |n| n);
        assert_eq!(page(2).next, None);
        assert_eq!(page(0).items, Vec::<i64>::new());
        let first = page(3);
        assert_eq!(first.items, [0, 1]);
        assert_eq!(Cursor(first.next.unwrap()).read::<i64>("numbers").unwrap(), 1);
    }

    #[test]
    fn the_link_keeps_the_other_parameters() {
        let next = Next("abc".into());
        assert_eq!(next.link(&"/v1/x?limit=2&after=old&q=a%20b".parse().unwrap()), "</v1/x?limit=2&q=a%20b&after=abc>; rel=\"next\"");
        assert_eq!(next.link(&"/v1/x".parse().unwrap()), "</v1/x?after=abc>; rel=\"next\"");
    }
}
