//! Open files: every connection needs one, and the system limits them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that the program needs beside connections: standard error, the runtime, listeners, a JWKS, a file.
const OTHER: u64 = 32;

/// Raises the limit of open files as far as the system allows it. Returns the limit; None means that there is none.
#[must_use]
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let highest = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // where even this is refused, the limit stays as it is
    let _ = setrlimit(Resource::Nofile, highest);
    getrlimit(Resource::Nofile).current
}

/// How many connections of clients a limit of open files leaves, beside so many others.
#[must_use]
pub fn left(limit: u64, others: u64) -> usize {
    usize::try_from(limit.saturating_sub(OTHER).saturating_sub(others)).unwrap_or(usize::MAX)
}
