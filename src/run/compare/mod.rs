//! `compare`: watches a canary and what is known to work, and says whether the canary does worse.

mod screen;
mod watched;

use std::io::{self, IsTerminal};

use self::watched::Watched;
use super::comparison_outputs::ComparisonOutputs;
use super::exit::{INCONCLUSIVE, UsageError, worst_of};
use super::locked;
use super::looks::{presentation, repository, undrawable};
use super::notes::note;
use super::sides::Sides;
use super::signals::Stop;
use super::targets;
use super::terms;
use super::witness::WitnessDesk;
use crate::cli::Compare;
use crate::compare::Criteria;
use crate::config::Config;
use crate::config::options::FAIL_ON;
use crate::detect::severity::Severity;

/// Compares what the arguments name, and returns the exit code.
///
/// # Errors
/// A target, an output, the lockfile or the terminal cannot be used.
pub(super) async fn run(args: &Compare, config: &Config, stop: &Stop) -> anyhow::Result<u8> {
    if args.tui {
        require_terminal()?;
    }
    let outputs = ComparisonOutputs::open(&args.outputs.outputs, repository(config)).map_err(UsageError)?;
    let known = args.write.as_deref().map(|path| locked::read(path).map(Option::unwrap_or_default)).transpose()?;
    stop.ends_with(INCONCLUSIVE);
    let sides = Sides::of(args, config)?;
    let mut opened = targets::open_these(config, &sides.targets).map_err(UsageError::from)?;
    let tapes = std::mem::take(&mut opened.tapes);
    let mut watched = Watched::new(opened, sides, args);
    let fail_on = config.get(&FAIL_ON).unwrap_or(Severity::Warning);
    let criteria = Criteria { fail_on, fails_on_new: args.fail_on_new };
    let interrupted = if args.tui {
        let desk = WitnessDesk::new(tapes, config.settings());
        let look = (terms::criteria(config), presentation(config));
        screen::show(&mut watched, criteria, look, desk, stop).await?
    } else {
        if has_terminal() && io::stderr().is_terminal() && !watched.is_recorded() {
            note("Add --tui to see the comparison while it runs.");
        }
        watched.watch(stop).await
    };
    let mut codes = Vec::new();
    if let (Some(path), Some(known)) = (&args.write, &known) {
        codes.push(watched.write(path, known, interrupted)?);
    }
    if !args.canary.is_empty() {
        let view = watched.compare(criteria, interrupted);
        outputs.put(&view, watched.fleet())?;
        codes.push(view.exit_code);
    } else if interrupted {
        codes.push(INCONCLUSIVE);
    }
    Ok(worst_of(codes))
}

/// Whether a person sits in front of it.
fn has_terminal() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Looks whether there is a terminal to draw on.
///
/// # Errors
/// A sentence about what is in the way.
fn require_terminal() -> Result<(), UsageError> {
    const INSTEAD: &str = "Leave --tui out: the verdict is printed.";
    if !has_terminal() {
        let why = "Standard input and output are not both a terminal, so there is nothing to draw on.";
        return Err(UsageError(format!("{why} {INSTEAD}")));
    }
    match undrawable(std::env::var("TERM").ok().as_deref()) {
        Some(fault) => Err(UsageError(format!("{fault} {INSTEAD}"))),
        None => Ok(()),
    }
}
