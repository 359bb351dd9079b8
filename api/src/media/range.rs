//! Parts of files: `Range`, `If-Range` and `If-None-Match` (RFC 9110).

use axum::http::{HeaderMap, header};
use std::ops::Range;

/// What is to be sent of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing: the caller has it.
    Known,
    /// All of it.
    Whole,
    /// A part.
    Part(Range<u64>),
    /// A part that it does not have.
    Beyond,
}

/// What `headers` want of a file of this length and entity tag.
pub(crate) fn wanted(headers: &HeaderMap, length: u64, tag: &str) -> Wanted {
    if headers.get_all(header::IF_NONE_MATCH).iter().any(|given| given.to_str().is_ok_and(|given| names(given, tag))) {
        return Wanted::Known;
    }
    let same = headers.get(header::IF_RANGE).is_none_or(|given| given.as_bytes() == tag.as_bytes());
    let range = headers.get(header::RANGE).filter(|_| same).and_then(|range| range.to_str().ok());
    range.and_then(|range| part(range, length)).unwrap_or(Wanted::Whole)
}

/// Whether a list of entity tags names this one.
fn names(given: &str, tag: &str) -> bool {
    given.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// The one part that is asked for. What is not understood, and several parts at once, are as if nothing was said.
fn part(range: &str, length: u64) -> Option<Wanted> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
    let part = match (first, last) {
        ("", last) if !last.is_empty() => length.saturating_sub(number(last)?)..length,
        (first, "") if !first.is_empty() => number(first)?..length,
        (first, last) if !first.is_empty() => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
        _ => return None,
    };
    Some(if part.is_empty() || part.start >= length { Wanted::Beyond } else { Wanted::Part(part) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn of(headers: &[(HeaderName, &str)]) -> Wanted {
        wanted(&headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect(), 100, "\"a.whole\"")
    }

    #[test]
    fn a_part_is_what_was_asked_for() {
        for (asked, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=90-99999999999999999999999", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
        ] {
            assert_eq!(of(&[(header::RANGE, asked)]), wanted, "{asked}");
        }
    }

    #[test]
    fn a_part_is_of_the_file_that_the_caller_knows() {
        let range = (header::RANGE, "bytes=0-1");
        assert_eq!(of(&[range.clone(), (header::IF_RANGE, "\"a.whole\"")]), Wanted::Part(0..2));
        for other in ["\"b.whole\"", "W/\"a.whole\"", "Sat, 31 Jan 2026 12:00:00 GMT"] {
            assert_eq!(of(&[range.clone(), (header::IF_RANGE, other)]), Wanted::Whole, "{other}");
        }
        for known in ["\"a.whole\"", "W/\"a.whole\"", "\"x\", \"a.whole\"", "*"] {
            assert_eq!(of(&[range.clone(), (header::IF_NONE_MATCH, known)]), Wanted::Known, "{known}");
        }
        assert_eq!(of(&[(header::IF_NONE_MATCH, "\"x\"")]), Wanted::Whole);
    }
}
