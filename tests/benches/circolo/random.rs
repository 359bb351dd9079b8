//! Numbers, ids and texts out of a seed: the same in every run.

use uuid::Uuid;

/// A sequence of numbers (`SplitMix64`).
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
    pub const fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// An id without order in time, as clients' keys make them.
    pub fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes((u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()).into_uuid()
    }

    /// So many words out of some thousand.
    pub fn text(&mut self, words: usize) -> String {
        const SYLLABLES: [&str; 16] =
            ["ba", "cel", "do", "fin", "gu", "hal", "jo", "kem", "li", "mon", "na", "pur", "re", "sti", "tor", "ve"];
        let mut text = String::with_capacity(words * 8);
        for word in 0..words {
            if word > 0 {
                text.push(' ');
            }
            for _ in 0..2 + self.below(2) {
                text.push_str(SYLLABLES[self.below(SYLLABLES.len())]);
            }
        }
        text
    }
}
