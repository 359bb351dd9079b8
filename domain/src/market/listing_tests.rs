//! Decisions of a listing.

use super::*;
use crate::access::{Origin, Privacy, Scope};
use crate::group::{Event as GroupEvent, History, Policy};
use crate::membership::Event as MembershipEvent;
use crate::testing::{Community, FOUNDER, Given, NOON, given, person, personal, some_stream};
use crate::{Currency, Span};
use proptest::prelude::*;
use uuid::Uuid;

const SELLER: PersonId = person(2);
const BUYER: PersonId = person(3);
const MODERATOR: PersonId = person(4);
const OTHER: PersonId = person(5);
const STRANGER: PersonId = person(9);

fn of(privacy: Privacy) -> Community {
    Community::founded(privacy, Policy::Request).with_member(SELLER).with_member(BUYER).with(MODERATOR, Role::Moderator).with_member(OTHER)
}

/// The standing of `who` towards the listing, which was posted at noon in the first era.
fn towards(club: &Community, who: PersonId) -> Standing {
    let scope = Scope { era: 0, ..club.standing(who).scope().unwrap() };
    club.standing(who).towards(Origin { scope, at: NOON })
}

fn by(who: PersonId) -> Standing {
    towards(&of(Privacy::Closed), who)
}

fn price(amount: i64) -> Price {
    Price::new(amount, Currency::parse("EUR").unwrap()).unwrap()
}

fn euro(amount: i64) -> Money {
    price(amount).money()
}

fn draft() -> Draft {
    Draft {
        title: Title::parse(" Touring skis ").unwrap(),
        description: Comment::parse("178 cm").unwrap(),
        category: Slug::parse("winter-sports").unwrap(),
        condition: Condition::Used,
        price: price(80),
        pickup: Some(Handover::parse("In Chur").unwrap()),
        delivery: None,
    }
}

fn details() -> Details {
    Details {
        title: personal("Touring skis"),
        description: personal("178 cm"),
        category: "winter-sports".to_owned(),
        condition: Condition::Used,
        pickup: Some(personal("In Chur")),
        delivery: None,
    }
}

fn posted() -> Event {
    Event::Posted { seller: SELLER, details: details(), price: euro(80) }
}

fn sold(episode: u32) -> Event {
    Event::Sold { episode, asked: euro(80), to: Some(BUYER), price: Some(euro(75)) }
}

fn available(episode: u32) -> Event {
    Event::MadeAvailable { episode, price: euro(80) }
}

fn withdrawn(who: PersonId, episode: Option<u32>) -> Event {
    let reason = (who != SELLER).then(|| personal("counterfeit"));
    Event::Withdrawn { episode, by: who, reason }
}

fn after(more: impl IntoIterator<Item = Event>) -> Given<Listing> {
    given::<Listing>([posted()].into_iter().chain(more))
}

fn post(by: Standing) -> Command {
    Command::PostListing { by, draft: draft() }
}

fn edit(who: PersonId, changes: Changes) -> Command {
    Command::EditListing { by: by(who), changes }
}

fn reprice(who: PersonId, amount: i64) -> Command {
    Command::Reprice { by: by(who), price: price(amount) }
}

fn sell(who: PersonId, to: Option<PersonId>, amount: Option<i64>) -> Command {
    Command::MarkSold { by: by(who), to, price: amount.map(price) }
}

fn sell_to_buyer() -> Command {
    sell(SELLER, Some(BUYER), Some(75))
}

fn offer_again(who: PersonId) -> Command {
    Command::MarkAvailable { by: by(who) }
}

fn withdraw(who: PersonId) -> Command {
    let reason = (who != SELLER).then(|| Reason::parse("counterfeit").unwrap());
    Command::WithdrawListing { by: by(who), reason }
}

fn the_sale() -> Sale {
    Sale { to: Some(BUYER), price: Some(euro(75)), at: NOON }
}

#[test]
fn members_offer_things_and_nobody_else() {
    let club = of(Privacy::Public);
    given::<Listing>([]).when(post(club.standing(SELLER))).then([posted()]);
    given::<Listing>([]).when(post(club.standing(STRANGER))).rejected(Denied::MembersOnly.into());
    given::<Listing>([]).when(post(club.anonymous())).rejected(Denied::Anonymous.into());
    let banned = MembershipEvent::Banned { episode: None, reason: personal("stole"), until: None };
    given::<Listing>([]).when(post(club.about(STRANGER, banned).standing(STRANGER))).rejected(Denied::Banned.into());
    given::<Listing>([]).when(post(of(Privacy::Secret).standing(STRANGER))).rejected(Denied::Unknown.into());
    after([]).when(post(by(SELLER))).rejected(Error::AlreadyExists);
}

#[test]
fn of_a_listing_nobody_posted_there_is_nothing() {
    let no_change = Changes::default();
    for command in [edit(SELLER, no_change), reprice(SELLER, 1), sell_to_buyer(), offer_again(SELLER), withdraw(MODERATOR)] {
        given::<Listing>([]).when(command).rejected(Denied::Unknown.into());
    }
}

#[test]
fn the_seller_changes_what_is_described_and_what_it_costs() {
    let changes = Changes {
        title: Some(Title::parse("Skis").unwrap()),
        pickup: Some(None),
        delivery: Some(Some(Handover::parse("By post").unwrap())),
        price: Some(price(70)),
        ..Changes::default()
    };
    let edited = Details { title: personal("Skis"), pickup: None, delivery: Some(personal("By post")), ..details() };
    let repriced = Event::Repriced { episode: 1, price: euro(70), previous: euro(80) };
    after([]).when(edit(SELLER, changes.clone())).then([Event::Edited { details: edited.clone() }, repriced.clone()]);
    after([Event::Edited { details: edited }, repriced]).when(edit(SELLER, changes)).then_nothing();
    after([]).when(edit(SELLER, Changes::default())).then_nothing();
}

#[test]
fn a_price_that_is_already_asked_is_no_change() {
    after([]).when(reprice(SELLER, 80)).then_nothing();
    after([]).when(reprice(SELLER, 0)).then([Event::Repriced { episode: 1, price: euro(0), previous: euro(80) }]);
    let again = [sold(1), available(2)];
    after(again).when(reprice(SELLER, 60)).then([Event::Repriced { episode: 2, price: euro(60), previous: euro(80) }]);
}

#[test]
fn only_the_seller_edits_sells_and_offers_again() {
    for who in [BUYER, MODERATOR, FOUNDER] {
        for command in [edit(who, Changes::default()), reprice(who, 1), sell(who, None, None), offer_again(who)] {
            after([]).when(command).rejected(Error::NotTheSeller);
        }
    }
    after([]).when(sell(STRANGER, None, None)).rejected(Denied::MembersOnly.into());
    let left = of(Privacy::Public).about(SELLER, MembershipEvent::Left { episode: 1 });
    after([]).when(Command::MarkAvailable { by: towards(&left, SELLER) }).rejected(Denied::MembersOnly.into());
}

#[test]
fn a_sale_may_tell_the_buyer_and_the_price() {
    after([]).when(sell_to_buyer()).then([sold(1)]);
    after([]).when(sell(SELLER, None, None)).then([Event::Sold { episode: 1, asked: euro(80), to: None, price: None }]);
    after([]).when(sell(SELLER, Some(SELLER), None)).rejected(Error::SoldToSeller);
}

#[test]
fn nothing_is_sold_twice() {
    after([sold(1)]).when(sell_to_buyer()).then_nothing();
    for other in [sell(SELLER, Some(OTHER), Some(75)), sell(SELLER, Some(BUYER), Some(80)), sell(SELLER, None, None)] {
        after([sold(1)]).when(other).rejected(Error::AlreadySold(the_sale()));
    }
    after([withdrawn(SELLER, Some(1))]).when(sell_to_buyer()).rejected(Error::Withdrawn);
}

#[test]
fn who_sold_already_learns_to_whom() {
    let told = Error::AlreadySold(the_sale()).details().unwrap();
    assert_eq!(told, json!({ "sold_at": NOON, "sold_to": BUYER, "price": { "amount_minor": 75, "currency": "EUR" } }));
}

#[test]
fn what_is_not_on_offer_is_not_edited() {
    for command in [edit(SELLER, Changes::default()), reprice(SELLER, 1)] {
        after([sold(1)]).when(command.clone()).rejected(Error::AlreadySold(the_sale()));
        after([withdrawn(SELLER, Some(1))]).when(command).rejected(Error::Withdrawn);
    }
}

#[test]
fn every_time_on_offer_is_an_episode() {
    after([]).when(offer_again(SELLER)).then_nothing();
    after([sold(1)]).when(offer_again(SELLER)).then([available(2)]);
    after([sold(1), available(2)]).when(sell_to_buyer()).then([sold(2)]);
    after([sold(1), available(2), withdrawn(SELLER, Some(2))]).when(offer_again(SELLER)).then([available(3)]);
}

#[test]
fn the_seller_withdraws_without_a_reason_and_who_keeps_order_with_one() {
    after([]).when(withdraw(SELLER)).then([withdrawn(SELLER, Some(1))]);
    for who in [MODERATOR, FOUNDER] {
        after([]).when(withdraw(who)).then([withdrawn(who, Some(1))]);
        after([]).when(Command::WithdrawListing { by: by(who), reason: None }).rejected(Error::ReasonNeeded);
    }
    after([]).when(withdraw(BUYER)).rejected(Error::NotTheSeller);
    after([sold(1)]).when(withdraw(MODERATOR)).then([withdrawn(MODERATOR, None)]);
}

#[test]
fn what_a_moderator_withdrew_the_seller_does_not_bring_back() {
    let moderated = [withdrawn(SELLER, Some(1)), withdrawn(MODERATOR, None)];
    after([withdrawn(SELLER, Some(1))]).when(withdraw(MODERATOR)).then([withdrawn(MODERATOR, None)]);
    after(moderated.clone()).when(withdraw(FOUNDER)).then_nothing();
    after(moderated.clone()).when(withdraw(SELLER)).then_nothing();
    after(moderated.clone()).when(offer_again(SELLER)).rejected(Error::WithdrawnByModerator);
    after(moderated).when(sell_to_buyer()).rejected(Error::Withdrawn);
}

#[test]
fn nobody_acts_on_what_they_may_not_read() {
    let since_joining = GroupEvent::HistoryChanged { history: History::SinceJoining };
    let again = of(Privacy::Closed)
        .in_group(since_joining)
        .later(Span::hours(1))
        .about(SELLER, MembershipEvent::Left { episode: 1 })
        .later(Span::hours(1))
        .with_member(SELLER);
    after([]).when(Command::MarkAvailable { by: towards(&again, SELLER) }).then_nothing();
    let late = again.with_member(STRANGER);
    after([]).when(Command::MarkAvailable { by: towards(&late, STRANGER) }).rejected(Denied::BeforeYourTime.into());
    let secret = of(Privacy::Secret);
    after([]).when(Command::MarkAvailable { by: towards(&secret, STRANGER) }).rejected(Denied::Unknown.into());
}

#[test]
fn refusals_speak_in_stable_codes() {
    let codes = [
        (Error::AlreadyExists, "already_exists", Kind::Conflict),
        (Error::NotTheSeller, "not_the_seller", Kind::Forbidden),
        (Error::AlreadySold(the_sale()), "already_sold", Kind::Conflict),
        (Error::Withdrawn, "listing_withdrawn", Kind::Conflict),
        (Error::WithdrawnByModerator, "withdrawn_by_moderator", Kind::Conflict),
        (Error::ReasonNeeded, "reason_needed", Kind::Invalid),
        (Error::SoldToSeller, "sold_to_seller", Kind::Invalid),
        (Denied::BeforeYourTime.into(), "before_your_time", Kind::Forbidden),
    ];
    for (error, code, kind) in codes {
        assert_eq!((error.code(), error.kind()), (code, kind));
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    (0..7_u8, 1..6_u128, prop::option::of(2..5_u128), prop::option::of(78..82_i64)).prop_map(|(which, who, buyer, amount)| {
        let who = person(who);
        match which {
            0 => post(by(who)),
            1 => edit(who, Changes { price: amount.map(price), condition: buyer.map(|_| Condition::New), ..Changes::default() }),
            2 => reprice(who, amount.unwrap_or(80)),
            3 => sell(who, buyer.map(person), amount),
            4 => offer_again(who),
            5 => Command::WithdrawListing { by: by(who), reason: None },
            _ => withdraw(who),
        }
    })
}

proptest! {
    #[test]
    fn asking_again_for_what_was_accepted_is_silent_or_refused(commands in prop::collection::vec(any_command(), 0..24)) {
        let mut listing = Listing::default();
        let (mut episodes, mut open) = (0, false);
        let context = Context { stream: &some_stream::<Listing>(), now: NOON, actor: None, command_id: Uuid::nil() };
        for command in commands {
            let Ok(events) = listing.decide(&command, &context) else { continue };
            listing = events.iter().fold(listing, |listing, event| listing.evolve(event, NOON));
            let again = listing.decide(&command, &context);
            prop_assert!(again.as_ref().map_or(true, Vec::is_empty), "{command:?}: {again:?}");
            for event in &events {
                // Episodes are numbered without gaps, and only one that is open changes its price or ends.
                match event {
                    Event::Posted { .. } => (episodes, open) = (1, true),
                    Event::MadeAvailable { episode, .. } => {
                        prop_assert!(!open && *episode == episodes + 1);
                        (episodes, open) = (*episode, true);
                    }
                    Event::Repriced { episode, .. } => prop_assert!(open && *episode == episodes),
                    Event::Sold { episode, .. } => {
                        prop_assert!(open && *episode == episodes);
                        open = false;
                    }
                    Event::Withdrawn { episode, .. } => {
                        prop_assert_eq!(*episode, open.then_some(episodes));
                        open = false;
                    }
                    Event::Edited { .. } => prop_assert!(open),
                }
            }
        }
    }

    #[test]
    fn no_history_however_odd_makes_a_listing_panic(picks in prop::collection::vec(0..6_usize, 0..12), command in any_command()) {
        let samples: Vec<Event> = crate::testing::samples()
            .into_iter()
            .filter_map(|sample| if let crate::Event::Listing(event) = sample { Some(event) } else { None })
            .collect();
        let odd = picks.iter().fold(Listing::default(), |listing, pick| listing.evolve(&samples[pick % samples.len()], NOON));
        let _ = odd.decide(&command, &Context { stream: &some_stream::<Listing>(), now: NOON, actor: None, command_id: Uuid::nil() });
    }
}
