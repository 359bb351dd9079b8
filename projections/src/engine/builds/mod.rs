//! How builds are moved over the log.
//!
//! - [`subscriber`]: a build that is moved
//! - [`decode`]: a page of the log, each event decoded once for all its readers; [`care`]: what cannot be stored
//! - [`fold`]: what was decoded into the rows of all; [`compute`]: where what keeps a processor busy is done
//! - [`subscription`]: builds that move together, one batch in one transaction; live or catching up
//! - [`bulk`]: batches as large as memory allows, written in many short transactions, for builds under construction
//! - [`catch_up`]: from where builds stand to where the log ends; [`pace`]: how fast
//! - [`lifecycle`]: how builds begin and end

pub mod bulk;
pub mod care;
pub mod catch_up;
pub mod compute;
pub mod decode;
pub mod fold;
pub mod lifecycle;
pub mod pace;
pub mod subscriber;
pub mod subscription;
