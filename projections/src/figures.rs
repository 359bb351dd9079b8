//! Figures by right: how much was done to a thing, as far as a reader may know of it.
//!
//! What is done to a thing (an answer, a comment, a reaction) has a privacy era of its own. Its figures are totals; once acts of
//! a second era come, `by_era` holds beside them what each era has. A reader's figures are the sums over the eras that their keys
//! open, made here without a further query. Where that does not tell (a key opens an era for some time only, or what was taken
//! back came from one of several eras) the acts themselves are counted, up to a thousand: see docs/adr/0015-counts-by-era.md.

use circolo_domain::access::{Key, Origin};
use circolo_domain::{PersonId, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// Up to here acts are counted one by one.
pub(crate) const CAP: i64 = 1_000;

/// Who looks at something, and what they may read.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    /// Who, if somebody is signed in.
    pub person: Option<PersonId>,
    /// Their keys to the places concerned.
    pub keys: &'a [Key],
}

/// Something that others act upon.
pub(crate) trait Thing {
    /// Its id.
    fn id(&self) -> &str;
    /// The place and the era it was written in.
    fn audience(&self) -> &str;
    /// When it was written.
    fn written(&self) -> Timestamp;
}

/// Place and era of an audience.
pub(crate) fn place_and_era(audience: &str) -> Option<(&str, u32)> {
    let (place, era) = audience.rsplit_once(':')?;
    Some((place, era.parse().ok()?))
}

/// The era of an audience; what has none has the first.
pub(crate) fn era_of(audience: &str) -> u32 {
    place_and_era(audience).map_or(0, |(_, era)| era)
}

/// What a key opens: eras of a place, between two moments.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: u32,
    last: u32,
    since: i64,
    until: i64,
}

impl Span {
    fn of(key: &Key) -> (&str, Self) {
        let Key { place, first, last, since, until } = key;
        (place, Self { first: *first, last: *last, since: *since, until: *until })
    }

    /// Whether it opens all that was done in its eras to what was written at that moment.
    fn lasts(&self, written: Timestamp) -> bool {
        self.since <= written.micros() && self.until == i64::MAX
    }
}

/// How much of what was done in an era to a thing may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    All,
    /// It depends on the moment.
    Part,
    Nothing,
}

/// What a reader's keys open, by place.
pub(crate) struct Rights<'a>(HashMap<&'a str, Vec<Span>>);

impl<'a> Rights<'a> {
    pub(crate) fn of(keys: &'a [Key]) -> Self {
        let mut places: HashMap<&str, Vec<Span>> = HashMap::new();
        for (place, span) in keys.iter().map(Span::of) {
            places.entry(place).or_default().push(span);
        }
        for spans in places.values_mut() {
            spans.sort_by_key(|span| span.first);
        }
        Self(places)
    }

    fn of_place(&self, place: &str) -> &[Span] {
        self.0.get(place).map_or(&[], Vec::as_slice)
    }

    /// Whether what was written at `at` with this audience may be read.
    pub(crate) fn read(&self, audience: &str, at: Timestamp) -> bool {
        let Some((place, era)) = place_and_era(audience) else { return false };
        let opens = |span: &Span| span.first <= era && era <= span.last && span.since <= at.micros() && at.micros() < span.until;
        self.of_place(place).iter().any(opens)
    }

    fn extent(&self, place: &str, era: u32, written: Timestamp) -> Extent {
        let spans = self.of_place(place).iter().filter(|span| span.first <= era && era <= span.last);
        spans.fold(Extent::Nothing, |extent, span| if extent == Extent::All || span.lasts(written) { Extent::All } else { Extent::Part })
    }

    /// Whether all that was ever done to the thing may be read: its revision tells of nothing else then.
    ///
    /// Whoever reads anything in a group reads what is written there now, so the last era of the keys is the group's.
    pub(crate) fn follow(&self, audience: &str, written: Timestamp) -> bool {
        let Some((place, era)) = place_and_era(audience) else { return false };
        let spans = self.of_place(place);
        let reached = spans
            .iter()
            .filter(|span| span.lasts(written))
            .fold(era, |next, span| if span.first <= next { next.max(span.last.saturating_add(1)) } else { next });
        spans.iter().map(|span| span.last).max().is_some_and(|newest| reached > newest)
    }

    /// Whether nothing in these places is closed to the reader, and nothing open for some time only.
    pub(crate) fn are_whole(&self) -> bool {
        let beginning = Timestamp::from_micros(i64::MIN);
        self.0.keys().all(|place| self.follow(&format!("{place}:0"), beginning))
    }

    /// Whether a key opens its eras for some time only.
    pub(crate) fn are_timed(&self) -> bool {
        self.0.values().flatten().any(|span| (span.since, span.until) != (i64::MIN, i64::MAX))
    }

    /// Which of these eras of a place are not open at all.
    pub(crate) fn closed(&self, place: &str, eras: impl IntoIterator<Item = u32>) -> Vec<String> {
        let spans = self.of_place(place);
        let open = |era: u32| spans.iter().any(|span| span.first <= era && era <= span.last);
        eras.into_iter().filter(|era| !open(*era)).map(|era| format!("{place}:{era}")).collect()
    }
}

/// The revision of a thing for somebody with these rights, or for `author`: what happens to a thing's own words is their doing.
pub(crate) fn told(rights: &Rights<'_>, own: bool, thing: &impl Thing, revision: Option<i64>) -> Option<i64> {
    revision.filter(|_| own || rights.follow(thing.audience(), thing.written()))
}

/// Whether somebody is the author.
pub(crate) fn own(person: Option<PersonId>, author: &str) -> bool {
    person.is_some_and(|person| person.to_string() == author)
}

/// Whether a reader with `keys` may read all that was ever done to what was written at `origin`.
pub fn follows(keys: &[Key], origin: Origin) -> bool {
    Rights::of(keys).follow(&origin.scope.audience(), origin.at)
}

/// Figures of a thing by era, beside their totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByEra<const N: usize> {
    /// What stands of each era, as far as it is known.
    eras: BTreeMap<u32, [i64; N]>,
    /// What was taken back came from one of several eras: only totals and eras are known since.
    mixed: bool,
}

impl<const N: usize> ByEra<N> {
    /// As it is stored: nothing as long as all acts are of the `first` era.
    pub(crate) fn read(stored: Option<&str>, first: u32, totals: [i64; N]) -> Self {
        let Some(stored) = stored else { return Self { eras: [(first, totals)].into(), mixed: false } };
        let entries: Vec<Vec<i64>> = serde_json::from_str(stored).unwrap_or_default();
        let mixed = entries.iter().any(|entry| entry.len() <= N);
        let era = |entry: &Vec<i64>| {
            let figures = std::array::from_fn(|column| entry.get(column + 1).copied().unwrap_or_default());
            Some((u32::try_from(*entry.first()?).ok()?, figures))
        };
        Self { eras: entries.iter().filter_map(era).collect(), mixed }
    }

    /// To be stored: `[[0,3],[2,1]]`, and `[[0],[2]]` where only the eras are known.
    fn stored(&self) -> Option<String> {
        let entry = |(era, figures): (&u32, &[i64; N])| {
            let figures: &[i64] = if self.mixed { &[] } else { figures };
            std::iter::once(i64::from(*era)).chain(figures.iter().copied()).collect::<Vec<_>>()
        };
        let entries: Vec<Vec<i64>> = self.eras.iter().map(entry).collect();
        serde_json::to_string(&entries).ok()
    }

    /// After an act in `era`, where `first` is the era of the acts before and `totals` are their figures.
    pub(crate) fn added(stored: Option<&str>, first: u32, totals: [i64; N], era: u32, more: [i64; N]) -> Option<String> {
        if stored.is_none() && era == first {
            return None;
        }
        let mut figures = Self::read(stored, first, totals);
        let of_era = figures.eras.entry(era).or_insert([0; N]);
        for (figure, more) in of_era.iter_mut().zip(more) {
            *figure += more;
        }
        figures.stored()
    }

    /// After an act was taken back, of which is only known that it was done no later than in `era`.
    pub(crate) fn taken(stored: Option<&str>, era: u32, less: [i64; N]) -> Option<String> {
        let mut figures = Self::read(Some(stored?), 0, [0; N]);
        let holds = |of_era: &[i64; N]| of_era.iter().zip(less).all(|(figure, less)| *figure >= less);
        let mut possible = figures.eras.iter_mut().filter(|(of, figures)| **of <= era && holds(figures));
        match (possible.next(), possible.next()) {
            (Some((_, figures)), None) => {
                for (figure, less) in figures.iter_mut().zip(less) {
                    *figure -= less;
                }
            }
            _ => figures.mixed = true,
        }
        figures.stored()
    }

    /// The sum over the eras of `place` that are open for good.
    pub(crate) fn open(&self, rights: &Rights<'_>, place: &str) -> [i64; N] {
        let always = Timestamp::from_micros(i64::MIN);
        let open = self.eras.iter().filter(|(era, _)| rights.extent(place, **era, always) == Extent::All);
        open.fold([0; N], |sum, (_, figures)| std::array::from_fn(|column| sum[column] + figures[column]))
    }

    /// The eras of the acts.
    pub(crate) fn eras(&self) -> impl Iterator<Item = u32> {
        self.eras.keys().copied()
    }

    /// The sum over what `rights` open of what was done to `thing`; `None` if only the acts themselves tell.
    ///
    /// The figures in `nested` are of acts upon acts, in their era or a later one: those in an era that is open may be upon others
    /// in one that is not.
    pub(crate) fn seen(&self, rights: &Rights<'_>, thing: &impl Thing, totals: [i64; N], nested: &[usize]) -> Option<[i64; N]> {
        let (place, written) = (place_and_era(thing.audience()).map_or("", |(place, _)| place), thing.written());
        let extents: Vec<(&[i64; N], Extent)> =
            self.eras.iter().map(|(era, figures)| (figures, rights.extent(place, *era, written))).collect();
        if extents.iter().all(|(_, extent)| *extent == Extent::All) {
            return Some(totals);
        }
        if extents.iter().all(|(_, extent)| *extent == Extent::Nothing) {
            return Some([0; N]);
        }
        if self.mixed {
            return None;
        }
        let (mut sum, mut hidden) = ([0; N], false);
        for (figures, extent) in extents {
            let nothing = figures.iter().all(|figure| *figure == 0);
            match extent {
                Extent::All if hidden && nested.iter().any(|column| figures[*column] != 0) => return None,
                Extent::All => sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure),
                Extent::Part if !nothing => return None,
                Extent::Part | Extent::Nothing => hidden = true,
            }
        }
        Some(sum)
    }
}

/// The figures of things whose acts have to be counted, by id.
pub(crate) type Counted<const N: usize> = HashMap<String, [i64; N]>;

/// The keys to the places of these things: all that counting them takes.
pub(crate) fn keys_to<'a, T: Thing + 'a>(keys: &[Key], things: impl IntoIterator<Item = &'a T>) -> Vec<Key> {
    let places: Vec<&str> = things.into_iter().filter_map(|thing| place_and_era(thing.audience())).map(|(place, _)| place).collect();
    keys.iter().filter(|key| places.contains(&key.place.as_str())).cloned().collect()
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
