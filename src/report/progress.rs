//! A comparison while it runs: what it comes to so far, how far it has come, and which target is on which side.

use std::time::Duration;

use super::comparison::ComparisonView;
use super::connection::{ConnectionState, ConnectionView};
use crate::compare::{BLOCK, FIRST_LOOK};
use crate::detect::describe::whole_seconds;
use crate::fleet::TargetId;
use crate::words;

/// A comparison while it runs, and after its end.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressView {
    /// What it comes to so far.
    pub comparison: ComparisonView,
    /// The time for which every target has been watched.
    pub watched: Duration,
    /// The time to watch each of them; none for recordings that are read to their end.
    pub limit: Option<Duration>,
    /// Whether all of them have been watched to the end.
    pub is_over: bool,
    /// The targets, those of the canary first.
    pub targets: Vec<ComparedTarget>,
}

/// A target of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComparedTarget {
    /// Which.
    pub id: TargetId,
    /// `canary` or `stable`.
    pub side: &'static str,
    /// Whether nothing more is read from it.
    pub is_done: bool,
}

impl ProgressView {
    /// What it comes to, in a sentence or two: the verdict, or what holds so far.
    pub fn sentence(&self) -> String {
        if self.is_over {
            return self.comparison.sentence.clone();
        }
        let time = self.time();
        match self.comparison.exit_code {
            0 => format!("Canary and stable look the same so far: {time}."),
            1 => format!("Regression so far, after {time}: {}", self.comparison.worse()),
            _ => format!("Not enough data yet, after {time}: {}", self.comparison.why_open()),
        }
    }

    /// How much of the time is over: `42 s of 2 min`.
    fn time(&self) -> String {
        let watched = Duration::from_secs(self.watched.min(self.limit.unwrap_or(self.watched)).as_secs());
        let limit = self.limit.map_or_else(String::new, |limit| format!(" of {}", words::limit(limit)));
        format!("{}{limit}", words::age(watched))
    }

    /// How long it takes still, or how to leave with which exit code, as a sentence.
    pub fn outlook(&self) -> String {
        let left = self.limit.map(|limit| whole_seconds(limit.saturating_sub(self.watched)));
        match left {
            _ if self.is_over => {
                format!("The comparison has ended. Press q to leave with exit code {}.", self.comparison.exit_code)
            }
            Some(left) if left.is_zero() => "The last block is being completed.".to_owned(),
            Some(left) => format!("{} left.", words::age(left)),
            None => "The recordings are read to their end.".to_owned(),
        }
    }

    /// Why no numbers stand side by side, as a sentence.
    pub fn without_numbers(&self) -> String {
        let (canary, stable) = (self.comparison.canary.blocks, self.comparison.stable.blocks);
        if self.is_over {
            return self.comparison.method.clone();
        }
        if canary.min(stable) < FIRST_LOOK {
            let (needed, block) = (words::number(FIRST_LOOK), words::limit(BLOCK));
            let (canary, stable) = (words::number(canary), words::number(stable));
            return format!(
                "Numbers are compared once each side has {needed} good blocks of {block}: canary {canary}, stable {stable}."
            );
        }
        format!("Numbers are not compared: {}.", self.comparison.reasons_in_words())
    }

    /// Where a target of it stands, in a few words: one that is not read any more is neither live nor tried again.
    pub fn connection(&self, target: TargetId, connection: &ConnectionView) -> String {
        let is_done = self.target(target).is_some_and(|it| it.is_done);
        let word = match connection.state {
            ConnectionState::Ended | ConnectionState::Truncated => return connection.label.clone(),
            _ if !is_done => return connection.label.clone(),
            ConnectionState::Live => "done",
            ConnectionState::Lost => "LOST",
            ConnectionState::Stranger => "NOT A CONSOLE",
            ConnectionState::Quiet => "QUIET",
            ConnectionState::Paused => "PAUSED by a client",
            ConnectionState::Resolving | ConnectionState::Dialing | ConnectionState::Waiting => "no update came",
        };
        word.to_owned()
    }

    /// The side of a target and whether it is read still, if it is one of these.
    pub fn target(&self, id: TargetId) -> Option<&ComparedTarget> {
        self.targets.iter().find(|it| it.id == id)
    }
}
