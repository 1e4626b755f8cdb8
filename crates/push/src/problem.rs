//! Turns an error of the fetch into the problem that the run log records.

use catalog::problem::{Problem, code};
use fetch::{Error, Kind};

/// The error with its SQLSTATE, and a hint that names the option to check.
pub fn of_fetch(error: Error) -> Problem {
    let retry = "The next run tries again.";
    let (code, hint) = match error.kind {
        Kind::InvalidUrl => (code::BAD_SETTING, "Give --url a URL that is accepted.".into()),
        Kind::InvalidProxy => (code::BAD_SETTING, "Give --proxy a proxy that is accepted.".into()),
        Kind::UnknownHost => {
            (code::UNREACHABLE, "Check --url, --proxy, and the name resolution of this machine.".into())
        }
        Kind::NoConnection => (code::UNREACHABLE, "Check --url, --proxy, and the firewall.".into()),
        Kind::Tls => (
            code::TLS,
            "Check the certificate, the host name in --url, and the CA certificates of this machine.".into(),
        ),
        Kind::NoCaCertificates => {
            (code::TLS, "Install the CA certificates of the system (on Debian: ca-certificates).".into())
        }
        Kind::Timeout => (code::INCOMPLETE, "Check the network, or raise --timeout.".into()),
        Kind::Incomplete => (code::INCOMPLETE, retry.into()),
        Kind::OutOfMemory => (code::OUT_OF_MEMORY, "Free memory, or lower --max-body.".into()),
        Kind::Encoding => (code::NOT_JSON, "Check --url and any proxy in between.".into()),
        Kind::TooLarge => (code::TOO_LARGE, "If the response is a catalogue, raise --max-body.".into()),
        Kind::Status => (
            code::HTTP_STATUS,
            match (error.http_status, &error.location, error.retry_after) {
                (_, Some(location), _) => {
                    format!("Redirects are not followed. If you trust {location}, use it as --url.")
                }
                (Some(401 | 403 | 407), ..) => {
                    "The catalogue needs no key. Check --url and any proxy in between.".into()
                }
                (Some(404 | 410), ..) => "Check --url.".into(),
                (_, _, Some(pause)) => {
                    format!("The upstream asks to wait {} s. Push again after that time.", pause.as_secs())
                }
                _ => retry.into(),
            },
        ),
    };
    Problem { code, message: error.message, detail: error.detail, hint: Some(hint) }
}
