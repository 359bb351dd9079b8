use super::*;
use crate::testing::{given, person};
use crate::username::{self, Username};
use StaffRole::{CareAgent, Editor, Owner as OwnerRole};
use uuid::Uuid;

const PAGE: PageId = PageId(Uuid::from_u128(0x50));

fn created() -> Event {
    Event::Created { name: "Forno".into(), username: "forno.roma".into(), owner: person(1) }
}

fn given_role(n: u128, role: StaffRole) -> Event {
    Event::StaffGiven { person: person(n), role }
}

/// What person `n` is to a page with this history.
fn standing(n: u128, events: &[Event]) -> PageStanding {
    let page = events.iter().fold(Page::default(), |page, event| page.evolve(event, crate::testing::NOON));
    PageStanding::new(Some(person(n)), false, PAGE, Arc::new(page), Arc::default())
}

#[test]
fn the_last_owner_stays() {
    let alone = [created()];
    let leave = |events: &[Event]| Command::WithdrawStaffRole { by: standing(1, events), person: person(1) };
    given::<Page>(alone.clone()).when(leave(&alone)).rejected(Error::LastOwner);
    let demote = Command::GiveStaffRole { by: standing(1, &alone), person: person(1), role: Editor };
    given::<Page>(alone).when(demote).rejected(Error::LastOwner);
    let two = [created(), given_role(2, OwnerRole)];
    given::<Page>(two.clone()).when(leave(&two)).then([Event::StaffWithdrawn { person: person(1) }]);
}

#[test]
fn only_owners_choose_staff_and_staff_may_go() {
    let staff = [created(), given_role(2, Editor)];
    let hire = |n| Command::GiveStaffRole { by: standing(n, &staff), person: person(3), role: CareAgent };
    given::<Page>(staff.clone()).when(hire(2)).rejected(Denied::OwnersOnly.into());
    given::<Page>(staff.clone()).when(hire(9)).rejected(Denied::OwnersOnly.into());
    given::<Page>(staff.clone()).when(hire(1)).then([offered(3, CareAgent)]);
    let go = |n, whom| Command::WithdrawStaffRole { by: standing(n, &staff), person: person(whom) };
    given::<Page>(staff.clone()).when(go(2, 2)).then([Event::StaffWithdrawn { person: person(2) }]);
    given::<Page>(staff.clone()).when(go(2, 1)).rejected(Denied::OwnersOnly.into());
    given::<Page>(staff.clone()).when(go(1, 9)).rejected(Error::NotOnStaff);
}

fn offered(n: u128, role: StaffRole) -> Event {
    Event::StaffOffered { person: person(n), role, by: person(1) }
}

#[test]
fn nobody_comes_to_a_pages_staff_unasked_nor_comes_to_own_it() {
    let staff = [created(), given_role(2, Editor)];
    let give = |history: &[Event], n, role| Command::GiveStaffRole { by: standing(1, history), person: person(n), role };
    given::<Page>(staff.clone()).when(give(&staff, 2, OwnerRole)).then([offered(2, OwnerRole)]);
    given::<Page>(staff.clone()).when(give(&staff, 2, CareAgent)).then([given_role(2, CareAgent)]);
    let open = [created(), given_role(2, Editor), offered(3, OwnerRole)];
    given::<Page>(open.clone()).when(give(&open, 3, OwnerRole)).then_nothing();
    assert_eq!(standing(3, &open).role(), None);
    let accept = |history: &[Event], n| Command::AcceptStaffRole { by: standing(n, history) };
    let decline = |history: &[Event], n| Command::DeclineStaffRole { by: standing(n, history) };
    given::<Page>(open.clone()).when(accept(&open, 3)).then([given_role(3, OwnerRole)]);
    given::<Page>(open.clone()).when(decline(&open, 3)).then([Event::StaffOfferEnded { person: person(3) }]);
    let withdraw = |n| Command::WithdrawStaffRole { by: standing(n, &open), person: person(3) };
    for who in [1, 3] {
        given::<Page>(open.clone()).when(withdraw(who)).then([Event::StaffOfferEnded { person: person(3) }]);
    }
    given::<Page>(open.clone()).when(withdraw(2)).rejected(Denied::OwnersOnly.into());
    for none in [vec![created()], [&open[..], &[Event::StaffOfferEnded { person: person(3) }]].concat()] {
        given::<Page>(none.clone()).when(accept(&none, 3)).rejected(Error::NoOffer);
        given::<Page>(none.clone()).when(decline(&none, 3)).rejected(Error::NoOffer);
    }
    // What an owner offered who is none any more lets nobody in.
    let gone = [&open[..], &[given_role(2, OwnerRole), given_role(1, Editor)]].concat();
    given::<Page>(gone.clone()).when(accept(&gone, 3)).rejected(Error::NoOffer);
}

#[test]
fn rights_of_staff_do_not_nest() {
    use StaffAct::{Care, Inspect, Own, Post, Reply};
    let table = [(OwnerRole, [true; 5]), (Editor, [true, true, false, true, false]), (CareAgent, [false, true, true, true, false])];
    for (role, rights) in table {
        assert_eq!([Post, Reply, Care, Inspect, Own].map(|act| role.may(act)), rights, "{role:?}");
    }
}

#[test]
fn a_page_that_does_not_exist_is_unknown_to_everyone() {
    assert_eq!(standing(1, &[]).sees(), Err(Denied::Unknown));
    assert_eq!(standing(1, &[]).keys(), []);
    assert_eq!(standing(9, &[created()]).sees(), Ok(()));
}

#[test]
fn a_username_belongs_to_whoever_comes_first_and_stays_with_the_page() {
    let name = |text: &str| username::Name::parse(text).unwrap();
    let founding = Founding { name: "Forno".into(), owner: person(1) };
    let claim = |page, text: &str| username::Command::ClaimForNewPage { page, username: name(text), founding: founding.clone() };
    let claimed = |founding| username::Event::Claimed { page: PAGE, username: "Forno.Roma".into(), founding };
    given::<Username>([]).when(claim(PAGE, "Forno.Roma")).then([claimed(Some(founding.clone()))]);
    let other = PageId(Uuid::from_u128(0x51));
    given::<Username>([claimed(None)]).when(claim(other, "fornoroma")).rejected(username::Error::Taken);
    given::<Username>([claimed(None)]).when(claim(PAGE, "Forno.Roma")).then_nothing();
    let back = username::Command::ClaimUsername { by: standing(1, &[created()]), username: name("Forno.Roma") };
    given::<Username>([claimed(None)]).when(back).then([claimed(None)]);
    assert_eq!(username::stream(&name("Forno.Roma")), username::stream(&name("fornoroma")));
}

#[test]
fn a_username_has_five_to_fifty_letters_digits_or_dots() {
    for good in ["forno", "Forno.Roma", "a1b2c", &"a".repeat(50)] {
        assert!(username::Name::parse(good).is_some(), "{good}");
    }
    for bad in ["forn", "for no", "fornò", "for-no", "f...o", &"a".repeat(51)] {
        assert!(username::Name::parse(bad).is_none(), "{bad}");
    }
}
