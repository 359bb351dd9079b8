//! Samples of events: each aggregate gives one of every variant in its own file, each field filled; the golden files hold them.

use super::personal;
use crate::{Currency, Money, Personal};
use uuid::Uuid;

pub use super::{NOON, communal, person};

/// One sample of every variant of an aggregate's events: `one_of_each! { Renamed { name: text("Forno") } Closed {} }`.
macro_rules! one_of_each {
    ($($variant:ident { $($field:tt)* })*) => {
        /// One sample of every variant, each field filled.
        pub fn samples() -> Vec<Event> {
            use $crate::testing::samples::*;
            // This match is never run: it makes the compiler ask for a sample of every variant.
            let _ = |event: &Event| match event {
                $(Event::$variant { .. } => NOON,)*
            };
            vec![$(Event::$variant { $($field)* }),*]
        }
    };
}
pub(crate) use one_of_each;

/// A text, whoever owns it.
pub fn text(text: &str) -> Personal<String> {
    personal(text)
}

/// An id, told apart by a number.
pub const fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// An amount of money.
pub fn euros(n: i64) -> Money {
    Money { amount_minor: n * 100, currency: Currency::parse("EUR").unwrap_or_else(|refusal| panic!("{refusal}")) }
}
