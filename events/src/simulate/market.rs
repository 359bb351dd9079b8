//! What people of markets wish: to offer things, to change the price, to say that they are sold, and to offer them again.

use super::{Simulation, Wish};
use circolo_domain::access::Standing;
use circolo_domain::listing::{self, Changes, Command, Condition, Draft, Listing};
use circolo_domain::{Currency, ListingId, PersonId, Price, Slug};

/// Listings that are still acted on.
const RECENT: usize = 2_000;

/// Wishes and how often they come.
pub const WISHES: &[(u64, Wish)] = &[(55, offer), (25, reprice), (12, edit), (30, sell), (6, offer_again), (8, withdraw)];

const CATEGORIES: &[&str] = &["bicycles", "books", "cameras", "furniture", "garden", "kitchen", "music", "winter-sports"];

/// What is or was on offer: the listing, where it is, and whose it is.
#[derive(Default)]
pub struct Market {
    listings: Vec<(ListingId, usize, PersonId)>,
}

fn price(simulation: &mut Simulation) -> Option<Price> {
    let currency = Currency::parse(simulation.chance.pick(&["EUR", "EUR", "EUR", "CHF"])?).ok()?;
    let amount_minor = i64::try_from(simulation.chance.below(400) * 100 + 100).ok()?;
    Price::new(amount_minor, currency).ok()
}

fn draft(simulation: &mut Simulation) -> Option<Draft> {
    let conditions = [Condition::New, Condition::Refurbished, Condition::Used, Condition::Used];
    Some(Draft {
        title: simulation.chance.text(2, 6)?,
        description: simulation.chance.text(8, 40)?,
        category: simulation.chance.pick(CATEGORIES).and_then(|category| Slug::parse(category))?,
        condition: *simulation.chance.pick(&conditions)?,
        price: price(simulation)?,
        pickup: simulation.chance.happens(70).then(|| simulation.chance.text(2, 5)).flatten(),
        delivery: simulation.chance.happens(40).then(|| simulation.chance.text(2, 5)).flatten(),
    })
}

fn offer(simulation: &mut Simulation) {
    let Some((room, seller, by)) = simulation.some_member() else { return };
    let Some(draft) = draft(simulation) else { return };
    let request = simulation.request(seller).within(by.scope());
    let id = ListingId(request.command_id);
    if simulation.offline.ask::<Listing>(&listing::stream(id), &Command::PostListing { by, draft }, &request, simulation.now) {
        let listings = &mut simulation.market.listings;
        if listings.len() == RECENT {
            let (old, ..) = listings.remove(0);
            simulation.offline.forget(&listing::stream(old));
        }
        simulation.market.listings.push((id, room, seller));
    }
}

/// The seller of some listing wishes something of it.
fn on_some(simulation: &mut Simulation, command: impl FnOnce(&mut Simulation, Standing) -> Option<Command>) {
    let Some((id, room, seller)) = simulation.chance.pick(&simulation.market.listings).copied() else { return };
    let stream = listing::stream(id);
    let Some(origin) = simulation.offline.origin(&stream) else { return };
    let by = simulation.standing(seller, room).towards(origin);
    let scope = by.scope();
    let Some(command) = command(simulation, by) else { return };
    let request = simulation.request(seller).within(scope);
    simulation.offline.ask::<Listing>(&stream, &command, &request, simulation.now);
}

fn reprice(simulation: &mut Simulation) {
    on_some(simulation, |simulation, by| Some(Command::Reprice { by, price: price(simulation)? }));
}

fn edit(simulation: &mut Simulation) {
    on_some(simulation, |simulation, by| {
        let changes = Changes { description: simulation.chance.text(8, 40), ..Changes::default() };
        Some(Command::EditListing { by, changes })
    });
}

fn sell(simulation: &mut Simulation) {
    on_some(simulation, |simulation, by| {
        let to = simulation.somebody().filter(|buyer| by.person() != Some(*buyer));
        let price = simulation.chance.happens(60).then(|| price(simulation)).flatten();
        Some(Command::MarkSold { by, to, price })
    });
}

fn offer_again(simulation: &mut Simulation) {
    on_some(simulation, |_, by| Some(Command::MarkAvailable { by }));
}

fn withdraw(simulation: &mut Simulation) {
    on_some(simulation, |simulation, by| Some(Command::WithdrawListing { by, reason: simulation.chance.text(2, 8) }));
}
