//! Decisions of a post.

use super::*;
use crate::access::{Privacy, Role};
use crate::group::{Event as GroupEvent, History};
use crate::testing::stances::{AGENT, BANNED, EDITOR, MEMBER, MODERATOR, OTHER, PAGE, STRANGER, club, in_club, on_page, towards};
use crate::testing::{FOUNDER, NOON, given, personal, some_stream};
use crate::{Span, membership};
use proptest::prelude::*;
use uuid::Uuid;

fn text(text: &str) -> Body {
    Body::parse(text).unwrap()
}

fn write(by: Stance, as_page: Option<PageId>) -> Command {
    Command::WritePost { by, as_page, text: text(" Fresh bread ") }
}

fn edit(by: Stance, words: &str) -> Command {
    Command::EditPost { by, text: text(words) }
}

fn remove(by: Stance, author: Option<Standing>, reason: Option<&str>) -> Command {
    Command::RemovePost { by, author, reason: reason.map(|reason| Reason::parse(reason).unwrap()) }
}

fn written(author: PersonId, voice: Voice) -> Event {
    Event::Written { author, voice, text: personal("Fresh bread") }
}

fn by_member() -> Event {
    written(MEMBER, Voice::Person(MEMBER))
}

fn by_page() -> Event {
    written(EDITOR, Voice::Page(PAGE))
}

fn edited(version: u32, words: &str) -> Event {
    Event::Edited { version, text: personal(words) }
}

fn removed(by: Remover, reason: Option<&str>) -> Event {
    Event::Removed { by, reason: reason.map(personal) }
}

#[test]
fn members_write_and_nobody_else() {
    given::<Post>([]).when(write(in_club(MEMBER), None)).then([by_member()]);
    given::<Post>([]).when(write(in_club(STRANGER), None)).rejected(Denied::MembersOnly.into());
    given::<Post>([]).when(write(in_club(BANNED), None)).rejected(Denied::Banned.into());
    given::<Post>([]).when(write(Stance::Group(club(Privacy::Public).anonymous()), None)).rejected(Denied::Anonymous.into());
    let secret = Stance::Group(club(Privacy::Secret).standing(STRANGER));
    given::<Post>([]).when(write(secret, None)).rejected(Denied::Unknown.into());
    given::<Post>([by_member()]).when(write(in_club(MEMBER), None)).rejected(Error::AlreadyExists);
}

#[test]
fn a_page_speaks_through_those_of_its_staff_who_post() {
    given::<Post>([]).when(write(on_page(EDITOR), Some(PAGE))).then([by_page()]);
    given::<Post>([]).when(write(on_page(FOUNDER), Some(PAGE))).then([written(FOUNDER, Voice::Page(PAGE))]);
    for who in [AGENT, MEMBER] {
        given::<Post>([]).when(write(on_page(who), Some(PAGE))).rejected(Denied::StaffOnly.into());
    }
    given::<Post>([]).when(write(on_page(None), Some(PAGE))).rejected(Denied::Anonymous.into());
    given::<Post>([]).when(write(on_page(EDITOR), Some(PageId(Uuid::nil())))).rejected(Denied::StaffOnly.into());
    given::<Post>([]).when(write(on_page(EDITOR), None)).rejected(Denied::StaffOnly.into());
}

#[test]
fn no_page_speaks_in_a_group_yet() {
    given::<Post>([]).when(write(in_club(MEMBER), Some(PAGE))).rejected(Denied::NotSupported.into());
    given::<Post>([]).when(write(in_club(STRANGER), Some(PAGE))).rejected(Denied::MembersOnly.into());
}

#[test]
fn of_a_post_nobody_wrote_there_is_nothing() {
    given::<Post>([]).when(edit(in_club(MEMBER), "x")).rejected(Denied::Unknown.into());
    given::<Post>([]).when(remove(in_club(FOUNDER), None, None)).rejected(Denied::Unknown.into());
}

#[test]
fn the_author_edits_and_every_version_has_its_number() {
    let edit_by = |who, words: &str| edit(in_club(who), words);
    given::<Post>([by_member()]).when(edit_by(MEMBER, "Warm bread")).then([edited(2, "Warm bread")]);
    given::<Post>([by_member(), edited(2, "Warm bread")]).when(edit_by(MEMBER, "Fresh bread")).then([edited(3, "Fresh bread")]);
    given::<Post>([by_member()]).when(edit_by(MEMBER, "Fresh bread ")).then_nothing();
    for who in [OTHER, MODERATOR, FOUNDER] {
        given::<Post>([by_member()]).when(edit_by(who, "x")).rejected(Denied::NotTheAuthor.into());
    }
    given::<Post>([by_member()]).when(edit_by(STRANGER, "x")).rejected(Denied::MembersOnly.into());
}

#[test]
fn staff_who_post_edit_and_remove_what_the_page_said() {
    for who in [EDITOR, FOUNDER] {
        given::<Post>([by_page()]).when(edit(on_page(who), "x")).then([edited(2, "x")]);
        given::<Post>([by_page()]).when(remove(on_page(who), None, None)).then([removed(Remover::Author, None)]);
    }
    for who in [AGENT, MEMBER] {
        given::<Post>([by_page()]).when(edit(on_page(who), "x")).rejected(Denied::StaffOnly.into());
        given::<Post>([by_page()]).when(remove(on_page(who), None, Some("x"))).rejected(Denied::StaffOnly.into());
    }
}

#[test]
fn authors_remove_without_a_reason_and_moderators_with_one() {
    given::<Post>([by_member()]).when(remove(in_club(MEMBER), None, None)).then([removed(Remover::Author, None)]);
    for who in [MODERATOR, FOUNDER] {
        given::<Post>([by_member()]).when(remove(in_club(who), None, None)).rejected(Error::ReasonNeeded);
        given::<Post>([by_member()]).when(remove(in_club(who), None, Some("spam"))).then([removed(Remover::Moderator, Some("spam"))]);
    }
    given::<Post>([by_member()]).when(remove(in_club(OTHER), None, Some("spam"))).rejected(Denied::ModeratorsOnly.into());
}

#[test]
fn moderators_do_not_remove_what_an_admin_wrote() {
    let admins = || Some(club(Privacy::Closed).standing(FOUNDER));
    let post = || given::<Post>([written(FOUNDER, Voice::Person(FOUNDER))]);
    post().when(remove(in_club(MODERATOR), admins(), Some("spam"))).rejected(Denied::NotAgainstAdmins.into());
    post().when(remove(in_club(FOUNDER), admins(), None)).then([removed(Remover::Author, None)]);
    let two = club(Privacy::Closed).with(OTHER, Role::Admin);
    let by = Stance::Group(two.standing(OTHER));
    post().when(remove(by, admins(), Some("spam"))).then([removed(Remover::Moderator, Some("spam"))]);
}

#[test]
fn what_was_removed_stays_removed() {
    let gone = || given::<Post>([by_member(), removed(Remover::Moderator, Some("spam"))]);
    gone().when(edit(in_club(MEMBER), "x")).rejected(Error::Removed);
    gone().when(edit(in_club(OTHER), "x")).rejected(Denied::NotTheAuthor.into());
    gone().when(remove(in_club(MEMBER), None, None)).then_nothing();
    gone().when(remove(in_club(MODERATOR), None, None)).then_nothing();
    gone().when(remove(in_club(OTHER), None, None)).rejected(Denied::ModeratorsOnly.into());
}

#[test]
fn who_left_or_may_not_read_it_changes_nothing() {
    let left = club(Privacy::Public).about(MEMBER, membership::Event::Left { episode: 1 });
    given::<Post>([by_member()]).when(edit(towards(&left, MEMBER), "x")).rejected(Denied::MembersOnly.into());
    let later = club(Privacy::Closed).in_group(GroupEvent::HistoryChanged { history: History::SinceJoining });
    let later = later.later(Span::hours(1)).with_member(STRANGER);
    given::<Post>([by_member()]).when(edit(towards(&later, STRANGER), "x")).rejected(Denied::BeforeYourTime.into());
}

#[test]
fn refusals_speak_in_stable_codes() {
    let codes = [
        (Error::AlreadyExists, "already_exists", Kind::Conflict),
        (Error::Removed, "post_removed", Kind::Conflict),
        (Error::ReasonNeeded, "reason_needed", Kind::Invalid),
        (Denied::NotTheAuthor.into(), "not_the_author", Kind::Forbidden),
        (Denied::NotAgainstAdmins.into(), "not_against_admins", Kind::Forbidden),
        (Denied::NotSupported.into(), "not_supported", Kind::Invalid),
    ];
    for (error, code, kind) in codes {
        assert_eq!((error.code(), error.kind()), (code, kind));
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    let who = prop::sample::select(vec![FOUNDER, MEMBER, OTHER, MODERATOR, BANNED, EDITOR, AGENT, STRANGER]);
    (who, any::<bool>(), any::<bool>(), 0..3_u8, "[ab]").prop_map(|(who, page, speaks, what, words)| {
        let by = if page { on_page(who) } else { in_club(who) };
        match what {
            0 => write(by, speaks.then_some(PAGE)),
            1 => edit(by, &words),
            _ => remove(by, None, speaks.then_some(words.as_str())),
        }
    })
}

proptest! {
    #[test]
    fn asking_again_for_what_was_accepted_changes_nothing_and_versions_count(commands in prop::collection::vec(any_command(), 0..24)) {
        let context = Context { stream: &some_stream::<Post>(), now: NOON, actor: None, command_id: Uuid::nil() };
        let (mut post, mut versions) = (Post::default(), 0);
        for command in commands {
            let Ok(events) = post.decide(&command, &context) else { continue };
            for event in &events {
                versions += u32::from(!matches!(event, Event::Removed { .. }));
                let misnumbered = matches!(event, Event::Edited { version, .. } if *version != versions);
                prop_assert!(!misnumbered, "{:?}", event);
            }
            post = events.iter().fold(post, |post, event| post.evolve(event, NOON));
            let again = post.decide(&command, &context);
            prop_assert!(again == Ok(vec![]) || again == Err(Error::AlreadyExists), "{command:?}: {again:?}");
        }
    }

    #[test]
    fn no_history_however_odd_makes_a_post_panic(picks in prop::collection::vec(0..3_usize, 0..12), command in any_command()) {
        let samples = [by_page(), edited(7, "x"), removed(Remover::Author, None)];
        let odd = picks.iter().fold(Post::default(), |post, pick| post.evolve(&samples[*pick], NOON));
        let _ = odd.decide(&command, &Context { stream: &some_stream::<Post>(), now: NOON, actor: None, command_id: Uuid::nil() });
    }
}
