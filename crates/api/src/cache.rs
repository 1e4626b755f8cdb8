//! The lists of users, kept only while it is sure that they are what the database would say.
//!
//! It holds nothing while nobody listens for changes. A list that was asked for before a change and arrives after
//! it is not kept: whoever asks takes a [`Ticket`] first, and every change makes the tickets that are out worthless.

use crate::list::List;
use lru::LruCache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Proof that the listener was there before the database was asked, and of what it had heard by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Lists by user, the least recently used going first.
#[derive(Debug)]
pub struct Cache {
    is_on: bool,
    changes: u64,
    users: LruCache<String, Entry>,
    /// The lists themselves, by digest, and how many users share each: users of one tier mostly have the same.
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
    /// An empty cache, off until somebody listens.
    #[must_use]
    pub fn new(max_users: usize, max_bytes: usize) -> Self {
        let users = LruCache::unbounded();
        Self { is_on: false, changes: 0, users, lists: HashMap::new(), max_users, bytes: 0, max_bytes }
    }

    /// Somebody listens from now on, or nobody does any more. Either way nothing that was known counts.
    pub fn switch(&mut self, on: bool) {
        self.clear();
        self.is_on = on;
    }

    /// Something changed: forgets everything, and whatever is being asked for.
    pub fn clear(&mut self) {
        self.changes += 1;
        self.users.clear();
        self.lists.clear();
        self.bytes = 0;
    }

    /// What to take before asking the database; none while nobody listens.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        self.is_on.then_some(Ticket(self.changes))
    }

    /// The list of a user, unless its time is over.
    pub fn get(&mut self, user: &str, now: Instant) -> Option<Arc<List>> {
        let entry = self.users.get(user)?;
        if entry.until > now {
            return Some(Arc::clone(&entry.list));
        }
        self.remove(user);
        None
    }

    /// Keeps a list until `until`, if nothing has changed since the ticket was taken. Gives the list to answer with,
    /// which is the one that others have already where it is the same.
    pub fn put(&mut self, user: &str, list: List, until: Instant, ticket: Option<Ticket>) -> Arc<List> {
        if ticket.is_none() || ticket != self.ticket() {
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
            self.let_go(&user, &entry);
        }
        list
    }

    /// How many users have a list here, and the bytes of users and lists together.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.users.len(), self.bytes)
    }

    fn remove(&mut self, user: &str) {
        if let Some(entry) = self.users.pop(user) {
            self.let_go(user, &entry);
        }
    }

    fn let_go(&mut self, user: &str, entry: &Entry) {
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
        let ticket = cache.ticket();
        cache.put(user, list(content), Instant::now() + Duration::from_secs(60), ticket);
    }

    fn has(cache: &mut Cache, user: &str) -> bool {
        cache.get(user, Instant::now()).is_some()
    }

    #[test]
    fn nothing_is_kept_while_nobody_listens() {
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
    fn what_was_asked_before_a_change_is_not_kept_after_it() {
        let mut cache = Cache::new(10, 10_000);
        let until = Instant::now() + Duration::from_secs(60);
        let changes: [fn(&mut Cache); 2] = [Cache::clear, |cache| {
            cache.switch(false);
            cache.switch(true);
        }];
        for change in changes {
            cache.switch(true);
            let ticket = cache.ticket();
            change(&mut cache);
            cache.put("a", list(""), until, ticket);
            assert!(!has(&mut cache, "a"));
        }
    }

    #[test]
    fn a_list_ends_at_its_time() {
        let mut cache = Cache::new(10, 10_000);
        cache.switch(true);
        let (ticket, now) = (cache.ticket(), Instant::now());
        cache.put("a", list(""), now + Duration::from_secs(1), ticket);
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
        assert!(!has(&mut cache, "b"), "the least recently used goes first");
        assert!(has(&mut cache, "a") && has(&mut cache, "d"));
        put(&mut cache, "d", "1");
        assert_eq!(cache.size(), (3, list("1").size() + 3));
        // one that is larger than everything is answered, not kept
        put(&mut cache, "e", &"1".repeat(20_000));
        assert_eq!(cache.size(), (0, 0));
    }
}
