//! What the terminal shows first, where the command line says so.

use super::watch::Watch;
use crate::cli::ScreenArgs;
use crate::detect::selector::Selector;
use crate::fleet::{Fleet, TargetId};
use crate::playing::Ask;

/// What is to be shown first.
#[derive(Debug, Default)]
pub(super) struct Opening {
    finding: Option<Selector>,
}

impl Opening {
    /// Goes to the time that was asked for in every recording, and remembers the finding. Returns what cannot be done.
    pub(super) fn begin(args: &ScreenArgs, watch: &mut Watch) -> (Self, Vec<String>) {
        let begins = |watch: &Watch| {
            let members = watch.fleet().members();
            members.filter_map(|member| Some((member.id(), member.playing()?.begins))).collect::<Vec<_>>()
        };
        let mut sentences = Vec::new();
        if let Some(at) = args.at {
            for (target, begins) in begins(watch) {
                sentences.extend(watch.ask(target, Ask::To(at.from(begins))));
            }
        }
        (Self { finding: args.open.clone() }, sentences)
    }

    /// The finding that was asked for, once it exists.
    pub(super) fn finding(&mut self, fleet: &Fleet) -> Option<(TargetId, String)> {
        let selector = self.finding.as_ref()?;
        let found = fleet.members().find_map(|member| {
            let diagnosis = member.diagnosis();
            let mut findings = diagnosis.findings().into_iter().chain(diagnosis.resolved());
            findings.find(|it| selector.names(it)).map(|it| (member.id(), it.fingerprint.clone()))
        })?;
        self.finding = None;
        Some(found)
    }
}
