//! Stories of what is for sale.

mod listings;
mod market_million;
mod sellers;
