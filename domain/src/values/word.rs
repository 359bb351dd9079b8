//! Enums whose variants are words: stored, told and taken in `snake_case`.

/// Declares an enum of words: `words! { /// A colour. pub enum Colour { Red = "red" } }`.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word for it, as it is stored and told.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What `word` stands for.
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.word() == word)
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::{NoticeKind, ThingKind};
    use serde::Serialize;

    fn check<T: Serialize + PartialEq + std::fmt::Debug + Copy>(all: &[T], word: fn(T) -> &'static str, of_word: fn(&str) -> Option<T>) {
        assert!(all.is_sorted_by_key(|one| word(*one)));
        for one in all {
            assert_eq!(serde_json::to_value(one).unwrap(), word(*one));
            assert_eq!(of_word(word(*one)), Some(*one));
        }
        assert_eq!(of_word("tomato"), None);
    }

    #[test]
    fn each_is_known_by_the_word_that_is_stored() {
        check(ThingKind::ALL, ThingKind::word, ThingKind::of_word);
        check(NoticeKind::ALL, NoticeKind::word, NoticeKind::of_word);
    }
}
