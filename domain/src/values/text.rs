//! Text that came from outside: trimmed, NFC-normalised, bounded, free of control characters, and there to be seen.

use crate::{Personal, TextOwner, visible};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Text of `MIN` to `MAX` Unicode scalar values after trimming and NFC normalisation.
///
/// Newline and tab are the only control characters allowed; a line that ends as on other systems ends in a newline. One
/// character at least can be seen. A `NAME` has none at its ends that cannot be seen, so that two names that look alike do not
/// differ there. Reading it from JSON applies the rules, so a value of this type is always valid; a message that starts with
/// `code: ` tells which rule failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize, const NAME: bool = false>(String);

/// A display name of a person.
pub type DisplayName = Text<1, 80, true>;
/// A name of a group or page.
pub type Name = Text<2, 80, true>;
/// A title of a question.
pub type Title = Text<1, 200, true>;
/// The body of a post or question.
pub type Body = Text<1, 10_000>;
/// An answer, a comment or a description.
pub type Comment = Text<1, 5_000>;
/// A message.
pub type Message = Text<1, 6_000>;
/// What somebody calls a file.
pub type FileName = Text<1, 255, true>;
/// A reason, kept with the decision it explains.
pub type Reason = Text<1, 5_000>;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing that can be seen is left after trimming.
    #[error("empty: text is expected here")]
    Empty,
    /// Fewer scalar values than the least.
    #[error("too_short: at least {0} characters are expected")]
    TooShort(usize),
    /// More scalar values than the most.
    #[error("too_long: at most {0} characters are allowed")]
    TooLong(usize),
    /// A control character other than newline and tab.
    #[error("control_character: control characters other than newline and tab are not allowed")]
    ControlCharacter,
    /// A character that nobody sees and that shows others in another order than they stand in.
    #[error("invisible: characters that override the direction of text are not allowed")]
    Invisible,
}

impl<const MIN: usize, const MAX: usize, const NAME: bool> Text<MIN, MAX, NAME> {
    /// Applies the rules to `raw`.
    pub fn parse(raw: &str) -> Result<Self, TextError> {
        let text = newlines(raw.trim());
        let text = if is_nfc(&text) { text } else { text.nfc().collect() };
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(TextError::ControlCharacter);
        }
        if text.contains(visible::OVERRIDES) {
            return Err(TextError::Invisible);
        }
        if !text.contains(visible::is_visible) {
            return Err(TextError::Empty);
        }
        let text = if NAME { visible::trim(&text).to_owned() } else { text.into_owned() };
        match text.chars().count() {
            n if n < MIN => Err(TextError::TooShort(MIN)),
            n if n > MAX => Err(TextError::TooLong(MAX)),
            _ => Ok(Self(text)),
        }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as words that belong to `owner`.
    pub fn owned_by(&self, owner: TextOwner) -> Personal<String> {
        Personal::new(self.0.clone(), owner)
    }

    /// The text itself, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// With one character at the end of each line, wherever it was written.
fn newlines(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

impl<'de, const MIN: usize, const MAX: usize, const NAME: bool> Deserialize<'de> for Text<MIN, MAX, NAME> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&raw).map_err(de::Error::custom)
    }
}

/// A language tag such as `it` or `pt-BR` (the shape of BCP 47: subtags of 1-8 letters or digits, 35 characters at most).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Locale(String);

impl Locale {
    /// Reads a language tag.
    pub fn parse(raw: &str) -> Option<Self> {
        let shaped = raw.len() <= 35
            && raw.split('-').enumerate().all(|(i, tag)| {
                (1..=8).contains(&tag.len())
                    && tag.bytes().all(|b| b.is_ascii_alphanumeric())
                    && (i > 0 || (tag.len() >= 2 && tag.bytes().all(|b| b.is_ascii_alphabetic())))
            });
        shaped.then(|| Self(raw.to_owned()))
    }

    /// The tag itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Locale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&raw).ok_or_else(|| de::Error::custom("bad_locale: a language tag is expected, such as it or pt-BR"))
    }
}

/// A lower-case name that clients switch on and addresses may hold, such as `winter-sports`: words of letters and digits of
/// ASCII, joined by single hyphens, 50 characters at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// Reads a slug.
    pub fn parse(raw: &str) -> Option<Self> {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (raw.len() <= 50 && raw.split('-').all(word)).then(|| Self(raw.to_owned()))
    }

    /// The slug itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&raw)
            .ok_or_else(|| de::Error::custom("bad_slug: lower-case words joined by hyphens are expected, such as winter-sports"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_accepted_once_is_accepted_again_as_it_is(raw in any::<String>()) {
            if let Ok(text) = Body::parse(&raw) {
                prop_assert_eq!(Body::parse(text.as_str()), Ok(text.clone()));
                let stored = serde_json::to_string(&text).unwrap();
                prop_assert_eq!(serde_json::from_str::<Body>(&stored).unwrap(), text);
            }
        }

        #[test]
        fn a_name_begins_with_what_can_be_seen_and_stays_as_it_is(raw in "[ a\u{e9}\u{915}\u{94d}\u{200b}-\u{200f}\u{2764}\u{fe0f}\u{3164}\u{1f3f4}\u{e0067}\u{e007f}\u{2800}]{0,8}") {
            let seen = raw.contains(visible::is_visible);
            match Title::parse(&raw) {
                Ok(title) => {
                    prop_assert!(seen && title.as_str().starts_with(visible::is_visible));
                    prop_assert_eq!(Title::parse(title.as_str()), Ok(title));
                }
                Err(error) => prop_assert_eq!((error, seen), (TextError::Empty, false)),
            }
        }
    }

    #[test]
    fn a_refusal_names_its_rule_first() {
        let refusal = |json: &str| serde_json::from_str::<Name>(json).unwrap_err().to_string();
        assert!(refusal(r#"" ""#).starts_with("empty: "));
        assert!(refusal(r#""a""#).starts_with("too_short: "));
        assert!(refusal(r#""a\u0007b""#).starts_with("control_character: "));
        assert!(refusal(&format!("\"{}\"", "a".repeat(81))).starts_with("too_long: "));
    }

    #[test]
    fn text_is_trimmed_and_normalised_before_it_is_counted() {
        assert_eq!(Text::<2, 4>::parse("  cafe\u{301}\n").unwrap().as_str(), "café");
        assert_eq!(Text::<2, 3>::parse("café"), Err(TextError::TooLong(3)));
        assert_eq!(Text::<2, 3>::parse(" a "), Err(TextError::TooShort(2)));
        assert_eq!(Text::<2, 3>::parse(" \n "), Err(TextError::Empty));
    }

    #[test]
    fn newline_and_tab_are_the_only_control_characters() {
        assert!(Text::<1, 9>::parse("a\n\tb").is_ok());
        assert_eq!(Text::<1, 9>::parse("a\u{0}b"), Err(TextError::ControlCharacter));
        assert_eq!(Text::<1, 9>::parse("a\u{85}b"), Err(TextError::ControlCharacter));
    }

    #[test]
    fn a_line_ends_in_a_newline_wherever_it_was_written() {
        assert_eq!(Text::<1, 9>::parse("a\r\nb\rc\r\n\r\nd\r").unwrap().as_str(), "a\nb\nc\n\nd");
        assert_eq!(Text::<1, 3>::parse("a\r\nb").unwrap().as_str(), "a\nb", "counted as it is kept");
    }

    #[test]
    fn what_nobody_sees_is_no_text() {
        let tags = "\u{1f3f4}\u{e0067}\u{e007f}";
        for blank in [
            "\u{200b}",
            "\u{2060}",
            "\u{3164}\u{3164}",
            "\u{ad}",
            "\u{2800}",
            "\u{e0041}\u{e007f}",
            "\u{200d}",
            "\u{fe0f}",
            "\u{feff}",
            "\u{115f}",
            "\u{ffa0}",
            "\u{180e}",
            "\u{34f}",
            "\u{1d159}",
            "\u{13441}",
            "\u{16fe4}",
            "\u{2066}\u{2069}",
            "\u{fff9}",
            " \u{200b}\n\u{2800} ",
        ] {
            assert_eq!(Name::parse(blank), Err(TextError::Empty), "{blank:?}");
            assert_eq!(Body::parse(blank), Err(TextError::Empty), "{blank:?}");
        }
        assert_eq!(Title::parse(tags).unwrap().as_str(), tags);
    }

    #[test]
    fn a_name_loses_at_its_ends_what_nobody_sees_and_keeps_what_scripts_and_emoji_need() {
        for name in [
            "\u{200b}Ann",
            "Ann\u{200d}",
            "Ann\u{fe0f}",
            "\u{2800} Ann \u{3164}",
            "\u{202b}Ann\u{202c}",
            "Ann\u{e0041}\u{e007f}",
            "\u{200f}Ann",
        ] {
            assert_eq!(DisplayName::parse(name).unwrap().as_str(), "Ann", "{name:?}");
        }
        assert_eq!(Name::parse("a\u{200b}"), Err(TextError::TooShort(2)));
        for kept in [
            // A heart in colours, a family, the flag of Scotland.
            "\u{2764}\u{fe0f}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "Alba \u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            // Persian and Hindi words that end without joining, a variant of an ideograph, a Mongolian one.
            "\u{62e}\u{627}\u{646}\u{647}\u{200c}",
            "\u{915}\u{94d}\u{200c}",
            "\u{845b}\u{e0100}",
            "\u{1820}\u{180b}",
            // Within a name they stay in any case.
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
        ] {
            assert_eq!(Title::parse(kept).unwrap().as_str(), kept, "{kept:?}");
        }
        assert_eq!(Body::parse("\u{200f}Ann\u{200b}").unwrap().as_str(), "\u{200f}Ann\u{200b}", "a body may begin with its direction");
    }

    #[test]
    fn nothing_overrides_the_direction_of_text() {
        for bad in ["a\u{202e}b", "\u{202d}ab\u{202c}", "\u{202e}"] {
            assert_eq!(Name::parse(bad), Err(TextError::Invisible), "{bad:?}");
            assert_eq!(Body::parse(bad), Err(TextError::Invisible), "{bad:?}");
        }
    }

    #[test]
    fn a_slug_is_lower_case_words_joined_by_hyphens() {
        for good in ["bikes", "winter-sports", "4x4", &"a".repeat(50)] {
            assert!(Slug::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-", "Bikes", "a--b", "a-", "a b", "fahrräder", &"a".repeat(51)] {
            assert!(Slug::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_locale_has_the_shape_of_a_language_tag() {
        assert!(Locale::parse("it").is_some() && Locale::parse("zh-Hant-TW").is_some());
        for bad in ["", "i", "12", "it_IT", "it-", "toolonglanguage"] {
            assert!(Locale::parse(bad).is_none(), "{bad}");
        }
    }
}
