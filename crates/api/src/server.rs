//! Connections of clients: how they are accepted, limited and ended.

use crate::client::Peer;
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

/// Longest head of a request, in bytes: the longest token, and as much again for the rest.
const MAX_HEAD: usize = 2 * crate::auth::MAX_TOKEN;
/// Most header fields of a request.
const MAX_HEADERS: usize = 64;
/// A connection of this age ends with its next answer, or soon after, so that no client keeps one forever.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Pause after a connection could not be accepted, for example because there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Longest wait for the head of a request, and for a client to read more of an answer. An idle connection waits
    /// for the head of its next request.
    pub client_timeout: Duration,
    /// Longest wait for unfinished requests at the end.
    pub shutdown_timeout: Duration,
}

/// Listens on an address, or on every address of a name. Port 0 picks one free port for all.
///
/// # Errors
/// Fails if the name has no address, or if an address that this machine has cannot be listened on.
pub async fn bind(listen: &str) -> io::Result<Vec<TcpListener>> {
    bind_each(lookup_host(listen).await?).await
}

async fn bind_each(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut missing = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for mut address in addresses {
        if let (0, Some(first)) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr()?.port());
        }
        // a name may have an address twice
        if listeners.iter().any(|listener| listener.local_addr().is_ok_and(|known| known == address)) {
            continue;
        }
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            // localhost has an address of IPv6 also where the system has no IPv6
            Err(error) if is_of_another_machine(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() { Err(missing) } else { Ok(listeners) }
}

/// Whether this machine does not have the address.
fn is_of_another_machine(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// Serves until `stop` is ready, then waits for unfinished requests. False if some did not finish in time.
pub async fn serve(
    listeners: Vec<TcpListener>,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> bool {
    let (ending, _) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            // frees the task of a connection that ended
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listeners, &slots) => accepted,
        };
        match accepted {
            Ok((stream, peer, slot)) => {
                let (router, ending) = (router.clone(), ending.subscribe());
                connections.spawn(serve_connection(
                    stream,
                    peer,
                    router,
                    limits.client_timeout,
                    Arc::new(slot),
                    ending,
                ));
            }
            // the client left before its connection was accepted
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listeners);
    ending.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    timeout(limits.shutdown_timeout, all_ended).await.is_ok()
}

async fn accept(
    listeners: &[TcpListener],
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let any = |context: &mut Context<'_>| {
        let mut accepted = listeners.iter().map(|listener| listener.poll_accept(context));
        accepted.find(Poll::is_ready).unwrap_or(Poll::Pending)
    };
    let (stream, address) = poll_fn(any).await?;
    // without this option answers are correct, but later
    drop(stream.set_nodelay(true));
    Ok((stream, Peer(address.ip().to_canonical()), slot))
}

async fn serve_connection(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    client_timeout: Duration,
    slot: Arc<OwnedSemaphorePermit>,
    mut ending: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        let (answer, slot) = (router.clone().oneshot(request.map(Body::new)), Arc::clone(&slot));
        // In its own task, a request finishes although its client leaves: it is counted and logged like any other, and
        // returns its connection to the database. Until then it occupies the client's slot.
        let answer = tokio::spawn(async move {
            let answer = answer.await;
            drop(slot);
            answer
        });
        async move {
            let Ok(answer) = answer.await?;
            Ok::<_, JoinError>(answer)
        }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(client_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(client_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    let rest = tokio::select! {
        // whether it ended well or not, the client is gone
        ended = &mut connection => return drop(ended),
        // serve() has a timeout of its own
        _ = ending.wait_for(|ending| *ending) => Duration::MAX,
        () = sleep(MAX_AGE) => client_timeout,
    };
    connection.as_mut().graceful_shutdown();
    drop(timeout(rest, connection).await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn each_address_of_a_name_is_served() {
        // one address twice, and one that no machine has
        let addresses = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0", "192.0.2.1:0"];
        let listeners = bind_each(addresses.iter().map(|text| text.parse().unwrap())).await.unwrap();
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert_eq!(
            addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>(),
            ["127.0.0.1", "127.0.0.2"]
        );
        assert_eq!(addresses.first().map(SocketAddr::port), addresses.last().map(SocketAddr::port));
        assert!(bind_each(["192.0.2.1:0".parse().unwrap()].into_iter()).await.is_err());
        assert!(bind_each(std::iter::empty()).await.is_err());
        assert!(bind_each(addresses.clone().into_iter()).await.is_err(), "somebody listens there");
        let second = Duration::from_secs(1);
        let limits = Limits { connections: 10, client_timeout: second, shutdown_timeout: second };
        let router = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(serve(listeners, router, limits, std::future::pending()));
        for address in addresses {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("here"), "{address}: {answer}");
        }
    }
}
