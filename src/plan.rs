//! Plans a run from a document and the state of the table, which is JSON.

use crate::{ensure_memory, gucs, out_of_memory};
use catalog::plan::{OutOfMemory, from_json};
use pgrx::check_for_interrupts;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cell::Cell;

/// The memory that planning needs for any document and any state, in bytes.
const RESERVE: usize = 16 << 20;

/// Plans a run, and returns the plan in lines. `state` is the result of `_model_access_state()`.
#[pg_extern(sql = false)]
fn _model_access_plan(
    document: &[u8],
    state: &str,
    max_removals: Option<i32>,
) -> Result<String, ErrorReport> {
    // the fetch has freed several copies of the document
    give_back_memory(document.len());
    // for the document: its entries, some of their values twice, and the plan; for the state: the rows
    ensure_memory(RESERVE + 6 * document.len() + 4 * state.len(), function_name!())?;
    let max_removals = max_removals.map(i32::unsigned_abs);
    let poll = || {
        check_for_interrupts!();
    };
    let plan = from_json(document, state, max_removals, gucs::limits(), &poll);
    let plan = plan.map_err(|error| {
        let message = format!("could not read the state of the tables: {error}");
        ErrorReport::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message, function_name!())
    })?;
    give_back_memory(document.len());
    let rows = Cell::new(0);
    let poll = || {
        poll();
        rows.set(rows.get() + 1);
        // the rows become lines, which need as much memory again
        if rows.get() % 1000 == 0 {
            give_back_memory(document.len());
        }
    };
    let lines = plan.into_lines(&poll).map_err(|OutOfMemory| out_of_memory(function_name!()));
    give_back_memory(document.len());
    lines
}

/// The length of a document from which on its memory is returned to the system, in bytes. For a smaller one, to get the
/// memory again in the next step takes longer than to plan.
const LARGE: usize = 2 << 20;

/// Returns freed memory to the system: the many small pieces that held the entries would stay with the session.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)] // a function of the C library
fn give_back_memory(length: usize) {
    if length >= LARGE {
        // SAFETY: it changes no memory in use.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(not(target_env = "gnu"))]
fn give_back_memory(_: usize) {}
