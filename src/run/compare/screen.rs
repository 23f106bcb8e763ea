//! A comparison in the terminal while it runs, and its verdict until the user leaves.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::watched::{TICK, Watched};
use crate::compare::Criteria;
use crate::diagnosis;
use crate::run::keeping::keep;
use crate::run::notes::{SAYING, flush};
use crate::run::signals::Stop;
use crate::run::witness::WitnessDesk;
use crate::tui::{Asked, Presentation, Ui};

/// The least time between two comparisons.
const PERIOD: Duration = Duration::from_secs(1);
/// The divisor of the share of time spent comparing.
const SHARE: u32 = 10;

/// Answer to a request to save the last minutes.
const NOT_KEPT: &str = "A comparison keeps no recording. Record each target with `tokio-canary record` beside it.";

/// Answer to a request to control the playback of a recording.
const NOT_PLAYED: &str = "A comparison reads its recordings once. `tokio-canary FILE` plays one.";

/// Shows a comparison until the user leaves, or a signal ends it. Returns whether that was before its end.
///
/// # Errors
/// The terminal cannot be used any more, or a part of the tool has panicked.
pub(super) async fn show(
    watched: &mut Watched,
    criteria: Criteria,
    (measure, presentation): (diagnosis::Criteria, Presentation),
    mut desk: WitnessDesk,
    stop: &Stop,
) -> anyhow::Result<bool> {
    // Earlier notes belong above the view, not into it.
    flush(SAYING);
    let mut ui = Ui::open(measure, presentation)?;
    stop.restores(ui.restorer());
    let mut asked = std::pin::pin!(stop.asked());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ui.compare(watched.progress(criteria));
    let mut next = Instant::now() + PERIOD;
    loop {
        // Recordings always have more: what a person does and the time come first.
        tokio::select! {
            biased;
            () = &mut asked => break,
            attention = ui.attention() => match ui.attend(attention, watched.fleet()).await? {
                Asked::Nothing => {}
                Asked::Leave => break,
                Asked::Keep { text, file } => ui.say(keep(&text, &file)),
                Asked::Witness { target, fingerprint } => ui.say(desk.begin(target, &fingerprint)),
                Asked::Play { .. } => ui.say(NOT_PLAYED.to_owned()),
                Asked::Save { .. } => ui.say(NOT_KEPT.to_owned()),
            },
            sentence = desk.next() => ui.say(sentence),
            _ = ticks.tick(), if !watched.is_over() => watched.check_time(),
            step = watched.next(), if !watched.is_over() => match step {
                Some(step) => ui.take(&step),
                None => ui.compare(watched.progress(criteria)),
            },
        }
        watched.news().into_iter().for_each(|sentence| ui.say(sentence));
        if !watched.is_over() && Instant::now() >= next {
            let begun = Instant::now();
            ui.compare(watched.progress(criteria));
            next = Instant::now() + PERIOD.max(begun.elapsed() * SHARE);
        }
        watched.look_at(|target| ui.open_task(target));
    }
    Ok(!watched.is_over())
}
