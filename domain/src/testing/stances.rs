//! A club and a page, and what people are towards them: for decisions on content.

use crate::access::{Origin, Privacy, Role};
use crate::fan::Fan;
use crate::group::Policy;
use crate::membership;
use crate::page::{self, Page, PageStanding, StaffRole};
use crate::stance::Stance;
use crate::testing::{Community, FOUNDER, NOON, person, personal};
use crate::{Decider, PageId, PersonId};
use std::sync::Arc;
use uuid::Uuid;

/// A member of the club, and a fan of the page.
pub const MEMBER: PersonId = person(2);
/// Another one.
pub const OTHER: PersonId = person(3);
/// Keeps order in the club.
pub const MODERATOR: PersonId = person(4);
/// Is banned from the club.
pub const BANNED: PersonId = person(5);
/// An editor of the page.
pub const EDITOR: PersonId = person(6);
/// A care agent of the page.
pub const AGENT: PersonId = person(7);
/// Nobody in the club.
pub const STRANGER: PersonId = person(9);
/// The page; [`FOUNDER`] owns it.
pub const PAGE: PageId = PageId(Uuid::from_u128(0x50));

/// A club with the people above.
pub fn club(privacy: Privacy) -> Community {
    let reason = personal("threw stones");
    Community::founded(privacy, Policy::Request)
        .with_member(MEMBER)
        .with_member(OTHER)
        .with(MODERATOR, Role::Moderator)
        .about(BANNED, membership::Event::Banned { episode: None, reason, until: None })
}

/// What `who` is to a closed club.
pub fn in_club(who: PersonId) -> Stance {
    Stance::Group(club(Privacy::Closed).standing(who))
}

/// What `who` is in `community` to what was written at noon in its first era.
pub fn towards(community: &Community, who: PersonId) -> Stance {
    let standing = community.standing(who);
    let scope = standing.scope().map(|scope| crate::access::Scope { era: 0, ..scope });
    Stance::Group(match scope {
        Some(scope) => standing.towards(Origin { scope, at: NOON }),
        None => standing,
    })
}

/// What `who` is to the page; `None` for nobody signed in.
pub fn on_page(who: impl Into<Option<PersonId>>) -> Stance {
    let staff = |person, role| page::Event::StaffGiven { person, role };
    let events = [
        page::Event::Created { name: "Forno".to_owned(), username: "forno.roma".to_owned(), owner: FOUNDER },
        staff(EDITOR, StaffRole::Editor),
        staff(AGENT, StaffRole::CareAgent),
    ];
    let page = events.iter().fold(Page::default(), |page, event| page.evolve(event, NOON));
    Stance::Page(PageStanding::new(who.into(), false, PAGE, Arc::new(page), Arc::new(Fan::default())))
}
