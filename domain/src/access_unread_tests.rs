//! What is left of rights where something cannot be read.

use super::*;
use crate::group::{Event as GroupEvent, Policy};
use crate::testing::{Community, FOUNDER, GROUP, person};
use Privacy::{Closed, Public, Secret};

const STRANGER: PersonId = person(9);

fn scope(privacy: Privacy, era: u32) -> Scope {
    Scope { owner: Owner::Group(GROUP), privacy, era }
}

/// A gap of events whose envelopes name these.
fn gap(privacies: &[Option<Privacy>]) -> Unread {
    let gap = privacies.iter().fold(Gap::NOTHING, |gap, privacy| gap.and(privacy.map(|privacy| scope(privacy, 0))));
    Unread { group: Some(gap), membership: false }
}

const MEMBERSHIP: Unread = Unread { group: None, membership: true };

#[test]
fn nothing_is_left_but_what_everybody_reads_and_that_only_if_it_is_certain() {
    for (privacy, unread, sees, reads) in [
        (Public, gap(&[Some(Public)]), true, true),
        (Public, gap(&[Some(Public), Some(Public)]), true, true),
        // Whoever wrote it does not say how private the group is now.
        (Public, gap(&[None]), true, false),
        (Public, gap(&[Some(Public), None]), true, false),
        (Public, gap(&[Some(Closed)]), true, false),
        (Public, gap(&[Some(Closed), Some(Public)]), true, false),
        (Public, gap(&[Some(Secret)]), false, false),
        (Closed, gap(&[Some(Public)]), true, false),
        (Closed, gap(&[Some(Secret)]), false, false),
        (Secret, gap(&[Some(Public)]), false, false),
        (Public, MEMBERSHIP, true, true),
        (Closed, MEMBERSHIP, true, false),
        (Secret, MEMBERSHIP, false, false),
    ] {
        let policy = if privacy == Secret { Policy::InviteOnly } else { Policy::Open };
        let club = Community::founded(privacy, policy);
        // The founder was seen in the group: that it is there is no news to them.
        for (who, sees) in [(club.standing(FOUNDER), true), (club.standing(STRANGER), sees), (club.anonymous(), sees)] {
            let standing = who.without(unread).towards(Origin { scope: scope(privacy, 0), at: club.now });
            let told = format!("{privacy:?} {unread:?} {sees}");
            let refused = if sees { Denied::Unreadable } else { Denied::Unknown };
            assert_eq!(standing.allows(Action::See).is_ok(), sees, "{told}");
            assert_eq!(standing.hides(), !sees, "{told}");
            assert_eq!(standing.allows(Action::Read), if reads { Ok(()) } else { Err(refused) }, "{told}");
            assert_eq!(standing.keys().is_empty(), !reads, "{told}");
            assert_eq!((standing.role(), standing.invitation()), (None, None), "{told}");
            for action in [Action::ReadMembers, Action::Join, Action::Invite, Action::Contribute, Action::Moderate, Action::Administer] {
                assert_eq!(standing.allows(action), Err(refused), "{told} {action:?}");
            }
        }
    }
}

#[test]
fn what_was_written_in_secret_is_unknown_to_whoever_could_not_read_it_before() {
    let club = Community::founded(Secret, Policy::InviteOnly).in_group(GroupEvent::PrivacyChanged { privacy: Public });
    let secret = Origin { scope: scope(Secret, 0), at: club.now };
    let later = Origin { scope: scope(Secret, 7), at: club.now };
    for unread in [gap(&[Some(Public)]), gap(&[None])] {
        assert_eq!(club.standing(STRANGER).without(unread).towards(secret).allows(Action::Read), Err(Denied::Unknown));
        assert_eq!(club.anonymous().without(unread).towards(secret).allows(Action::Read), Err(Denied::Unknown));
        assert_eq!(club.standing(FOUNDER).without(unread).towards(secret).allows(Action::Read), Err(Denied::Unreadable));
        // Of an era that begins behind what cannot be read.
        assert_eq!(club.standing(STRANGER).without(unread).towards(later).allows(Action::Read), Err(Denied::Unknown));
        assert_eq!(club.standing(FOUNDER).without(unread).towards(later).allows(Action::Read), Err(Denied::Unreadable));
    }
}

#[test]
fn a_group_of_which_nothing_can_be_read_is_unknown() {
    let standing = Standing::new(Some(FOUNDER), GROUP, Arc::default(), Arc::default(), crate::testing::NOON).without(gap(&[Some(Public)]));
    assert_eq!(standing.allows(Action::See), Err(Denied::Unknown));
    assert!(standing.hides());
}
