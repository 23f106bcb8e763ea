//! Descriptions that many entities share: all tasks spawned at one place differ by their numbers only.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// The most that are kept once nothing uses them any more. A service may put a new name on every task.
const IDLE: usize = 256;

/// Encoded descriptions, each once.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    known: HashSet<Arc<[u8]>, RandomState>,
    /// How many there were after the last sweep.
    swept: usize,
}

impl Sites {
    /// The shared copy of `description`.
    pub(crate) fn share(&mut self, description: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.known.get(description) {
            return Arc::clone(known);
        }
        // Each sweep looks at everything, so the next is due when there is twice as much.
        if self.known.len() >= 2 * self.swept.max(IDLE) {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.swept = self.known.len();
        }
        let new: Arc<[u8]> = description.into();
        self.known.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_kept_once() {
        let mut sites = Sites::default();
        let (one, other) = (sites.share(b"a place"), sites.share(b"a place"));
        assert!(Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn names_that_nothing_uses_any_more_are_forgotten() {
        let mut sites = Sites::default();
        let used = sites.share(b"used");
        for number in 0..100_000_u32 {
            drop(sites.share(&number.to_le_bytes()));
        }
        assert!(sites.known.len() <= 4 * IDLE, "{}", sites.known.len());
        assert!(Arc::ptr_eq(&used, &sites.share(b"used")));
    }
}
