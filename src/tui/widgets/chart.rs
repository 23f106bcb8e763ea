//! A number over time as lines of text, drawn by ratatui's chart.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

use super::text::cells;
use crate::tui::theme::Theme;
use crate::words;

/// Height of a chart with its axes.
const HEIGHT: u16 = 8;
/// Width from which on a chart says anything.
const LEAST: usize = 24;
/// Width beyond which a chart says nothing more.
const MOST: usize = 78;

/// What a chart shows.
#[derive(Debug)]
pub struct Curve<'a> {
    /// Seconds since the beginning, and the value then; oldest first.
    pub samples: &'a [(f64, f64)],
    /// A value to compare with.
    pub threshold: Option<f64>,
    /// The unit of the values, as [`words::measure`] knows it.
    pub unit: &'a str,
}

/// A chart in lines of at most `width` cells; none where there is no room, or nothing to draw.
pub fn chart(theme: &Theme, width: usize, curve: &Curve<'_>) -> Vec<Line<'static>> {
    let Some((end, _)) = curve.samples.last().copied().filter(|(end, _)| *end > 0.0 && width >= LEAST) else {
        return Vec::new();
    };
    let highest = curve.samples.iter().map(|(_, value)| *value).chain(curve.threshold).fold(0.0, f64::max);
    if !highest.is_finite() || highest <= 0.0 {
        return Vec::new();
    }
    let line = curve.threshold.map(|limit| [(0.0, limit), (end, limit)]);
    let [mark, limit_mark] = theme.markers();
    let mut sets = Vec::new();
    if let Some(line) = &line {
        sets.push(Dataset::default().marker(limit_mark).graph_type(GraphType::Line).style(theme.bad()).data(line));
    }
    sets.push(Dataset::default().marker(mark).graph_type(GraphType::Line).style(theme.curve()).data(curve.samples));
    let span = words::age(Duration::try_from_secs_f64(end).unwrap_or_default());
    let times = [theme.text(&format!("{span} ago")), "now".to_owned()];
    let values = [0.0, highest].map(|value| theme.text(&words::measure(value, curve.unit)));
    let axis = |bound: f64, labels: [String; 2]| {
        Axis::default().style(theme.dim()).bounds([0.0, bound]).labels(labels.map(Line::from))
    };
    let chart = Chart::new(sets).legend_position(None).x_axis(axis(end, times)).y_axis(axis(highest, values));
    let area = Rect::new(0, 0, cells(width.min(MOST)), HEIGHT);
    let mut buffer = Buffer::empty(area);
    chart.render(area, &mut buffer);
    (0..area.height).map(|row| text(theme, &buffer, row)).collect()
}

/// A row of a buffer as a line, in runs of one style.
fn text(theme: &Theme, buffer: &Buffer, row: u16) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for column in 0..buffer.area.width {
        let Some(cell) = buffer.cell((column, row)) else { continue };
        let (symbol, style) = (theme.line_drawing(cell.symbol()), Style::new().patch(cell.style()));
        match spans.last_mut().filter(|span| span.style == style) {
            Some(span) => span.content.to_mut().push_str(symbol),
            None => spans.push(Span::styled(symbol.to_owned(), style)),
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(theme: Theme, width: usize, samples: &[(f64, f64)], threshold: Option<f64>) -> Vec<String> {
        chart(&theme, width, &Curve { samples, threshold, unit: "entries" }).iter().map(Line::to_string).collect()
    }

    #[test]
    fn axes_name_the_highest_value_and_the_span() {
        let lines = drawn(Theme::new(true, true), 40, &[(0.0, 1.0), (30.0, 20.0), (60.0, 40.0)], Some(10.0));
        let all = lines.join("\n");
        assert_eq!(lines.len(), usize::from(HEIGHT));
        assert!(all.contains("40 entries") && all.contains("1 min ago") && all.contains("now"), "{all}");
    }

    #[test]
    fn without_unicode_only_ascii_is_drawn() {
        let lines = drawn(Theme::new(false, false), 40, &[(0.0, 1.0), (60.0, 40.0)], Some(10.0));
        assert!(lines.iter().all(|line| line.is_ascii()) && lines.concat().contains('*'), "{lines:#?}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let theme = Theme::new(true, true);
        for samples in [&[][..], &[(0.0, 1.0)], &[(0.0, 0.0), (9.0, 0.0)], &[(0.0, 1.0), (9.0, f64::INFINITY)]] {
            assert!(drawn(theme, 40, samples, None).is_empty(), "{samples:?}");
        }
        assert!(drawn(theme, LEAST - 1, &[(0.0, 1.0), (9.0, 2.0)], None).is_empty());
    }
}
