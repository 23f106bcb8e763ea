//! Blame as folded stacks, which viewers of flame graphs open: victim, lock and holder, and milliseconds of task time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::Cause;
use crate::report::blame::{AwaitedRow, BlameView, CauseRow};
use crate::report::sanitize::frame;

/// A line for each stack, in order: `victim;lock;holder 1234`.
pub(super) fn text(view: &BlameView) -> String {
    let mut stacks: BTreeMap<String, Duration> = BTreeMap::new();
    for row in &view.rows {
        for cause in &row.causes {
            let frames = [row.title()].into_iter().chain(frames(cause));
            let stack: Vec<String> = frames.map(|text| frame(&text)).collect();
            *stacks.entry(stack.join(";")).or_default() += cause.time;
        }
    }
    let lines = stacks.iter().filter(|(_, time)| time.as_millis() > 0);
    lines.map(|(stack, time)| format!("{stack} {}", time.as_millis()) + "\n").collect()
}

/// What stands above the victim.
fn frames(cause: &CauseRow) -> Vec<String> {
    let what = |it: &AwaitedRow| format!("{} {}", it.kind, it.location).trim_end().to_owned();
    let awaited = cause.awaited.as_ref().map(what);
    match cause.cause {
        Cause::Lock => {
            let holder = cause.holder.as_ref().map_or_else(|| "holder unknown".to_owned(), |it| it.label());
            vec![awaited.unwrap_or_else(|| "other locks".to_owned()), holder]
        }
        Cause::FullChannel => vec![format!("room in {}", awaited.unwrap_or_else(|| "other channels".to_owned()))],
        _ => vec![cause.text.clone()],
    }
}
