//! Connections: accepting, bounding, and ending them in good order.

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

/// Longest head of a request, in bytes: a token and as much again for the rest.
const MAX_HEAD: usize = 2 * crate::auth::MAX_TOKEN;
/// Most header fields of a request.
const MAX_HEADERS: usize = 64;
/// After this age a connection ends with its next answer, or soon after, so that no client holds one for ever.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Pause after a connection could not be accepted, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What bounds the connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Longest wait for the head of a request, which is also the longest that a kept connection idles, and for a
    /// client to take more of an answer.
    pub patience: Duration,
    /// How long requests in flight have at the end.
    pub grace: Duration,
}

/// Serves until `stop` is ready, then lets the requests in flight finish; false where the grace was not enough.
pub async fn serve(
    listener: TcpListener,
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
            // ended ones are let go of
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let (router, ending) = (router.clone(), ending.subscribe());
                connections.spawn(converse(stream, router, limits.patience, Arc::new(slot), ending));
            }
            // a client that left before it was let in
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    ending.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    timeout(limits.grace, all_ended).await.is_ok()
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // without it answers are as right, only later
    drop(stream.set_nodelay(true));
    Ok((stream, slot))
}

async fn converse(
    stream: TcpStream,
    router: Router,
    patience: Duration,
    slot: Arc<OwnedSemaphorePermit>,
    mut ending: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (answer, slot) = (router.clone().oneshot(request.map(Body::new)), Arc::clone(&slot));
        // a task of its own, so that a request whose client leaves is ended, counted and logged like any other,
        // and gives its connection to the database back in order; until then it takes up the client's place
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
    stream.set_write_timeout(Some(patience));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    let rest = tokio::select! {
        // however it ended, there is nobody to tell
        ended = &mut connection => return drop(ended),
        // serve() has its own
        _ = ending.wait_for(|ending| *ending) => Duration::MAX,
        () = sleep(MAX_AGE) => patience,
    };
    connection.as_mut().graceful_shutdown();
    drop(timeout(rest, connection).await);
}
