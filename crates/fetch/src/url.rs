//! Which URLs and proxies are accepted.

use crate::{Error, Kind};
use reqwest::Url;
use std::net::IpAddr;

/// Checks a URL: it must be https, or http to this machine, without a user, a password or a fragment.
///
/// # Errors
/// [`Kind::InvalidUrl`]
pub fn check_url(text: &str) -> Result<Url, Error> {
    let invalid = |detail: &str| Error::new(Kind::InvalidUrl, "invalid URL").detail(detail);
    let url = Url::parse(text).map_err(|error| invalid(&format!("The URL cannot be parsed: {error}.")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("The URL contains a user or a password, which logs would show."));
    }
    if url.fragment().is_some() {
        return Err(invalid("The URL contains a fragment, which is never sent."));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(invalid("Plain http is accepted for localhost, 127.0.0.0/8 and [::1] only.")),
        _ => Err(invalid("The scheme must be https.")),
    }
}

/// Checks a proxy: it must be empty, `none`, or an http or https URL without a user or a password.
///
/// # Errors
/// [`Kind::InvalidProxy`]
pub fn check_proxy(text: &str) -> Result<(), Error> {
    if text.is_empty() || text == "none" {
        return Ok(());
    }
    let invalid = |detail: &str| Error::new(Kind::InvalidProxy, "invalid proxy").detail(detail);
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| invalid("A proxy must be an http or https URL, \"none\", or empty."))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("The proxy URL contains a user or a password, which others could read."));
    }
    Ok(())
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
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
            assert_eq!(check_url(url).unwrap_err().kind, Kind::InvalidUrl, "{url}");
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
}
