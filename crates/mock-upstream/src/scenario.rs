//! What a request asks the stand-in to do, read from its query.

/// One answer. Keys of the query, all optional:
///
/// | key | the answer |
/// | --- | --- |
/// | `catalogue=NAME` | that recorded catalogue; without it the newest by name |
/// | `take=N` | only its first N models |
/// | `without=ID` | all but this model; may be repeated |
/// | `only=AUTHOR` | only the models of this author |
/// | `total_count=N`, `next=URL` | these values beside the list |
/// | `body=TEXT` | this text in place of a catalogue |
/// | `bytes=N` | N bytes of white space in place of a catalogue |
/// | `status=N` | this HTTP status |
/// | `location=URL`, `retry_after=TEXT` | these headers |
/// | `times=N` | all this for the first N requests with this query, then the plain catalogue |
/// | `cut=N` | the connection ends after N bytes of the body |
/// | `stall=headers`, `stall=body` | nothing more after the request, or after half of the body |
/// | `drip=1` | a byte every ten milliseconds |
/// | `plain=1` | without compression, whatever the client accepts |
/// | `encoding=NAME` | that content-encoding in place of gzip; the body is gzip all the same |
/// | `gate=1` | waits for `MockUpstream::release` |
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)] // the table above
pub struct Scenario {
    pub catalogue: Option<String>,
    pub take: Option<usize>,
    pub without: Vec<String>,
    pub only: Option<String>,
    pub total_count: Option<u64>,
    pub next: Option<String>,
    pub body: Option<String>,
    pub bytes: Option<u64>,
    pub status: Option<u16>,
    pub location: Option<String>,
    pub retry_after: Option<String>,
    pub cut: Option<usize>,
    pub stall: Option<String>,
    pub drip: bool,
    pub plain: bool,
    pub encoding: Option<String>,
    pub gate: bool,
}

impl Scenario {
    /// Reads a query that has been asked `repeat` times before.
    #[must_use]
    pub fn read(query: &str, repeat: u64) -> Self {
        let mut scenario = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*key {
                "catalogue" => scenario.catalogue = Some(value),
                "take" => scenario.take = value.parse().ok(),
                "without" => scenario.without.push(value),
                "only" => scenario.only = Some(value),
                "total_count" => scenario.total_count = value.parse().ok(),
                "next" => scenario.next = Some(value),
                "body" => scenario.body = Some(value),
                "bytes" => scenario.bytes = value.parse().ok(),
                "status" => scenario.status = value.parse().ok(),
                "location" => scenario.location = Some(value),
                "retry_after" => scenario.retry_after = Some(value),
                "times" if value.parse().is_ok_and(|times: u64| repeat >= times) => return Self::default(),
                "cut" => scenario.cut = value.parse().ok(),
                "stall" => scenario.stall = Some(value),
                "drip" => scenario.drip = true,
                "plain" => scenario.plain = true,
                "encoding" => scenario.encoding = Some(value),
                "gate" => scenario.gate = true,
                _ => {}
            }
        }
        scenario
    }

    /// Whether the answer is not a catalogue byte for byte as it was recorded.
    pub(crate) fn alters(&self) -> bool {
        self.take.is_some()
            || !self.without.is_empty()
            || self.only.is_some()
            || self.total_count.is_some()
            || self.next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;

    #[test]
    fn a_query_is_a_scenario() {
        let scenario =
            Scenario::read("catalogue=2026-08-22&without=a/b%3Afree&without=c/d&status=503&times=1", 0);
        assert_eq!(scenario.without, ["a/b:free", "c/d"]);
        assert_eq!(scenario.status, Some(503));
        assert_eq!(Scenario::read("status=503&times=1", 1), Scenario::default());
    }
}
