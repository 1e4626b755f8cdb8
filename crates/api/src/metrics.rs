//! The metrics of the service, in the text format of Prometheus.

use crate::server::Counts;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// Upper bounds of the histogram of request times, in seconds.
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
    connections: Counts,
    database_connections: IntGauge,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    /// Fails if a name is invalid or used twice, which every test of the service would show.
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
        let changes = IntCounter::new("changes_total", "Notifications received on channel model_access.")?;
        registry.register(Box::new(changes.clone()))?;
        let connections = Counts::new()?;
        registry.register(Box::new(connections.open.clone()))?;
        registry.register(Box::new(connections.closed.clone()))?;
        let options =
            HistogramOpts::new("request_seconds", "Time from the end of the request's head to its answer.");
        let seconds = HistogramVec::new(options.buckets(SECONDS.to_vec()), &["route"])?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            requests: counters("requests_total", "Requests answered.", &["route", "status"])?,
            seconds,
            refused: counters(
                "tokens_refused_total",
                "Requests refused for their token, by problem code.",
                &["code"],
            )?,
            queries: counters(
                "queries_total",
                "Statements sent to PostgreSQL for requests.",
                &["statement", "outcome"],
            )?,
            cache: counters("cache_lookups_total", "Lists looked up in the cache.", &["result"])?,
            changes,
            listening: gauge("listening", "1 while the service listens for changes and caches lists.")?,
            cached_users: gauge("cached_users", "Users whose list is cached.")?,
            cached_bytes: gauge("cached_bytes", "Bytes of the cached lists.")?,
            jwks: counters("jwks_loads_total", "Attempts to load the JWKS.", &["outcome"])?,
            jwks_keys: gauge("jwks_keys", "Usable keys of the JWKS.")?,
            connections,
            database_connections: gauge("database_connections", "Connections of the pool to PostgreSQL.")?,
            registry,
        })
    }

    /// Counts a request that was answered.
    pub fn answered(&self, route: &str, status: &str, took: Duration) {
        self.requests.with_label_values(&[route, status]).inc();
        self.seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// Counts a request that was refused for its token.
    pub fn refused(&self, code: &str) {
        self.refused.with_label_values(&[code]).inc();
    }

    /// Counts a statement that was sent to PostgreSQL.
    pub fn queried(&self, statement: &str, succeeded: bool) {
        self.queries.with_label_values(&[statement, if succeeded { "ok" } else { "failed" }]).inc();
    }

    /// Counts a lookup in the cache.
    pub fn looked_up(&self, hit: bool) {
        self.cache.with_label_values(&[if hit { "hit" } else { "miss" }]).inc();
    }

    /// Counts a notification.
    pub fn changed(&self) {
        self.changes.inc();
    }

    /// Sets whether the service listens for changes.
    pub fn listening(&self, on: bool) {
        self.listening.set(i64::from(on));
    }

    /// The counts of the connections of clients.
    #[must_use]
    pub fn connections(&self) -> &Counts {
        &self.connections
    }

    /// The number of connections to PostgreSQL in the pool.
    #[must_use]
    pub fn database_connections(&self) -> &IntGauge {
        &self.database_connections
    }

    /// Counts a load of the JWKS: with its number of keys, or without if it failed.
    pub fn jwks_loaded(&self, keys: Option<usize>) {
        self.jwks.with_label_values(&[if keys.is_some() { "ok" } else { "failed" }]).inc();
        if let Some(keys) = keys {
            self.jwks_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
        }
    }

    /// The text of `/metrics`, with the present size of the cache.
    #[must_use]
    pub fn text(&self, (users, bytes): (usize, usize)) -> String {
        self.cached_users.set(i64::try_from(users).unwrap_or(i64::MAX));
        self.cached_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        // writing to a Vec cannot fail
        drop(TextEncoder::new().encode(&self.registry.gather(), &mut text));
        String::from_utf8(text).unwrap_or_default()
    }
}
