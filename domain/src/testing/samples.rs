//! One sample of every event there is, each field filled: what the golden files hold.

use crate::access::{Privacy, Role};
use crate::allowance::Act;
use crate::authored::Remover;
use crate::conversation::{Opening, Previous, Side};
use crate::group::{Departure, History, Policy};
use crate::listing::{Condition, Details};
use crate::membership::Way;
use crate::page::{Founding, StaffRole};
use crate::permit::{Permit, Purpose};
use crate::reaction::{Kind, TargetKind};
use crate::salt::EncodedSalt;
use crate::stance::Voice;
use crate::testing::{NOON, communal, person, personal};
use crate::unmasking::Reading;
use crate::{
    AnswerId, CommentId, Currency, Event, MessageId, Money, PageId, Personal, PostId, TextOwner, allowance, comment, conversation, fan,
    group, listing, membership, page, person, post, question, reaction, salt, skip, unmasking, username,
};
use uuid::Uuid;

macro_rules! one_of_each {
    ($($module:ident { $($variant:ident { $($field:tt)* })* })*) => {
        /// One sample of every variant of every aggregate's events.
        pub fn samples() -> Vec<Event> {
            // These matches are never run: they make the compiler ask for a sample of every variant.
            $(let _ = |event: &$module::Event| match event {
                $($module::Event::$variant { .. } => (),)*
            };)*
            vec![$($(Event::from($module::Event::$variant { $($field)* }),)*)*]
        }
    };
}

one_of_each! {
    allowance {
        PlaceTaken { act: Act::Invitation }
    }
    comment {
        Written {
            post: PostId(Uuid::from_u128(0x70)),
            reply_to: Some(CommentId(Uuid::from_u128(0x71))),
            page_post: Some(PageId(Uuid::from_u128(0x50))),
            author: person(2),
            voice: Voice::Person(person(2)),
            text: text("How \"high\"?"),
        }
        Edited { version: 2, text: text("How high\nis it?") }
        Removed {
            post: PostId(Uuid::from_u128(0x70)),
            reply_to: Some(CommentId(Uuid::from_u128(0x71))),
            page_post: Some(PageId(Uuid::from_u128(0x50))),
            voice: Voice::Person(person(2)),
            by: Remover::Moderator,
            reason: Some(text("asked before")),
        }
    }
    conversation {
        PersonWrote {
            message: message(2),
            text: text("Open on\nSunday?"),
            previous: Some(Previous { at: NOON, side: Side::Page }),
            opening: Opening { message: message(1), at: NOON, side: Side::Page },
            away: false,
        }
        PageWrote {
            message: message(1),
            author: person(3),
            bot: true,
            text: text("See \"opening hours\"."),
            purpose: Purpose::Reply,
            permit: Permit::PrivateReply { comment: CommentId(Uuid::from_u128(0x71)), ends: NOON },
            previous: Some(Previous { at: NOON, side: Side::Person }),
            opening: Opening { message: message(1), at: NOON, side: Side::Page },
            away: true,
        }
        MarkedDone {}
        MarkedSpam {}
        Reopened {}
        PrivateReplyExpired { comment: CommentId(Uuid::from_u128(0x71)), ended: NOON }
    }
    fan {
        Followed {}
        Unfollowed {}
        Blocked {}
        Unblocked {}
    }
    group {
        Created {
            name: communal("Alpine Club"),
            description: Some(communal("Walks above 2,000 m")),
            privacy: Privacy::Closed,
            membership: Policy::Request,
            founder: person(1),
        }
        Renamed { name: communal("Alpine \"Friends\"") }
        Described { description: Some(communal("Walks\nand huts")) }
        PrivacyChanged { privacy: Privacy::Secret }
        PolicyChanged { membership: Policy::InviteOnly }
        MemberInvitationsSwitched { on: false }
        MemberListSwitched { public: false }
        HistoryChanged { history: History::SinceJoining }
        RoleGiven { person: person(2), role: Role::Moderator, episode: 1 }
        RoleWithdrawn { person: person(2), episode: 1, departure: Some(Departure::Banned { reason: text("sold tickets"), until: Some(NOON) }) }
    }
    listing {
        Posted { seller: person(1), details: ski(text("Express, 12 EUR")), price: euros(80) }
        Edited { details: ski(text("Express, 9 EUR")) }
        Repriced { episode: 1, price: euros(70), previous: euros(80) }
        Sold { episode: 1, asked: euros(70), to: Some(person(2)), price: Some(euros(65)) }
        MadeAvailable { episode: 2, price: euros(70) }
        Withdrawn { episode: Some(2), by: person(1), reason: Some(text("broke it\nmyself")) }
    }
    membership {
        Invited { inviter: person(1), may_approve: true }
        InvitationDeclined {}
        InvitationRevoked {}
        Requested {}
        RequestWithdrawn {}
        RequestRefused { decided_by: Some(person(1)), reason: Some(text("we are full")) }
        Joined { episode: 2, era: 1, way: Way::Approval, admitted_by: Some(person(1)) }
        Left { episode: 2 }
        Removed { episode: 2, reason: Some(text("never came")) }
        Banned { episode: Some(2), reason: text("threw stones"), until: Some(NOON) }
        Unbanned {}
        BanEnded { until: NOON }
        Bound { episode: 2 }
    }
    page {
        Created { name: "Forno".to_owned(), username: "forno.roma".to_owned(), owner: person(1) }
        Renamed { name: "Forno Vecchio".to_owned() }
        UsernameChanged { username: "forno.vecchio".to_owned(), previous: "forno.roma".to_owned() }
        StaffOffered { person: person(2), role: StaffRole::CareAgent, by: person(1) }
        StaffOfferEnded { person: person(2) }
        StaffGiven { person: person(2), role: StaffRole::CareAgent }
        StaffWithdrawn { person: person(2) }
    }
    person {
        Registered { display_name: text("Ann"), locale: Some("it".to_owned()) }
    }
    post {
        Written { author: person(1), voice: Voice::Page(PageId(Uuid::from_u128(0x50))), text: text("Fresh \"bread\"\nat six") }
        Edited { version: 2, text: text("Fresh bread at seven") }
        Removed { by: Remover::Author, reason: Some(text("sold out")) }
    }
    question {
        Posted { author: person(1), title: text("Which hut?"), body: text("For two nights,\nwith \"dinner\".") }
        Answered { answer: answer(7), author: person(2), body: text("The lower one") }
        AnswerAccepted { answer: answer(7), previous: Some(answer(6)) }
        AcceptanceWithdrawn { answer: answer(7) }
        Closed {}
        Reopened {}
    }
    reaction {
        Given { target: TargetKind::Post, voice: Voice::Person(person(2)), kind: Kind::Love, previous: Some(Kind::Like) }
        Withdrawn { target: TargetKind::Comment, voice: Voice::Page(PageId(Uuid::from_u128(0x50))), previous: Kind::Sad }
    }
    salt {
        Drawn { salt: Personal::new(EncodedSalt("QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8".to_owned()), TextOwner::Installation) }
    }
    skip {
        Decided {
            event: Uuid::from_u128(0x90),
            stream: "question-00000000-0000-0000-0000-000000000060".to_owned(),
            event_type: "question.eaten.v9".to_owned(),
            reason: text("written by a mistaken script"),
        }
    }
    unmasking {
        Recorded {
            reading: Reading::Events,
            asked: "type=question.posted&unmask=true".to_owned(),
            who: text("circolo: eve"),
            place: Some(text("192.0.2.7")),
        }
    }
    username {
        Claimed {
            page: PageId(Uuid::from_u128(0x50)),
            username: "forno.roma".to_owned(),
            founding: Some(Founding { name: "Forno".to_owned(), owner: person(1) }),
        }
    }
}

fn text(text: &str) -> Personal<String> {
    personal(text)
}

fn euros(n: i64) -> Money {
    Money { amount_minor: n * 100, currency: Currency::parse("EUR").unwrap_or_else(|refusal| panic!("{refusal}")) }
}

fn ski(delivery: Personal<String>) -> Details {
    Details {
        title: text("Touring skis"),
        description: text("178 cm,\nwith \"skins\""),
        category: "winter-sports".to_owned(),
        condition: Condition::Used,
        pickup: Some(text("In Chur, evenings")),
        delivery: Some(delivery),
    }
}

fn message(n: u128) -> MessageId {
    MessageId(Uuid::from_u128(n))
}

fn answer(n: u128) -> AnswerId {
    AnswerId(Uuid::from_u128(n))
}
