//! What `/metrics` shows, in Prometheus' text format.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// Upper bounds of the histogram of requests, in seconds.
const SECONDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];

/// Every metric of the service.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    refused: IntCounterVec,
    queries: IntCounterVec,
    cache: IntCounterVec,
    changes: IntCounter,
    listening: IntGauge,
    cached_users: IntGauge,
    cached_bytes: IntGauge,
    jwks: IntCounterVec,
    jwks_keys: IntGauge,
}

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    /// A name is wrong or taken, which the tests would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("model_access_api".into()), None)?;
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let changes = IntCounter::new("changes_total", "Notifications heard on channel model_access.")?;
        registry.register(Box::new(changes.clone()))?;
        let options =
            HistogramOpts::new("request_seconds", "Time from the end of the request's head to its answer.");
        let seconds = HistogramVec::new(options.buckets(SECONDS.to_vec()), &["route"])?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            requests: counters("requests_total", "Requests answered.", &["route", "status"])?,
            seconds,
            refused: counters(
                "tokens_refused_total",
                "Requests refused for want of a good token.",
                &["reason"],
            )?,
            queries: counters(
                "queries_total",
                "Statements sent to PostgreSQL for requests.",
                &["statement", "outcome"],
            )?,
            cache: counters("cache_lookups_total", "Lists looked up in the cache.", &["result"])?,
            changes,
            listening: gauge("listening", "1 while changes are heard, and lists therefore cached.")?,
            cached_users: gauge("cached_users", "Users whose list is cached.")?,
            cached_bytes: gauge("cached_bytes", "Bytes of the cache.")?,
            jwks: counters("jwks_loads_total", "Attempts to load the JWKS.", &["outcome"])?,
            jwks_keys: gauge("jwks_keys", "Usable keys of the JWKS.")?,
            registry,
        })
    }

    /// A request was answered.
    pub fn answered(&self, route: &str, status: &str, took: Duration) {
        self.requests.with_label_values(&[route, status]).inc();
        self.seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// A request was refused before it reached anything.
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// PostgreSQL was asked.
    pub fn queried(&self, statement: &str, succeeded: bool) {
        self.queries.with_label_values(&[statement, if succeeded { "ok" } else { "failed" }]).inc();
    }

    /// The cache was asked.
    pub fn looked_up(&self, hit: bool) {
        self.cache.with_label_values(&[if hit { "hit" } else { "miss" }]).inc();
    }

    /// A notification was heard.
    pub fn changed(&self) {
        self.changes.inc();
    }

    /// Whether changes are heard.
    pub fn listening(&self, on: bool) {
        self.listening.set(i64::from(on));
    }

    /// The JWKS was loaded with so many keys, or could not be.
    pub fn jwks_loaded(&self, keys: Option<usize>) {
        self.jwks.with_label_values(&[if keys.is_some() { "ok" } else { "failed" }]).inc();
        if let Some(keys) = keys {
            self.jwks_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
        }
    }

    /// The text of `/metrics`, with the size of the cache as it is now.
    #[must_use]
    pub fn text(&self, (users, bytes): (usize, usize)) -> String {
        self.cached_users.set(i64::try_from(users).unwrap_or(i64::MAX));
        self.cached_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        // a Vec takes everything
        drop(TextEncoder::new().encode(&self.registry.gather(), &mut text));
        String::from_utf8(text).unwrap_or_default()
    }
}
