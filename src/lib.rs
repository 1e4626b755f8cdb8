//! The library of the extension: functions that need a PostgreSQL backend. The crate `catalog` plans a run; SQL
//! functions, in the files that `sql/order` lists, write and answer.

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

// the files that sql/order lists
include!(concat!(env!("OUT_DIR"), "/sql.rs"));

/// Called once by each backend that loads the library.
#[pg_guard]
#[allow(unsafe_code, non_snake_case)] // exported under the name that PostgreSQL looks up
pub extern "C-unwind" fn _PG_init() {
    gucs::register();
}
