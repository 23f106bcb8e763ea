//! A distribution in one line of text.

use crate::tui::theme::Theme;

/// A bar for each number, the largest one as high as a line; what is not zero is never drawn as empty.
pub fn sparkline(theme: &Theme, numbers: &[u64]) -> String {
    let bars = theme.bars();
    let highest = numbers.iter().copied().max().unwrap_or(0).max(1);
    let steps = u128::try_from(bars.len() - 1).unwrap_or(1);
    let bar = |number: &u64| {
        let height = (u128::from(*number) * steps).div_ceil(u128::from(highest));
        usize::try_from(height).ok().and_then(|height| bars.get(height)).copied().unwrap_or(' ')
    };
    numbers.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_counts_stay_visible() {
        assert_eq!(sparkline(&Theme::new(true, true), &[0, 1, 500, 1000]), " ▁▄█");
        assert_eq!(sparkline(&Theme::new(true, false), &[0, 1, u64::MAX]), " .#");
        assert_eq!(sparkline(&Theme::new(true, true), &[]), "");
    }
}
