//! Which pages of other origins may read the answers of the service in a browser.

use axum::http::header::{ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method};
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use url::Url;

/// How long a browser may remember the answer to a preflight.
const MAX_AGE: Duration = Duration::from_secs(7200);

/// Answers preflights, and names the origin in every answer to it. A page needs a token, which no browser sends by itself,
/// so it may send any header: clients such as OpenAI's have their own.
pub fn layer(origins: &[HeaderValue]) -> CorsLayer {
    let any = origins.iter().any(|origin| origin == "*");
    CorsLayer::new()
        .allow_origin(if any { AllowOrigin::any() } else { AllowOrigin::list(origins.iter().cloned()) })
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([ETAG, RETRY_AFTER, WWW_AUTHENTICATE, HeaderName::from_static("x-request-id")])
        .max_age(MAX_AGE)
}

/// Reads an origin as browsers send it, or `*`.
///
/// # Errors
/// Fails if no browser would send it.
pub fn origin(text: &str) -> Result<HeaderValue, String> {
    let expected = match Url::parse(text) {
        _ if text == "*" => text.into(),
        // the origin of a page on the web
        Ok(url) if url.origin().is_tuple() => url.origin().ascii_serialization(),
        // that of an app or an extension, such as tauri://localhost
        Ok(url) if url.has_host() => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
        }
        _ => return Err("it is not an origin, such as https://app.example".into()),
    };
    if text != expected {
        return Err(format!("browsers send the origin {expected}"));
    }
    HeaderValue::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for good in [
            "*",
            "https://app.example",
            "http://localhost:3000",
            "tauri://localhost",
            "chrome-extension://abc",
        ] {
            assert_eq!(origin(good).unwrap(), good);
        }
        for bad in [
            "",
            "app.example",
            "https://app.example/",
            "https://App.example",
            "https://app.example:443",
            "null",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
