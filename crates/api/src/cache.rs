//! The lists of users, cached only while the database would answer the same.
//!
//! Whoever requests a list notes the [`Moment`] first. The list may be used while nothing that concerns the user has
//! changed since that moment; so a list that was requested before a change and arrives after it is never used. A change
//! only writes down its moment: it removes nothing from the cache, so it costs the same whatever the cache contains.
//! The cache is empty while nobody listens for changes.

use crate::list::List;
use crate::problem::Problem;
use lru::LruCache;
use serde::Deserialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem::{replace, take};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::OnceCell;

/// The number of buckets into which the database sorts users (`_model_access_bucket`).
const BUCKETS: usize = 1024;

/// What a notification says has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Everything, or something that this program does not know.
    All,
    /// The users of this bucket.
    Bucket(usize),
}

#[derive(Deserialize)]
struct Payload<'a> {
    changed: &'a str,
    bucket: Option<usize>,
}

impl Change {
    /// What the payload of a notification says. Everybody who connects to the database can send one.
    #[must_use]
    pub fn read(payload: &str) -> Self {
        match serde_json::from_str(payload) {
            Ok(Payload { changed: "user", bucket: Some(bucket) }) => Self::Bucket(bucket),
            _ => Self::All,
        }
    }
}

/// When a list was requested: the number of changes until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

type Lists = HashMap<[u8; 32], (Arc<List>, usize)>;

/// A list, until when it is right if nothing changes, and the bucket of its user.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The list.
    pub list: Arc<List>,
    /// When the database may answer something else by itself.
    pub until: Instant,
    /// The bucket of the user; a list without a bucket is not cached.
    pub bucket: Option<usize>,
}

/// A request to the database. All clients that ask for the same user wait for it. If the client that sent it gives up,
/// the next one sends it again.
pub type Request = OnceCell<Result<Loaded, Problem>>;

/// What a lookup finds.
pub enum Found {
    /// The list, as the database would answer it.
    List(Arc<List>),
    /// Nothing; the answer of this request may be used.
    Nothing(Ticket),
    /// Nothing, because nobody listens for changes.
    Off,
}

/// A client that waits for a request. While this value exists, other clients find the same request.
pub struct Ticket {
    cache: Arc<Cache>,
    user: String,
    moment: Moment,
    /// The request.
    pub request: Arc<Request>,
}

/// Lists by user. When the cache is full, the list that was not used for the longest time is removed.
#[derive(Debug)]
pub struct Cache {
    state: Mutex<State>,
    max_users: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct State {
    is_on: bool,
    /// The number of changes, and its value after the last change of everything and of each bucket.
    changes: u64,
    all: Moment,
    buckets: Vec<Moment>,
    users: LruCache<String, Cached>,
    /// The lists themselves, by digest, and how many users share each: most users of a tier have the same list.
    lists: Lists,
    bytes: usize,
    requests: HashMap<String, (Moment, Arc<Request>)>,
}

#[derive(Debug)]
struct Cached {
    list: Arc<List>,
    until: Instant,
    bucket: usize,
    moment: Moment,
}

impl Cache {
    /// An empty cache, switched off until somebody listens for changes.
    #[must_use]
    pub fn new(max_users: usize, max_bytes: usize) -> Self {
        let state = State {
            is_on: false,
            changes: 0,
            all: Moment(0),
            buckets: vec![Moment(0); BUCKETS],
            users: LruCache::unbounded(),
            lists: HashMap::new(),
            bytes: 0,
            requests: HashMap::new(),
        };
        Self { state: Mutex::new(state), max_users, max_bytes }
    }

    /// Switches the cache on when somebody listens for changes, and off when nobody does. Clears it in both cases. Tells
    /// whether it was on.
    pub fn switch(&self, on: bool) -> bool {
        let mut state = self.state();
        let was_on = replace(&mut state.is_on, on);
        let old = state.clear();
        drop(state);
        // outside the lock, because it may be large
        drop(old);
        was_on
    }

    /// Stops using what has changed. Lists that are being requested now will not be cached.
    pub fn change(&self, change: Change) {
        let mut state = self.state();
        let old = match change {
            Change::Bucket(bucket) if bucket < BUCKETS => {
                state.changes += 1;
                let now = Moment(state.changes);
                if let Some(last) = state.buckets.get_mut(bucket) {
                    *last = now;
                }
                None
            }
            _ => Some(state.clear()),
        };
        drop(state);
        drop(old);
    }

    /// The list of a user, if it is cached.
    #[must_use]
    pub fn get(&self, user: &str, now: Instant) -> Option<Arc<List>> {
        self.state().get(user, now)
    }

    /// The list of a user, or the request for it.
    #[must_use]
    pub fn get_or_request(self: &Arc<Self>, user: &str, now: Instant) -> Found {
        // declared before the lock, so that it is dropped after it
        let _old;
        let mut state = self.state();
        if !state.is_on {
            return Found::Off;
        }
        if let Some(list) = state.get(user, now) {
            return Found::List(list);
        }
        _old = state.remove(user);
        let now = Moment(state.changes);
        let (moment, request) = match state.requests.entry(user.to_owned()) {
            Entry::Vacant(place) => place.insert((now, Arc::default())),
            Entry::Occupied(place) => {
                let known = place.into_mut();
                // what was requested before a change does not answer those who come after it
                if known.0 < now {
                    *known = (now, Arc::default());
                }
                known
            }
        };
        let (moment, request) = (*moment, Arc::clone(request));
        Found::Nothing(Ticket { cache: Arc::clone(self), user: user.to_owned(), moment, request })
    }

    /// The number of cached users, and the bytes of their ids and lists together.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let state = self.state();
        (state.users.len(), state.bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Caches the answer to the request, if nothing has changed since it was sent. Returns the list to answer with: if
    /// other users have the same list, it is theirs.
    #[must_use]
    pub fn keep(&self, loaded: Loaded) -> Loaded {
        let mut state = self.cache.state();
        let bucket = match loaded.bucket {
            Some(bucket) if state.is_on && state.is_current(bucket, self.moment) => bucket,
            _ => return loaded,
        };
        let mut unused = state.remove(&self.user);
        let (list, sharing) =
            state.lists.entry(loaded.list.digest()).or_insert_with(|| (Arc::clone(&loaded.list), 0));
        *sharing += 1;
        let (list, is_first) = (Arc::clone(list), *sharing == 1);
        state.bytes += self.user.len() + if is_first { list.size() } else { 0 };
        let cached = Cached { list: Arc::clone(&list), until: loaded.until, bucket, moment: self.moment };
        state.users.put(self.user.clone(), cached);
        while state.users.len() > self.cache.max_users || state.bytes > self.cache.max_bytes {
            let Some((user, cached)) = state.users.pop_lru() else { break };
            unused.extend(state.release(&user, cached));
        }
        drop(state);
        // outside the lock, because lists are large; `loaded.list` too, if another user has the same list
        drop(unused);
        Loaded { list, ..loaded }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.cache.state();
        if state.requests.get(&self.user).is_some_and(|(_, request)| Arc::ptr_eq(request, &self.request)) {
            state.requests.remove(&self.user);
        }
    }
}

impl State {
    fn get(&mut self, user: &str, now: Instant) -> Option<Arc<List>> {
        let cached = self.users.get(user)?;
        let (list, bucket, moment) = (Arc::clone(&cached.list), cached.bucket, cached.moment);
        (cached.until > now && self.is_current(bucket, moment)).then_some(list)
    }

    /// Whether nothing that concerns users of this bucket has changed since.
    fn is_current(&self, bucket: usize, moment: Moment) -> bool {
        moment >= self.all && self.buckets.get(bucket).is_some_and(|last| moment >= *last)
    }

    /// Removes every list, and returns what to drop outside the lock.
    fn clear(&mut self) -> (LruCache<String, Cached>, Lists) {
        self.changes += 1;
        self.all = Moment(self.changes);
        self.bytes = 0;
        (replace(&mut self.users, LruCache::unbounded()), take(&mut self.lists))
    }

    fn remove(&mut self, user: &str) -> Vec<Arc<List>> {
        let Some(cached) = self.users.pop(user) else { return Vec::new() };
        self.release(user, cached)
    }

    /// Subtracts an entry that was removed, and returns what to drop outside the lock.
    fn release(&mut self, user: &str, cached: Cached) -> Vec<Arc<List>> {
        self.bytes -= user.len();
        let mut unused = vec![cached.list];
        let digest = unused.first().map(|list| list.digest());
        if let Some(Entry::Occupied(mut shared)) = digest.map(|digest| self.lists.entry(digest)) {
            shared.get_mut().1 -= 1;
            if shared.get().1 == 0 {
                let (list, _) = shared.remove();
                self.bytes -= list.size();
                unused.push(list);
            }
        }
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cache(max_users: usize) -> Arc<Cache> {
        let cache = Arc::new(Cache::new(max_users, 10_000));
        cache.switch(true);
        cache
    }

    fn list(content: &str) -> Arc<List> {
        Arc::new(List::new(format!(r#"{{"data":[{content}]}}"#)))
    }

    fn loaded(content: &str, bucket: usize) -> Loaded {
        let until = Instant::now() + Duration::from_secs(60);
        Loaded { list: list(content), until, bucket: Some(bucket) }
    }

    fn ticket(cache: &Arc<Cache>, user: &str) -> Ticket {
        match cache.get_or_request(user, Instant::now()) {
            Found::Nothing(ticket) => ticket,
            _ => panic!("{user} is cached"),
        }
    }

    fn put(cache: &Arc<Cache>, user: &str, content: &str, bucket: usize) {
        let _ = ticket(cache, user).keep(loaded(content, bucket));
    }

    fn has(cache: &Arc<Cache>, user: &str) -> bool {
        cache.get(user, Instant::now()).is_some()
    }

    #[test]
    fn nothing_is_cached_while_nobody_listens() {
        let cache = cache(10);
        let early = ticket(&cache, "a");
        cache.switch(false);
        let _ = early.keep(loaded("", 0));
        assert!(matches!(cache.get_or_request("a", Instant::now()), Found::Off));
        cache.switch(true);
        let _ = early.keep(loaded("", 0));
        assert!(!has(&cache, "a"), "it was requested before");
        put(&cache, "a", "", 0);
        assert!(has(&cache, "a"));
        cache.switch(false);
        assert_eq!(cache.size(), (0, 0));
    }

    #[test]
    fn a_change_concerns_its_bucket_or_all() {
        let cache = cache(10);
        put(&cache, "a", "1", 1);
        put(&cache, "b", "2", 2);
        cache.change(Change::Bucket(1));
        assert!(!has(&cache, "a") && has(&cache, "b"));
        drop(ticket(&cache, "a"));
        assert_eq!(cache.size().0, 1, "what cannot be used any more is removed when it is requested again");
        put(&cache, "a", "1", 1);
        assert!(has(&cache, "a"));
        for change in [Change::All, Change::Bucket(BUCKETS)] {
            put(&cache, "c", "3", 3);
            cache.change(change);
            assert_eq!(cache.size(), (0, 0), "{change:?}");
        }
    }

    #[test]
    fn an_unknown_payload_is_a_change_of_everything() {
        assert_eq!(Change::read(r#"{"changed": "user", "bucket": 17}"#), Change::Bucket(17));
        for payload in [
            r#"{"changed": "model_access"}"#,
            r#"{"changed": "user"}"#,
            r#"{"changed": "user", "bucket": -1}"#,
            r#"{"changed": "model_access", "bucket": 17}"#,
            "",
            "17",
        ] {
            assert_eq!(Change::read(payload), Change::All, "{payload}");
        }
    }

    #[test]
    fn a_list_from_before_a_change_is_not_cached_after_it() {
        let cache = cache(10);
        for (change, is_cached) in
            [(Change::Bucket(1), false), (Change::All, false), (Change::Bucket(2), true)]
        {
            let early = ticket(&cache, "a");
            cache.change(change);
            let _ = early.keep(loaded("", 1));
            assert_eq!(has(&cache, "a"), is_cached, "{change:?}");
        }
        let _ = ticket(&cache, "b").keep(Loaded { bucket: None, ..loaded("", 0) });
        assert!(!has(&cache, "b"), "a change of its user could not be recognised");
    }

    #[test]
    fn all_who_come_between_two_changes_wait_for_one_request() {
        let cache = cache(10);
        let (first, second) = (ticket(&cache, "a"), ticket(&cache, "a"));
        assert!(Arc::ptr_eq(&first.request, &second.request));
        assert!(!Arc::ptr_eq(&first.request, &ticket(&cache, "b").request));
        cache.change(Change::Bucket(7));
        let (third, fourth) = (ticket(&cache, "a"), ticket(&cache, "a"));
        assert!(!Arc::ptr_eq(&first.request, &third.request));
        assert!(Arc::ptr_eq(&third.request, &fourth.request));
        drop((first, second));
        assert!(Arc::ptr_eq(&third.request, &ticket(&cache, "a").request), "theirs was another request");
        drop((third, fourth));
        assert!(cache.state().requests.is_empty());
    }

    #[test]
    fn a_list_ends_at_its_time() {
        let cache = cache(10);
        let now = Instant::now();
        let _ = ticket(&cache, "a").keep(Loaded { until: now + Duration::from_secs(1), ..loaded("", 0) });
        assert!(matches!(cache.get_or_request("a", now), Found::List(_)));
        assert!(matches!(cache.get_or_request("a", now + Duration::from_secs(1)), Found::Nothing(_)));
        assert_eq!(cache.size(), (0, 0));
    }

    #[test]
    fn users_and_bytes_are_bounded_and_equal_lists_shared() {
        let cache = cache(3);
        for user in ["a", "b", "c"] {
            put(&cache, user, "1", 0);
        }
        assert_eq!(cache.size(), (3, list("1").size() + 3));
        assert!(has(&cache, "a"));
        put(&cache, "d", "2", 1);
        assert!(!has(&cache, "b"), "the one that was not used for the longest time is removed");
        assert!(has(&cache, "a") && has(&cache, "d"));
        cache.change(Change::Bucket(1));
        put(&cache, "d", "1", 1);
        assert_eq!(cache.size(), (3, list("1").size() + 3));
        // a list that is larger than the cache is returned, but not cached
        put(&cache, "e", &"1".repeat(20_000), 0);
        assert_eq!(cache.size(), (0, 0));
    }
}
