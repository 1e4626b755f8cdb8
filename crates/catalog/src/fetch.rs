//! One GET of the catalogue: one deadline over everything, a cap on the body, no redirects, https only
//! except to this machine itself. The future holds plain data only, so that a backend can drop it.

use crate::problem::{Problem, code, excerpt};
use flate2::write::MultiGzDecoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use std::error::Error;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout_at};

/// Attempts within the deadline, where trying again may help.
const MAX_ATTEMPTS: u32 = 3;
/// Pause before the second attempt; doubled before the third.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest part of an error answer, a header or a cause that is repeated in a message, in bytes.
const MAX_QUOTED: usize = 200;

/// What to fetch and within which limits.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the catalogue is; checked by [`check_url`].
    pub url: String,
    /// The deadline over name lookup, connect, TLS, body and further attempts.
    pub timeout: Duration,
    /// Largest body, in bytes, after decompression.
    pub max_body: usize,
    /// Which proxy: empty = from the environment, `none`, or a URL. Never used to reach this machine.
    pub proxy: String,
}

/// Why there is no complete answer with status 200.
#[derive(Debug)]
pub struct Failure {
    /// The HTTP status, if the upstream answered at all.
    pub http_status: Option<u16>,
    /// What happened.
    pub problem: Problem,
    /// Whether another attempt may help, and the shortest pause before it.
    retry: Option<Duration>,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { http_status: None, problem, retry: None }
    }
}

/// Checks a value of `model_access.url`.
///
/// # Errors
/// A URL that is not https (http is for loopback), or that carries a user, a password or a fragment.
pub fn check_url(text: &str) -> Result<Url, Problem> {
    let bad = |detail: &str| {
        Problem::new(code::BAD_SETTING, "invalid URL of a model catalogue")
            .detail(detail)
            .hint("A usable URL is https://openrouter.ai/api/v1/models.")
    };
    let url = Url::parse(text).map_err(|error| bad(&format!("The URL cannot be read: {error}.")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("The URL carries a user or a password, which logs would show."));
    }
    if url.fragment().is_some() {
        return Err(bad("The URL carries a fragment, which is never sent."));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(bad("Plain http is accepted for localhost, 127.0.0.0/8 and [::1] only.")),
        _ => Err(bad("The scheme is not https.")),
    }
}

/// Checks a value of `model_access.proxy`.
///
/// # Errors
/// A value that is neither empty, nor `none`, nor an http or https URL; a URL with a user or a password.
pub fn check_proxy(text: &str) -> Result<(), Problem> {
    if text.is_empty() || text == "none" {
        return Ok(());
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if let Some(url) = url {
        if url.username().is_empty() && url.password().is_none() {
            return Ok(());
        }
        return Err(Problem::new(code::BAD_SETTING, "invalid proxy")
            .detail("A user or a password in a setting can be read by others.")
            .hint("Put such a URL into the environment, as HTTPS_PROXY, and leave the setting empty."));
    }
    Err(Problem::new(code::BAD_SETTING, "invalid proxy")
        .detail("A proxy is an http or https URL, none, or empty for the server's environment.")
        .hint("A usable proxy is http://proxy.example:3128."))
}

/// Fetches the catalogue: the body of an answer with status 200, decompressed.
///
/// # Errors
/// Anything but a complete answer with status 200 within the limits.
pub async fn fetch(config: &Config) -> Result<Vec<u8>, Failure> {
    let deadline = Instant::now() + config.timeout;
    let url = check_url(&config.url)?;
    let client = client(config, &url)?;
    let mut last: Option<Failure> = None;
    for attempt in 1.. {
        let failure = match timeout_at(deadline, get(&client, &url, config.max_body)).await {
            Ok(Ok(body)) => return Ok(body),
            Ok(Err(failure)) => failure,
            Err(_) => return Err(too_late(config, &url, last)),
        };
        let Some(least) = failure.retry.filter(|_| attempt < MAX_ATTEMPTS) else { return Err(failure) };
        let pause = least.max(FIRST_PAUSE * attempt);
        if Instant::now().checked_add(pause).is_none_or(|then| then >= deadline) {
            return Err(failure);
        }
        sleep(pause).await;
        last = Some(failure);
    }
    Err(too_late(config, &url, last))
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

fn client(config: &Config, url: &Url) -> Result<Client, Problem> {
    let mut builder = Client::builder()
        .user_agent(concat!("model_access/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .https_only(url.scheme() == "https");
    if is_loopback(url) || config.proxy == "none" {
        builder = builder.no_proxy();
    } else if !config.proxy.is_empty() {
        check_proxy(&config.proxy)?;
        let proxy = reqwest::Proxy::all(&config.proxy).map_err(|error| transport(url, error).problem)?;
        builder = builder.no_proxy().proxy(proxy);
    }
    builder.build().map_err(|error| transport(url, error).problem)
}

async fn get(client: &Client, url: &Url, max_body: usize) -> Result<Vec<u8>, Failure> {
    let response = client
        .get(url.clone())
        .header(ACCEPT_ENCODING, "gzip")
        .send()
        .await
        .map_err(|error| transport(url, error))?;
    if response.status() != StatusCode::OK {
        return Err(refused(url, response).await);
    }
    body(url, response, max_body).await
}

/// The body, counted after decompression, so that neither a large nor a compressed one fills the memory.
async fn body(url: &Url, mut response: Response, max: usize) -> Result<Vec<u8>, Failure> {
    let failed = |problem, retry| Failure { http_status: Some(StatusCode::OK.as_u16()), problem, retry };
    let broke_off = |bytes: usize, cause: String| {
        let problem = Problem::new(code::INCOMPLETE, format!("the answer of {url} broke off"))
            .detail(format!("It ended after {bytes} bytes with: {cause}."))
            .hint("The next run tries again.");
        failed(problem, Some(Duration::ZERO))
    };
    let too_large = || {
        let what = format!("the answer of {url} is larger than {max} bytes");
        let problem =
            Problem::new(code::TOO_LARGE, what).hint("If that is a catalogue, raise model_access.max_body.");
        failed(problem, None)
    };
    let mut body = Body::new(&response, max).map_err(|encoding| {
        let what = format!("the answer of {url} is encoded as {encoding}, which was not asked for");
        let problem = Problem::new(code::NOT_JSON, what)
            .hint("Look at what stands between the server and the upstream.");
        failed(problem, None)
    })?;
    let mut is_whole = false;
    while !is_whole {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| broke_off(body.read().bytes.len(), causes(&error)))?;
        is_whole = chunk.is_none();
        let read = match chunk {
            Some(chunk) => body.write(&chunk),
            None => body.end(),
        };
        if body.read().is_full {
            return Err(too_large());
        }
        read.map_err(|error| broke_off(body.read().bytes.len(), error.to_string()))?;
    }
    Ok(std::mem::take(&mut body.read_mut().bytes))
}

/// A body as it arrives.
enum Body {
    Plain(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

impl Body {
    /// As the answer says that it is encoded; the name of an encoding that is not known here.
    fn new(response: &Response, max: usize) -> Result<Self, String> {
        let encoding = response.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes());
        let encoding = String::from_utf8_lossy(encoding.unwrap_or_default()).trim().to_ascii_lowercase();
        let body = Capped { bytes: Vec::new(), max, is_full: false };
        match encoding.as_str() {
            "" | "identity" => Ok(Self::Plain(body)),
            "gzip" | "x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(body)))),
            other => Err(excerpt(other, MAX_QUOTED)),
        }
    }

    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(body) => body.write_all(chunk),
            Self::Gzip(decoder) => decoder.write_all(chunk),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
        }
    }

    /// What has been read, decoded.
    fn read(&self) -> &Capped {
        match self {
            Self::Plain(body) => body,
            Self::Gzip(decoder) => decoder.get_ref(),
        }
    }

    fn read_mut(&mut self) -> &mut Capped {
        match self {
            Self::Plain(body) => body,
            Self::Gzip(decoder) => decoder.get_mut(),
        }
    }
}

/// Bytes up to a maximum; what is too much is an error.
struct Capped {
    bytes: Vec<u8>,
    max: usize,
    is_full: bool,
}

impl Write for Capped {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let room = self.max - self.bytes.len();
        self.is_full |= part.len() > room;
        self.bytes.extend_from_slice(part.get(..room).unwrap_or(part));
        if self.is_full { Err(io::Error::other("it is too large")) } else { Ok(part.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer with a status other than 200.
async fn refused(url: &Url, mut response: Response) -> Failure {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let location = header(LOCATION).map(|location| excerpt(&location, MAX_QUOTED));
    let retry_after = header(RETRY_AFTER).and_then(|value| retry_after(&value));
    let said = match (Body::new(&response, 4096), response.chunk().await) {
        (Ok(mut body), Ok(Some(chunk))) => {
            // as much of it as there is
            drop(body.write(&chunk).and_then(|()| body.end()));
            excerpt(&String::from_utf8_lossy(&body.read().bytes), MAX_QUOTED)
        }
        _ => String::new(),
    };
    let mut problem = Problem::new(code::HTTP_STATUS, format!("{url} answered with HTTP status {status}"));
    if !said.is_empty() {
        problem = problem.detail(format!("It said: {said}"));
    }
    problem = problem.hint(match (status.as_u16(), location, retry_after) {
        (300..=399, Some(location), _) => {
            format!("Redirects are not followed. If you trust {location}, set model_access.url to it.")
        }
        (401 | 403 | 407, ..) => {
            "The catalogue needs no key: check model_access.url, and a proxy on the way.".into()
        }
        (404 | 410, ..) => "Check model_access.url.".into(),
        (_, _, Some(pause)) => {
            format!("The upstream asks to wait {} s; run the sync again after that.", pause.as_secs())
        }
        _ => "The next run tries again.".into(),
    });
    let may_pass = matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504);
    let retry = may_pass.then(|| retry_after.unwrap_or_default());
    Failure { http_status: Some(status.as_u16()), problem, retry }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// No HTTP answer: name, route, proxy, TLS, or a connection that broke.
fn transport(url: &Url, error: reqwest::Error) -> Failure {
    let is_connect = error.is_connect();
    let causes = causes(&error.without_url());
    let has = |words: &[&str]| words.iter().any(|word| causes.contains(word));
    let (code, message, hint) = if has(&["No CA certificates"]) {
        (code::TLS, "cannot verify", "Install the CA certificates of the system (Debian: ca-certificates).")
    } else if has(&["certificate", "tls", "TLS", "handshake", "received corrupt message", "HandshakeFailure"])
    {
        (
            code::TLS,
            "cannot trust",
            "Check the certificate, the host name in model_access.url and the server's CA store.",
        )
    } else if has(&["dns error", "lookup address"]) {
        (
            code::UNREACHABLE,
            "cannot resolve the host of",
            "Check model_access.url, the server's name resolution, and the proxy if there is one.",
        )
    } else if is_connect {
        (
            code::UNREACHABLE,
            "cannot connect to",
            "Check model_access.url, the firewall, and the proxy if one is needed.",
        )
    } else {
        (code::INCOMPLETE, "no HTTP answer from", "The next run tries again.")
    };
    let retry = (code != code::TLS).then_some(Duration::ZERO);
    let problem =
        Problem::new(code, format!("{message} {url}")).detail(format!("The cause: {causes}.")).hint(hint);
    Failure { http_status: None, problem, retry }
}

fn too_late(config: &Config, url: &Url, last: Option<Failure>) -> Failure {
    let seconds = config.timeout.as_secs_f64();
    let mut problem =
        Problem::new(code::INCOMPLETE, format!("no complete answer from {url} within {seconds} s"))
            .hint("Look at the network on the way, or raise model_access.timeout.");
    if let Some(last) = &last {
        problem = problem.detail(format!("An attempt before ended with: {}.", last.problem.message));
    }
    Failure { http_status: last.and_then(|last| last.http_status), problem, retry: None }
}

/// The innermost causes of an error, outermost first, without the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // hyper's own wrapper says nothing more
        if causes.last() != Some(&text) && !text.starts_with("client error") {
            causes.push(text);
        }
        cause = error.source();
    }
    if causes.is_empty() {
        causes.push(error.to_string());
    }
    excerpt(&causes.join(": "), MAX_QUOTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_or_this_machine() {
        for url in [
            "https://openrouter.ai/api/v1/models",
            "https://eu.openrouter.ai/api/v1/models?output_modalities=all",
            "http://localhost:8080/",
            "http://127.0.0.2/x",
            "http://[::1]:1/",
        ] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "openrouter.ai",
            "http://openrouter.ai/",
            "http://127.0.0.1.example/",
            "http://localhost.example/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "https://user:secret@openrouter.ai/",
            "https://openrouter.ai/#x",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_proxy_is_a_url_none_or_empty() {
        assert!(["", "none", "http://proxy:3128", "https://proxy/"].iter().all(|p| check_proxy(p).is_ok()));
        assert!(
            ["proxy:3128", "socks5://proxy", "off", "https://u:p@proxy/"]
                .iter()
                .all(|p| check_proxy(p).is_err())
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }

    fn read(encoding: &str, parts: &[&[u8]], max: usize) -> Result<Vec<u8>, String> {
        let answer = http::Response::builder().header(CONTENT_ENCODING, encoding).body("").unwrap();
        let mut body = Body::new(&Response::from(answer), max)?;
        for part in parts {
            body.write(part).map_err(|error| error.to_string())?;
        }
        body.end().map_err(|error| error.to_string())?;
        Ok(std::mem::take(&mut body.read_mut().bytes))
    }

    #[test]
    fn a_body_is_decoded_by_any_name_of_gzip_and_capped() {
        let text = "model ".repeat(1000).into_bytes();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        let gzip = encoder.finish().unwrap();
        for encoding in ["gzip", "x-gzip", "X-GZip", " gzip "] {
            let by_byte: Vec<&[u8]> = gzip.chunks(1).collect();
            assert_eq!(read(encoding, &[&gzip], 6000), Ok(text.clone()), "{encoding}");
            assert_eq!(read(encoding, &by_byte, 6000), Ok(text.clone()), "{encoding}");
            assert_eq!(read(encoding, &[&gzip], 5999).unwrap_err(), "it is too large");
            assert!(read(encoding, &[&gzip[..gzip.len() - 1]], 6000).is_err(), "it is cut");
            assert!(read(encoding, &[&text], 6000).is_err(), "it is not gzip");
        }
        for encoding in ["", "identity"] {
            assert_eq!(read(encoding, &[&text[..10], &text[10..]], 6000), Ok(text.clone()));
            assert_eq!(read(encoding, &[&text[..10], &text[10..]], 5999).unwrap_err(), "it is too large");
        }
        assert_eq!(read("br", &[], 6000).unwrap_err(), "br");
        assert_eq!(read("gzip, br", &[], 6000).unwrap_err(), "gzip, br");
    }
}
