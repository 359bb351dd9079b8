//! Places in a JSON text, named by JSON pointers (RFC 6901): found without reading the text into values, so that whatever is not
//! touched stays as it is written, down to the spelling of numbers.

use std::{borrow::Cow, ops::Range};

/// How many steps a pointer may have: as many as JSON may be nested where it is read.
const DEEPEST: usize = 128;

/// Why a place is not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The text is none of JSON.
    #[error("the text is broken at byte {0}")]
    Broken(usize),
    /// Nothing stands there.
    #[error("{0:?} names no place in it")]
    Missing(String),
    /// Something stands there twice, or within something else that is named.
    #[error("{0:?} names a place that another one names, too")]
    Twice(String),
}

/// Where in `text` the values stand that `pointers` name, in the order of the pointers.
pub fn find<P: AsRef<str>>(text: &str, pointers: &[P]) -> Result<Vec<Range<usize>>, NoPlace> {
    let wanted: Vec<(usize, &str)> = pointers.iter().map(AsRef::as_ref).enumerate().collect();
    if let Some((_, deep)) = wanted.iter().find(|(_, pointer)| pointer.matches('/').count() > DEEPEST) {
        return Err(NoPlace::Missing((*deep).to_owned()));
    }
    let mut found = vec![None; wanted.len()];
    let mut walk = Walk { text, at: 0 };
    walk.value(&wanted, &mut found).map_err(|failure| failure.of(&wanted))?;
    walk.end()?;
    let named = |index: usize| wanted[index].1.to_owned();
    let found: Vec<Range<usize>> = found
        .into_iter()
        .enumerate()
        .map(|(index, place)| place.ok_or_else(|| NoPlace::Missing(named(index))))
        .collect::<Result<_, _>>()?;
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|index| found[*index].start);
    match order.windows(2).find(|pair| found[pair[0]].end > found[pair[1]].start) {
        Some(pair) => Err(NoPlace::Twice(named(pair[1]))),
        None => Ok(found),
    }
}

/// `text` with other values at these places, which do not overlap.
pub fn replaced(text: &str, mut places: Vec<(Range<usize>, &str)>) -> String {
    places.sort_by_key(|(place, _)| place.start);
    let longer: usize = places.iter().map(|(_, value)| value.len()).sum();
    let (mut out, mut at) = (String::with_capacity(text.len() + longer), 0);
    for (place, value) in places {
        out.push_str(&text[at..place.start]);
        out.push_str(value);
        at = place.end;
    }
    out.push_str(&text[at..]);
    out
}

/// A member of an object.
pub struct Member<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Name and value as they are written.
    pub whole: &'a str,
    /// Its value as it is written.
    pub value: &'a str,
}

/// The members of the object that `text` is.
pub fn members(text: &str) -> Result<Vec<Member<'_>>, NoPlace> {
    let mut walk = Walk { text, at: 0 };
    let mut members = vec![];
    walk.space();
    walk.object(&mut |walk, name, start| {
        let value = walk.at;
        walk.skip()?;
        members.push(Member { name, whole: &text[start..walk.at], value: &text[value..walk.at] });
        Ok(())
    })
    .map_err(|failure| failure.of(&[]))?;
    walk.end()?;
    Ok(members)
}

/// Goes through a text, from value to value.
struct Walk<'a> {
    text: &'a str,
    at: usize,
}

/// What is done with a member of an object: its name, and where it begins.
type OnMember<'f, 'a> = dyn FnMut(&mut Walk<'a>, Cow<'a, str>, usize) -> Result<(), Failure> + 'f;

/// What a walk ends with before its end.
enum Failure {
    /// The text is broken here.
    Broken(usize),
    /// The pointer of this number names a second place.
    Twice(usize),
}

impl Failure {
    fn of(self, wanted: &[(usize, &str)]) -> NoPlace {
        match self {
            Self::Broken(at) => NoPlace::Broken(at),
            Self::Twice(index) => NoPlace::Twice(wanted.get(index).map(|(_, pointer)| (*pointer).to_owned()).unwrap_or_default()),
        }
    }
}

impl<'a> Walk<'a> {
    /// Notes where the value here stands that is `wanted` itself, and those in it.
    fn value(&mut self, wanted: &[(usize, &str)], found: &mut [Option<Range<usize>>]) -> Result<(), Failure> {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'{') if wanted.iter().any(|(_, rest)| !rest.is_empty()) => {
                self.object(&mut |walk, name, _| walk.step(wanted, &name, found))?;
            }
            Some(b'[') if wanted.iter().any(|(_, rest)| !rest.is_empty()) => {
                let mut index = 0_usize;
                self.list(b'[', b']', &mut |walk| {
                    index += 1;
                    walk.step(wanted, &(index - 1).to_string(), found)
                })?;
            }
            _ => self.skip()?,
        }
        for (index, _) in wanted.iter().filter(|(_, rest)| rest.is_empty()) {
            if found[*index].replace(start..self.at).is_some() {
                return Err(Failure::Twice(*index));
            }
        }
        Ok(())
    }

    /// The value here, which `name` leads to.
    fn step(&mut self, wanted: &[(usize, &str)], name: &str, found: &mut [Option<Range<usize>>]) -> Result<(), Failure> {
        let narrowed: Vec<(usize, &str)> = wanted.iter().filter_map(|(index, rest)| Some((*index, behind(rest, name)?))).collect();
        if narrowed.is_empty() { self.skip() } else { self.value(&narrowed, found) }
    }

    /// Goes through an object; `member` is given the name and where it begins, and goes on behind the value.
    fn object(&mut self, member: &mut OnMember<'_, 'a>) -> Result<(), Failure> {
        self.list(b'{', b'}', &mut |walk| {
            let start = walk.at;
            walk.string()?;
            let text: &'a str = walk.text;
            let quoted = &text[start..walk.at];
            let name = if quoted.contains('\\') {
                Cow::Owned(serde_json::from_str(quoted).map_err(|_| Failure::Broken(start))?)
            } else {
                Cow::Borrowed(&quoted[1..quoted.len() - 1])
            };
            walk.space();
            walk.take(b':')?;
            walk.space();
            member(walk, name, start)
        })
    }

    /// Goes through what stands between `open` and `close`, with commas in between.
    fn list(&mut self, open: u8, close: u8, each: &mut dyn FnMut(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        self.take(open)?;
        self.space();
        if self.peek() == Some(close) {
            return self.take(close);
        }
        loop {
            self.space();
            each(self)?;
            self.space();
            if self.peek() == Some(close) {
                return self.take(close);
            }
            self.take(b',')?;
        }
    }

    /// Goes behind the value here, whatever it is.
    fn skip(&mut self) -> Result<(), Failure> {
        let (start, mut depth) = (self.at, 0_usize);
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(b'{' | b'[') => (self.at, depth) = (self.at + 1, depth + 1),
                Some(b'}' | b']') if depth > 0 => (self.at, depth) = (self.at + 1, depth - 1),
                Some(b',' | b':' | b' ' | b'\t' | b'\r' | b'\n') if depth > 0 => self.at += 1,
                Some(b'-' | b'0'..=b'9' | b'a'..=b'z') => self.scalar(),
                _ => return Err(Failure::Broken(start)),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Goes behind a number, `true`, `false` or `null`.
    fn scalar(&mut self) {
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E')) {
            self.at += 1;
        }
    }

    /// Goes behind a string.
    fn string(&mut self) -> Result<(), Failure> {
        let start = self.at;
        self.take(b'"')?;
        loop {
            match self.peek() {
                Some(b'"') => return self.take(b'"'),
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(Failure::Broken(start)),
            }
        }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Failure> {
        if self.peek() != Some(byte) {
            return Err(Failure::Broken(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Nothing but white space may follow.
    fn end(&mut self) -> Result<(), NoPlace> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(NoPlace::Broken(self.at)) }
    }
}

/// What is left of a pointer behind a step to `name`, if that is its next one.
fn behind<'p>(pointer: &'p str, name: &str) -> Option<&'p str> {
    let pointer = pointer.strip_prefix('/')?;
    let (step, rest) = pointer.find('/').map_or((pointer, ""), |end| pointer.split_at(end));
    let is_it = if step.contains('~') { step.replace("~1", "/").replace("~0", "~") == name } else { step == name };
    is_it.then_some(rest)
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
