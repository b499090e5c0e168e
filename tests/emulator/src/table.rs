//! A map that remembers the order of arrival and gives up its oldest row when it is full.

use std::collections::{BTreeMap, HashMap};

/// Rows by id, oldest first, never more than the capacity.
#[derive(Debug)]
pub(crate) struct Table<V> {
    rows: BTreeMap<u64, (String, V)>,
    places: HashMap<String, u64>,
    next: u64,
    capacity: usize,
}

impl<V> Table<V> {
    /// An empty table of at most `capacity` rows.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { rows: BTreeMap::new(), places: HashMap::new(), next: 0, capacity }
    }

    /// Adds a row, or replaces the one with this id; the row that had to give way is returned.
    pub(crate) fn insert(&mut self, id: impl Into<String>, row: V) -> Option<V> {
        let id = id.into();
        let place = self.places.get(&id).copied().unwrap_or(self.next);
        self.next = self.next.max(place + 1);
        self.places.insert(id.clone(), place);
        self.rows.insert(place, (id, row));
        if self.rows.len() <= self.capacity {
            return None;
        }
        let (_, (oldest, row)) = self.rows.pop_first()?;
        self.places.remove(&oldest);
        Some(row)
    }

    /// The row with this id.
    pub(crate) fn get(&self, id: &str) -> Option<&V> {
        self.rows.get(self.places.get(id)?).map(|(_, row)| row)
    }

    /// The row with this id, to be changed.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut V> {
        self.rows.get_mut(self.places.get(id)?).map(|(_, row)| row)
    }

    /// Takes the row with this id out.
    pub(crate) fn remove(&mut self, id: &str) -> Option<V> {
        let place = self.places.remove(id)?;
        self.rows.remove(&place).map(|(_, row)| row)
    }

    /// Every row, oldest first.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.rows.values().map(|(_, row)| row)
    }

    /// Every row, oldest first, to be changed.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.rows.values_mut().map(|(_, row)| row)
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
}
