//! Who keeps whom waiting, drawn from the holder down.

use ratatui::text::Span;

use crate::report::Link;
use crate::report::diagram::{DiagramNode, DiagramView};
use crate::tui::widgets::page::Draft;
use crate::words;

pub(super) fn write(draft: &mut Draft<Link>, diagram: &DiagramView) {
    let theme = draft.theme();
    draft.heading(if diagram.is_cycle { "Wait cycle" } else { "Wait chain" });
    let art = theme.diagram();
    let last = diagram.spine.len().saturating_sub(1);
    for (index, DiagramNode { node, tie }) in diagram.spine.iter().enumerate() {
        let rail = match (diagram.is_cycle, index) {
            (false, _) => "",
            (true, 0) => art.begin,
            (true, _) => art.rail,
        };
        draft.drawn(&Span::styled(rail, theme.bad()), &node.text, theme.strong(), Some(node.link.clone()));
        if index < last {
            let rail = if diagram.is_cycle { art.rail } else { "" };
            draft.drawn(
                &Span::styled(rail, theme.bad()),
                &format!("  {} {}", art.down, tie.in_words("")),
                theme.dim(),
                None,
            );
        } else if diagram.is_cycle {
            draft.drawn(&Span::styled(art.end, theme.bad()), &tie.in_words(" the first task"), theme.dim(), None);
        }
    }
    let others = diagram.others.iter().map(|(other, age)| {
        (format!("{}, waiting for {}", other.text, words::duration(*age)), theme.plain(), Some(other.link.clone()))
    });
    let more =
        (diagram.more > 0).then(|| (format!("and {}", words::count(diagram.more, "other task")), theme.dim(), None));
    let mut branches = others.chain(more).peekable();
    while let Some((text, style, link)) = branches.next() {
        let branch = if branches.peek().is_some() { art.branch } else { art.last };
        draft.drawn(&Span::styled(branch, theme.dim()), &text, style, link);
    }
    if let Some(note) = &diagram.note {
        draft.text(note, theme.plain());
    }
}
