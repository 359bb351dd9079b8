//! Which rows a sampled verification looks at: chosen by key and seed, so that the same seed chooses the same rows.

use std::{fmt, str::FromStr};

/// How many rows a sample takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// About so many, of all tables together.
    Rows(u32),
    /// About so many of a hundred.
    Percent(f64),
}

/// A sample that was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// How many rows.
    pub size: Size,
    /// Which ones.
    pub seed: u32,
}

/// `500` or `2.5%`.
impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a number of rows or a percentage is expected: 500, 2.5%";
        let percent = |text: &str| text.parse().ok().filter(|percent| *percent > 0.0 && *percent <= 100.0).map(Self::Percent);
        let rows = |text: &str| text.parse().ok().filter(|rows| *rows > 0).map(Self::Rows);
        text.strip_suffix('%').map_or_else(|| rows(text), percent).ok_or(EXPECTED)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A sample of tables whose size is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    seed: u32,
    /// Of all 2^32 hashes, those below are in it.
    below: u64,
}

impl Sample {
    /// Of tables that have so many rows.
    pub fn of(sampling: Sampling, rows: i64) -> Self {
        const ALL: f64 = 4_294_967_296.0;
        #[expect(clippy::cast_precision_loss, reason = "a share of rows is approximate")]
        let share = match sampling.size {
            Size::Rows(wanted) => f64::from(wanted) / (rows.max(1) as f64),
            Size::Percent(percent) => percent / 100.0,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^32")]
        let below = (share.clamp(0.0, 1.0) * ALL) as u64;
        Self { seed: sampling.seed, below }
    }

    /// Is the row of `key` in it?
    pub fn takes(&self, key: &str) -> bool {
        // FNV-1a over the seed and the key, mixed once more for the upper bits: the same on every machine and in every version.
        let bytes = self.seed.to_le_bytes();
        let hash = bytes
            .iter()
            .chain(key.as_bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (mixed >> 32) < self.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_its_share_and_the_same_rows_again() {
        let keys: Vec<String> = (0..10_000).map(|n| format!("key-{n}")).collect();
        let taken = |size: &str, seed| {
            let sample = Sample::of(Sampling { size: size.parse().unwrap(), seed }, 10_000);
            keys.iter().filter(|key| sample.takes(key)).collect::<Vec<_>>()
        };
        assert!((900..1_100).contains(&taken("10%", 1).len()), "{}", taken("10%", 1).len());
        assert!((400..600).contains(&taken("500", 1).len()), "{}", taken("500", 1).len());
        assert_eq!(taken("10%", 1), taken("10%", 1));
        assert_ne!(taken("10%", 1), taken("10%", 2));
        assert_eq!((taken("100%", 3).len(), taken("20000", 3).len()), (10_000, 10_000));
    }

    #[test]
    fn nonsense_is_no_size() {
        for bad in ["", "0", "-1", "0%", "101%", "NaN%", "%", "1.5", "all"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
        assert_eq!("2.5%".parse::<Size>().map(|size| size.to_string()), Ok("2.5%".to_owned()));
    }
}
