//! Counts of something by a key, and the key that has most of it.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Counts without an entry for zero, so that the map does not grow with the number of past clients.
#[derive(Debug)]
pub(super) struct Counts<K> {
    of: HashMap<K, usize>,
    /// The same in the order of the counts.
    by_count: BTreeSet<(usize, K)>,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self { of: HashMap::new(), by_count: BTreeSet::new() }
    }
}

impl<K: Copy + Hash + Ord> Counts<K> {
    pub(super) fn get(&self, key: &K) -> usize {
        self.of.get(key).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, key: K) {
        let count = self.of.entry(key).or_insert(0);
        if *count > 0 {
            self.by_count.remove(&(*count, key));
        }
        *count += 1;
        self.by_count.insert((*count, key));
    }

    pub(super) fn subtract(&mut self, key: &K) {
        let Some(count) = self.of.get_mut(key) else { return };
        self.by_count.remove(&(*count, *key));
        *count -= 1;
        if *count == 0 {
            self.of.remove(key);
        } else {
            self.by_count.insert((*count, *key));
        }
    }

    /// A key with the highest count, and the count. `None` if nothing is counted.
    pub(super) fn most(&self) -> Option<(K, usize)> {
        self.by_count.last().map(|&(count, key)| (key, count))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty() && self.by_count.is_empty()
    }
}
