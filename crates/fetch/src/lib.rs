//! One HTTP GET within limits: a deadline for everything, a maximum size, no redirects, https only except to
//! this machine.
//!
//! The future holds plain data only, so it can be dropped at any await point. An [`Error`] says what happened;
//! the caller knows which of its own options to name in a hint.

mod body;
mod error;
mod resolver;
mod url;

pub use error::{Error, Kind};
pub use url::{check_proxy, check_url};

use body::Body;
use error::{error_chain, excerpt};
use reqwest::header::{ACCEPT_ENCODING, LOCATION, RETRY_AFTER};
use reqwest::{Client, Proxy, Response, StatusCode, Url, redirect};
use resolver::Resolver;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout_at};

/// Attempts within the deadline, if another attempt may help.
const MAX_ATTEMPTS: u32 = 3;
/// Pause before the second attempt; it is doubled before the third.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How much of the body of an error response is read, in bytes.
const MAX_ERROR_BODY: usize = 4096;

/// What to fetch, and the limits.
#[derive(Debug, Clone)]
pub struct Request {
    /// The URL; [`check_url`] says which ones are accepted.
    pub url: String,
    /// The User-Agent header.
    pub user_agent: &'static str,
    /// The deadline for name lookup, connect, TLS, body and further attempts together.
    pub timeout: Duration,
    /// The maximum size of the body after decompression, in bytes.
    pub max_body: usize,
    /// The proxy: a URL, `none`, or empty to use the one from the environment. Requests to this machine use no proxy.
    pub proxy: String,
}

/// Fetches a URL and returns the decompressed body of a response with status 200.
///
/// # Errors
/// Fails unless a complete response with status 200 arrives within the limits.
pub async fn get(request: &Request) -> Result<Vec<u8>, Error> {
    let deadline = Instant::now() + request.timeout;
    let url = check_url(&request.url)?;
    let client = client(request, &url)?;
    let mut last: Option<Error> = None;
    for attempt in 1.. {
        let error = match attempt_once(&client, request, &url, deadline).await {
            Ok(body) => return Ok(body),
            Err(error) if error.kind == Kind::Timeout => return Err(after(error, last)),
            Err(error) => error,
        };
        let Some(least) = error.retry.filter(|_| attempt < MAX_ATTEMPTS) else { return Err(error) };
        let pause = least.max(FIRST_PAUSE * attempt);
        if Instant::now().checked_add(pause).is_none_or(|then| then >= deadline) {
            return Err(error);
        }
        sleep(pause).await;
        last = Some(error);
    }
    Err(after(timed_out(request, &url, None), last))
}

fn client(request: &Request, url: &Url) -> Result<Client, Error> {
    let mut builder = Client::builder()
        .dns_resolver(Arc::new(Resolver))
        .user_agent(request.user_agent)
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .https_only(url.scheme() == "https");
    if url::is_loopback(url) || request.proxy == "none" {
        builder = builder.no_proxy();
    } else if !request.proxy.is_empty() {
        check_proxy(&request.proxy)?;
        let proxy = Proxy::all(&request.proxy).map_err(|error| no_response(url, error))?;
        builder = builder.no_proxy().proxy(proxy);
    }
    builder.build().map_err(|error| no_response(url, error))
}

async fn attempt_once(
    client: &Client,
    request: &Request,
    url: &Url,
    deadline: Instant,
) -> Result<Vec<u8>, Error> {
    let response = timeout_at(deadline, client.get(url.clone()).header(ACCEPT_ENCODING, "gzip").send()).await;
    let response =
        response.map_err(|_| timed_out(request, url, None))?.map_err(|error| no_response(url, error))?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(bad_status(url, response, deadline).await);
    }
    let body = timeout_at(deadline, read_body(url, response, request.max_body)).await;
    body.unwrap_or_else(|_| Err(timed_out(request, url, Some(status))))
}

/// Reads the body. Its size counts after decompression, so a compressed body cannot fill the memory either.
async fn read_body(url: &Url, mut response: Response, max: usize) -> Result<Vec<u8>, Error> {
    let failed =
        |kind, message| Error { http_status: Some(StatusCode::OK.as_u16()), ..Error::new(kind, message) };
    let incomplete = |bytes: usize, cause: String| {
        failed(Kind::Incomplete, format!("the response from {url} is incomplete"))
            .detail(format!("It ended after {bytes} bytes: {cause}."))
            .retry_after_at_least(Duration::ZERO)
    };
    let mut body = Body::new(&response, max).map_err(|encoding| {
        let message = format!("the response from {url} has the unexpected content encoding \"{encoding}\"");
        failed(Kind::Encoding, message).detail("Only gzip was requested.")
    })?;
    let mut is_complete = false;
    while !is_complete {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| incomplete(body.read().bytes.len(), error_chain(&error)))?;
        is_complete = chunk.is_none();
        let read = match chunk {
            Some(chunk) => body.write(&chunk),
            None => body.end(),
        };
        if body.read().is_out_of_memory {
            return Err(failed(Kind::OutOfMemory, format!("out of memory for the response from {url}")));
        }
        if body.read().is_full {
            let message = format!("the response from {url} is larger than {max} bytes");
            return Err(failed(Kind::TooLarge, message));
        }
        read.map_err(|error| incomplete(body.read().bytes.len(), error.to_string()))?;
    }
    Ok(body.take())
}

/// The error for a response with a status other than 200.
async fn bad_status(url: &Url, mut response: Response, deadline: Instant) -> Error {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let location = header(LOCATION).map(|location| excerpt(&location));
    let retry_after = header(RETRY_AFTER).and_then(|value| parse_retry_after(&value));
    let text = match (Body::new(&response, MAX_ERROR_BODY), timeout_at(deadline, response.chunk()).await) {
        (Ok(mut body), Ok(Ok(Some(chunk)))) => {
            // what could be decoded is enough for a message
            drop(body.write(&chunk).and_then(|()| body.end()));
            excerpt(&String::from_utf8_lossy(&body.read().bytes))
        }
        _ => String::new(),
    };
    let mut error = Error::new(Kind::Status, format!("{url} responded with HTTP status {status}"));
    if !text.is_empty() {
        error = error.detail(format!("The response was: {text}"));
    }
    error.http_status = Some(status.as_u16());
    error.location = location.filter(|_| status.is_redirection());
    error.retry_after = retry_after;
    if matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504) {
        error = error.retry_after_at_least(retry_after.unwrap_or_default());
    }
    error
}

/// Parses a `Retry-After` header, which holds seconds or a date.
fn parse_retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The error for a request that got no HTTP response.
fn no_response(url: &Url, error: reqwest::Error) -> Error {
    let is_connect = error.is_connect();
    let chain = error_chain(&error.without_url());
    let has = |words: &[&str]| words.iter().any(|word| chain.contains(word));
    // reqwest has no types for these causes, so their texts decide
    let tls = ["certificate", "tls", "TLS", "handshake", "received corrupt message", "HandshakeFailure"];
    let (kind, message) = if has(&["No CA certificates"]) {
        (Kind::NoCaCertificates, "cannot verify the TLS certificate of")
    } else if has(&tls) {
        (Kind::Tls, "cannot establish a TLS connection to")
    } else if has(&["dns error", "lookup address"]) {
        (Kind::UnknownHost, "cannot resolve the host name of")
    } else if is_connect {
        (Kind::NoConnection, "cannot connect to")
    } else {
        (Kind::Incomplete, "no HTTP response from")
    };
    let error = Error::new(kind, format!("{message} {url}")).detail(format!("The cause is: {chain}."));
    match kind {
        Kind::Tls | Kind::NoCaCertificates => error,
        _ => error.retry_after_at_least(Duration::ZERO),
    }
}

/// The error for a request that took too long; `status` is that of the response whose body did not arrive.
fn timed_out(request: &Request, url: &Url, status: Option<StatusCode>) -> Error {
    let seconds = request.timeout.as_secs_f64();
    let error = Error::new(Kind::Timeout, format!("no complete response from {url} within {seconds} s"));
    Error { http_status: status.map(|status| status.as_u16()), ..error }
}

/// The error of an attempt, with what happened to the attempt before.
fn after(error: Error, last: Option<Error>) -> Error {
    let Some(last) = last else { return error };
    let http_status = error.http_status.or(last.http_status);
    Error { http_status, ..error.detail(format!("The attempt before failed: {}.", last.message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(parse_retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon"), None);
    }
}
