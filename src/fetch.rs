//! Runs the fetch on the backend's own thread. Between slices it processes PostgreSQL's interrupts: cancel, timeout,
//! termination, and the barriers that other sessions wait for.

use crate::{ensure_memory, gucs, out_of_memory};
use ::fetch::{Error, Kind, get};
use catalog::problem::{Problem, code};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{check_for_interrupts, pg_sys};
use std::io;
use std::time::Duration;
use tokio::runtime::Builder;

/// The longest time that an interrupt waits.
const SLICE: Duration = Duration::from_millis(100);
/// The memory that a fetch needs besides the body, in bytes; most of it is for TLS.
const RESERVE: usize = 16 << 20;

/// Fetches the catalogue. Either `body` or `problem` (JSON) is not NULL.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // the macro reads the columns from this type
fn _model_access_fetch() -> Result<
    TableIterator<
        'static,
        (
            name!(url, String),
            name!(http_status, Option<i32>),
            name!(body, Option<Vec<u8>>),
            name!(problem, Option<String>),
        ),
    >,
    ErrorReport,
> {
    ensure_memory(RESERVE, function_name!())?;
    let request = gucs::fetch_request();
    let url = request.url.clone();
    let (http_status, result) = match interruptible(async move { get(&request).await }) {
        Ok(Ok(body)) => (Some(200), Ok(body)),
        Ok(Err(error)) if error.kind == Kind::OutOfMemory => return Err(out_of_memory(function_name!())),
        Ok(Err(error)) => (error.http_status, Err(problem(error))),
        Err(error) => {
            (None, Err(Problem::new(code::UNREACHABLE, format!("could not start the fetch: {error}"))))
        }
    };
    let http_status = http_status.map(i32::from);
    Ok(TableIterator::once(match result {
        Ok(body) => (url, http_status, Some(body), None),
        Err(problem) => {
            let problem = serde_json::to_string(&problem).unwrap_or_else(|error| error.to_string());
            (url, http_status, None, Some(problem))
        }
    }))
}

/// The error with its SQLSTATE, and a HINT that names the parameter to check.
fn problem(error: Error) -> Problem {
    let retry = "The next run tries again.";
    let (code, hint) = match error.kind {
        Kind::InvalidUrl => (code::BAD_SETTING, "Set model_access.url to a URL that is accepted.".into()),
        Kind::InvalidProxy => (code::BAD_SETTING, "Set model_access.proxy to a proxy that is accepted.".into()),
        Kind::UnknownHost => (
            code::UNREACHABLE,
            "Check model_access.url, model_access.proxy, and the name resolution of the server.".into(),
        ),
        Kind::NoConnection => {
            (code::UNREACHABLE, "Check model_access.url, model_access.proxy, and the firewall.".into())
        }
        Kind::Tls => (
            code::TLS,
            "Check the certificate, the host name in model_access.url, and the CA certificates of the server.".into(),
        ),
        Kind::NoCaCertificates => {
            (code::TLS, "Install the CA certificates of the system (on Debian: ca-certificates).".into())
        }
        Kind::Timeout => (code::INCOMPLETE, "Check the network, or raise model_access.timeout.".into()),
        Kind::Incomplete => (code::INCOMPLETE, retry.into()),
        // an error instead, see _model_access_fetch
        Kind::OutOfMemory => (code::OUT_OF_MEMORY, retry.into()),
        Kind::Encoding => (code::NOT_JSON, "Check model_access.url and any proxy in between.".into()),
        Kind::TooLarge => {
            (code::TOO_LARGE, "If the response is a catalogue, raise model_access.max_body.".into())
        }
        Kind::Status => (
            code::HTTP_STATUS,
            match (error.http_status, &error.location, error.retry_after) {
                (_, Some(location), _) => {
                    format!("Redirects are not followed. If you trust {location}, set model_access.url to it.")
                }
                (Some(401 | 403 | 407), ..) => {
                    "The catalogue needs no key. Check model_access.url and any proxy in between.".into()
                }
                (Some(404 | 410), ..) => "Check model_access.url.".into(),
                (_, _, Some(pause)) => {
                    format!("The upstream asks to wait {} s. Run the sync again after that time.", pause.as_secs())
                }
                _ => retry.into(),
            },
        ),
    };
    Problem { code, message: error.message, detail: error.detail, hint: Some(hint) }
}

/// Runs a future to its end, or until an interrupt raises an error, which drops the future: it must hold plain data
/// only.
fn interruptible<T>(future: impl Future<Output = T>) -> io::Result<T> {
    // no task of the runtime blocks, so dropping it waits for nothing
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut future = Box::pin(future);
    loop {
        let slice = waiting(|| runtime.block_on(async { tokio::time::timeout(SLICE, &mut future).await }));
        exit_without_postmaster();
        // the last check before anything is written; after a barrier or a reload it returns, and the future continues
        check_for_interrupts!();
        if let Ok(result) = slice {
            return Ok(result);
        }
    }
}

/// Does work that pg_stat_activity shows as a wait.
#[allow(unsafe_code)] // a field of the backend's own entry in shared memory
fn waiting<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: an error on the way ends the transaction, which ends the wait.
    unsafe {
        pg_sys::pgstat_report_wait_start(wait_event());
        let result = work();
        pg_sys::pgstat_report_wait_end();
        result
    }
}

/// The wait event of the fetch; before PostgreSQL 17, all extensions have the same one.
fn wait_event() -> u32 {
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    let event = pg_sys::PG_WAIT_EXTENSION;
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    #[allow(unsafe_code)] // it finds or makes the entry of this name in shared memory
    // SAFETY: the name is static.
    let event = unsafe { pg_sys::WaitEventExtensionNew(c"ModelAccessFetch".as_ptr()) };
    event
}

/// Ends the process if the postmaster is gone, as PostgreSQL does wherever it waits. A backend that lives on would keep
/// the server from starting again.
#[allow(unsafe_code)] // the latch of the backend
fn exit_without_postmaster() {
    let events = pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: without WL_LATCH_SET the latch is not used; with a timeout of 0 this returns at once.
    unsafe { pg_sys::WaitLatch(std::ptr::null_mut(), events as i32, 0, wait_event()) };
}
