//! The places of clients: each connection takes one. If none is free, an idle connection is closed for a new one.

use prometheus::{IntCounter, IntGauge};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Time until another connection is closed, if the one before is slow to end.
const PAUSE: Duration = Duration::from_millis(100);

/// What is counted about connections.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Connections of clients at present.
    pub open: IntGauge,
    /// Idle connections that were closed in favour of new ones.
    pub closed: IntCounter,
}

impl Counts {
    /// Counts at zero.
    ///
    /// # Errors
    /// Fails if a name is invalid, which every test of the service would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            open: IntGauge::new("connections", "Connections of clients.")?,
            closed: IntCounter::new(
                "idle_connections_closed_total",
                "Idle connections closed to make room for new ones.",
            )?,
        })
    }
}

/// Connections that never sent a request come first, then those that are idle for longest.
type Key = (bool, u64);

/// All places.
pub struct Places {
    free: Arc<Semaphore>,
    idle: Arc<Mutex<BTreeMap<Key, Arc<Notify>>>>,
    counts: Counts,
}

/// The place of one connection. It is free again when this is dropped.
pub struct Place {
    idle: Arc<Mutex<BTreeMap<Key, Arc<Notify>>>>,
    /// Where the connection is in `idle`. None during a request.
    key: Mutex<Option<Key>>,
    wanted: Arc<Notify>,
    spoke: AtomicBool,
    ends_with_next: AtomicBool,
    open: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many places, all free.
    pub fn new(places: usize, counts: Counts) -> Self {
        Self { free: Arc::new(Semaphore::new(places)), idle: Arc::default(), counts }
    }

    /// A place, if one is free.
    pub fn try_take(&self) -> Option<Place> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(|permit| self.occupy(permit))
    }

    /// A place. If none is free, the connection that is idle for longest is asked to leave.
    pub async fn take(&self) -> Place {
        loop {
            if let Some(place) = self.try_take() {
                return place;
            }
            if let Some((_, longest)) = lock(&self.idle).pop_first() {
                self.counts.closed.inc();
                longest.notify_one();
            }
            if let Ok(Ok(permit)) = timeout(PAUSE, Arc::clone(&self.free).acquire_owned()).await {
                return self.occupy(permit);
            }
        }
    }

    fn occupy(&self, permit: OwnedSemaphorePermit) -> Place {
        self.counts.open.inc();
        let place = Place {
            idle: Arc::clone(&self.idle),
            key: Mutex::default(),
            wanted: Arc::default(),
            spoke: AtomicBool::new(false),
            ends_with_next: AtomicBool::new(false),
            open: self.counts.open.clone(),
            _permit: permit,
        };
        place.wait();
        place
    }
}

impl Place {
    /// Waits until a new connection wants the place.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// A request begins: nobody may want the place.
    pub fn begin(&self) {
        self.spoke.store(true, Ordering::Relaxed);
        if let Some(key) = lock(&self.key).take() {
            lock(&self.idle).remove(&key);
        }
    }

    /// The request is answered.
    pub fn end(&self) {
        self.wait();
    }

    /// Whether the connection sent a request.
    pub fn has_spoken(&self) -> bool {
        self.spoke.load(Ordering::Relaxed)
    }

    /// Makes the next answer the last.
    pub fn end_with_next(&self) {
        self.ends_with_next.store(true, Ordering::Relaxed);
    }

    /// Whether the next answer is the last.
    pub fn ends_with_next(&self) -> bool {
        self.ends_with_next.load(Ordering::Relaxed)
    }

    fn wait(&self) {
        /// The order of all connections.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let key = (self.has_spoken(), NEXT.fetch_add(1, Ordering::Relaxed));
        *lock(&self.key) = Some(key);
        lock(&self.idle).insert(key, Arc::clone(&self.wanted));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.begin();
        self.open.dec();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
