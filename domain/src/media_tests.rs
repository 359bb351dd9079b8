//! What becomes of a file: who may show it, and when nobody needs it any more.

use super::*;
use crate::testing::{NOON, given, person, personal};
use proptest::prelude::*;

const ID: MediaId = MediaId(Uuid::from_u128(0x57));
const ANN: Holder = Holder::Person(PersonId(Uuid::from_u128(1)));
const CLUB: Holder = Holder::Group(GroupId(Uuid::from_u128(2)));

fn upload(media_type: MediaType) -> Upload {
    let pixels = (media_type.family() == Family::Image).then_some((800, 600));
    let name = FileName::parse(" Summit.png ").ok();
    Upload { file: Uuid::from_u128(9), media_type, bytes: 7, pixels, thumbnails: vec![], sha256: "00ff".to_owned(), name }
}

fn noted(media_type: MediaType) -> Event {
    uploaded(&upload(media_type), person(1))
}

fn attached(to: Holder, number: u32, holders: u32) -> Event {
    Event::Attached { to, number, holders }
}

fn detached(from: Holder, number: u32, holders: u32) -> Event {
    Event::Detached { from, number, holders }
}

fn folded(events: impl IntoIterator<Item = Event>) -> Media {
    events.into_iter().fold(Media::default(), |state, event| state.evolve(&event, NOON))
}

#[test]
fn a_file_is_uploaded_once_and_by_somebody() {
    let command = || Command::UploadMedia(Box::new(upload(MediaType::Png)));
    let Event::Uploaded { name, sha256, width, .. } = noted(MediaType::Png) else { panic!("it is uploaded") };
    assert_eq!((name, sha256, width), (Some(personal("Summit.png")), personal("00ff"), Some(800)));
    given::<Media>([]).by(person(1)).when(command()).then([noted(MediaType::Png)]);
    given::<Media>([]).when(command()).rejected(Error::Nobodys);
    given::<Media>([noted(MediaType::Png)]).by(person(2)).when(command()).rejected(Error::AlreadyExists);
}

#[test]
fn whoever_uploaded_a_picture_may_show_it_and_nobody_else() {
    let (state, last) = (folded([noted(MediaType::Png)]), NOON.plus(UNUSED).minus(Span::micros(1)));
    assert_eq!(state.picture_of(ID, person(1), last), Some(Picture(ID)));
    assert_eq!(state.picture_of(ID, person(1), NOON.plus(UNUSED)), None, "after a day it is as good as gone");
    assert_eq!(state.picture_of(ID, person(2), NOON), None);
    assert_eq!(folded([noted(MediaType::Pdf)]).picture_of(ID, person(1), NOON), None);
    assert_eq!(Media::default().picture_of(ID, person(1), NOON), None);
    let shown = folded([noted(MediaType::Png), attached(ANN, 1, 1)]);
    assert_eq!(shown.picture_of(ID, person(1), NOON.plus(Span::hours(9_000))), Some(Picture(ID)));
    let gone = folded([noted(MediaType::Png), Event::Discarded { uploader: person(1), bytes: 7 }]);
    assert_eq!((gone.picture_of(ID, person(1), NOON), gone.facts()), (None, None));
}

#[test]
fn it_is_discarded_a_day_after_the_last_that_showed_it() {
    let gone = || Event::Discarded { uploader: person(1), bytes: 7 };
    let due = NOON.plus(UNUSED).plus(GRACE);
    let fresh = || [noted(MediaType::Pdf)];
    given::<Media>(fresh()).at(due.minus(Span::micros(1))).when(Command::DiscardUnused).then_nothing();
    given::<Media>(fresh()).at(due).when(Command::DiscardUnused).then([gone()]);
    given::<Media>([noted(MediaType::Pdf), gone()]).at(due).when(Command::DiscardUnused).then_nothing();
    given::<Media>([]).at(due).when(Command::DiscardUnused).then_nothing();
    let shown = [noted(MediaType::Png), attached(ANN, 1, 1), attached(CLUB, 1, 2), detached(ANN, 2, 1)];
    given::<Media>(shown.clone()).at(due).when(Command::DiscardUnused).then_nothing();
    given::<Media>(shown.into_iter().chain([detached(CLUB, 2, 0)])).at(due).when(Command::DiscardUnused).then([gone()]);
}

#[test]
fn what_is_told_late_does_not_undo_what_came_after_it() {
    let shown = || vec![noted(MediaType::Png), attached(ANN, 3, 1)];
    given::<Media>(shown()).when(Command::Detach { from: ANN, number: 2 }).then_nothing();
    given::<Media>(shown()).when(Command::Attach { to: ANN, number: 3 }).then_nothing();
    given::<Media>(shown()).when(Command::Attach { to: ANN, number: 5 }).then([attached(ANN, 5, 1)]);
    given::<Media>(shown()).when(Command::Detach { from: ANN, number: 4 }).then([detached(ANN, 4, 0)]);
    given::<Media>(shown()).when(Command::Attach { to: CLUB, number: 1 }).then([attached(CLUB, 1, 2)]);
    // It is known that it went, though it was never known that it came.
    let early = || [noted(MediaType::Png), detached(ANN, 2, 0)];
    given::<Media>([noted(MediaType::Png)]).when(Command::Detach { from: ANN, number: 2 }).then([detached(ANN, 2, 0)]);
    given::<Media>(early()).when(Command::Attach { to: ANN, number: 1 }).then_nothing();
    assert_eq!(folded(early()).unused_since(), Some(NOON));
}

proptest! {
    /// In whatever order changes of what is shown are told, the newest of each holder stands in the end.
    #[test]
    fn the_newest_stands_in_whatever_order_it_is_told(mut told in prop::collection::vec((0..2usize, 1..9u32, any::<bool>()), 0..20)) {
        let holders = [ANN, CLUB];
        told.sort_by_key(|(holder, number, _)| (*holder, *number));
        told.dedup_by_key(|(holder, number, _)| (*holder, *number));
        let stands = |told: &[(usize, u32, bool)], which: usize| {
            told.iter().filter(|(holder, ..)| *holder == which).max_by_key(|(_, number, _)| *number).is_some_and(|(.., shows)| *shows)
        };
        let expected: Vec<Holder> = (0..2).filter(|which| stands(&told, *which)).map(|which| holders[which]).collect();
        let mut order: Vec<_> = told.iter().enumerate().collect();
        order.sort_by_key(|(index, (_, number, _))| (index * 7 + *number as usize * 5) % 11);
        let mut state = folded([noted(MediaType::Png)]);
        for (_, (holder, number, shows)) in order {
            let (holder, number) = (holders[*holder], *number);
            let command = if *shows { Command::Attach { to: holder, number } } else { Command::Detach { from: holder, number } };
            let stream = stream(ID);
            let context = Context { stream: &stream, now: NOON, actor: None, command_id: Uuid::nil() };
            for event in state.decide(&command, &context).unwrap() {
                state = state.evolve(&event, NOON);
                if let Event::Attached { holders, .. } | Event::Detached { holders, .. } = event {
                    prop_assert_eq!(holders as usize, state.holders().count());
                }
            }
        }
        prop_assert_eq!(state.holders().collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(state.unused_since().is_none(), !expected.is_empty());
    }
}
