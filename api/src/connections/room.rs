//! Places for connections: so many in all and for each address, some for health when the others are taken. Who comes when all are
//! taken gets the place of whoever has said nothing for longest.

use super::pulse::Pulse;
use crate::rate::block;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Places kept for health, at most.
const RESERVE: usize = 32;

/// All places of a listener.
#[derive(Debug)]
pub(super) struct Room {
    all: usize,
    reserve: usize,
    per_address: Option<usize>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    open: HashMap<u64, Place>,
    by_address: HashMap<IpAddr, usize>,
    in_reserve: usize,
}

#[derive(Debug)]
struct Place {
    pulse: Arc<Pulse>,
    address: IpAddr,
    reserve: bool,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    room: Arc<Room>,
    id: u64,
    pulse: Arc<Pulse>,
    reserve: bool,
}

impl Room {
    pub fn new(all: usize, per_address: Option<usize>) -> Self {
        // Where there are few, the reserve is small too.
        Self { all, reserve: RESERVE.min(all / 4).max(2), per_address, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `address`; `None` where even the reserve is full of those who are served.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let address = block(address);
        let mut taken = self.taken();
        let crowded = self.per_address.is_some_and(|most| taken.by_address.get(&address).is_some_and(|count| *count >= most));
        let full = taken.open.len() - taken.in_reserve >= self.all;
        let room = match (crowded, full) {
            (true, _) => taken.dismiss(|place| !place.reserve && place.address == address),
            (false, true) => taken.dismiss(|place| !place.reserve),
            (false, false) => true,
        };
        let reserve = !room;
        if reserve && taken.in_reserve >= self.reserve && !taken.dismiss(|place| place.reserve) {
            return None;
        }
        let (pulse, id) = (Arc::new(Pulse::new()), taken.next);
        taken.next += 1;
        taken.add(id, Place { pulse: pulse.clone(), address, reserve });
        drop(taken);
        Some(Seat { room: self.clone(), id, pulse, reserve })
    }

    /// Takes its place away from whoever has said nothing for longest.
    pub fn make_room(&self) {
        self.taken().dismiss(|_| true);
    }

    /// Tells all to end after what they are at.
    pub fn finish(&self) {
        self.taken().open.values().for_each(|place| place.pulse.finish());
    }
}

impl Taken {
    fn add(&mut self, id: u64, place: Place) {
        if place.reserve {
            self.in_reserve += 1;
        } else {
            *self.by_address.entry(place.address).or_default() += 1;
        }
        self.open.insert(id, place);
    }

    fn remove(&mut self, id: u64) {
        let Some(place) = self.open.remove(&id) else { return };
        if place.reserve {
            self.in_reserve -= 1;
        } else if let Some(count) = self.by_address.get_mut(&place.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&place.address);
            }
        }
    }

    /// Takes the place of the one among `those` that has said nothing for longest; false if all are being answered.
    fn dismiss(&mut self, those: impl Fn(&Place) -> bool) -> bool {
        let silent = self.open.iter().filter(|(_, place)| those(place));
        let longest = silent.filter_map(|(id, place)| Some((place.pulse.silent_since()?, *id))).min();
        let Some((_, id)) = longest else { return false };
        if let Some(place) = self.open.get(&id) {
            place.pulse.dismiss();
        }
        self.remove(id);
        true
    }
}

impl Seat {
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    pub fn is_reserve(&self) -> bool {
        self.reserve
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.taken().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// They are being answered.
    fn busy<'a>(seats: impl IntoIterator<Item = &'a Seat>) {
        for seat in seats {
            seat.pulse().asked();
        }
    }

    #[test]
    fn who_says_nothing_gives_way_to_whoever_comes() {
        let room = Arc::new(Room::new(2, None));
        let (first, second) = (room.enter(address(1)).unwrap(), room.enter(address(2)).unwrap());
        first.pulse().asked();
        let third = room.enter(address(3)).unwrap();
        assert!(!third.is_reserve());
        assert_eq!([&first, &second, &third].map(|seat| seat.pulse().is_unwanted()), [false, true, false]);
        // To leave a place that was taken away gives nobody's back.
        drop(second);
        third.pulse().asked();
        assert!(room.enter(address(4)).unwrap().is_reserve(), "both are being answered");
    }

    #[test]
    fn an_address_has_its_bound_and_others_keep_their_places() {
        let room = Arc::new(Room::new(10, Some(2)));
        let other = room.enter(address(1)).unwrap();
        let crowd: Vec<Seat> = (0..3).map(|_| room.enter(address(2)).unwrap()).collect();
        assert_eq!(crowd.iter().filter(|seat| seat.pulse().is_unwanted()).count(), 1);
        assert!(!other.pulse().is_unwanted());
        busy(&crowd);
        assert!(room.enter(address(2)).unwrap().is_reserve());
        assert!(!room.enter(address(3)).unwrap().is_reserve());
        // A network of IPv6 is one.
        let network = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, host]);
        let hosts = [1, 2].map(|host| room.enter(network(host)).unwrap());
        busy(&hosts);
        assert!(room.enter(network(3)).unwrap().is_reserve());
        assert!(!room.enter(IpAddr::from([0x2001, 0xdb8, 0, 8, 0, 0, 0, 1])).unwrap().is_reserve());
    }

    #[test]
    fn the_reserve_is_bounded_too_and_gives_its_places_back() {
        let room = Arc::new(Room::new(1, None));
        let taken = room.enter(address(1)).unwrap();
        taken.pulse().asked();
        let reserve: Vec<Seat> = (0..2).map(|_| room.enter(address(1)).unwrap()).collect();
        assert!(reserve.iter().all(Seat::is_reserve));
        let newer = room.enter(address(1)).unwrap();
        assert!(newer.is_reserve() && reserve.iter().any(|seat| seat.pulse().is_unwanted()));
        busy(reserve.iter().chain([&newer]));
        assert!(room.enter(address(1)).is_none());
        drop((taken, reserve, newer));
        assert!(!room.enter(address(1)).unwrap().is_reserve());
        let left = room.taken();
        assert_eq!((left.open.len(), left.by_address.len(), left.in_reserve), (0, 0, 0));
    }
}
