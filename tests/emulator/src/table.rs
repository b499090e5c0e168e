//! A map that remembers the order of arrival, gives up its oldest row when it is full, and knows
//! which rows were touched since they were last saved.

use std::collections::{BTreeMap, HashMap};

/// Rows by id, oldest first, never more than the capacity.
#[derive(Debug)]
pub(crate) struct Table<V> {
    rows: BTreeMap<u64, (String, V)>,
    places: HashMap<String, u64>,
    next: u64,
    capacity: usize,
    /// Ids of rows added, lent for changing or removed, in that order.
    touched: Vec<String>,
}

impl<V> Table<V> {
    /// An empty table of at most `capacity` rows.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { rows: BTreeMap::new(), places: HashMap::new(), next: 0, capacity, touched: Vec::new() }
    }

    /// Adds a row, or replaces the one with this id; the row that had to give way is returned.
    pub(crate) fn insert(&mut self, id: impl Into<String>, row: V) -> Option<V> {
        let id = id.into();
        let place = self.places.get(&id).copied().unwrap_or(self.next);
        self.next = self.next.max(place + 1);
        self.places.insert(id.clone(), place);
        self.touched.push(id.clone());
        self.rows.insert(place, (id, row));
        if self.rows.len() <= self.capacity {
            return None;
        }
        let (_, (oldest, row)) = self.rows.pop_first()?;
        self.places.remove(&oldest);
        self.touched.push(oldest);
        Some(row)
    }

    /// The row with this id.
    pub(crate) fn get(&self, id: &str) -> Option<&V> {
        self.rows.get(self.places.get(id)?).map(|(_, row)| row)
    }

    /// The row with this id, to be changed.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut V> {
        let (id, row) = self.rows.get_mut(self.places.get(id)?)?;
        self.touched.push(id.clone());
        Some(row)
    }

    /// Takes the row with this id out.
    pub(crate) fn remove(&mut self, id: &str) -> Option<V> {
        let place = self.places.remove(id)?;
        self.touched.push(id.to_owned());
        self.rows.remove(&place).map(|(_, row)| row)
    }

    /// Every row, oldest first.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.rows.values().map(|(_, row)| row)
    }

    /// Every id, oldest first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.rows.values().map(|(id, _)| id.as_str())
    }

    /// Takes every row out.
    pub(crate) fn clear(&mut self) {
        self.touched.extend(self.rows.values().map(|(id, _)| id.clone()));
        self.rows.clear();
        self.places.clear();
    }

    /// The ids touched since the last call, each once.
    pub(crate) fn take_touched(&mut self) -> Vec<String> {
        let mut touched = std::mem::take(&mut self.touched);
        let mut seen = std::collections::HashSet::new();
        touched.retain(|id| seen.insert(id.clone()));
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_gives_up_its_oldest_row() {
        let mut table = Table::new(2);
        assert_eq!(table.insert("a", 1), None);
        assert_eq!(table.insert("b", 2), None);
        assert_eq!(table.insert("a", 3), None, "a replacement needs no room");
        assert_eq!(table.insert("c", 4), Some(3), "and keeps its place in the order");
        assert_eq!(table.get("a"), None);
        assert_eq!(table.rows().copied().collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn what_was_touched_is_told_once() {
        let mut table = Table::new(2);
        for (id, row) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            table.insert(id, row);
        }
        assert_eq!(table.take_touched(), ["a", "b", "c"], "one of them is gone, which is news as well");
        assert_eq!(table.get_mut("b").copied(), Some(2));
        assert_eq!(table.take_touched(), ["b"]);
        assert!(table.take_touched().is_empty());
    }
}
