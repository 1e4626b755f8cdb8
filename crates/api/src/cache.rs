//! The lists of users, cached only while the database would answer the same.
//!
//! The cache is empty while nobody listens for changes. A list that was requested before a change and arrives after it
//! is not cached: who requests a list notes the [`Generation`] first, and every change begins a new generation.

use crate::list::List;
use lru::LruCache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The state of the database between two changes. A list belongs to the generation in which it was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

/// Lists by user. When the cache is full, the list that was not used for the longest time is removed.
#[derive(Debug)]
pub struct Cache {
    is_on: bool,
    generation: u64,
    users: LruCache<String, Entry>,
    /// The lists themselves, by digest, and how many users share each: most users of a tier have the same list.
    lists: HashMap<[u8; 32], (Arc<List>, usize)>,
    max_users: usize,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    list: Arc<List>,
    until: Instant,
}

impl Cache {
    /// An empty cache, switched off until somebody listens for changes.
    #[must_use]
    pub fn new(max_users: usize, max_bytes: usize) -> Self {
        let users = LruCache::unbounded();
        Self { is_on: false, generation: 0, users, lists: HashMap::new(), max_users, bytes: 0, max_bytes }
    }

    /// Switches the cache on when somebody listens for changes, and off when nobody does. Clears it in both cases.
    pub fn switch(&mut self, on: bool) {
        self.clear();
        self.is_on = on;
    }

    /// Removes every list after a change. A list that is being requested will not be cached.
    pub fn clear(&mut self) {
        self.generation += 1;
        self.users.clear();
        self.lists.clear();
        self.bytes = 0;
    }

    /// The generation to note before a request to the database; `None` while the cache is off.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.is_on.then_some(Generation(self.generation))
    }

    /// The list of a user, unless it is too old.
    pub fn get(&mut self, user: &str, now: Instant) -> Option<Arc<List>> {
        let entry = self.users.get(user)?;
        if entry.until > now {
            return Some(Arc::clone(&entry.list));
        }
        self.remove(user);
        None
    }

    /// Caches a list until `until`, if the generation is still the same. Returns the list to answer with: if other users
    /// have the same list, it is theirs.
    pub fn put(
        &mut self,
        user: &str,
        list: List,
        until: Instant,
        generation: Option<Generation>,
    ) -> Arc<List> {
        if generation.is_none() || generation != self.generation() {
            return Arc::new(list);
        }
        self.remove(user);
        let (list, sharing) = self.lists.entry(list.digest()).or_insert_with(|| (Arc::new(list), 0));
        *sharing += 1;
        self.bytes += user.len() + if *sharing == 1 { list.size() } else { 0 };
        let list = Arc::clone(list);
        self.users.put(user.to_owned(), Entry { list: Arc::clone(&list), until });
        while self.users.len() > self.max_users || self.bytes > self.max_bytes {
            let Some((user, entry)) = self.users.pop_lru() else { break };
            self.release(&user, &entry);
        }
        list
    }

    /// The number of cached users, and the bytes of their ids and lists together.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.users.len(), self.bytes)
    }

    fn remove(&mut self, user: &str) {
        if let Some(entry) = self.users.pop(user) {
            self.release(user, &entry);
        }
    }

    fn release(&mut self, user: &str, entry: &Entry) {
        self.bytes -= user.len();
        let digest = entry.list.digest();
        if let Some((list, sharing)) = self.lists.get_mut(&digest) {
            *sharing -= 1;
            if *sharing == 0 {
                self.bytes -= list.size();
                self.lists.remove(&digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn list(content: &str) -> List {
        List::new(format!(r#"{{"data":[{content}]}}"#))
    }

    fn put(cache: &mut Cache, user: &str, content: &str) {
        let generation = cache.generation();
        cache.put(user, list(content), Instant::now() + Duration::from_secs(60), generation);
    }

    fn has(cache: &mut Cache, user: &str) -> bool {
        cache.get(user, Instant::now()).is_some()
    }

    #[test]
    fn nothing_is_cached_while_nobody_listens() {
        let mut cache = Cache::new(10, 10_000);
        put(&mut cache, "a", "");
        assert!(!has(&mut cache, "a"));
        cache.switch(true);
        put(&mut cache, "a", "");
        assert!(has(&mut cache, "a"));
        cache.switch(false);
        assert!(!has(&mut cache, "a"));
    }

    #[test]
    fn a_list_from_before_a_change_is_not_cached_after_it() {
        let mut cache = Cache::new(10, 10_000);
        let until = Instant::now() + Duration::from_secs(60);
        let changes: [fn(&mut Cache); 2] = [Cache::clear, |cache| {
            cache.switch(false);
            cache.switch(true);
        }];
        for change in changes {
            cache.switch(true);
            let generation = cache.generation();
            change(&mut cache);
            cache.put("a", list(""), until, generation);
            assert!(!has(&mut cache, "a"));
        }
    }

    #[test]
    fn a_list_ends_at_its_time() {
        let mut cache = Cache::new(10, 10_000);
        cache.switch(true);
        let (generation, now) = (cache.generation(), Instant::now());
        cache.put("a", list(""), now + Duration::from_secs(1), generation);
        assert!(cache.get("a", now).is_some());
        assert!(cache.get("a", now + Duration::from_secs(1)).is_none());
        assert_eq!(cache.size(), (0, 0));
    }

    #[test]
    fn users_and_bytes_are_bounded_and_equal_lists_shared() {
        let mut cache = Cache::new(3, 10_000);
        cache.switch(true);
        for user in ["a", "b", "c"] {
            put(&mut cache, user, "1");
        }
        assert_eq!(cache.size(), (3, list("1").size() + 3));
        assert!(has(&mut cache, "a"));
        put(&mut cache, "d", "2");
        assert!(!has(&mut cache, "b"), "the one that was not used for the longest time is removed");
        assert!(has(&mut cache, "a") && has(&mut cache, "d"));
        put(&mut cache, "d", "1");
        assert_eq!(cache.size(), (3, list("1").size() + 3));
        // a list that is larger than the cache is returned, but not cached
        put(&mut cache, "e", &"1".repeat(20_000));
        assert_eq!(cache.size(), (0, 0));
    }
}
