//! A list whose selection stays on the thing that was selected, wherever that moves.

/// Keys in the order of the screen, one of them selected.
#[derive(Debug, Clone)]
pub struct List<K> {
    keys: Vec<K>,
    at: usize,
    /// Whether the user has chosen; until then the first row is selected whatever it is.
    chosen: bool,
    offset: usize,
    height: usize,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), at: 0, chosen: false, offset: 0, height: 1 }
    }
}

impl<K: Clone + PartialEq> List<K> {
    /// Takes over a new order. The selection follows its key, or falls to the neighbour of one that is gone.
    pub fn replace(&mut self, keys: Vec<K>) {
        let selected = self.selected().filter(|_| self.chosen);
        let moved = selected.and_then(|selected| keys.iter().position(|key| key == selected));
        self.at = match moved {
            Some(place) => place,
            None if self.chosen => self.at,
            None => 0,
        };
        self.keys = keys;
        self.settle();
    }

    /// How many rows are on the screen.
    pub fn resize(&mut self, height: usize) {
        self.height = height.max(1);
        self.settle();
    }

    /// The selected key.
    pub fn selected(&self) -> Option<&K> {
        self.keys.get(self.at)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of the first row on the screen.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The rows on the screen, and whether each is the selected one.
    pub fn visible(&self) -> impl Iterator<Item = (&K, bool)> {
        let rows = self.keys.iter().enumerate().skip(self.offset).take(self.height);
        rows.map(|(index, key)| (key, index == self.at))
    }

    /// Moves the selection down by a number of rows, or up.
    pub fn step(&mut self, rows: isize) {
        self.choose(self.at.saturating_add_signed(rows));
    }

    /// Moves the selection by a number of screens.
    pub fn page(&mut self, pages: isize) {
        let height = isize::try_from(self.height).unwrap_or(isize::MAX);
        self.step(pages.saturating_mul(height));
    }

    /// Selects the first row.
    pub fn first(&mut self) {
        self.choose(0);
    }

    /// Selects the last row.
    pub fn last(&mut self) {
        self.choose(usize::MAX);
    }

    fn choose(&mut self, row: usize) {
        self.at = row;
        self.chosen = true;
        self.settle();
    }

    /// Keeps the selection inside the list, and the list's window around the selection.
    fn settle(&mut self) {
        self.at = self.at.min(self.keys.len().saturating_sub(1));
        let last_offset = self.keys.len().saturating_sub(self.height);
        let lowest = (self.at + 1).saturating_sub(self.height);
        self.offset = self.offset.clamp(lowest, self.at.max(lowest)).min(last_offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(keys: &[u32], height: usize) -> List<u32> {
        let mut list = List::default();
        list.resize(height);
        list.replace(keys.to_vec());
        list
    }

    fn window(list: &List<u32>) -> Vec<u32> {
        list.visible().map(|(key, _)| *key).collect()
    }

    #[test]
    fn the_selection_follows_its_key() {
        let mut list = list(&[1, 2, 3, 4], 2);
        list.step(2);
        list.replace(vec![4, 3, 2, 1]);
        assert_eq!(list.selected(), Some(&3));
        list.replace(vec![9, 8, 7, 6, 3]);
        assert_eq!((list.selected(), window(&list)), (Some(&3), vec![6, 3]));
    }

    #[test]
    fn a_selection_that_is_gone_leaves_its_place_to_the_neighbour() {
        let mut list = list(&[1, 2, 3, 4], 4);
        list.step(1);
        list.replace(vec![1, 3, 4]);
        assert_eq!(list.selected(), Some(&3));
        list.last();
        list.replace(vec![1, 3]);
        assert_eq!(list.selected(), Some(&3));
        list.replace(Vec::new());
        assert_eq!(list.selected(), None);
    }

    #[test]
    fn until_something_is_chosen_the_first_row_is_selected() {
        let mut list = list(&[1, 2], 2);
        list.replace(vec![5, 1, 2]);
        assert_eq!(list.selected(), Some(&5));
    }

    #[test]
    fn the_window_moves_no_further_than_it_must() {
        let mut list = list(&(0..10).collect::<Vec<_>>(), 3);
        list.step(4);
        assert_eq!(window(&list), [2, 3, 4]);
        list.step(-1);
        assert_eq!(window(&list), [2, 3, 4]);
        list.page(1);
        assert_eq!(window(&list), [4, 5, 6]);
        list.last();
        assert_eq!(window(&list), [7, 8, 9]);
        list.resize(20);
        assert_eq!(window(&list).len(), 10);
        list.first();
        list.page(-1);
        assert_eq!(list.selected(), Some(&0));
    }
}
