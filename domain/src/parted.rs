//! An event in two parts: the facts, with `null` where a text stands that is not for everyone, and those texts, each with its place
//! and its owner. What is sealed is the second; what is stored in the open is the first.
//!
//! All of this works on JSON as it is stored, whose order and unknown fields stay as they are.

use crate::{DecodeError, Encoded, Event, Mask, TextOwner, Written, encode, personal::taking};
use serde::Serialize;
use std::ops::Range;

/// A text, apart from its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// Where it stands in the event's data: a JSON pointer.
    pub at: String,
    /// Whose it is; `None` if nobody has said so and nothing tells.
    pub owner: Option<TextOwner>,
    /// What it says, as JSON. Never `null`.
    pub value: String,
}

/// An event, the same without its texts, and these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parted {
    /// Type and data with the texts in place.
    pub whole: Encoded,
    /// Type and data as they are stored, with `null` for each text.
    pub facts: Encoded,
    /// The texts that are there, in the order of the data.
    pub texts: Vec<Apart>,
}

/// Texts that do not fit into the data that they are said to belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no place is left open for a text that belongs there")]
pub struct Misplaced;

/// Parts an event, as a decision made it or [`Event::own_texts`] completed it. The texts under `mask` are taken out.
pub fn part(event: &impl Serialize, mask: Mask) -> Parted {
    let whole = encode(event);
    let (facts, owners) = taking(mask, || encode(event));
    if owners.is_empty() {
        return Parted { whole, facts, texts: vec![] };
    }
    let open = nulls(&facts.data);
    let texts = cut(&whole.data, |at| open.iter().any(|open| open == at)).unwrap_or_default();
    let texts = texts.into_iter().zip(owners).map(|(Cut { at, place }, owner)| Apart { at, owner, value: whole.data[place].to_owned() });
    Parted { texts: texts.collect(), whole, facts }
}

/// Parts an event that is stored in one piece: of before texts were sealed, or imported. `told` knows whose a text is where somebody
/// has said so; all others belong to whom the rule of their aggregate says.
///
/// What the data holds beside, unknown to this program, stays where it stands. An event of an older version is parted as the newest.
pub fn part_stored(
    stored: &Encoded,
    mask: impl FnOnce(&Event) -> Mask,
    written: &Written<'_>,
    told: impl Fn(&str) -> Option<TextOwner>,
) -> Result<Parted, DecodeError> {
    let mut event = Event::decode(&stored.event_type, &stored.data)?;
    event.own_texts(written);
    let mask = mask(&event);
    let mut parted = part(&event, mask);
    for text in &mut parted.texts {
        text.owner = told(&text.at).or(text.owner);
    }
    if parted.facts.event_type != stored.event_type {
        return Ok(parted);
    }
    let Some(cuts) = cut(&stored.data, |at| parted.texts.iter().any(|text| text.at == at)) else { return Ok(parted) };
    let mut data = stored.data.clone();
    for Cut { place, .. } in cuts.iter().rev() {
        data.replace_range(place.clone(), NULL);
    }
    // In the order of the data, which need not be ours.
    let texts = cuts.into_iter().filter_map(|Cut { at, place }| {
        let owner = parted.texts.iter().find(|text| text.at == at)?.owner;
        Some(Apart { at, owner, value: stored.data[place].to_owned() })
    });
    Ok(Parted { texts: texts.collect(), whole: stored.clone(), facts: Encoded { event_type: stored.event_type.clone(), data } })
}

/// The data with each value (JSON pointer and JSON) where it belongs, in place of a `null`. The values are in the order of the data.
pub fn put_back(data: &str, values: &[(&str, &str)]) -> Result<String, Misplaced> {
    let mut whole = String::with_capacity(data.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let (mut waiting, mut written) = (values.iter(), 0);
    let mut next = waiting.next();
    let walked = walk(data, &mut |at, place: Range<usize>| match next {
        Some((pointer, value)) if *pointer == at && &data[place.clone()] == NULL => {
            whole.push_str(&data[written..place.start]);
            whole.push_str(value);
            written = place.end;
            next = waiting.next();
            true
        }
        _ => false,
    });
    if walked.is_none() || next.is_some() {
        return Err(Misplaced);
    }
    whole.push_str(&data[written..]);
    Ok(whole)
}

const NULL: &str = "null";

/// A value that is not `null`, and where it stands.
struct Cut {
    at: String,
    place: Range<usize>,
}

/// The values of `data` at the places that `wanted` says, as far as they are there.
fn cut(data: &str, wanted: impl Fn(&str) -> bool) -> Option<Vec<Cut>> {
    let mut cuts = vec![];
    walk(data, &mut |at, place: Range<usize>| {
        let found = wanted(at);
        if found && &data[place.clone()] != NULL {
            cuts.push(Cut { at: at.to_owned(), place });
        }
        found
    })?;
    Some(cuts)
}

/// The places of all `null`s.
fn nulls(data: &str) -> Vec<String> {
    let mut places = vec![];
    walk(data, &mut |at, place: Range<usize>| {
        let found = &data[place] == NULL;
        if found {
            places.push(at.to_owned());
        }
        found
    });
    places
}

/// Shows each value within `json` to `visit`, in its order, with its pointer and its place; into what it answers `true` to, the walk
/// does not go. `None` if the text is no JSON.
fn walk(json: &str, visit: &mut dyn FnMut(&str, Range<usize>) -> bool) -> Option<()> {
    let mut walk = Walk { json, at: 0, pointer: String::new() };
    walk.value(visit)
}

struct Walk<'a> {
    json: &'a str,
    at: usize,
    pointer: String,
}

impl Walk<'_> {
    fn value(&mut self, visit: &mut dyn FnMut(&str, Range<usize>) -> bool) -> Option<()> {
        let start = self.skip_space();
        let end = self.end_of_value(start)?;
        self.at = start;
        if visit(&self.pointer, start..end) {
            self.at = end;
            return Some(());
        }
        match self.byte(start)? {
            b'{' => self.parts(b'}', visit),
            b'[' => self.parts(b']', visit),
            _ => {
                self.at = end;
                Some(())
            }
        }
    }

    /// The values of an object or an array.
    fn parts(&mut self, close: u8, visit: &mut dyn FnMut(&str, Range<usize>) -> bool) -> Option<()> {
        self.at += 1;
        if self.byte(self.skip_space())? == close {
            self.at = self.skip_space() + 1;
            return Some(());
        }
        let above = self.pointer.len();
        for index in 0_usize.. {
            let start = self.skip_space();
            self.pointer.push('/');
            if close == b'}' {
                self.at = self.end_of_value(start)?;
                let name: String = serde_json::from_str(self.json.get(start..self.at)?).ok()?;
                self.pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                let colon = self.skip_space();
                self.at = (self.byte(colon)? == b':').then_some(colon + 1)?;
            } else {
                self.pointer.push_str(&index.to_string());
            }
            self.value(visit)?;
            self.pointer.truncate(above);
            let next = self.skip_space();
            self.at = next + 1;
            match self.byte(next)? {
                b',' => {}
                end if end == close => break,
                _ => return None,
            }
        }
        Some(())
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.json.as_bytes().get(at).copied()
    }

    fn skip_space(&self) -> usize {
        let space = self.json.as_bytes().iter().skip(self.at).take_while(|byte| byte.is_ascii_whitespace());
        self.at + space.count()
    }

    /// Where the value ends that begins at `start`.
    fn end_of_value(&self, start: usize) -> Option<usize> {
        let bytes = self.json.as_bytes();
        let (mut at, mut depth) = (start, 0_usize);
        loop {
            at = match bytes.get(at)? {
                b'"' => self.end_of_string(at)?,
                b'{' | b'[' => {
                    depth += 1;
                    at + 1
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    at + 1
                }
                b',' | b':' if depth == 0 => return None,
                byte if depth == 0 => {
                    let word = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
                    return (word > 0 && !byte.is_ascii_whitespace()).then_some(at + word);
                }
                _ => at + 1,
            };
            if depth == 0 {
                return Some(at);
            }
        }
    }

    fn end_of_string(&self, start: usize) -> Option<usize> {
        let bytes = self.json.as_bytes();
        let mut at = start + 1;
        loop {
            match bytes.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
    }
}

#[cfg(test)]
#[path = "parted_tests.rs"]
mod tests;
