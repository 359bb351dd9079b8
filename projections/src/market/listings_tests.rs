//! Folds of listings: rows after a history, whatever the history.

use super::*;
use circolo_domain::access::{Owner, Privacy, Scope};
use circolo_domain::testing::{GROUP, NOON, person, personal, samples};
use circolo_domain::{Currency, ListingId, Span, listing};
use circolo_events::{Metadata, Position};
use std::collections::BTreeMap;
use uuid::Uuid;

const ID: ListingId = ListingId(Uuid::from_u128(0x115));

fn euros(amount: i64) -> Money {
    Money { amount_minor: amount, currency: Currency::parse("EUR").unwrap() }
}

fn bike(title: &str) -> Details {
    Details {
        title: personal(title),
        description: personal("With bell"),
        category: "bikes".to_owned(),
        condition: Condition::Refurbished,
        pickup: Some(personal("In Chur")),
        delivery: None,
    }
}

/// The events of one listing, an hour apart from noon on.
fn recorded(events: impl IntoIterator<Item = Listed>) -> Vec<Recorded> {
    let scope = Scope { owner: Owner::Group(GROUP), privacy: Privacy::Closed, era: 1 };
    let envelope = |(n, event): (u32, Listed)| Recorded {
        position: Position(i64::from(n) * 10 + 10),
        stream: listing::stream(ID),
        revision: n.into(),
        id: Uuid::from_u128(n.into()),
        recorded_at: NOON.plus(Span::hours(n.into())),
        metadata: Metadata {
            actor: Some(person(1)),
            command: String::new(),
            command_id: Uuid::from_u128(n.into()),
            fingerprint: None,
            correlation: Uuid::nil(),
            causation: None,
            scope: Some(scope),
            concerns: vec![],
        },
        event: event.into(),
    };
    (0..).zip(events).map(envelope).collect()
}

fn rows<R: Fold>(events: impl IntoIterator<Item = Listed>) -> BTreeMap<String, R> {
    let mut rows = BTreeMap::new();
    for event in recorded(events) {
        for key in R::keys(&event).as_slice() {
            if let Some(row) = R::fold(rows.remove(key), key, &event) {
                rows.insert(key.clone(), row);
            }
        }
    }
    rows
}

fn listing(events: impl IntoIterator<Item = Listed>) -> ListingRow {
    rows(events).remove(&ID.to_string()).unwrap()
}

fn posted() -> Listed {
    Listed::Posted { seller: person(1), details: bike("Bike"), price: euros(80) }
}

fn repriced(episode: u32, price: i64) -> Listed {
    Listed::Repriced { episode, price: euros(price), previous: euros(80) }
}

fn sold(episode: u32, price: Option<i64>) -> Listed {
    Listed::Sold { episode, asked: euros(70), to: Some(person(2)), price: price.map(euros) }
}

fn available(episode: u32) -> Listed {
    Listed::MadeAvailable { episode, price: euros(70) }
}

fn withdrawn(episode: Option<u32>) -> Listed {
    Listed::Withdrawn { episode, by: person(3), reason: Some(personal("broken")) }
}

#[test]
fn a_listing_stands_in_its_group_and_era_as_it_is_described_now() {
    let row = listing([posted(), Listed::Edited { details: Details { pickup: None, ..bike("Racing bike") } }]);
    assert_eq!((row.group_id, row.audience), (GROUP.to_string(), format!("group:{GROUP}:1")));
    assert_eq!((row.title.as_deref(), row.category.as_str(), row.condition.as_str()), (Some("Racing bike"), "bikes", "refurbished"));
    assert_eq!((row.pickup, row.revision, row.position), (None, 1, 10));
}

#[test]
fn what_is_sold_costs_what_was_paid_and_else_what_was_asked() {
    let row = listing([posted(), repriced(1, 70), sold(1, Some(65))]);
    assert_eq!((row.status.as_str(), row.asked, row.price, row.sold_price), (SOLD, 70, 65, Some(65)));
    assert_eq!((row.on_offer, row.position), (Some(Span::hours(2).as_micros()), 30));
    let row = listing([posted(), repriced(1, 70), sold(1, None)]);
    assert_eq!((row.price, row.sold_price), (70, None));
}

#[test]
fn what_is_offered_again_keeps_its_last_sale_and_asks_its_price_again() {
    let row = listing([posted(), repriced(1, 70), sold(1, Some(65)), available(2)]);
    assert_eq!((row.status.as_str(), row.price, row.sold_price), (FOR_SALE, 70, Some(65)));
    assert_eq!((row.listed, row.offered, row.position), (NOON, NOON.plus(Span::hours(3)), 40));
}

#[test]
fn a_withdrawal_says_who_and_why_until_it_is_undone() {
    let row = listing([posted(), withdrawn(Some(1))]);
    assert_eq!((row.status.as_str(), row.reason.as_deref()), (WITHDRAWN, Some("broken")));
    assert_eq!(row.withdrawn_by, Some(person(3).to_string()));
    let row = listing([posted(), withdrawn(Some(1)), available(2)]);
    assert_eq!((row.status.as_str(), row.reason, row.withdrawn), (FOR_SALE, None, None));
}

#[test]
fn every_episode_and_every_price_is_kept() {
    let history = [posted(), repriced(1, 70), sold(1, Some(65)), available(2), repriced(2, 60), withdrawn(Some(2)), withdrawn(None)];
    let episodes: Vec<EpisodeRow> = rows(history.clone()).into_values().collect();
    let ends: Vec<_> = episodes.iter().map(|e| (e.number, e.first_price, e.asked, e.sold_price, e.outcome.as_deref(), e.ended)).collect();
    let hour = |n| Some(NOON.plus(Span::hours(n)));
    assert_eq!(ends, [(1, 80, 70, Some(65), Some(SOLD), hour(2)), (2, 70, 60, None, Some(WITHDRAWN), hour(5))]);
    let prices: Vec<PriceRow> = rows(history).into_values().collect();
    assert_eq!(prices.iter().map(|p| (p.episode, p.price, p.position)).collect::<Vec<_>>(), [(1, 70, 20), (2, 60, 50)]);
}

#[test]
fn a_seller_is_found_in_the_groups_they_posted_in() {
    let groups: Vec<SellerGroupRow> = rows([posted(), sold(1, None)]).into_values().collect();
    assert_eq!(
        groups.iter().map(|g| (g.seller.clone(), g.group_id.clone())).collect::<Vec<_>>(),
        [(person(1).to_string(), GROUP.to_string())]
    );
}

#[test]
fn no_history_however_odd_breaks_a_fold() {
    let own = || samples().into_iter().filter_map(|event| if let Event::Listing(event) = event { Some(event) } else { None });
    let odd: Vec<Listed> = own().chain(own().collect::<Vec<_>>().into_iter().rev()).collect();
    for skipped in 0..odd.len() {
        let history: Vec<_> = odd.iter().skip(skipped).cloned().collect();
        assert!(rows::<ListingRow>(history.clone()).len() <= 1);
        assert!(rows::<EpisodeRow>(history.clone()).len() <= 2);
        assert!(rows::<PriceRow>(history.clone()).len() <= 2);
        assert!(rows::<SellerGroupRow>(history).len() <= 1);
    }
}
