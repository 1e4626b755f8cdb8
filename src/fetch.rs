//! Runs the fetch on the backend's own thread. Between slices it processes PostgreSQL's interrupts: cancel, timeout,
//! termination, and the barriers that other sessions wait for.

use crate::gucs;
use ::fetch::{Error, Kind, get};
use catalog::problem::{Problem, code};
use pgrx::check_for_interrupts;
use pgrx::prelude::*;
use std::io;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// The longest time that an interrupt waits.
const SLICE: Duration = Duration::from_millis(100);

/// Fetches the catalogue. Either `body` or `problem` (JSON) is not NULL.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // the macro reads the columns from this type
fn _model_access_fetch() -> TableIterator<
    'static,
    (
        name!(url, String),
        name!(http_status, Option<i32>),
        name!(body, Option<Vec<u8>>),
        name!(problem, Option<String>),
    ),
> {
    let request = gucs::fetch_request();
    let url = request.url.clone();
    let (http_status, result) = match interruptible(async move { get(&request).await }) {
        Ok(Ok(body)) => (Some(200), Ok(body)),
        Ok(Err(error)) => (error.http_status, Err(problem(error))),
        Err(error) => {
            (None, Err(Problem::new(code::UNREACHABLE, format!("could not start the fetch: {error}"))))
        }
    };
    let http_status = http_status.map(i32::from);
    TableIterator::once(match result {
        Ok(body) => (url, http_status, Some(body), None),
        Err(problem) => {
            let problem = serde_json::to_string(&problem).unwrap_or_else(|error| error.to_string());
            (url, http_status, None, Some(problem))
        }
    })
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
    let runtime = DetachedRuntime::new()?;
    let mut future = Box::pin(future);
    loop {
        let slice = async { tokio::time::timeout(SLICE, &mut future).await };
        match runtime.block_on(slice) {
            Ok(result) => {
                // the last check before anything is written
                check_for_interrupts!();
                return Ok(result);
            }
            // after a barrier or a reload this returns, and the future continues
            Err(_) => {
                check_for_interrupts!();
            }
        }
    }
}

/// A runtime that waits for none of its tasks when it is dropped. Otherwise a slow name lookup would delay a cancel.
struct DetachedRuntime(Option<Runtime>);

impl DetachedRuntime {
    fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .on_thread_start(mask_signals)
            .build()?;
        Ok(Self(Some(runtime)))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            None => unreachable!("the runtime is taken on drop only"),
        }
    }
}

impl Drop for DetachedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Blocks all signals on a helper thread: a handler of PostgreSQL that ran there would corrupt the backend.
#[allow(unsafe_code)] // signal masks are libc's
fn mask_signals() {
    let mut all = std::mem::MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the set that pthread_sigmask reads.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
    }
}
