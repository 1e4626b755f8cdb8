//! The PostgreSQL side, thin: what needs a backend is here, what decides is in the crate `catalog`, and
//! what writes and answers is SQL. The files that `sql/order` names are the rest
//! of the extension.

mod as_owner;
mod enforce;
mod fetch;
mod functions;
mod gucs;
mod plan;
mod profiles;
mod standby;

use pgrx::prelude::*;

pgrx::pg_module_magic!();

// the files that sql/order names
include!(concat!(env!("OUT_DIR"), "/sql.rs"));

/// Called once by each backend that loads the library.
#[pg_guard]
#[allow(unsafe_code, non_snake_case)] // exported under the name that PostgreSQL looks up
pub extern "C-unwind" fn _PG_init() {
    gucs::register();
}
