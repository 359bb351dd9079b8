//! Which characters can be seen. Some that cannot are needed where they stand: by scripts whose letters join, by emoji.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, GeneralCategory, JoiningType, PrependedConcatenationMark, Script},
};

/// They show what follows in another order than it stands in, whatever it is.
pub const OVERRIDES: [char; 2] = ['\u{202d}', '\u{202e}'];

/// Characters that Unicode holds for visible, and whose shape is nothing.
const BLANK: [char; 5] = ['\u{2800}', '\u{13441}', '\u{13442}', '\u{16fe4}', '\u{1d159}'];

const BLACK_FLAG: char = '\u{1f3f4}';
const END_OF_TAGS: char = '\u{e007f}';

/// Whether somebody who looks at the character sees something.
pub fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic();
    }
    let marks = CodePointSetData::new::<PrependedConcatenationMark>();
    let format = CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Format && !marks.contains(c);
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c);
    !(c.is_whitespace() || c.is_control() || format || ignorable || BLANK.contains(&c))
}

/// Without what cannot be seen at both ends, but for what the character before it needs.
pub fn trim(text: &str) -> &str {
    let mut text = text.trim_start_matches(|c| !is_visible(c));
    while let Some(last) = text.chars().next_back()
        && !is_visible(last)
        && !is_needed(text)
    {
        text = &text[..text.len() - last.len_utf8()];
    }
    text
}

/// Whether the last character, which cannot be seen, says how that before it is to be shown.
fn is_needed(text: &str) -> bool {
    let mut chars = text.chars().rev();
    let (Some(last), Some(before)) = (chars.next(), chars.next()) else { return false };
    match last {
        '\u{200c}' | '\u{200d}' => joins(before),
        '\u{fe00}'..='\u{fe0f}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{e0100}'..='\u{e01ef}' => has_variants(before),
        END_OF_TAGS => {
            let flag = text.trim_end_matches(|c| matches!(c, '\u{e0020}'..=END_OF_TAGS));
            flag.ends_with(BLACK_FLAG) && before != BLACK_FLAG
        }
        _ => false,
    }
}

/// Whether the letter joins with the next one: then it may have to be said that it does not, or that it does.
fn joins(c: char) -> bool {
    let joining = CodePointMapData::<JoiningType>::new().get(c);
    let class = CodePointMapData::<CanonicalCombiningClass>::new().get(c);
    matches!(joining, JoiningType::DualJoining | JoiningType::RightJoining | JoiningType::LeftJoining)
        || class == CanonicalCombiningClass::Virama
}

fn has_variants(c: char) -> bool {
    let emoji = !c.is_ascii() && CodePointSetData::new::<Emoji>().contains(c);
    let script = CodePointMapData::<Script>::new().get(c);
    emoji || [Script::Han, Script::Mongolian, Script::Myanmar, Script::PhagsPa].contains(&script)
}
