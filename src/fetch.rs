//! Runs the fetch on the backend's own thread, in slices between which PostgreSQL's interrupts are served:
//! cancel, timeout, termination, and the barriers that other sessions wait for.

use crate::settings;
use catalog::fetch::{Failure, fetch};
use catalog::problem::{Problem, code};
use pgrx::check_for_interrupts;
use pgrx::prelude::*;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Longest time that an interrupt waits.
const SLICE: Duration = Duration::from_millis(100);

/// Fetches the catalogue; either `body` or `problem` (JSON) is not NULL.
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
    let config = settings::fetch_config();
    let url = config.url.clone();
    let row = match interruptible(async move { fetch(&config).await }) {
        Ok(body) => (url, Some(200), Some(body), None),
        Err(Failure { http_status, problem, .. }) => {
            let problem = serde_json::to_string(&problem).unwrap_or_else(|error| error.to_string());
            (url, http_status.map(i32::from), None, Some(problem))
        }
    };
    TableIterator::once(row)
}

/// Runs a future to its end, or until an interrupt raises an error and unwinds through here.
///
/// The future holds plain data only: it is dropped half-way when that happens.
fn interruptible<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = EndedInBackground::new()?;
    let mut future = Box::pin(future);
    loop {
        let slice = async { tokio::time::timeout(SLICE, &mut future).await };
        match runtime.block_on(slice) {
            Ok(result) => {
                // a last look before anything is written
                check_for_interrupts!();
                return result;
            }
            // returns after a barrier or a reload: then the same future goes on
            Err(_) => {
                check_for_interrupts!();
            }
        }
    }
}

/// A runtime whose end waits for nothing: a name lookup that hangs would hold up a cancel otherwise.
struct EndedInBackground(Option<Runtime>);

impl EndedInBackground {
    fn new() -> Result<Self, Problem> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .on_thread_start(mask_signals)
            .build()
            .map_err(|error| Problem::new(code::UNREACHABLE, format!("cannot start the fetch: {error}")))?;
        Ok(Self(Some(runtime)))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            None => unreachable!("the runtime is taken on drop only"),
        }
    }
}

impl Drop for EndedInBackground {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// PostgreSQL's signals are for its own thread: a handler that ran on a helper thread would corrupt the backend.
#[allow(unsafe_code)] // signal masks are libc's
fn mask_signals() {
    let mut all = std::mem::MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the set that pthread_sigmask reads.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
    }
}
