//! The terminal, and the outputs beside it.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::black_boxes::BlackBoxes;
use super::headless::finish;
use super::keeping::keep;
use super::notes::note;
use super::opening::Opening;
use super::roster::{Places, Roster, found};
use super::signals::Stop;
use super::targets::Recording;
use super::watch::Watch;
use super::witness::WitnessDesk;
use crate::alert::Outputs;
use crate::alert::event::Summary;
use crate::diagnosis::Criteria;
use crate::report::verdict::VerdictView;
use crate::tui::{Asked, Presentation, Ui};

/// How often to look what became of files.
const LOOK: Duration = Duration::from_secs(1);

/// The targets of a view, and what is kept of them.
pub(super) struct Found {
    /// Their feeds and diagnoses.
    pub(super) watch: Watch,
    /// Those that are found while it lasts.
    pub(super) roster: Option<Roster>,
    /// The last minutes of each.
    pub(super) black_boxes: BlackBoxes,
    /// What is shown first.
    pub(super) opening: Opening,
}

/// Shows the targets until the user leaves, or a signal ends it. Returns the exit code.
///
/// # Errors
/// The terminal cannot be used any more, or a part of the tool has panicked.
pub(super) async fn interactive(
    targets: Found,
    (mut outputs, recording): (Outputs, Option<&Recording>),
    mut desk: WitnessDesk,
    (criteria, presentation): (Criteria, Presentation),
    notices: &mut Receiver<String>,
    stop: &Stop,
) -> anyhow::Result<u8> {
    let Found { mut watch, mut roster, mut black_boxes, mut opening } = targets;
    let mut ui = Ui::open(criteria, presentation)?;
    stop.restores(ui.restorer());
    let mut asked = std::pin::pin!(stop.asked());
    let mut look = lazily(LOOK);
    loop {
        tokio::select! {
            biased;
            () = &mut asked => break,
            attention = ui.attention() => {
                match ui.attend(attention, watch.fleet()).await? {
                    Asked::Nothing => {}
                    Asked::Leave => break,
                    Asked::Keep { text, file } => ui.say(keep(&text, &file)),
                    Asked::Witness { target, fingerprint } => ui.say(desk.begin(target, &fingerprint)),
                    Asked::Play { target, ask } => watch.ask(target, ask).into_iter().for_each(|it| ui.say(it)),
                    Asked::Save { target } => ui.say(black_boxes.save_now(target, watch.fleet())),
                }
            }
            sentence = desk.next() => ui.say(sentence),
            Some(sentence) = notices.recv() => ui.say(sentence),
            found = found(&mut roster) => {
                if let Some(roster) = &mut roster {
                    let places = &mut Places { watch: &mut watch, black_boxes: &mut black_boxes };
                    roster.take(found, places).into_iter().for_each(|sentence| ui.say(sentence));
                }
            }
            Some(step) = watch.next() => {
                if !watch.is_repeated() {
                    outputs.take(&step, watch.fleet());
                }
                ui.take(&step);
                if let Some((target, fingerprint)) = opening.finding(watch.fleet()) {
                    ui.open_finding(watch.fleet(), target, &fingerprint);
                }
            }
            _ = look.tick() => {
                black_boxes.reports().into_iter().for_each(|sentence| ui.say(sentence));
                if recording.is_some_and(|recording| watch.note_recorded(recording.bytes())) {
                    ui.refresh();
                }
            }
        }
        let targets: Vec<_> = watch.fleet().members().map(|member| member.id()).collect();
        for target in targets {
            watch.look_at(target, ui.open_task(target));
        }
    }
    // The terminal is given back before anything is said on it.
    drop(ui);
    let verdict = |diagnosis| VerdictView::of(diagnosis, criteria);
    let verdicts = watch.fleet().members().map(|member| (member, verdict(member.diagnosis()))).collect();
    let code = finish(outputs, Summary::new(watch.fleet(), verdicts, criteria.fail_on), stop).await;
    while let Ok(sentence) = notices.try_recv() {
        note(&sentence);
    }
    drop(watch);
    black_boxes.close(stop).await;
    Ok(code)
}

/// Ticks that do not pile up.
fn lazily(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
