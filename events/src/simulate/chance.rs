//! Chance with a seed: the same seed gives the same history, on every machine and in every version.

use crate::sealing::{Secret, secret::LENGTH};
use circolo_domain::{Body, Comment, Text};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use uuid::Uuid;

/// Words to make texts of.
const WORDS: &[&str] = &[
    "bread",
    "oven",
    "flour",
    "sourdough",
    "hut",
    "trail",
    "rope",
    "summit",
    "garden",
    "tomato",
    "seedling",
    "compost",
    "bicycle",
    "chain",
    "wheel",
    "brake",
    "camera",
    "lens",
    "light",
    "shadow",
    "market",
    "price",
    "offer",
    "visit",
    "sunday",
    "morning",
    "evening",
    "tomorrow",
    "somebody",
    "anyone",
    "neighbour",
    "question",
    "answer",
    "advice",
    "photo",
    "recipe",
    "kitchen",
    "table",
    "friend",
    "group",
    "meeting",
    "weather",
    "rain",
    "snow",
    "wind",
    "river",
    "lake",
    "bridge",
    "train",
    "ticket",
    "station",
    "music",
    "guitar",
    "choir",
    "concert",
    "book",
    "library",
    "chapter",
    "story",
    "pane",
    "forno",
    "sentiero",
    "rifugio",
    "giardino",
    "pomodoro",
    "bicicletta",
    "luce",
    "mercato",
    "domenica",
    "mattina",
    "domani",
    "consiglio",
    "ricetta",
    "cucina",
    "amico",
    "pioggia",
    "neve",
    "vento",
    "fiume",
    "lago",
    "ponte",
];

/// A source of chance.
pub struct Chance(ChaCha8Rng);

/// The stream of chance that the salt comes from, so that all else is drawn as if there were none.
const OF_SALT: u64 = 1;

impl Chance {
    /// The salt of the ids of people, and the id of the command that gives it to a log.
    pub fn salt(seed: u64) -> (Secret, Uuid) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(OF_SALT);
        let mut salt = [0; LENGTH];
        rng.fill_bytes(&mut salt);
        (Secret::new(salt), Self(rng).id())
    }

    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number from 0 up to but not including 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
    pub fn share(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { usize::try_from(self.0.next_u64() % n as u64).unwrap_or(0) }
    }

    /// A number below `n`, where the first are drawn most: activity is distributed about like Zipf's law.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "indices are small")]
    pub fn skewed(&mut self, n: usize) -> usize {
        let drawn = (n as f64 + 1.0).powf(self.share()) - 1.0;
        (drawn as usize).min(n.saturating_sub(1))
    }

    /// `true` in `percent` of the cases.
    pub fn happens(&mut self, percent: u64) -> bool {
        self.0.next_u64() % 100 < percent
    }

    /// One of `items`, each as likely.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// A fresh id.
    pub fn id(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn words(&mut self, least: usize, most: usize) -> String {
        let count = least + self.below(most - least + 1);
        let mut text = String::with_capacity(count * 8);
        for n in 0..count {
            if n > 0 {
                text.push(' ');
            }
            text.push_str(WORDS[self.below(WORDS.len())]);
        }
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text
    }

    /// Text of `least` to `most` words, if it fits the bounds of the type.
    pub fn text<const MIN: usize, const MAX: usize, const NAME: bool>(
        &mut self,
        least: usize,
        most: usize,
    ) -> Option<Text<MIN, MAX, NAME>> {
        Text::parse(&self.words(least, most)).ok()
    }

    /// A paragraph.
    pub fn body(&mut self) -> Option<Body> {
        self.text(10, 60)
    }

    /// A few lines.
    pub fn comment(&mut self) -> Option<Comment> {
        self.text(4, 40)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_for_ever() {
        let mut chance = Chance::new(7);
        assert_eq!((chance.below(1_000), chance.below(1_000), chance.id().get_version_num()), (FIRST.0, FIRST.1, 4));
        let (mut one, mut other) = (Chance::new(8), Chance::new(8));
        assert_eq!(one.words(3, 9), other.words(3, 9));
        assert_eq!(Chance::salt(7), Chance::salt(7));
        assert_ne!(Chance::salt(7).0, Chance::salt(8).0);
        assert_eq!(Chance::salt(7).1.get_version_num(), 4);
    }

    /// What the generator gives for seed 7: a change here means that histories can no longer be reproduced.
    const FIRST: (usize, usize) = (635, 994);

    #[test]
    fn the_first_are_drawn_most() {
        let mut chance = Chance::new(1);
        let mut drawn = [0; 100];
        for _ in 0..10_000 {
            drawn[chance.skewed(100)] += 1;
        }
        assert!(drawn[0] > 10 * drawn[99], "{drawn:?}");
        assert!(drawn.iter().all(|n| *n > 0), "{drawn:?}");
        assert_eq!(chance.skewed(0), 0);
    }
}
