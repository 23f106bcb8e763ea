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

/// The same of measured values over time; a column of which nothing is known is a blank, as one with zero is.
pub fn sparkline_of(theme: &Theme, values: &[Option<f64>]) -> String {
    let bars = theme.bars();
    let highest = values.iter().flatten().copied().fold(0.0, f64::max);
    let steps = u32::try_from(bars.len() - 1).unwrap_or(1);
    let bar = |value: &Option<f64>| {
        let share = value.filter(|value| *value > 0.0).map_or(0.0, |value| value / highest);
        let height = (0..=steps).find(|step| f64::from(*step) >= share * f64::from(steps)).unwrap_or(steps);
        usize::try_from(height).ok().and_then(|height| bars.get(height)).copied().unwrap_or(' ')
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_stay_visible_and_unknown_ones_are_blank() {
        let theme = Theme::new(true, true);
        assert_eq!(sparkline_of(&theme, &[Some(0.0), Some(0.001), None, Some(0.5), Some(1.0)]), " ▁ ▄█");
        assert_eq!(sparkline_of(&theme, &[Some(0.0), Some(0.0)]), "  ");
    }

    #[test]
    fn small_counts_stay_visible() {
        assert_eq!(sparkline(&Theme::new(true, true), &[0, 1, 500, 1000]), " ▁▄█");
        assert_eq!(sparkline(&Theme::new(true, false), &[0, 1, u64::MAX]), " .#");
        assert_eq!(sparkline(&Theme::new(true, true), &[]), "");
    }
}
