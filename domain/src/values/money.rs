//! Money: an amount in minor units and the currency it is in.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

/// The largest amount: what a double still holds exactly, so that no client rounds it.
pub const MOST_MINOR: i64 = 1_000_000_000_000_000;

/// An amount of money, as it is stored. What somebody asks for comes in as a [`Price`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Money {
    /// In the currency's smallest unit: cents, yen.
    pub amount_minor: i64,
    /// Which currency.
    pub currency: Currency,
}

/// An alphabetic code of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A checked amount: from 0 to [`MOST_MINOR`], in a currency that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Price(Money);

/// Why an amount or a currency is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Less than nothing, or too much.
    #[error("out_of_range: an amount from 0 to {MOST_MINOR} minor units is expected")]
    OutOfRange,
    /// No code of a currency that is in use.
    #[error("bad_currency: a currency code of ISO 4217 is expected, such as EUR")]
    BadCurrency,
}

/// The active codes of ISO 4217 by 2026, sorted; without XTS (for tests) and XXX (no currency). A code that goes out of
/// use leaves this list and stays readable in what is stored.
const ACTIVE: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF \
    CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF \
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU \
    MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD \
    SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD \
    XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XUA YER ZAR ZMW ZWG";

impl Currency {
    /// Reads a code that is in use.
    pub fn parse(raw: &str) -> Result<Self, MoneyError> {
        Self::shaped(raw).filter(|_| ACTIVE.split(' ').any(|code| code == raw)).ok_or(MoneyError::BadCurrency)
    }

    fn shaped(raw: &str) -> Option<Self> {
        let code: [u8; 3] = raw.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        // Only capital letters of ASCII come in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    /// Takes what was once stored, in use or not.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Cow::<'de, str>::deserialize(deserializer)?;
        Self::shaped(&raw).ok_or_else(|| de::Error::custom(MoneyError::BadCurrency))
    }
}

impl Price {
    /// Checks an amount.
    pub const fn new(amount_minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        match amount_minor {
            0..=MOST_MINOR => Ok(Self(Money { amount_minor, currency })),
            _ => Err(MoneyError::OutOfRange),
        }
    }

    /// The amount.
    pub const fn money(self) -> Money {
        self.0
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Asked {
            #[serde(deserialize_with = "amount")]
            amount_minor: i64,
            #[serde(deserialize_with = "active")]
            currency: Currency,
        }
        let Asked { amount_minor, currency } = Asked::deserialize(deserializer)?;
        Ok(Self(Money { amount_minor, currency }))
    }
}

/// Checked field by field, so that the refusal names the field.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let amount = i64::deserialize(deserializer)?;
    if (0..=MOST_MINOR).contains(&amount) { Ok(amount) } else { Err(de::Error::custom(MoneyError::OutOfRange)) }
}

fn active<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
    let raw = Cow::<'de, str>::deserialize(deserializer)?;
    Currency::parse(&raw).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_active_codes_are_sorted_and_none_stands_twice() {
        let codes: Vec<_> = ACTIVE.split(' ').collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        assert!(codes.iter().all(|code| Currency::parse(code).is_ok_and(|currency| currency.as_str() == *code)));
        // One that is lost by accident is missed.
        assert_eq!(codes.len(), 176);
    }

    #[test]
    fn a_price_is_asked_in_a_currency_that_is_in_use() {
        for bad in ["", "EU", "EURO", "eur", "XTS", "XXX", "HRK", "ZZZ", "E R", "€"] {
            assert_eq!(Currency::parse(bad), Err(MoneyError::BadCurrency), "{bad}");
        }
        let read = |json: &str| serde_json::from_str::<Price>(json);
        assert!(read(r#"{"amount_minor":0,"currency":"EUR"}"#).is_ok());
        for (bad, code) in [
            (r#"{"amount_minor":-1,"currency":"EUR"}"#, "out_of_range: "),
            (r#"{"amount_minor":1000000000000001,"currency":"EUR"}"#, "out_of_range: "),
            (r#"{"amount_minor":1,"currency":"HRK"}"#, "bad_currency: "),
            (r#"{"amount_minor":1}"#, "missing field"),
            (r#"{"amount_minor":1.5,"currency":"EUR"}"#, "invalid type"),
            (r#"{"amount_minor":1,"currency":"EUR","tax":0}"#, "unknown field"),
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.starts_with(code), "{bad}: {error}");
        }
    }

    #[test]
    fn what_was_stored_stays_readable_when_its_currency_goes_out_of_use() {
        let stored = r#"{"amount_minor":700,"currency":"HRK"}"#;
        let money: Money = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&money).unwrap(), stored);
        assert!(serde_json::from_str::<Money>(r#"{"amount_minor":700,"currency":"kuna"}"#).is_err());
    }

    proptest! {
        #[test]
        fn a_price_is_within_its_bounds_or_refused(amount in any::<i64>(), code in "[A-Z]{3}|\\PC{0,4}") {
            if let Ok(currency) = Currency::parse(&code) {
                let price = Price::new(amount, currency);
                prop_assert_eq!(price.is_ok(), (0..=MOST_MINOR).contains(&amount));
                prop_assert_eq!(currency.to_string(), code);
            }
        }
    }
}
