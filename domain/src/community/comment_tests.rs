//! Decisions of a comment.

use super::*;
use crate::Span;
use crate::access::Privacy;
use crate::group::{Event as GroupEvent, History};
use crate::testing::stances::{AGENT, EDITOR, MEMBER, MODERATOR, OTHER, PAGE, STRANGER, club, in_club, on_page, towards};
use crate::testing::{FOUNDER, NOON, given, personal, some_stream};
use proptest::prelude::*;
use uuid::Uuid;

const POST: PostId = PostId(Uuid::from_u128(0x70));
const FIRST: CommentId = CommentId(Uuid::from_u128(0x71));

fn post(voice: Voice) -> post::Facts {
    post::Facts { id: POST, author: FOUNDER, voice, removed: false }
}

fn in_group() -> post::Facts {
    post(Voice::Person(FOUNDER))
}

fn of_page() -> post::Facts {
    post(Voice::Page(PAGE))
}

fn reply_to(place: Place, removed: bool) -> ReplyTo {
    ReplyTo { id: FIRST, found: Some(Facts { place, author: OTHER, voice: Voice::Person(OTHER), removed }) }
}

fn top(post: PostId) -> Place {
    Place { post, reply_to: None, page_post: None }
}

fn write(by: Stance, as_page: Option<PageId>, post: post::Facts, reply_to: Option<ReplyTo>) -> Command {
    Command::WriteComment { by, as_page, post, reply_to, text: Words::parse(" How high? ").unwrap() }
}

fn edit(by: Stance, words: &str) -> Command {
    Command::EditComment { by, text: Words::parse(words).unwrap() }
}

fn remove(by: Stance, reason: Option<&str>) -> Command {
    Command::RemoveComment { by, author: None, reason: reason.map(|reason| Reason::parse(reason).unwrap()) }
}

fn written(Place { post, reply_to, page_post }: Place, author: PersonId, voice: Voice) -> Event {
    Event::Written { post, reply_to, page_post, author, voice, text: personal("How high?") }
}

fn by_member() -> Event {
    written(top(POST), MEMBER, Voice::Person(MEMBER))
}

fn removed(by: Remover, reason: Option<&str>) -> Event {
    let reason = reason.map(personal);
    Event::Removed { post: POST, reply_to: None, page_post: None, voice: Voice::Person(MEMBER), by, reason }
}

#[test]
fn members_comment_and_nobody_else() {
    given::<Comment>([]).when(write(in_club(MEMBER), None, in_group(), None)).then([by_member()]);
    given::<Comment>([]).when(write(in_club(STRANGER), None, in_group(), None)).rejected(Denied::MembersOnly.into());
    let secret = towards(&club(Privacy::Secret), STRANGER);
    given::<Comment>([]).when(write(secret, None, in_group(), None)).rejected(Denied::Unknown.into());
    let later = club(Privacy::Closed).in_group(GroupEvent::HistoryChanged { history: History::SinceJoining });
    let later = towards(&later.later(Span::hours(1)).with_member(STRANGER), STRANGER);
    given::<Comment>([]).when(write(later, None, in_group(), None)).rejected(Denied::BeforeYourTime.into());
    given::<Comment>([by_member()]).when(write(in_club(MEMBER), None, in_group(), None)).rejected(Error::AlreadyExists);
}

#[test]
fn on_a_page_all_comment_and_its_staff_reply_as_the_page() {
    let place = Place { page_post: Some(PAGE), ..top(POST) };
    given::<Comment>([]).when(write(on_page(MEMBER), None, of_page(), None)).then([written(place, MEMBER, Voice::Person(MEMBER))]);
    given::<Comment>([]).when(write(on_page(AGENT), None, of_page(), None)).then([written(place, AGENT, Voice::Person(AGENT))]);
    for who in [AGENT, EDITOR, FOUNDER] {
        given::<Comment>([]).when(write(on_page(who), Some(PAGE), of_page(), None)).then([written(place, who, Voice::Page(PAGE))]);
    }
    given::<Comment>([]).when(write(on_page(MEMBER), Some(PAGE), of_page(), None)).rejected(Denied::StaffOnly.into());
    given::<Comment>([]).when(write(on_page(None), None, of_page(), None)).rejected(Denied::Anonymous.into());
    given::<Comment>([]).when(write(in_club(MEMBER), Some(PAGE), in_group(), None)).rejected(Denied::NotSupported.into());
}

#[test]
fn only_a_post_that_the_page_made_is_a_page_post() {
    let wall = post(Voice::Person(OTHER));
    given::<Comment>([]).when(write(on_page(MEMBER), None, wall, None)).then([by_member()]);
}

#[test]
fn replies_nest_once() {
    let reply = |place, gone| write(in_club(MEMBER), None, in_group(), Some(reply_to(place, gone)));
    let place = Place { reply_to: Some(FIRST), ..top(POST) };
    given::<Comment>([]).when(reply(top(POST), false)).then([written(place, MEMBER, Voice::Person(MEMBER))]);
    given::<Comment>([]).when(reply(place, false)).rejected(Error::RepliesNestOnce);
    given::<Comment>([]).when(reply(top(PostId(Uuid::nil())), false)).rejected(Error::RepliesNestOnce);
    given::<Comment>([]).when(reply(top(PostId(Uuid::nil())), true)).rejected(Error::RepliesNestOnce);
    given::<Comment>([]).when(reply(top(POST), true)).rejected(Error::Removed);
    let unknown = write(in_club(MEMBER), None, in_group(), Some(ReplyTo { id: FIRST, found: None }));
    given::<Comment>([]).when(unknown).rejected(Error::RepliesNestOnce);
}

#[test]
fn a_removed_post_takes_no_comments() {
    let gone = post::Facts { removed: true, ..in_group() };
    given::<Comment>([]).when(write(in_club(MEMBER), None, gone, None)).rejected(Error::PostRemoved);
    given::<Comment>([]).when(write(in_club(STRANGER), None, gone, None)).rejected(Denied::MembersOnly.into());
}

#[test]
fn the_author_edits() {
    let edited = Event::Edited { version: 2, text: personal("How low?") };
    given::<Comment>([by_member()]).when(edit(in_club(MEMBER), "How low?")).then([edited]);
    given::<Comment>([by_member()]).when(edit(in_club(MEMBER), "How high?")).then_nothing();
    given::<Comment>([by_member()]).when(edit(in_club(FOUNDER), "x")).rejected(Denied::NotTheAuthor.into());
    given::<Comment>([by_member(), removed(Remover::Author, None)]).when(edit(in_club(MEMBER), "x")).rejected(Error::Removed);
    given::<Comment>([]).when(edit(in_club(MEMBER), "x")).rejected(Denied::Unknown.into());
}

#[test]
fn authors_remove_without_a_reason_and_who_keeps_order_with_one() {
    given::<Comment>([by_member()]).when(remove(in_club(MEMBER), None)).then([removed(Remover::Author, None)]);
    given::<Comment>([by_member()]).when(remove(in_club(MODERATOR), None)).rejected(Error::ReasonNeeded);
    given::<Comment>([by_member()]).when(remove(in_club(MODERATOR), Some("rude"))).then([removed(Remover::Moderator, Some("rude"))]);
    given::<Comment>([by_member()]).when(remove(in_club(OTHER), Some("rude"))).rejected(Denied::ModeratorsOnly.into());
    given::<Comment>([by_member()]).when(remove(on_page(AGENT), Some("rude"))).then([removed(Remover::Moderator, Some("rude"))]);
    given::<Comment>([by_member()]).when(remove(on_page(OTHER), Some("rude"))).rejected(Denied::StaffOnly.into());
    given::<Comment>([by_member(), removed(Remover::Author, None)]).when(remove(in_club(MODERATOR), None)).then_nothing();
}

#[test]
fn all_who_reply_as_the_page_edit_and_remove_its_replies() {
    let place = Place { page_post: Some(PAGE), ..top(POST) };
    let reply = || given::<Comment>([written(place, EDITOR, Voice::Page(PAGE))]);
    reply().when(edit(on_page(AGENT), "x")).then([Event::Edited { version: 2, text: personal("x") }]);
    reply().when(edit(on_page(MEMBER), "x")).rejected(Denied::StaffOnly.into());
    let gone = |by| Event::Removed { post: POST, reply_to: None, page_post: Some(PAGE), voice: Voice::Page(PAGE), by, reason: None };
    reply().when(remove(on_page(AGENT), None)).then([gone(Remover::Author)]);
}

fn any_command() -> impl Strategy<Value = Command> {
    let who = prop::sample::select(vec![FOUNDER, MEMBER, OTHER, MODERATOR, EDITOR, AGENT, STRANGER]);
    (who, any::<bool>(), any::<bool>(), 0..3_u8, "[ab]").prop_map(|(who, page, speaks, what, words)| {
        let by = if page { on_page(who) } else { in_club(who) };
        match what {
            0 => write(by, speaks.then_some(PAGE), of_page(), None),
            1 => edit(by, &words),
            _ => remove(by, speaks.then_some(words.as_str())),
        }
    })
}

proptest! {
    #[test]
    fn asking_again_for_what_was_accepted_changes_nothing(commands in prop::collection::vec(any_command(), 0..24)) {
        let context = Context { stream: &some_stream::<Comment>(), now: NOON, actor: None, command_id: Uuid::nil() };
        let mut comment = Comment::default();
        for command in commands {
            let Ok(events) = comment.decide(&command, &context) else { continue };
            comment = events.iter().fold(comment, |comment, event| comment.evolve(event, NOON));
            let again = comment.decide(&command, &context);
            prop_assert!(again == Ok(vec![]) || again == Err(Error::AlreadyExists), "{command:?}: {again:?}");
            prop_assert!(comment.facts().is_some());
        }
    }

    #[test]
    fn no_history_however_odd_makes_a_comment_panic(picks in prop::collection::vec(0..3_usize, 0..12), command in any_command()) {
        let samples = [by_member(), Event::Edited { version: 7, text: personal("x") }, removed(Remover::Author, None)];
        let odd = picks.iter().fold(Comment::default(), |comment, pick| comment.evolve(&samples[*pick], NOON));
        let _ = odd.decide(&command, &Context { stream: &some_stream::<Comment>(), now: NOON, actor: None, command_id: Uuid::nil() });
    }
}
