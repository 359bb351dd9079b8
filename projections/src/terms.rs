//! Text as search sees it: folded, and split into terms. Databases index these terms as they are, so that they all find the same,
//! whatever their locale and whatever they take for a word.
//!
//! - Folding takes away what nobody types: case, accents, widths of letters, what cannot be seen.
//! - A word is what stands between all else, so that `Node.js` is found by `js`, and `3.5mm` by itself.
//! - Where words stand without spaces, or change at their ends, each pair of neighbours is a term.
//! - A pictograph is a term. What has none of these between two spaces is a term as it stands.

use circolo_domain::visible::is_visible;
use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, Emoji, GeneralCategory, GeneralCategoryGroup, LineBreak, RegionalIndicator, Script},
};
use std::{borrow::Cow, collections::BTreeSet};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

const CASES: CaseMapperBorrowed<'static> = CaseMapper::new();
/// The one character without a width that separates words.
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// Of longer words only the beginning counts.
const LONGEST: usize = 64;
/// As many terms of a question count, so that it stays cheap.
const MOST_ASKED: usize = 16;

/// One term of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The term.
    pub term: String,
    /// Terms that begin so will do.
    pub beginning: bool,
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Word(String),
    /// Characters of a script whose words cannot be told by spaces.
    Run(String),
    Symbol(String),
    /// What holds nothing of the above.
    Rest(String),
}

/// All terms by which texts are found.
pub fn indexed<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    for part in texts.into_iter().flat_map(parts) {
        match part {
            Part::Word(term) | Part::Rest(term) => drop(terms.insert(term)),
            Part::Symbol(symbol) => {
                // With another colour of skin it is found as well.
                terms.extend(symbol.chars().next().filter(|first| !is_regional(*first)).map(String::from));
                terms.insert(symbol);
            }
            Part::Run(run) => {
                terms.extend(pairs(&run));
                // A character alone is the beginning of a pair, but for the last one.
                terms.extend(run.chars().next_back().map(String::from));
            }
        }
    }
    terms
}

/// The terms that all must be there for somebody who looks for `text`; the last word may be the beginning of one.
pub fn asked(text: &str) -> Vec<Asked> {
    let (rest, mut parts): (Vec<Part>, Vec<Part>) = parts(text).into_iter().partition(|part| matches!(part, Part::Rest(_)));
    if parts.is_empty() {
        parts = rest;
    }
    let last = parts.len().saturating_sub(1);
    let mut asked = Vec::new();
    for (place, part) in parts.into_iter().enumerate() {
        match part {
            Part::Word(term) => asked.push(Asked { term, beginning: place == last }),
            Part::Symbol(term) | Part::Rest(term) => asked.push(Asked { term, beginning: false }),
            Part::Run(run) if run.chars().count() == 1 => asked.push(Asked { term: run, beginning: true }),
            Part::Run(run) => asked.extend(pairs(&run).map(|term| Asked { term, beginning: false })),
        }
    }
    asked.truncate(MOST_ASKED);
    asked
}

fn pairs(run: &str) -> impl Iterator<Item = String> + '_ {
    run.chars().zip(run.chars().skip(1)).map(|(a, b)| String::from_iter([a, b]))
}

fn parts(text: &str) -> Vec<Part> {
    let mut all = Vec::new();
    // First of all, as some characters stand for a space with an accent, and spaces separate.
    let text = if text.is_ascii() { Cow::from(text) } else { text.nfkc().collect::<String>().into() };
    for chunk in text.split_whitespace() {
        let before = all.len();
        split(&fold(chunk), &mut all);
        if all.len() == before {
            let rest: String = chunk.chars().filter(|c| is_visible(*c)).take(LONGEST).map(apart).collect();
            all.extend((!rest.is_empty()).then_some(Part::Rest(rest)));
        }
    }
    all
}

/// Databases split terms at what ASCII has beside letters and digits: it is moved to where nothing else is.
fn apart(c: char) -> char {
    if c.is_ascii_punctuation() { char::from_u32(0xe000 + u32::from(c)).unwrap_or(c) } else { c }
}

/// How a character goes together with those around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Run,
    Symbol,
    Other,
}

fn class(c: char) -> Class {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Class::Word } else { Class::Other };
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    if c.is_alphanumeric() || GeneralCategoryGroup::Mark.contains(category) {
        return if has_no_spaces(c) { Class::Run } else { Class::Word };
    }
    let symbol = category == GeneralCategory::OtherSymbol || CodePointSetData::new::<Emoji>().contains(c);
    if symbol && is_visible(c) { Class::Symbol } else { Class::Other }
}

/// Chinese, Japanese, Thai and their like; Korean, whose words are seldom looked for with the ending they have.
fn has_no_spaces(c: char) -> bool {
    let script = CodePointMapData::<Script>::new().get(c);
    let breaks = CodePointMapData::<LineBreak>::new().get(c);
    [Script::Han, Script::Hiragana, Script::Katakana, Script::Bopomofo, Script::Hangul, Script::Yi].contains(&script)
        || [LineBreak::ComplexContext, LineBreak::ConditionalJapaneseStarter].contains(&breaks)
}

fn is_regional(c: char) -> bool {
    CodePointSetData::new::<RegionalIndicator>().contains(c)
}

fn split(folded: &str, parts: &mut Vec<Part>) {
    let (mut together, mut of) = (String::new(), Class::Other);
    let mut end = |together: &mut String, of: Class| {
        let text = std::mem::take(together);
        let part = match of {
            Class::Word => Part::Word(text.chars().take(LONGEST).collect()),
            Class::Run => Part::Run(text),
            Class::Symbol => Part::Symbol(text),
            Class::Other => return,
        };
        parts.push(part);
    };
    for cluster in folded.graphemes(true) {
        let first = cluster.chars().next().map_or(Class::Other, class);
        if first == Class::Symbol {
            // With all that belongs to it: a flag is two letters.
            end(&mut together, of);
            (together, of) = (cluster.chars().take(LONGEST).map(apart).collect(), Class::Symbol);
            continue;
        }
        for c in cluster.chars() {
            let class = Some(class(c)).filter(|class| *class != Class::Symbol).unwrap_or(Class::Other);
            if class != of {
                end(&mut together, of);
                of = class;
            }
            if class != Class::Other {
                together.push(c);
            }
        }
    }
    end(&mut together, of);
}

/// The same for all that is written alike.
fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.to_ascii_lowercase().into();
    }
    // Twice, as Unicode defines it: what a compatible form stands for may have a case.
    let lower = |text: &str| CASES.fold_string(&text.nfkd().collect::<String>()).into_owned();
    let ignored = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let kept = |c: &char| *c == ZERO_WIDTH_SPACE || !(ignored.contains(*c) || is_accent(*c));
    // The letter that only Turkish tells from its sister is written with a dot by all who write in capitals.
    let alike = |c: char| if c == 'ı' { 'i' } else { c };
    lower(&lower(text)).nfkd().filter(kept).map(alike).nfkc().collect::<String>().into()
}

/// Marks without which a word is the same to those who look for it: accents, and vowels where one may leave them out.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
        || matches!(c, '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}')
        || matches!(c, '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
