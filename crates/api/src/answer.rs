//! A JSON answer with its `ETag`, compressed if the client accepts gzip, and 304 for a client that has the answer already.

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// A body that is not longer fits into one packet, and is not compressed.
const NOT_COMPRESSED: usize = 1024;

/// A JSON body, its digest, and the digits of the digest, of which the strong `ETag` is made.
#[derive(Debug, Clone)]
pub struct Answer {
    body: Bytes,
    /// The body as gzip, made when a client first accepts that, for all that answer with the same list. `None` if that
    /// would not save half of the bytes.
    gzip: Arc<OnceLock<Option<Bytes>>>,
    digits: Arc<str>,
    digest: [u8; 32],
}

impl Answer {
    /// An answer with this body.
    #[must_use]
    pub fn new(body: String) -> Self {
        let digest: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { body: body.into(), gzip: Arc::default(), digits: digits.into(), digest }
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// The most memory that the answer takes, in bytes: the body and its compressed form.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len() + self.body.len() / 2
    }

    /// SHA-256 of the body.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// 304 if `If-None-Match` names the answer; otherwise 200, with the body unless the method is HEAD.
    #[must_use]
    pub fn respond(&self, method: &Method, headers: &HeaderMap) -> Response {
        let is_current = headers.get_all(IF_NONE_MATCH).iter().any(|value| matches(value, &self.digits));
        let gzip = if accepts_gzip(headers) { self.gzip() } else { None };
        let is_gzip = gzip.is_some();
        let whole = gzip.unwrap_or_else(|| self.body.clone());
        let length = HeaderValue::from(whole.len());
        let body = if is_current || *method == Method::HEAD { Bytes::new() } else { whole };
        let mut response = Response::new(Body::from(body));
        if is_current {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        // a strong tag differs where the bytes differ
        let tag = format!("\"{}{}\"", self.digits, if is_gzip { "-gzip" } else { "" });
        headers.insert(ETAG, HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\"")));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(VARY, HeaderValue::from_static("Authorization, Accept-Encoding"));
        if is_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // in a 304 and for HEAD this is the length of the body that a GET would have
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// The body as gzip, unless compression does not help.
    fn gzip(&self) -> Option<Bytes> {
        if self.body.len() <= NOT_COMPRESSED {
            return None;
        }
        let compress = || {
            let mut encoder = GzEncoder::new(Vec::with_capacity(self.body.len() / 4), Compression::fast());
            encoder.write_all(&self.body).ok()?;
            let mut bytes = encoder.finish().ok()?;
            bytes.shrink_to_fit();
            (bytes.len() <= self.body.len() / 2).then(|| bytes.into())
        };
        self.gzip.get_or_init(compress).clone()
    }
}

/// Whether a value of `If-None-Match` names an answer with these digits, by weak comparison (RFC 9110, section 13.1.2).
fn matches(value: &HeaderValue, digits: &str) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let names = |part: &str| {
        let tag = part.strip_prefix("W/").unwrap_or(part);
        let inner = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        // a proxy that compresses appends the name of the coding, as this service does: "…-gzip", "…-br"
        inner.is_some_and(|inner| inner.split_once('-').map_or(inner, |(before, _)| before) == digits)
    };
    // a tag that contains a comma is split here; neither part can equal a tag of this service
    value.split(',').map(str::trim).any(|part| part == "*" || names(part))
}

/// Whether the client accepts gzip (RFC 9110, section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any) = (None, None);
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        let is_accepted = weight.is_ok_and(|weight| weight > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(is_accepted),
            "*" => any = Some(is_accepted),
            _ => {}
        }
    }
    gzip.or(any).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(values: &[&str]) -> u16 {
        let answer = Answer::new("{}".into());
        let mut headers = HeaderMap::new();
        for value in values {
            let tag = format!("\"{}\"", answer.digits);
            let value = value.replace("TAG", &tag).replace("DIGITS", &answer.digits);
            headers.append(IF_NONE_MATCH, value.parse().unwrap());
        }
        answer.respond(&Method::GET, &headers).status().as_u16()
    }

    #[test]
    fn if_none_match_is_a_list_of_tags_strong_or_weak() {
        for current in [
            &["TAG"][..],
            &["*"],
            &["W/TAG"],
            &["\"a\", TAG"],
            &["\"a,b\",W/TAG , \"c\""],
            &["\"a\"", "TAG"],
            &["\"DIGITS-gzip\""],
            &["W/\"DIGITS-br\""],
            &["\"DIGITS--gzip\""],
        ] {
            assert_eq!(status(current), 304, "{current:?}");
        }
        for other in [
            &[][..],
            &[""],
            &["\"a\""],
            &["w/TAG"],
            &["W/ TAG"],
            &["x TAG"],
            &["\"*\""],
            &["DIGITS"],
            &["\"xDIGITS-gzip\""],
        ] {
            assert_eq!(status(other), 200, "{other:?}");
        }
    }

    #[test]
    fn the_tag_is_sha_256_of_the_body() {
        let expected = "\"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"";
        let response = Answer::new("{}".into()).respond(&Method::GET, &HeaderMap::new());
        assert_eq!(response.headers()[ETAG], expected);
    }

    #[test]
    fn gzip_is_sent_to_those_who_accept_it_if_it_helps() {
        let encoding = |body: &str, accepted: &str| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, accepted.parse().unwrap())]);
            let response = Answer::new(body.into()).respond(&Method::GET, &headers);
            response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned())
        };
        let long = "[0,1]".repeat(1000);
        for accepted in
            ["gzip", "br, GZIP;q=0.1", "x-gzip", "*", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip, *;q=0"]
        {
            assert_eq!(encoding(&long, accepted).as_deref(), Some("gzip"), "{accepted}");
        }
        for refused in ["", "identity", "br", "gzip;q=0", "*, gzip;q=0", "*;q=0", "gzip;q=x", "notgzip"] {
            assert_eq!(encoding(&long, refused), None, "{refused}");
        }
        assert_eq!(encoding("[]", "gzip"), None);
    }
}
