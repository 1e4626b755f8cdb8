//! Conditional requests: a strong `ETag` over the body, and 304 where the client has it.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use sha2::{Digest, Sha256};

/// A JSON body with its tag.
#[derive(Debug, Clone)]
pub struct Answer {
    body: Bytes,
    tag: HeaderValue,
    digest: [u8; 32],
}

impl Answer {
    /// Tags a body.
    #[must_use]
    pub fn new(body: String) -> Self {
        let digest = Sha256::digest(body.as_bytes());
        let tag = format!("\"{digest:x}\"");
        let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body: body.into(), tag, digest: digest.into() }
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

    /// 200 with the body, 200 without it for HEAD, or 304 where `If-None-Match` names it.
    #[must_use]
    pub fn respond(&self, method: &Method, headers: &HeaderMap) -> Response {
        let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|value| matches(value, &self.tag));
        let body = if is_known || *method == Method::HEAD { Bytes::new() } else { self.body.clone() };
        let mut response = Response::new(Body::from(body));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(ETAG, self.tag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(VARY, HeaderValue::from_static("Authorization"));
        // also in a 304 and for HEAD it is the length of the whole
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// Whether a value of `If-None-Match` names the tag; weakly, as RFC 9110 has it.
fn matches(value: &HeaderValue, tag: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    // a tag with a comma inside is cut in two here, and neither half is one of ours
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
        for known in
            [&["TAG"][..], &["*"], &["W/TAG"], &["\"a\", TAG"], &["\"a,b\",W/TAG , \"c\""], &["\"a\"", "TAG"]]
        {
            assert_eq!(status(known), 304, "{known:?}");
        }
        for unknown in [&[][..], &[""], &["\"a\""], &["w/TAG"], &["W/ TAG"], &["x TAG"], &["\"*\""]] {
            assert_eq!(status(unknown), 200, "{unknown:?}");
        }
    }

    #[test]
    fn the_tag_is_sha_256_of_the_body() {
        let expected = "\"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"";
        assert_eq!(Answer::new("{}".into()).tag, expected);
    }
}
