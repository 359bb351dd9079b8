//! Read model `seller_open_groups_v1`: where somebody offered something in public. The queries are in [`crate::catalogue`].
//!
//! A seller's catalogue must cost the same whatever they offer in groups that the reader knows nothing of: with the reader's own groups
//! these are all where something may be found.

use crate::{Fold, Keys, Projection, projection, row};
use circolo_domain::Event;
use circolo_domain::access::Privacy;
use circolo_domain::listing::Event as Listed;
use circolo_events::Recorded;

row! {
    /// A group in which somebody offered something while it was public: only there others than its members may read of it.
    pub struct SellerOpenGroupRow in "seller_open_groups_v1" {
        /// The seller, a dot, and the group.
        pub id: String,
        /// Who offers.
        pub seller: String,
        /// Where.
        pub group_id: String,
    }
    index "by_seller" (seller, group_id);
}

impl Fold for SellerOpenGroupRow {
    fn keys(event: &Recorded) -> Keys {
        let (Event::Listing(Listed::Posted { seller, .. }), Some(scope)) = (&event.event, event.metadata.scope) else { return Keys::NONE };
        scope.group().filter(|_| scope.privacy == Privacy::Public).map(|group| format!("{seller}.{group}")).into()
    }

    fn fold(row: Option<Self>, key: &str, _: &Recorded) -> Option<Self> {
        let Some((seller, group)) = key.split_once('.') else { return row };
        Some(Self { id: key.to_owned(), seller: seller.to_owned(), group_id: group.to_owned() })
    }
}

/// The projection of this file.
pub fn sellers() -> Projection {
    projection("sellers", 1).reads(&["listing"]).row::<SellerOpenGroupRow>()
}
