//! Delta debugging: which of many things are needed for something to hold.
//!
//! Source: Zeller, Hildebrandt, "Simplifying and isolating failure-inducing input", 2002; only complements are tried, for what is needed is
//! mostly a small part of each half.

/// Whether something held without what was left out; `None` when no more may be tried.
pub(super) type Outcome = Option<bool>;

/// Leaves out whatever is not needed: parts of the list, then smaller parts, then single items, until none can be left out or no more may be
/// tried. What is returned held, if all of them do.
pub(super) fn minimize<T: Clone>(items: Vec<T>, holds: &mut dyn FnMut(&[T]) -> Outcome) -> Vec<T> {
    if items.is_empty() || holds(&[]) == Some(true) { Vec::new() } else { shrink(items, holds) }
}

fn shrink<T: Clone>(mut items: Vec<T>, holds: &mut dyn FnMut(&[T]) -> Outcome) -> Vec<T> {
    let mut size = items.len().div_ceil(2);
    loop {
        let before = items.len();
        let mut from = 0;
        // All of them at once was tried.
        while from < items.len() && size < items.len() {
            let to = items.len().min(from + size);
            let rest = [&items[..from], &items[to..]].concat();
            match holds(&rest) {
                Some(true) => items = rest,
                Some(false) => from = to,
                None => return items,
            }
        }
        if size == 1 && (items.len() == before || items.len() <= 1) {
            return items;
        }
        size = size.min(items.len()).div_ceil(2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a hundred items of which some are needed, and how often that was tried.
    fn left(needed: &[u32], most: usize) -> (Vec<u32>, usize) {
        let mut tries = 0;
        let kept = minimize((0..100).collect(), &mut |items| {
            tries += 1;
            (tries <= most).then(|| needed.iter().all(|it| items.contains(it)))
        });
        (kept, tries)
    }

    #[test]
    fn only_what_is_needed_is_left() {
        for needed in [&[][..], &[0], &[99], &[3, 57], &[10, 11, 12, 80], &(0..100).collect::<Vec<_>>()] {
            let (kept, tries) = left(needed, usize::MAX);
            assert_eq!(kept, needed);
            assert!(tries < 250, "{tries} for {needed:?}");
        }
    }

    #[test]
    fn whenever_it_has_to_stop_what_is_left_still_holds() {
        for most in 0..40 {
            let (kept, tries) = left(&[3, 57], most);
            assert!(kept.contains(&3) && kept.contains(&57), "{kept:?} after {most}");
            assert!(tries <= most + 2);
        }
    }
}
