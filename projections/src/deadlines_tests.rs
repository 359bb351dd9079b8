use super::*;
use circolo_domain::testing::{NOON, person, personal};
use circolo_domain::{CommentId, Event, GroupId, PageId, PostId, Span, comment, conversation, membership, stance::Voice};
use circolo_events::Metadata;
use uuid::Uuid;

fn recorded(stream: StreamName, event: impl Into<Event>) -> Recorded {
    let metadata = Metadata {
        actor: None,
        command: String::new(),
        command_id: Uuid::nil(),
        fingerprint: None,
        correlation: Uuid::nil(),
        causation: None,
        scope: None,
        concerns: vec![],
    };
    Recorded { position: Position(7), stream, revision: 0, id: Uuid::from_u128(9), recorded_at: NOON, metadata, event: event.into() }
}

/// The row after these events.
fn folded(events: &[Recorded]) -> Option<DeadlineRow> {
    let mut row = None;
    for event in events {
        if let [key] = DeadlineRow::keys(event).as_slice() {
            row = DeadlineRow::fold(row, key, event);
        }
    }
    row
}

#[test]
fn a_ban_with_an_end_waits_for_it() {
    let stream = membership::stream(GroupId(Uuid::from_u128(1)), person(2));
    let until = NOON.plus(Span::hours(12));
    let banned = |until| recorded(stream.clone(), membership::Event::Banned { episode: None, reason: personal("stones"), until });
    let row = folded(&[banned(Some(until))]).unwrap();
    assert_eq!((row.id.as_str(), row.about, row.due, row.position), (stream.as_str(), None, until, 7));
    let later = until.plus(Span::hours(1));
    assert_eq!(folded(&[banned(Some(until)), banned(Some(later))]).unwrap().due, later);
    let lifted = recorded(stream.clone(), membership::Event::Unbanned);
    let ended = recorded(stream.clone(), membership::Event::BanEnded { until });
    for over in [banned(None), lifted, ended] {
        assert_eq!(folded(&[banned(Some(until)), over]), None);
    }
}

#[test]
fn a_comment_under_a_page_s_own_post_waits_in_the_conversation_for_a_private_reply() {
    let (page, comment, author) = (PageId(Uuid::from_u128(1)), CommentId(Uuid::from_u128(2)), person(2));
    let post = PostId(Uuid::from_u128(3));
    let written = |page_post, voice| {
        let text = personal("How much?");
        recorded(comment::stream(comment), comment::Event::Written { post, reply_to: None, page_post, author, voice, text })
    };
    let row = folded(&[written(Some(page), Voice::Person(author))]).unwrap();
    let conversation = conversation::stream(page, author);
    assert_eq!((row.id, row.stream), (format!("{conversation} {comment}"), conversation.to_string()));
    assert_eq!(row.due, NOON.plus(Span::days(7)));
    assert_eq!(folded(&[written(None, Voice::Person(author))]), None, "in a group no page could ever answer");
    assert_eq!(folded(&[written(Some(page), Voice::Page(page))]), None, "a page is no person");
    let removed = comment::Event::Removed {
        post,
        reply_to: None,
        page_post: Some(page),
        voice: Voice::Person(author),
        by: circolo_domain::authored::Remover::Author,
        reason: None,
    };
    let over = recorded(comment::stream(comment), removed);
    assert_eq!(folded(&[written(Some(page), Voice::Person(author)), over]), None);
    let expired = recorded(conversation, conversation::Event::PrivateReplyExpired { comment, ended: NOON });
    assert_eq!(folded(&[written(Some(page), Voice::Person(author)), expired]), None);
}
