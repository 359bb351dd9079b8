//! How many connections the system has files for.

/// As many of `wanted` connections as there are files for: each is one, and some are left for databases. A bound that may be raised is.
#[cfg(unix)]
pub(crate) fn within(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Those of a server with its databases, where the system does not tell.
    let used = std::fs::read_dir("/proc/self/fd").map_or(128, |files| files.count() as u64);
    let needed = needed(wanted as u64, used);
    let raised = current.map(|current| current.max(maximum.map_or(needed, |maximum| needed.min(maximum))));
    if raised != current
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: raised, maximum })
    {
        tracing::debug!(%error, "the number of open files stays as it is");
    }
    let Some(limit) = getrlimit(Resource::Nofile).current else { return wanted };
    let room = room(limit, used);
    if room < wanted {
        tracing::warn!(limit, "no more than {room} connections at a time, not {wanted}: the system allows no more open files (ulimit -n)");
    }
    room.min(wanted)
}

/// Other systems have no such bound, or one that nobody can ask for.
#[cfg(not(unix))]
pub(crate) fn within(wanted: usize) -> usize {
    wanted
}

/// Files for so many connections beside `used`: what [`room`] finds room for.
#[cfg(unix)]
const fn needed(connections: u64, used: u64) -> u64 {
    used + connections * 3 / 2 + 3
}

/// Of the files that are left, two thirds; the others are for the reserve, for read models that are built, and for who connects to other
/// servers. One connection is always tried.
#[cfg(unix)]
fn room(limit: u64, used: u64) -> usize {
    usize::try_from(limit.saturating_sub(used) * 2 / 3).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_for_connections_gives_room_for_them() {
        for connections in [1, 2, 3, 100, 4096] {
            assert!(room(needed(connections, 40), 40) as u64 >= connections, "{connections}");
        }
        assert_eq!((room(64, 40), room(30, 40)), (16, 1));
    }

    #[test]
    fn no_more_is_allowed_than_is_wanted() {
        assert_eq!(within(1), 1);
    }
}
