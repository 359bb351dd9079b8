//! Moments: microseconds since 1970-01-01T00:00:00Z, written as RFC 3339 in JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A moment in UTC with microsecond precision, between the years 1 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// 9999-12-31T23:59:59.999999Z: the last moment RFC 3339 can write.
const LAST: i64 = 253_402_300_799_999_999;
/// 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800_000_000;

impl Timestamp {
    /// From microseconds since the epoch; values RFC 3339 cannot write are clamped to those it can.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < FIRST {
            Self(FIRST)
        } else if micros > LAST {
            Self(LAST)
        } else {
            Self(micros)
        }
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The moment `span` later.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self::from_micros(self.0.saturating_add(span.0))
    }

    /// The moment `span` earlier.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self::from_micros(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this is (negative if before).
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0 - earlier.0)
    }

    /// The year, in UTC.
    pub fn year(self) -> u16 {
        let year = OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1_000_000)).map_or(1, OffsetDateTime::year);
        u16::try_from(year).unwrap_or(1)
    }

    /// Reads RFC 3339 with any offset; what lies before the year 1 or behind the year 9999 in UTC is no moment.
    pub fn parse(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
        let micros = i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000)).ok()?;
        (FIRST..=LAST).contains(&micros).then_some(Self(micros))
    }
}

impl fmt::Display for Timestamp {
    /// Fixed width, so that text sorts as time does: `2026-01-31T12:00:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).map_err(|_| fmt::Error)?;
        let (date, time) = (moment.date(), moment.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.microsecond()
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("bad_time: an RFC 3339 time is expected, such as 2026-01-31T12:00:00Z"))
    }
}

/// A length of time in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

impl Span {
    /// From microseconds.
    pub const fn micros(micros: i64) -> Self {
        Self(micros)
    }
    /// From seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }
    /// From minutes.
    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }
    /// From hours.
    pub const fn hours(hours: i64) -> Self {
        Self::minutes(hours.saturating_mul(60))
    }
    /// From days of 24 hours.
    pub const fn days(days: i64) -> Self {
        Self::hours(days.saturating_mul(24))
    }
    /// The length in microseconds.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_moment_survives_being_written_and_sorts_as_text(a in any::<i64>(), b in FIRST..=LAST) {
            let (a, b) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
            prop_assert_eq!(Timestamp::parse(&b.to_string()), Some(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&serde_json::to_string(&a).unwrap()).unwrap(), a);
            prop_assert_eq!(a.plus(b.since(a)), b);
        }

        #[test]
        fn no_text_and_no_span_leads_out_of_the_calendar(
            text in "[0-9]{4}-(01-01|12-31|06-15)T(00:00:00|23:59:59|23:59:60)(\\.[0-9]{1,9})?(Z|[+-](00:00|23:59|01:00|14:00))|\\PC{0,40}",
            (a, span) in (any::<i64>(), any::<i64>()),
        ) {
            if let Some(moment) = Timestamp::parse(&text) {
                prop_assert!((FIRST..=LAST).contains(&moment.micros()));
                prop_assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment));
            }
            let moment = Timestamp::from_micros(a);
            for other in [moment.plus(Span::micros(span)), moment.minus(Span::micros(span))] {
                prop_assert!((FIRST..=LAST).contains(&other.micros()));
                prop_assert!(other.since(moment).as_micros().checked_add(moment.micros()) == Some(other.micros()));
            }
            for long in [Span::seconds(span), Span::minutes(span), Span::hours(span), Span::days(span)] {
                prop_assert!(long.as_micros().signum() == span.signum());
            }
        }
    }

    #[test]
    fn what_lies_beyond_the_calendar_in_utc_is_no_moment() {
        for (edge, within) in [
            ("9999-12-31T23:59:59Z", true),
            ("9999-12-31T23:59:59+01:00", true),
            ("9999-12-31T23:59:59-01:00", false),
            // A second that was let in stands for the end of the one before.
            ("9999-12-31T23:59:60Z", true),
            ("0001-01-01T00:00:00Z", true),
            ("0001-01-01T00:00:00+00:01", false),
            ("0000-01-01T00:00:00+23:59", false),
            ("0000-12-31T23:59:59-00:01", true),
        ] {
            assert_eq!(Timestamp::parse(edge).is_some(), within, "{edge}");
        }
    }

    #[test]
    fn a_moment_is_written_at_fixed_width_and_read_back() {
        let moment = Timestamp::parse("2026-01-31T13:00:00.5+01:00").unwrap();
        assert_eq!(moment.to_string(), "2026-01-31T12:00:00.500000Z");
        assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment));
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_micros(i64::MIN).to_string(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
