//! Connections of clients: how they are accepted, limited and ended.

mod places;

use crate::client::Peer;
use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
pub use places::Counts;
use places::{Place, Places};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::watch;
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
/// Most connections that wait to be accepted; the system may allow fewer. With few, a crowd keeps others waiting: a client
/// that finds the queue full tries again a second later.
const BACKLOG: u32 = 4096;
/// Pause after a connection could not be accepted, for example because there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time that an idle connection has for one more request when the service ends. A request that is on its way when a
/// connection is closed is lost.
const LAST_REQUEST: Duration = Duration::from_millis(500);
/// Longest wait for the client to close its side. If the service closed first, what the client still sends would reset
/// the connection, and the client might lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// The limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at once. For a further one, the connection that is idle for longest is closed; if none is idle,
    /// it waits.
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
        match listen(address) {
            Ok(listener) => listeners.push(listener),
            // localhost has an address of IPv6 also where the system has no IPv6
            Err(error) if is_of_another_machine(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() { Err(missing) } else { Ok(listeners) }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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
    counts: Counts,
    stop: impl Future<Output = ()>,
) -> bool {
    let (ending, _) = watch::channel(false);
    let places = Places::new(limits.connections, counts);
    let mut connections = JoinSet::new();
    let last_request = LAST_REQUEST.min(limits.shutdown_timeout / 2);
    let spawn = |connections: &mut JoinSet<()>, stream: TcpStream, peer: Peer, place: Place| {
        let (router, ending) = (router.clone(), ending.subscribe());
        let client_timeout = limits.client_timeout;
        let place = Arc::new(place);
        connections.spawn(serve_connection(
            stream,
            peer,
            router,
            client_timeout,
            last_request,
            place,
            ending,
        ));
    };
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            // frees the task of a connection that ended
            Some(_) = connections.join_next() => continue,
            accepted = poll_fn(|context| poll_accept(&listeners, context)) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let place = tokio::select! {
                    biased; // an accepted connection is served, if a place is free
                    place = places.take() => place,
                    () = &mut stop => break,
                };
                spawn(&mut connections, stream, peer, place);
            }
            // the client left before its connection was accepted
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    ending.send_replace(true);
    // the system resets what is not accepted when a listener is closed
    while let Poll::Ready(accepted) = poll_fn(|context| Poll::Ready(poll_accept(&listeners, context))).await {
        let (Ok((stream, peer)), Some(place)) = (accepted, places.try_take()) else { break };
        spawn(&mut connections, stream, peer, place);
    }
    drop(listeners);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    timeout(limits.shutdown_timeout, all_ended).await.is_ok()
}

fn poll_accept(listeners: &[TcpListener], context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, Peer)>> {
    let mut accepted = listeners.iter().map(|listener| listener.poll_accept(context));
    accepted.find(Poll::is_ready).unwrap_or(Poll::Pending).map_ok(|(stream, address)| {
        // if the option cannot be set, answers are correct, but come later
        drop(stream.set_nodelay(true));
        (stream, Peer(address.ip().to_canonical()))
    })
}

async fn serve_connection(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    client_timeout: Duration,
    last_request: Duration,
    place: Arc<Place>,
    mut ending: watch::Receiver<bool>,
) {
    let (own, ends) = (Arc::clone(&place), ending.clone());
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        let (answer, place) = (router.clone().oneshot(request.map(Body::new)), Arc::clone(&own));
        place.begin();
        // In its own task, a request finishes although its client leaves: it is counted and logged like any other, and
        // returns its connection to the database. Until then it occupies the client's place.
        let answer = tokio::spawn(async move {
            let answer = answer.await;
            place.end();
            answer
        });
        let (own, ends) = (Arc::clone(&own), ends.clone());
        Box::pin(async move {
            let Ok(mut answer) = answer.await?;
            if *ends.borrow() || own.ends_with_next() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, JoinError>(answer)
        })
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(client_timeout));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(client_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    // the result does not matter: when the connection ends, there is nothing more to answer
    let waits = tokio::select! {
        biased;
        _ = poll_fn(|context| connection.poll_without_shutdown(context)) => None,
        () = place.wanted() => {
            if !place.has_spoken() {
                return;
            }
            Pin::new(&mut connection).graceful_shutdown();
            let ended = poll_fn(|context| connection.poll_without_shutdown(context));
            drop(timeout(client_timeout, ended).await);
            return;
        }
        // serve() has a timeout of its own
        () = async { drop(ending.wait_for(|ending| *ending).await) } => Some((last_request, Duration::MAX)),
        () = sleep(MAX_AGE) => Some((client_timeout, client_timeout)),
    };
    if let Some((for_request, for_answer)) = waits {
        place.end_with_next();
        let ended = poll_fn(|context| connection.poll_without_shutdown(context));
        if timeout(for_request, ended).await.is_err() {
            Pin::new(&mut connection).graceful_shutdown();
            let ended = poll_fn(|context| connection.poll_without_shutdown(context));
            if timeout(for_answer, ended).await.is_err() {
                return;
            }
        }
    }
    let mut stream = connection.into_parts().io.into_inner();
    close(stream.as_mut().get_pin_mut().get_mut()).await;
}

/// Closes a connection so that the client gets all that was sent.
async fn close(stream: &mut TcpStream) {
    let linger = async {
        stream.shutdown().await?;
        while stream.read(&mut [0; 1024]).await? > 0 {}
        io::Result::Ok(())
    };
    drop(timeout(LINGER, linger).await);
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
        tokio::spawn(serve(listeners, router, limits, Counts::new().unwrap(), std::future::pending()));
        for address in addresses {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("here"), "{address}: {answer}");
        }
    }
}
