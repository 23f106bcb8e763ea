//! Makes a witness out of a recording: looks for the finding, cuts, writes, and plays what was written.

use std::fs;
use std::path::PathBuf;

use crate::detect::selector::Selector;
use crate::detect::settings::Settings;
use crate::diagnosis::Arrived;
use crate::feed::recording::{Events, Kept, Written, save};
use crate::run::exit::UsageError;
use crate::run::verify::describe;
use crate::witness::redact::{self, Redactor};
use crate::witness::{Budget, Cut, Extent, Order, Progress, Sighting, Statement, choose, cut, enough, survey};
use crate::words;

/// What a witness is made of.
#[derive(Debug)]
pub(in crate::run) struct Request {
    /// The recording to cut.
    pub(in crate::run) recording: PathBuf,
    /// The finding to keep.
    pub(in crate::run) finding: Selector,
    /// The file to write.
    pub(in crate::run) output: PathBuf,
    /// The settings in force.
    pub(in crate::run) settings: Settings,
    /// Whether names are replaced.
    pub(in crate::run) redact: bool,
}

/// What came of it.
#[derive(Debug)]
pub(in crate::run) enum Made {
    /// A witness.
    Written(Box<Witness>),
    /// The recording does not show the finding, but these.
    Missing(Vec<Sighting>),
    /// Several findings can be meant.
    Ambiguous(Vec<Sighting>),
    /// What was cut, or redacted, does not show the finding any more: why, as a sentence.
    Lost(String),
}

/// A witness that was written.
#[derive(Debug)]
pub(in crate::run) struct Witness {
    file: Written,
    goal: Sighting,
    before: Extent,
    after: Extent,
}

impl Witness {
    /// The file.
    pub(in crate::run) fn file(&self) -> &Written {
        &self.file
    }

    /// What it is of.
    pub(in crate::run) fn goal(&self) -> &Sighting {
        &self.goal
    }

    /// What it is of, how large it is, and what of the recording is left in it.
    pub(in crate::run) fn sentence(&self) -> String {
        let (before, after) = (self.before, self.after);
        format!(
            "Wrote {} ({}), a witness of {} ({}): {} of {}, {} of {}, {} of {} and {} of {}.",
            self.file.path.display(),
            words::bytes(self.file.bytes),
            describe(&self.goal),
            self.goal.fingerprint,
            after.tasks,
            words::count(before.tasks, "task"),
            after.resources,
            words::count(before.resources, "resource"),
            after.ops,
            words::count(before.ops, "async op"),
            after.updates,
            words::count(before.updates, "update"),
        )
    }
}

/// Makes a witness; the file is there only if it shows the finding.
///
/// # Errors
/// The recording cannot be read, or the witness cannot be written.
pub(in crate::run) fn make(request: &Request, progress: &mut dyn FnMut(Progress)) -> anyhow::Result<Made> {
    let open = || Events::open(&request.recording).map_err(|error| UsageError(error.to_string()));
    let sightings = survey(open()?, &request.settings);
    let goal = match choose(&request.finding, &sightings).as_slice() {
        [one] => (*one).clone(),
        [] => return Ok(Made::Missing(sightings)),
        several => return Ok(Made::Ambiguous(several.iter().map(|it| (*it).clone()).collect())),
    };
    let recorded = open()?;
    let target = recorded.target().to_owned();
    let events = recorded.take(enough(&goal)).collect();
    let order = Order { goal: &goal, sightings: &sightings, settings: &request.settings, budget: Budget::default() };
    let Some(cut) = cut(events, &order, progress) else {
        return Ok(Made::Lost(format!("{} does not show again when it is played up to there.", describe(&goal))));
    };
    write(request, &target, goal, cut)
}

/// Writes what was cut, redacted if that was asked for.
fn write(request: &Request, target: &str, goal: Sighting, cut: Cut) -> anyhow::Result<Made> {
    let Cut { events, before, after, .. } = cut;
    let (goal, target, events, settings) = if request.redact {
        let Some((goal, events, settings)) = redacted(request, &goal, &events) else {
            let why = "does not show under stand-ins, so nothing was written; leave out --redact";
            return Ok(Made::Lost(format!("{} {why}.", describe(&goal))));
        };
        (goal, redact::TARGET.to_owned(), events, settings)
    } else {
        (goal, target.to_owned(), events, request.settings.clone())
    };
    let statement = Statement::of(&goal, &settings, request.redact);
    let file = save(&request.output, &Kept { target: &target, events: &events, note: statement.note() })?;
    // What counts is what somebody else finds in the file.
    let found = survey(Events::open(&request.output)?, &settings);
    if statement.find(&found).is_none() {
        let _ = fs::remove_file(&request.output);
        return Ok(Made::Lost(format!("What was written does not show {}, so it was removed.", describe(&goal))));
    }
    Ok(Made::Written(Box::new(Witness { file, goal, before, after })))
}

/// The events and the settings under stand-ins, and the finding as it is then called; `None` if it does not show any more.
fn redacted(request: &Request, goal: &Sighting, events: &[Arrived]) -> Option<(Sighting, Vec<Arrived>, Settings)> {
    let mut redactor = Redactor::default();
    let events = redactor.events(events);
    let settings = redactor.settings(&request.settings);
    let place = redactor.place(&goal.place);
    let is_it = |it: &Sighting| it.detector.id == goal.detector.id && it.severity >= goal.severity && it.place == place;
    let goal = survey(events.iter().cloned(), &settings).into_iter().find(is_it)?;
    Some((goal, events, settings))
}
