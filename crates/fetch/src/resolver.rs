//! Looks up host names, one at a time in a process.
//!
//! The system's resolver blocks a thread for up to a minute if no name server answers, and nothing can end it. A fetch that
//! is tried again in the meantime waits for that thread, so that threads do not accumulate.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;
use tokio::sync::{Semaphore, oneshot};

static ONE: Semaphore = Semaphore::const_new(1);

#[derive(Debug)]
pub(crate) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = look_up(name.as_str().to_owned()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn look_up(host: String) -> io::Result<Vec<SocketAddr>> {
    let permit = ONE.acquire().await.map_err(io::Error::other)?;
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        // held until the lookup ends, even if nobody waits for it any more
        let _permit = permit;
        drop(sender.send((host.as_str(), 0).to_socket_addrs().map(Vec::from_iter)));
    };
    with_signals_blocked(|| thread::Builder::new().name("name lookup".into()).spawn(work))
        .map_err(|error| io::Error::new(error.kind(), format!("could not start a thread: {error}")))?;
    receiver.await.map_err(io::Error::other)?
}

/// Starts a thread that blocks all signals, as the calling thread does meanwhile. A signal handler of the program, such as
/// a handler of PostgreSQL, must run on the program's own thread.
#[allow(unsafe_code)] // signal masks are libc's
fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    let (mut all, mut before) = (std::mem::MaybeUninit::uninit(), std::mem::MaybeUninit::uninit());
    // SAFETY: sigfillset initialises the set that pthread_sigmask reads, and pthread_sigmask the one to return to.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        let started = start();
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        started
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_name_is_looked_up_at_a_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let soon = |host: &str| {
            let look_up = look_up(host.to_owned());
            runtime.block_on(async { tokio::time::timeout(Duration::from_millis(50), look_up).await })
        };
        // as a thread whose resolver does not answer
        let first = ONE.try_acquire().unwrap();
        for _ in 0..3 {
            assert!(soon("localhost").is_err(), "it waits for the first");
        }
        drop(first);
        assert!(!runtime.block_on(look_up("localhost".to_owned())).unwrap().is_empty());
    }
}
