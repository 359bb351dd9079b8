use super::*;
use crate::testing::NOON;
use Privacy::{Closed, Public, Secret};
use proptest::prelude::*;

fn after(beginning: Privacy, changes: &[Privacy]) -> Eras {
    let mut eras = Eras::beginning(beginning);
    for privacy in changes {
        eras.change(*privacy, NOON);
    }
    eras
}

/// The first era after `era` that was less private, said without any stretches.
fn loosened(history: &[Privacy], era: usize) -> Option<usize> {
    (era + 1..history.len()).find(|later| history[*later] < history[era])
}

#[test]
fn the_last_stretches_stand_for_themselves() {
    let changes: Vec<Privacy> = [Closed, Public].into_iter().cycle().take(APART - 1).collect();
    let eras = after(Public, &changes);
    assert_eq!(eras.stretches().len(), APART);
    assert_eq!(eras.of(1), Some(&Stretch { first: 1, last: 1, privacy: Closed, loosened: Some(2) }));
    assert_eq!((eras.of(0).unwrap().privacy, eras.of(20)), (Public, None));
}

#[test]
fn what_lies_before_is_read_as_the_strictest_of_it() {
    let changes: Vec<Privacy> = [Secret, Closed, Public].into_iter().cycle().take(1_000).collect();
    let eras = after(Public, &changes);
    assert_eq!(eras.stretches().len(), APART);
    assert_eq!(eras.of(0), Some(&Stretch { first: 0, last: 981, privacy: Secret, loosened: Some(2) }));
    assert_eq!((eras.of(0), eras.last().unwrap().last), (eras.of(981), 1_000));
}

#[test]
fn an_era_that_changes_nothing_is_told_apart_from_none() {
    let eras = after(Closed, &[Closed; 1_000]);
    assert_eq!(eras.stretches(), [Stretch { first: 0, last: 1_000, privacy: Closed, loosened: None }]);
}

proptest! {
    #[test]
    fn stretches_are_bounded_cover_every_era_and_are_never_laxer(
        history in prop::collection::vec(prop::sample::select(vec![Public, Closed, Secret]), 1..120),
    ) {
        let eras = after(history[0], &history[1..]);
        prop_assert!(eras.stretches().len() <= APART);
        prop_assert_eq!(eras.last().map(|last| last.privacy), history.last().copied());
        for (era, privacy) in history.iter().enumerate() {
            let stretch = eras.of(u32::try_from(era).unwrap()).unwrap();
            prop_assert!(stretch.privacy >= *privacy);
            let first = loosened(&history, era).map(|later| u32::try_from(later).unwrap());
            prop_assert!(first.is_none_or(|first| stretch.loosened.is_some_and(|loosened| loosened <= first)), "era {}: {:?}", era, stretch);
            if stretch.first == stretch.last {
                prop_assert_eq!((stretch.privacy, stretch.loosened), (*privacy, first));
            }
        }
        let reaches: Vec<_> = eras.stretches().iter().map(|stretch| (stretch.first, stretch.last)).collect();
        prop_assert!(reaches.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0) && reaches[0].0 == 0);
    }
}
