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

use pgrx::pg_sys::panic::ErrorReport;
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

/// The version of the library, which differs from that of the SQL objects until they are upgraded.
#[pg_extern(sql = false)]
fn _model_access_library_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Asks for memory in one piece and gives it back, so that a limit on the memory raises an error here. Where a small piece
/// cannot be allocated later, Rust would abort the process, and PostgreSQL would restart all sessions.
fn ensure_memory(bytes: usize, function: &'static str) -> Result<(), ErrorReport> {
    let mut piece: Vec<u8> = Vec::new();
    piece.try_reserve_exact(bytes).map_err(|_| out_of_memory(function))?;
    // otherwise the compiler may leave out an allocation that nothing uses
    std::hint::black_box(&piece);
    Ok(())
}

fn out_of_memory(function: &'static str) -> ErrorReport {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY, "out of memory", function)
        .set_detail("The memory that a run of model_access can need is not available.")
        .set_hint("Raise the limit on the memory of the server's processes, or lower model_access.max_body.")
}
