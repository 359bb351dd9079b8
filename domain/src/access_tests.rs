//! Who may do what: the tables of the product.

#[path = "access_era_tests.rs"]
mod eras;

use super::*;
use crate::Span;
use crate::group::{Event as GroupEvent, Policy};
use crate::membership::Event as MembershipEvent;
use crate::testing::{Community, FOUNDER, GROUP, NOON, person, personal};
use Privacy::{Closed, Public, Secret};

const MODERATOR: PersonId = person(2);
const MEMBER: PersonId = person(4);
const FORMER: PersonId = person(5);
const BANNED: PersonId = person(6);
const INVITED: PersonId = person(7);
const REQUESTING: PersonId = person(8);
const STRANGER: PersonId = person(9);

fn banned(until: Option<Timestamp>) -> MembershipEvent {
    MembershipEvent::Banned { episode: None, reason: personal("threw stones"), until }
}

/// A group with one person of each sort.
fn everybody(privacy: Privacy) -> Community {
    let policy = if privacy == Secret { Policy::InviteOnly } else { Policy::Request };
    Community::founded(privacy, policy)
        .with(MODERATOR, Role::Moderator)
        .with_member(MEMBER)
        .with_member(FORMER)
        .about(FORMER, MembershipEvent::Left { episode: 1 })
        .about(BANNED, banned(None))
        .about(INVITED, MembershipEvent::Invited { inviter: FOUNDER, may_approve: true })
        .about(REQUESTING, MembershipEvent::Requested)
}

fn who(club: &Community, name: &str) -> Standing {
    match name {
        "anonymous" => club.anonymous(),
        "stranger" => club.standing(STRANGER),
        "invited" => club.standing(INVITED),
        "requesting" => club.standing(REQUESTING),
        "banned" => club.standing(BANNED),
        "former" => club.standing(FORMER),
        "member" => club.standing(MEMBER),
        "moderator" => club.standing(MODERATOR),
        "admin" => club.standing(FOUNDER),
        other => panic!("nobody is called {other}"),
    }
}

/// The columns of the table; the compiler asks for a column for every action.
const fn column(action: Action) -> usize {
    match action {
        Action::See => 0,
        Action::ReadMembers => 1,
        Action::Read => 2,
        Action::Join => 3,
        Action::Invite => 4,
        Action::Contribute => 5,
        Action::Moderate => 6,
        Action::Administer => 7,
    }
}

const ACTIONS: [Action; 8] = [
    Action::See,
    Action::ReadMembers,
    Action::Read,
    Action::Join,
    Action::Invite,
    Action::Contribute,
    Action::Moderate,
    Action::Administer,
];

/// Who may do what by default. `+` is yes; a refusal is told as `?` unknown, `s` sign in, `b` banned, `m` members only,
/// `o` moderators only, `a` admins only.
const RIGHTS: &[(Privacy, &str, &str)] = &[
    //                      see
    //                      | members
    //                      | | read
    //                      | | | join
    //                      | | | | invite
    //                      | | | | | contribute
    //                      | | | | | | moderate
    //                      | | | | | | | administer
    (Public, "anonymous", " + + + s s s s s"),
    (Public, "stranger", "  + + + + m m o a"),
    (Public, "invited", "   + + + + m m o a"),
    (Public, "requesting", "+ + + + m m o a"),
    (Public, "former", "    + + + + m m o a"),
    (Public, "banned", "    + + + b b b b b"),
    (Public, "member", "    + + + + + + o a"),
    (Public, "moderator", " + + + + + + + a"),
    (Public, "admin", "     + + + + + + + +"),
    (Closed, "anonymous", " + + s s s s s s"),
    (Closed, "stranger", "  + + m + m m o a"),
    (Closed, "invited", "   + + m + m m o a"),
    (Closed, "requesting", "+ + m + m m o a"),
    (Closed, "former", "    + + m + m m o a"),
    (Closed, "banned", "    + + b b b b b b"),
    (Closed, "member", "    + + + + + + o a"),
    (Closed, "moderator", " + + + + + + + a"),
    (Closed, "admin", "     + + + + + + + +"),
    (Secret, "anonymous", " ? ? ? ? ? ? ? ?"),
    (Secret, "stranger", "  ? ? ? ? ? ? ? ?"),
    (Secret, "invited", "   + m m + a m o a"),
    (Secret, "requesting", "? ? ? ? ? ? ? ?"),
    (Secret, "former", "    ? ? ? ? ? ? ? ?"),
    (Secret, "banned", "    ? ? ? ? ? ? ? ?"),
    (Secret, "member", "    + + + + a + o a"),
    (Secret, "moderator", " + + + + a + + a"),
    (Secret, "admin", "     + + + + + + + +"),
];

fn told(letter: char) -> Result<(), Denied> {
    match letter {
        '+' => Ok(()),
        '?' => Err(Denied::Unknown),
        's' => Err(Denied::Anonymous),
        'b' => Err(Denied::Banned),
        'm' => Err(Denied::MembersOnly),
        'o' => Err(Denied::ModeratorsOnly),
        'a' => Err(Denied::AdminsOnly),
        other => panic!("{other} says nothing"),
    }
}

#[test]
fn rights_are_as_the_table_says() {
    for (privacy, name, row) in RIGHTS {
        let letters: Vec<char> = row.chars().filter(|letter| *letter != ' ').collect();
        let standing = who(&everybody(*privacy), name);
        for action in ACTIONS {
            let expected = told(letters[column(action)]);
            assert_eq!(standing.allows(action), expected, "{privacy:?}: {name}: {action:?}");
            let person = expected.and_then(|()| standing.person().ok_or(Denied::Anonymous));
            assert_eq!(standing.may(action), person, "{privacy:?}: {name}: {action:?}");
        }
    }
    assert_eq!(RIGHTS.len(), 27);
}

#[test]
fn with_member_invitations_off_members_no_longer_invite_and_nothing_else_changes() {
    for (privacy, name, row) in RIGHTS {
        let club = everybody(*privacy).in_group(GroupEvent::MemberInvitationsSwitched { on: false });
        let letters: Vec<char> = row.chars().filter(|letter| *letter != ' ').collect();
        for action in ACTIONS {
            let switched = *name == "member" && action == Action::Invite && *privacy != Secret;
            let expected = if switched { Err(Denied::ModeratorsOnly) } else { told(letters[column(action)]) };
            assert_eq!(who(&club, name).allows(action), expected, "{privacy:?}: {name}: {action:?}");
        }
    }
}

#[test]
fn with_the_member_list_hidden_outsiders_of_a_closed_group_no_longer_see_it_and_nothing_else_changes() {
    for (privacy, name, row) in RIGHTS {
        let club = everybody(*privacy).in_group(GroupEvent::MemberListSwitched { public: false });
        let letters: Vec<char> = row.chars().filter(|letter| *letter != ' ').collect();
        for action in ACTIONS {
            let expected = match (privacy, action, *name) {
                (Closed, Action::ReadMembers, "anonymous") => Err(Denied::Anonymous),
                (Closed, Action::ReadMembers, "banned") => Err(Denied::Banned),
                (Closed, Action::ReadMembers, "stranger" | "invited" | "requesting" | "former") => Err(Denied::MembersOnly),
                _ => told(letters[column(action)]),
            };
            assert_eq!(who(&club, name).allows(action), expected, "{privacy:?}: {name}: {action:?}");
        }
    }
}

#[test]
fn what_does_not_exist_allows_nothing_to_anybody() {
    let nowhere = Standing::new(Some(STRANGER), GROUP, Arc::default(), Arc::default(), NOON);
    for action in ACTIONS {
        assert_eq!(nowhere.allows(action), Err(Denied::Unknown));
    }
    assert!(nowhere.keys().is_empty() && nowhere.scope().is_none());
}

#[test]
fn a_ban_that_ran_out_weighs_nothing() {
    let hour = NOON.plus(Span::hours(1));
    let club = everybody(Closed).about(BANNED, banned(Some(hour)));
    let before = club.clone().later(Span::micros(3_599_999_999));
    assert_eq!(before.standing(BANNED).allows(Action::Join), Err(Denied::Banned));
    let after = club.later(Span::hours(1));
    assert_eq!(after.standing(BANNED).allows(Action::Join), Ok(()));
    assert_eq!(after.standing(BANNED).allows(Action::Contribute), Err(Denied::MembersOnly));
}
