//! A JSON answer with its `ETag`, and 304 for a client that has the answer already.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use sha2::{Digest, Sha256};

/// A JSON body, its digest, and the strong `ETag` made of the digest.
#[derive(Debug, Clone)]
pub struct Answer {
    body: Bytes,
    tag: HeaderValue,
    digest: [u8; 32],
}

impl Answer {
    /// An answer with this body.
    #[must_use]
    pub fn new(body: String) -> Self {
        let digest: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::from_str(&format!("\"{digits}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body: body.into(), tag, digest }
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// SHA-256 of the body.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// 304 if `If-None-Match` names the tag; otherwise 200, with the body unless the method is HEAD.
    #[must_use]
    pub fn respond(&self, method: &Method, headers: &HeaderMap) -> Response {
        let is_current = headers.get_all(IF_NONE_MATCH).iter().any(|value| matches(value, &self.tag));
        let body = if is_current || *method == Method::HEAD { Bytes::new() } else { self.body.clone() };
        let mut response = Response::new(Body::from(body));
        if is_current {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(ETAG, self.tag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(VARY, HeaderValue::from_static("Authorization"));
        // in a 304 and for HEAD this is the length of the body that a GET would have
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// Whether a value of `If-None-Match` names the tag, by weak comparison (RFC 9110, section 13.1.2).
fn matches(value: &HeaderValue, tag: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    // a tag that contains a comma is split here; neither part can equal a tag of this service
    value
        .split(',')
        .map(str::trim)
        .any(|part| part == "*" || part.strip_prefix("W/").unwrap_or(part).as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(values: &[&str]) -> u16 {
        let answer = Answer::new("{}".into());
        let mut headers = HeaderMap::new();
        for value in values {
            let tag = answer.tag.to_str().unwrap();
            headers.append(IF_NONE_MATCH, value.replace("TAG", tag).parse().unwrap());
        }
        answer.respond(&Method::GET, &headers).status().as_u16()
    }

    #[test]
    fn if_none_match_is_a_list_of_tags_strong_or_weak() {
        for current in
            [&["TAG"][..], &["*"], &["W/TAG"], &["\"a\", TAG"], &["\"a,b\",W/TAG , \"c\""], &["\"a\"", "TAG"]]
        {
            assert_eq!(status(current), 304, "{current:?}");
        }
        for other in [&[][..], &[""], &["\"a\""], &["w/TAG"], &["W/ TAG"], &["x TAG"], &["\"*\""]] {
            assert_eq!(status(other), 200, "{other:?}");
        }
    }

    #[test]
    fn the_tag_is_sha_256_of_the_body() {
        let expected = "\"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"";
        assert_eq!(Answer::new("{}".into()).tag, expected);
    }
}
