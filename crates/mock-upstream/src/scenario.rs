//! The response that a request asks for in its query.

/// One response. All keys of the query are optional:
///
/// | key | response |
/// | --- | --- |
/// | `catalogue=NAME` | this catalogue; without the key, the last one in name order |
/// | `take=N` | only its first N models |
/// | `without=ID` | all but this model; may be repeated |
/// | `only=AUTHOR` | only the models of this author |
/// | `total_count=N`, `next=URL` | these values next to the list |
/// | `body=TEXT` | this text instead of a catalogue |
/// | `bytes=N` | N bytes of white space instead of a catalogue |
/// | `status=N` | this HTTP status |
/// | `location=URL`, `retry_after=TEXT` | these headers |
/// | `times=N` | the other keys apply to the first N requests with this query, then the response is the newest catalogue |
/// | `cut=N` | the connection ends after N bytes of the body |
/// | `stall=headers`, `stall=body` | no response, or only half of the body, until a minute has passed |
/// | `drip=1` | one byte every ten milliseconds |
/// | `plain=1` | no compression, even if the client accepts it |
/// | `encoding=NAME` | this content-encoding instead of gzip; the body is gzip nevertheless |
/// | `gate=1` | sent after the next `MockUpstream::release` |
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
    /// Parses a query. `repeat` is the number of earlier requests with the same query.
    #[must_use]
    pub fn parse(query: &str, repeat: u64) -> Self {
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

    /// Whether the response is a catalogue with changes.
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
            Scenario::parse("catalogue=2026-08-22&without=a/b%3Afree&without=c/d&status=503&times=1", 0);
        assert_eq!(scenario.without, ["a/b:free", "c/d"]);
        assert_eq!(scenario.status, Some(503));
        assert_eq!(Scenario::parse("status=503&times=1", 1), Scenario::default());
    }
}
