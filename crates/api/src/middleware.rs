//! Around every request: it gets an id, and is counted and logged.

use crate::client::{Peer, Proxies};
use crate::code::Code;
use crate::metrics::Metrics;
use crate::problem::Problem;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is accepted from a client.
const MAX_REQUEST_ID: usize = 64;

/// Counts requests, and gives them ids.
pub struct Observer {
    metrics: Arc<Metrics>,
    proxies: Proxies,
    ids: RequestIds,
}

impl Observer {
    /// An observer that counts in `metrics`, and trusts these proxies.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>, proxies: &Proxies) -> Self {
        Self { metrics: Arc::clone(metrics), proxies: proxies.clone(), ids: RequestIds::default() }
    }
}

/// Ids for requests without an id of their own.
#[derive(Default)]
struct RequestIds {
    random: RandomState,
    count: AtomicU64,
}

impl RequestIds {
    fn next(&self) -> String {
        format!("{:016x}", self.random.hash_one(self.count.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Counts a request and logs it. The log contains no secret: no query, no token, no user. It contains the client only
/// if the token is refused, so that somebody who guesses can be found.
pub async fn observe(State(observer): State<Arc<Observer>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = request.headers().get(REQUEST_ID).and_then(safe_id).unwrap_or_else(|| observer.ids.next());
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let peer = request.extensions().get::<Peer>().copied();
    let client = peer.map(|peer| observer.proxies.client(peer, request.headers()));
    let mut response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (status, took) = (response.status(), start.elapsed());
    observer.metrics.answered(route, status.as_str(), took);
    let code = response.extensions().get::<Code>().map(|code| code.name());
    let client = client.filter(|_| status == StatusCode::UNAUTHORIZED).map(tracing::field::display);
    let status = status.as_u16();
    tracing::info!(
        method,
        route,
        status,
        code,
        client,
        milliseconds = took.as_secs_f64() * 1000.0,
        request_id = id,
        "request"
    );
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Refuses a request without a Host (RFC 9112, section 3.2): a proxy and the service might take it for different ones.
pub async fn require_host(request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_valid = match (hosts.next(), hosts.next()) {
        (None, _) => request.version() < Version::HTTP_11,
        (Some(host), None) => host.to_str().is_ok_and(|host| {
            host.is_empty()
                || host
                    .parse::<Authority>()
                    .is_ok_and(|parsed| parsed.as_str() == host && !host.contains('@'))
        }),
        _ => false,
    };
    if is_valid { next.run(request).await } else { Problem::from(Code::HostInvalid).into_response() }
}

/// The name of a method. An unknown method is not logged, because it may be a token in the wrong place.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}

/// The id from a client or a proxy, if it is safe to log.
fn safe_id(id: &HeaderValue) -> Option<String> {
    let id = id.to_str().ok()?;
    let is_safe = (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_safe.then(|| id.to_owned())
}
