//! Questions of HTTP clients to the one loop of a run, which alone knows the targets, and its answers.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::gate::TargetVerdict;
use super::reading::{Reading, Scrape, Transitions};
use crate::alert::event::{Event, EventKind};
use crate::alert::ndjson;
use crate::fleet::{Change, Fleet, Member, Step, TargetId};
use crate::report::verdict::VerdictView;
use crate::report::{Snapshot, State as FindingState};
use crate::words;

/// Questions that may wait for the loop.
const WAITING: usize = 16;
/// How long a client waits for the loop. An update of a very large target may take as long as this.
const PATIENCE: Duration = Duration::from_secs(3);

/// Something that a client wants to know, and where the answer goes.
#[derive(Debug)]
pub enum Question {
    /// Whether the loop turns.
    Turn(oneshot::Sender<()>),
    /// What the metrics are made of.
    Scrape(oneshot::Sender<Scrape>),
    /// What each target comes to so far.
    Verdicts(oneshot::Sender<Vec<TargetVerdict>>),
    /// The present findings of each target, as objects of the events' schema.
    Findings(oneshot::Sender<Vec<TargetFindings>>),
}

/// The present findings of a target.
#[derive(Debug)]
pub struct TargetFindings {
    /// The target, as the user named it.
    pub(super) target: String,
    /// A JSON object each, the worst first.
    pub(super) objects: Vec<String>,
}

/// Why a request was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The loop is busy with something else.
    Late,
    /// The run has ended.
    Over,
}

impl NoAnswer {
    /// The reason as a sentence.
    pub(super) fn sentence(self) -> String {
        match self {
            Self::Late => format!("The main loop did not respond within {}.", words::limit(PATIENCE)),
            Self::Over => "The run has ended.".to_owned(),
        }
    }
}

/// The side of the clients.
#[derive(Debug, Clone)]
pub(super) struct Asker(mpsc::Sender<Question>);

impl Asker {
    /// Asks the loop, and waits a while for the answer.
    pub(super) async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, NoAnswer> {
        let asked = async {
            let (sender, answer) = oneshot::channel();
            self.0.send(question(sender)).await.map_err(|_| NoAnswer::Over)?;
            answer.await.map_err(|_| NoAnswer::Over)
        };
        timeout(PATIENCE, asked).await.unwrap_or(Err(NoAnswer::Late))
    }
}

/// What the loop knows when it answers.
pub struct State<'a> {
    /// The targets.
    pub fleet: &'a Fleet,
    /// What each target comes to so far, by the criteria of the run.
    pub verdicts: &'a dyn Fn() -> Vec<(&'a Member, VerdictView)>,
    /// Whether a target is still watched.
    pub is_watched: &'a dyn Fn(TargetId) -> bool,
    /// Names of outputs, and how many events each has lost.
    pub lost: Vec<(String, u64)>,
}

/// The side of the loop.
#[derive(Debug)]
pub struct Desk {
    questions: mpsc::Receiver<Question>,
    transitions: BTreeMap<TargetId, Transitions>,
}

impl Desk {
    /// A desk, and what clients use to ask there.
    pub(super) fn open() -> (Self, Asker) {
        let (asker, questions) = mpsc::channel(WAITING);
        (Self { questions, transitions: BTreeMap::new() }, Asker(asker))
    }

    /// The next question. None is lost if this is dropped before.
    pub async fn next(&mut self) -> Question {
        match self.questions.recv().await {
            Some(question) => question,
            None => std::future::pending().await,
        }
    }

    /// Counts what happens to findings.
    pub fn take(&mut self, step: &Step) {
        match step {
            Step::Arrived { target, changes, .. } => {
                for change in changes {
                    if let Change::Finding(transition) = change {
                        let finding = &transition.finding;
                        let counts = self.transitions.entry(*target).or_default();
                        *counts.entry((finding.detector.id, finding.state.as_str())).or_default() += 1;
                    }
                }
            }
            Step::Left(member) => {
                self.transitions.remove(&member.id());
            }
            Step::Joined(_) | Step::Closed(_) => {}
        }
    }

    /// Answers a question. Whoever asked it may have left.
    pub fn answer(&self, question: Question, state: &State<'_>) {
        match question {
            Question::Turn(answer) => drop(answer.send(())),
            Question::Scrape(answer) => drop(answer.send(self.scrape(state))),
            Question::Verdicts(answer) => {
                let verdict = |(member, verdict): (&Member, VerdictView)| TargetVerdict {
                    target: member.diagnosis().target().to_owned(),
                    is_ready: Reading::is_ready(member),
                    verdict,
                };
                drop(answer.send((state.verdicts)().into_iter().map(verdict).collect()));
            }
            Question::Findings(answer) => {
                drop(answer.send(state.fleet.members().map(|member| findings(state.fleet, member)).collect()));
            }
        }
    }

    fn scrape(&self, state: &State<'_>) -> Scrape {
        let watched = (state.verdicts)().into_iter().filter(|(member, _)| (state.is_watched)(member.id()));
        let reading = |(member, verdict): (&Member, VerdictView)| {
            let transitions = self.transitions.get(&member.id()).cloned().unwrap_or_default();
            Reading::of(state.fleet, member, verdict, transitions)
        };
        Scrape { readings: watched.map(reading).collect(), lost: state.lost.clone() }
    }
}

fn findings(fleet: &Fleet, member: &Member) -> TargetFindings {
    let snapshot = Snapshot::new(fleet, member);
    let views = snapshot.all_findings().into_iter().filter_map(|key| snapshot.finding(&key));
    let present = views.filter(|view| view.row.state != FindingState::Resolved);
    let target = member.diagnosis().target().to_owned();
    let objects = present.map(|view| {
        let (target, at) = (target.clone(), view.last_seen);
        ndjson::line(&Event { target, at, kind: EventKind::Finding(Box::new(view)) })
    });
    TargetFindings { objects: objects.collect(), target }
}
