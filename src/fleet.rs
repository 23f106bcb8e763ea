//! Several targets: a diagnosis each, what became of their findings lately, and which findings they share.
//!
//! Whatever happens is a [`Step`]; front ends take steps in and look at the fleet for the rest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::discriminant;
use std::sync::Arc;
use std::time::SystemTime;

use crate::detect::finding::{Finding, Transition};
use crate::detect::severity::State;
use crate::diagnosis::{Arrived, Diagnosis, Ended, FeedEvent, Outlook, Status, Withheld};
use crate::playing::Playing;

/// Transitions of one target that are kept.
const JOURNAL: usize = 200;

/// A target of a fleet: never reused, as targets come and go while a run lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(u32);

/// Something that happened in a fleet.
#[derive(Debug)]
pub enum Step {
    /// A target is watched from now on.
    Joined(TargetId),
    /// Something arrived from a target.
    Arrived {
        /// Which one.
        target: TargetId,
        /// When, by our clock; in a replay, when it reached the recorder.
        at: SystemTime,
        /// What is different now, besides what the model knows; often nothing.
        changes: Vec<Change>,
    },
    /// Nothing more comes from a target. What is known of it stays.
    Closed(TargetId),
    /// A target is not watched any more; this was its last state.
    Left(Box<Member>),
}

/// What an event changed that is worth saying.
#[derive(Debug, Clone)]
pub enum Change {
    /// The connection, or how the feed ended.
    Connection,
    /// How far an attempt to connect again has come.
    Attempt,
    /// What the feed withholds.
    Quality,
    /// A finding opened, changed or was resolved.
    Finding(Arc<Transition>),
}

/// One target of a fleet.
#[derive(Debug, Clone)]
pub struct Member {
    id: TargetId,
    diagnosis: Diagnosis,
    /// With the arrival of what showed each.
    journal: VecDeque<(SystemTime, Arc<Transition>)>,
    /// How it is played, of a recording that is under control.
    playing: Option<Playing>,
    /// The size in bytes of the recording that is written of it.
    recorded: Option<u64>,
    /// Rises with everything that arrives.
    revision: u64,
    /// What was last said of each state of the connection, since it was live.
    announced: Vec<Connection>,
    quality: Quality,
}

impl Member {
    /// Which target it is.
    pub fn id(&self) -> TargetId {
        self.id
    }

    /// What is known of it.
    pub fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
    }

    /// What became of its findings lately, oldest first.
    pub fn journal(&self) -> impl DoubleEndedIterator<Item = &Transition> {
        self.history().map(|(_, transition)| transition)
    }

    /// The same, each with the arrival of what showed it.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = (SystemTime, &Transition)> {
        self.journal.iter().map(|(at, transition)| (*at, transition.as_ref()))
    }

    /// When findings opened lately, as far as they were shown, oldest first. One that became worse did not open again.
    pub fn openings(&self) -> Vec<(SystemTime, &Transition)> {
        let mut open = BTreeSet::new();
        let mut openings = Vec::new();
        for (at, transition) in self.history() {
            let fingerprint = transition.finding.fingerprint.as_str();
            if transition.finding.state == State::Resolved {
                open.remove(fingerprint);
            } else if transition.finding.is_shown() && open.insert(fingerprint) {
                openings.push((at, transition));
            }
        }
        openings
    }

    /// How it is played, if it is a recording that is under control.
    pub fn playing(&self) -> Option<&Playing> {
        self.playing.as_ref()
    }

    /// The size in bytes of the recording that is written of it, if one is.
    pub fn recorded(&self) -> Option<u64> {
        self.recorded
    }

    /// A number that changes whenever something has arrived.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The confirmed finding of a class that is present now, unless another explains it.
    fn finding(&self, fingerprint: &str) -> Option<&Finding> {
        self.diagnosis.engine().finding(fingerprint).filter(|it| it.is_shown())
    }

    fn apply(&mut self, arrived: Arrived) -> Vec<Change> {
        self.revision += 1;
        let (at, mut changes) = (arrived.at, Vec::new());
        for transition in self.diagnosis.apply(arrived).into_iter().map(Arc::new) {
            if self.journal.len() == JOURNAL {
                self.journal.pop_front();
            }
            self.journal.push_back((at, Arc::clone(&transition)));
            changes.push(Change::Finding(transition));
        }
        changes.extend(self.announce(Connection::of(&self.diagnosis)));
        let quality = Quality::of(&self.diagnosis);
        if quality != self.quality {
            self.quality = quality;
            changes.push(Change::Quality);
        }
        changes
    }

    /// The change to report for a state of the connection. None if the same was reported since the target was last live: one failed attempt is
    /// like the next.
    fn announce(&mut self, connection: Connection) -> Option<Change> {
        if self.announced.contains(&connection) {
            return None;
        }
        let is_again = !self.announced.is_empty() && connection.is_attempt();
        match connection {
            Connection::Live => self.announced.clear(),
            _ => self.announced.retain(|it| *it != Connection::Live && discriminant(it) != discriminant(&connection)),
        }
        self.announced.push(connection);
        Some(if is_again { Change::Attempt } else { Change::Connection })
    }
}

/// The connection of a target, as far as a change of it is worth saying.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Connection {
    Resolving,
    /// With what was chosen to connect to.
    Dialing(Option<String>),
    Live,
    Lost(String),
    Ended(Ended),
}

impl Connection {
    fn of(diagnosis: &Diagnosis) -> Self {
        match (diagnosis.ended(), diagnosis.status()) {
            (Some(ended), _) => Self::Ended(ended.clone()),
            (None, Status::Resolving) => Self::Resolving,
            (None, Status::Chosen { .. } | Status::Dialing) => Self::Dialing(diagnosis.place().map(str::to_owned)),
            (None, Status::Live) => Self::Live,
            (None, Status::Lost { reason, .. } | Status::Stranger { reason, .. }) => Self::Lost(reason.clone()),
        }
    }

    fn is_attempt(&self) -> bool {
        matches!(self, Self::Resolving | Self::Dialing(_))
    }
}

/// What a feed withholds, as far as a change of it is worth saying.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Quality {
    withheld: Vec<Withheld>,
    /// Whether it catches up; `None` where it need not, or that cannot be told.
    catches_up: Option<bool>,
}

impl Quality {
    fn of(diagnosis: &Diagnosis) -> Self {
        let catches_up = diagnosis.outlook().map(|outlook| matches!(outlook, Outlook::CatchesUp(_)));
        Self { withheld: diagnosis.withheld(), catches_up }
    }
}

/// One finding of one or more targets.
#[derive(Debug, Clone)]
pub struct SharedFinding<'a> {
    /// The targets that have it, and how each of them does; the worst first.
    pub members: Vec<(&'a Member, &'a Finding)>,
}

/// The targets that are watched.
#[derive(Debug, Default)]
pub struct Fleet {
    members: BTreeMap<TargetId, Member>,
    next: u32,
}

impl Fleet {
    /// Takes a target in.
    pub fn join(&mut self, diagnosis: Diagnosis) -> TargetId {
        let id = TargetId(self.next);
        self.next += 1;
        let (journal, announced, quality) = (VecDeque::new(), Vec::new(), Quality::default());
        let (playing, recorded) = (None, None);
        self.members.insert(id, Member { id, diagnosis, journal, playing, recorded, revision: 0, announced, quality });
        id
    }

    /// Lets a target go, and returns its last state.
    pub fn leave(&mut self, target: TargetId) -> Option<Member> {
        self.members.remove(&target)
    }

    /// Takes in what a target's feed delivered. What comes from a target that is gone changes nothing.
    pub fn apply(&mut self, target: TargetId, arrived: Arrived) -> Step {
        let at = arrived.at;
        let changes = self.members.get_mut(&target).map(|member| member.apply(arrived)).unwrap_or_default();
        Step::Arrived { target, at, changes }
    }

    /// Puts a target back to a state that it had; how it is played stays.
    pub fn restore(&mut self, earlier: &Member) {
        if let Some(member) = self.members.get_mut(&earlier.id) {
            *member = Member { playing: member.playing, recorded: member.recorded, ..earlier.clone() };
        }
    }

    /// Says how a recording is played.
    pub fn play(&mut self, target: TargetId, playing: Playing) {
        if let Some(member) = self.members.get_mut(&target) {
            member.playing = Some(playing);
        }
    }

    /// Says how large the recording of a target is, and returns whether that is news.
    pub fn note_recorded(&mut self, target: TargetId, bytes: u64) -> bool {
        let member = self.members.get_mut(&target);
        member.is_some_and(|member| member.recorded.replace(bytes) != Some(bytes))
    }

    /// Says that the program behind a target has ended, so that nothing more is expected of it.
    pub fn exit(&mut self, target: TargetId) -> Step {
        let last = self.member(target).and_then(|member| member.diagnosis.arrived());
        let at = last.unwrap_or_else(SystemTime::now);
        self.apply(target, Arrived { at, event: FeedEvent::Ended(Ended::Exited) })
    }

    /// A target, unless it is gone.
    pub fn member(&self, target: TargetId) -> Option<&Member> {
        self.members.get(&target)
    }

    /// The targets, in the order in which they joined.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> + Clone {
        self.members.values()
    }

    /// What its targets are, as a noun: pods, where each of them is one.
    pub fn noun(&self) -> &'static str {
        noun_of(self.members())
    }

    /// All confirmed findings that are not explained by others, those of one class as one, in the order in which they are read.
    pub fn findings(&self) -> Vec<SharedFinding<'_>> {
        let mut classes: BTreeMap<&str, Vec<(&Member, &Finding)>> = BTreeMap::new();
        for member in self.members() {
            for finding in member.diagnosis.findings() {
                classes.entry(&finding.fingerprint).or_default().push((member, finding));
            }
        }
        // Clocks of different targets cannot be compared, ages can.
        let rank = |(member, finding): &(&Member, &Finding)| {
            (finding.urgency(), Reverse(member.diagnosis.now().since(finding.since)))
        };
        let mut shared: Vec<_> = classes.into_values().collect();
        shared.iter_mut().for_each(|members| members.sort_by_key(rank));
        shared.sort_by_key(|members| members.first().map(rank));
        shared.into_iter().map(|members| SharedFinding { members }).collect()
    }

    /// The targets that have a finding of this class now.
    pub fn sharing<'a>(&'a self, fingerprint: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members().filter(move |member| member.finding(fingerprint).is_some())
    }
}

/// What these are, as a noun: pods, where each of them is one.
pub fn noun_of<'a>(mut members: impl ExactSizeIterator<Item = &'a Member>) -> &'static str {
    let are_pods = members.len() > 0 && members.all(|member| member.diagnosis.is_pod());
    if are_pods { "pods" } else { "targets" }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::detect::settings::Settings;
    use crate::model::DEFAULT_RETENTION;

    fn diagnosis(target: &str) -> Diagnosis {
        Diagnosis::new(target.to_owned(), Settings::default(), DEFAULT_RETENTION)
    }

    /// What changed, a word each.
    fn changes(fleet: &mut Fleet, target: TargetId, event: FeedEvent) -> Vec<String> {
        let Step::Arrived { changes, .. } = fleet.apply(target, Arrived { at: SystemTime::UNIX_EPOCH, event }) else {
            panic!("an event that arrives is a step of its own");
        };
        let word = |change: &Change| match change {
            Change::Connection => "connection".to_owned(),
            Change::Attempt => "attempt".to_owned(),
            Change::Quality => "quality".to_owned(),
            Change::Finding(it) => format!("{} {}", it.finding.detector.id, it.finding.state.as_str()),
        };
        changes.iter().map(word).collect()
    }

    fn lost(reason: &str, seconds: u64) -> FeedEvent {
        let retry_at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        FeedEvent::Status(Status::Lost { reason: reason.to_owned(), retry_at })
    }

    #[test]
    fn every_state_of_a_connection_is_said_and_none_twice_until_it_is_live() {
        let mut fleet = Fleet::default();
        let id = fleet.join(diagnosis("a"));
        let chosen = |place: &str| FeedEvent::Status(Status::Chosen { place: place.to_owned(), is_new: false });
        let (resolving, dialing) = (FeedEvent::Status(Status::Resolving), FeedEvent::Status(Status::Dialing));
        for (event, expected) in [
            (resolving.clone(), "connection"),
            (dialing.clone(), "attempt"),
            (lost("refused", 1), "connection"),
            (resolving.clone(), ""),
            (dialing.clone(), ""),
            (lost("refused", 2), ""),
            (lost("no route", 3), "connection"),
            (resolving.clone(), ""),
            (chosen("pod `a`"), "attempt"),
            (dialing.clone(), ""),
            (lost("refused", 4), "connection"),
            (chosen("pod `b`"), "attempt"),
            (FeedEvent::Status(Status::Live), "connection"),
            (FeedEvent::Status(Status::Live), ""),
            (lost("refused", 5), "connection"),
            (resolving, "attempt"),
            (dialing, "attempt"),
            (FeedEvent::Status(Status::Live), "connection"),
            (FeedEvent::Ended(Ended::Complete), "connection"),
        ] {
            let mut said = changes(&mut fleet, id, event.clone());
            said.retain(|it| matches!(it.as_str(), "connection" | "attempt"));
            assert_eq!(said.concat(), expected, "{event:?}");
        }
    }

    #[test]
    fn targets_share_findings_and_keep_their_ids_when_others_leave() {
        let mut fleet = Fleet::default();
        let (one, other) = (fleet.join(diagnosis("one")), fleet.join(diagnosis("other")));
        let quiet = |seconds| FeedEvent::Quiet(Duration::from_secs(seconds));
        assert_eq!(changes(&mut fleet, one, FeedEvent::Status(Status::Live)), ["connection"]);
        let said = changes(&mut fleet, one, quiet(6));
        assert_eq!(said, ["quiet-feed firing", "quality"]);
        assert_eq!(fleet.findings().len(), 1);
        changes(&mut fleet, other, quiet(60));
        let shared = fleet.findings();
        let ids = |it: &SharedFinding<'_>| it.members.iter().map(|(member, _)| member.id()).collect::<Vec<_>>();
        let members: Vec<_> = shared.iter().map(ids).collect();
        assert_eq!(members, [vec![one, other]], "one finding with two members");
        let openings = |fleet: &Fleet| fleet.member(one).map(|member| member.openings().len());
        assert_eq!(openings(&fleet), Some(1));
        changes(&mut fleet, one, quiet(600));
        assert_eq!(openings(&fleet), Some(1), "what becomes worse does not open again");
        let shared = fleet.findings();
        let fingerprint = shared[0].members[0].1.fingerprint.clone();
        assert_eq!(fleet.sharing(&fingerprint).count(), 2);

        let last = fleet.leave(one).expect("it was there");
        assert_eq!(last.openings().len(), 1);
        assert!(changes(&mut fleet, one, quiet(7)).is_empty(), "what comes late from a target that left");
        let third = fleet.join(diagnosis("third"));
        assert!(third != one && third != other, "ids are never reused");
        assert_eq!(fleet.members().map(Member::id).collect::<Vec<_>>(), [other, third]);
        assert_eq!(fleet.findings()[0].members.len(), 1);
    }

    #[test]
    fn pods_are_called_so_where_all_targets_are_some() {
        let mut fleet = Fleet::default();
        assert_eq!(fleet.noun(), "targets");
        fleet.join(diagnosis("k8s://shop/web-1"));
        let recording = fleet.join(diagnosis("k8s.mcap"));
        assert_eq!(fleet.noun(), "targets");
        fleet.leave(recording);
        fleet.join(diagnosis("k8s://shop/web-2"));
        assert_eq!(fleet.noun(), "pods");
    }

    #[test]
    fn the_journal_is_bounded() {
        let mut fleet = Fleet::default();
        let id = fleet.join(diagnosis("a"));
        for round in 0..JOURNAL {
            changes(&mut fleet, id, FeedEvent::Paused(round % 2 == 0));
            let seconds = u64::try_from(round).expect("small") * 10;
            changes(&mut fleet, id, FeedEvent::Quiet(Duration::from_secs(seconds)));
        }
        let member = fleet.member(id).expect("it is there");
        assert!(member.journal().count() <= JOURNAL);
        assert_eq!(member.revision(), 2 * u64::try_from(JOURNAL).expect("small"));
    }
}
