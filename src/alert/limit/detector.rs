//! The events of one detector on one target: which of them pass, and what is to be said about the others.
//!
//! Kubernetes restarts a container that crashes again and again in the same way: the delay doubles up to a limit, and is forgotten once the
//! container has run for twice that time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use super::Limits;
use crate::report::{Severity, State};

/// Findings at other places that pass while some are held back: each may be a problem of its own, but a crowd of them is a flood.
const MOST_NEW: usize = 10;
/// Resolved classes that are remembered. A target may make up places as it likes.
const MOST_REMEMBERED: usize = 1_000;
/// After so many times the time of the last delay without a finding, the next one counts as the first.
const QUIET: u32 = 2;

/// What became of a finding.
#[derive(Debug, Clone)]
pub(super) struct FindingEvent<E> {
    /// Its fingerprint.
    pub(super) class: String,
    pub(super) state: State,
    pub(super) severity: Severity,
    pub(super) is_proof: bool,
    /// When, by the target's clock.
    pub(super) at: SystemTime,
    /// What to deliver.
    pub(super) event: E,
}

/// What was held back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tally {
    pub(super) since: SystemTime,
    pub(super) openings: u64,
    pub(super) resolutions: u64,
    pub(super) worst: Severity,
    pub(super) classes: BTreeSet<String>,
}

/// What is to be delivered after a delay.
#[derive(Debug)]
pub(super) struct Released<E> {
    pub(super) tally: Tally,
    /// How many findings fire now of those that were held back.
    pub(super) firing: usize,
    /// How long findings are held back from now on.
    pub(super) next: Duration,
    /// Findings that fire, and were not announced.
    pub(super) events: Vec<E>,
}

/// What is known of the findings of one fingerprint.
#[derive(Debug)]
struct Class<E> {
    /// Whether it was last delivered as firing.
    is_announced: bool,
    /// The worst severity that was delivered since the quiet time.
    worst_announced: Option<Severity>,
    /// It fires, and that was not delivered.
    held: Option<(Severity, E)>,
}

impl<E> Class<E> {
    /// The worst severity that was delivered or is held back.
    fn worst(&self) -> Option<Severity> {
        self.worst_announced.max(self.held.as_ref().map(|(severity, _)| *severity))
    }
}

/// What lets the events of a detector pass.
#[derive(Debug)]
pub(super) struct DetectorLimiter<E> {
    classes: BTreeMap<String, Class<E>>,
    /// How long findings are held back now, since when, and until when.
    delay: Duration,
    closed: Option<(SystemTime, SystemTime)>,
    /// When a finding last fired, delivered or not.
    last: Option<SystemTime>,
    /// Findings at new places that have passed during this delay.
    passed_new: usize,
    tally: Option<Tally>,
}

impl<E> DetectorLimiter<E> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { classes: BTreeMap::new(), delay: limits.first, closed: None, last: None, passed_new: 0, tally: None }
    }

    /// Takes something in, and returns it if it passes. What is due has to be released before.
    pub(super) fn take(&mut self, finding: FindingEvent<E>, at: SystemTime, limits: Limits) -> Option<E> {
        match finding.state {
            State::Pending => (finding.is_proof || !self.is_repeated(&finding.class)).then_some(finding.event),
            State::Firing => self.fires(finding, at, limits),
            State::Resolved => self.resolves(finding),
        }
    }

    /// What was held back, if the time for that is over.
    pub(super) fn release(&mut self, at: SystemTime, limits: Limits) -> Option<Released<E>> {
        // A clock that was set back must not make it longer.
        let (since, until) = self.closed?;
        if (since..until).contains(&at) {
            return None;
        }
        self.closed = None;
        let is_quiet = self.is_quiet(at);
        let next = if is_quiet { limits.first } else { self.doubled(limits) };
        if is_quiet {
            self.delay = next;
            self.classes.retain(|_, class| class.is_announced || class.held.is_some());
        }
        let released = self.flush()?;
        if !released.events.is_empty() {
            self.close(at, next);
        }
        Some(Released { next, ..released })
    }

    /// What was held back, whether or not the time for that is over.
    pub(super) fn flush(&mut self) -> Option<Released<E>> {
        let tally = self.tally.take()?;
        let mut events = Vec::new();
        for class in self.classes.values_mut() {
            if let Some((severity, event)) = class.held.take() {
                class.is_announced = true;
                class.worst_announced = class.worst_announced.max(Some(severity));
                events.push(event);
            }
        }
        let firing =
            tally.classes.iter().filter(|it| self.classes.get(*it).is_some_and(|class| class.is_announced)).count();
        Some(Released { tally, firing, next: self.delay, events })
    }

    /// Whether nothing of it has to be remembered.
    pub(super) fn is_idle(&self, at: SystemTime) -> bool {
        self.closed.is_none() && self.is_quiet(at) && !self.classes.values().any(|class| class.is_announced)
    }

    /// Whether nothing has fired for so long that the next finding is the first again.
    fn is_quiet(&self, at: SystemTime) -> bool {
        let enough = self.delay.saturating_mul(QUIET);
        // Where the clock was set back, nobody knows for how long.
        self.last.is_none_or(|last| at.duration_since(last).map_or(true, |quiet| quiet >= enough))
    }

    fn fires(&mut self, finding: FindingEvent<E>, at: SystemTime, limits: Limits) -> Option<E> {
        let passes = self.passes(&finding);
        let is_new = self.classes.get(&finding.class).is_none_or(|class| class.worst_announced.is_none());
        let is_quiet = self.is_quiet(at);
        self.last = Some(at);
        self.forget_some();
        let class = self.classes.entry(finding.class.clone()).or_insert(Class {
            is_announced: false,
            worst_announced: None,
            held: None,
        });
        if !passes {
            // It may only have become worse than it was.
            let has_opened = class.held.replace((finding.severity, finding.event)).is_none();
            self.count(finding.class, finding.at, finding.severity).openings += u64::from(has_opened);
            return None;
        }
        let was_announced = std::mem::replace(&mut class.is_announced, true);
        class.worst_announced = class.worst_announced.max(Some(finding.severity));
        class.held = None;
        if was_announced {
            return Some(finding.event);
        }
        if self.closed.is_some() {
            self.passed_new += usize::from(is_new);
        } else {
            let delay = match () {
                () if is_quiet => limits.first,
                // What is new here says nothing of what came back before.
                () if is_new => self.delay,
                () => self.doubled(limits),
            };
            self.close(at, delay);
        }
        Some(finding.event)
    }

    /// Whether a finding that fires is delivered at once.
    fn passes(&self, finding: &FindingEvent<E>) -> bool {
        if self.closed.is_none() || finding.is_proof {
            return true;
        }
        let class = self.classes.get(&finding.class);
        match class.and_then(Class::worst) {
            Some(worst) => class.is_some_and(|class| class.is_announced) || finding.severity > worst,
            None => {
                self.passed_new < MOST_NEW
                    || self.classes.values().all(|it| it.worst_announced < Some(finding.severity))
            }
        }
    }

    fn resolves(&mut self, finding: FindingEvent<E>) -> Option<E> {
        let Some(class) = self.classes.get_mut(&finding.class) else { return Some(finding.event) };
        if std::mem::take(&mut class.is_announced) {
            return Some(finding.event);
        }
        class.held = None;
        self.count(finding.class, finding.at, finding.severity).resolutions += 1;
        None
    }

    /// Closes it after something was delivered.
    fn close(&mut self, at: SystemTime, delay: Duration) {
        self.delay = delay;
        self.closed = at.checked_add(self.delay).map(|until| (at, until));
        self.passed_new = 0;
    }

    fn doubled(&self, limits: Limits) -> Duration {
        self.delay.saturating_mul(2).min(limits.longest)
    }

    fn is_repeated(&self, class: &str) -> bool {
        self.closed.is_some() && self.classes.get(class).is_some_and(|class| !class.is_announced)
    }

    fn count(&mut self, class: String, at: SystemTime, severity: Severity) -> &mut Tally {
        let tally = self.tally.get_or_insert_with(|| Tally {
            since: at,
            openings: 0,
            resolutions: 0,
            worst: severity,
            classes: BTreeSet::new(),
        });
        tally.worst = tally.worst.max(severity);
        if tally.classes.len() < MOST_REMEMBERED {
            tally.classes.insert(class);
        }
        tally
    }

    /// Forgets what is over, if there is too much of it.
    fn forget_some(&mut self) {
        if self.classes.len() >= MOST_REMEMBERED {
            self.classes.retain(|_, class| class.is_announced || class.held.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const LIMITS: Limits = Limits { first: Duration::from_secs(300), longest: Duration::from_secs(3_600) };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// What a digest and what follows it say, in a line.
    fn said(released: &Released<String>) -> String {
        let Tally { openings, resolutions, worst, classes, .. } = &released.tally;
        let (firing, next, found) = (released.firing, released.next.as_secs(), classes.len());
        let mut line =
            format!("digest +{openings} -{resolutions} of {found}, {}, {firing} fire, next {next}", worst.as_str());
        released.events.iter().for_each(|event| write!(line, "; {event}").unwrap());
        line
    }

    /// What a limiter makes of a script with an event a line, such as `30 a warning fires`: a line for whatever is delivered.
    fn delivered(script: &str) -> Vec<String> {
        let mut limiter = DetectorLimiter::new(LIMITS);
        let mut lines = Vec::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            let now: u64 = words[0].parse().unwrap();
            lines.extend(limiter.release(at(now), LIMITS).map(|released| format!("{now} {}", said(&released))));
            let [_, class, severity, verb] = words.as_slice() else { continue };
            let state = match *verb {
                "fires" => State::Firing,
                "ends" => State::Resolved,
                _ => State::Pending,
            };
            let severity = match severity.trim_start_matches("proof/") {
                "info" => Severity::Info,
                "warning" => Severity::Warning,
                _ => Severity::Critical,
            };
            let finding = FindingEvent {
                class: (*class).to_owned(),
                state,
                severity,
                is_proof: words[2].starts_with("proof/"),
                at: at(now),
                event: format!("{class} {} {verb}", severity.as_str()),
            };
            lines.extend(limiter.take(finding, at(now), LIMITS).map(|event| format!("{now} {event}")));
        }
        lines
    }

    /// A script in which a finding fires so often, and is resolved each time.
    fn flapping(from: u64, every: u64, times: u64) -> String {
        let flap =
            |n| format!("{0} a warning fires\n{1} a warning ends\n", from + n * every, from + n * every + every / 2);
        (0..times).map(flap).collect()
    }

    #[test]
    fn what_happens_once_is_delivered_at_once() {
        assert_eq!(
            delivered("0 a warning appears\n5 a warning fires\n50 a warning ends\n9999"),
            ["0 a warning appears", "5 a warning fires", "50 a warning ends"]
        );
    }

    #[test]
    fn what_comes_and_goes_is_delivered_ever_more_seldom() {
        // It fires each minute for two hours, and ends half a minute later.
        let lines = delivered(&format!("{}90000", flapping(0, 60, 120)));
        assert_eq!(
            lines,
            [
                "0 a warning fires",
                "30 a warning ends",
                "300 digest +4 -4 of 1, warning, 0 fire, next 600",
                "300 a warning fires",
                "330 a warning ends",
                "900 digest +9 -9 of 1, warning, 0 fire, next 1200",
                "900 a warning fires",
                "930 a warning ends",
                "2100 digest +19 -19 of 1, warning, 0 fire, next 2400",
                "2100 a warning fires",
                "2130 a warning ends",
                "4500 digest +39 -39 of 1, warning, 0 fire, next 3600",
                "4500 a warning fires",
                "4530 a warning ends",
                "90000 digest +44 -44 of 1, warning, 0 fire, next 300",
            ]
        );
    }

    #[test]
    fn where_it_stands_in_the_end_is_delivered_with_the_digest() {
        for (script, expected) in [
            // It fires when the time is over, and receivers take it for resolved.
            (
                "0 a warning fires\n20 a warning ends\n40 a warning fires\n299\n300",
                vec![
                    "0 a warning fires",
                    "20 a warning ends",
                    "300 digest +1 -0 of 1, warning, 1 fire, next 600; a warning fires",
                ],
            ),
            // What becomes worse while it is held back has fired once.
            (
                "0 a critical fires\n20 a critical ends\n40 a info fires\n50 a critical fires\n300",
                vec![
                    "0 a critical fires",
                    "20 a critical ends",
                    "300 digest +1 -0 of 1, critical, 1 fire, next 600; a critical fires",
                ],
            ),
            // What is then delivered as firing is delivered as resolved, at once.
            (
                "0 a warning fires\n20 a warning ends\n40 a warning fires\n300\n310 a warning ends\n320 a warning fires\n899\n900",
                vec![
                    "0 a warning fires",
                    "20 a warning ends",
                    "300 digest +1 -0 of 1, warning, 1 fire, next 600; a warning fires",
                    "310 a warning ends",
                    "900 digest +1 -0 of 1, warning, 1 fire, next 1200; a warning fires",
                ],
            ),
        ] {
            assert_eq!(delivered(script), expected, "{script}");
        }
    }

    #[test]
    fn a_rise_and_a_proof_are_never_held_back() {
        for (script, expected) in [
            ("0 a warning fires\n9 a critical fires", vec!["0 a warning fires", "9 a critical fires"]),
            (
                "0 a warning fires\n9 a warning ends\n20 a critical fires\n30 a critical ends\n40 a critical fires\n999",
                vec![
                    "0 a warning fires",
                    "9 a warning ends",
                    "20 a critical fires",
                    "30 a critical ends",
                    "999 digest +1 -0 of 1, critical, 1 fire, next 300; a critical fires",
                ],
            ),
            (
                "0 a proof/critical fires\n9 a proof/critical ends\n20 a proof/critical fires\n30 a proof/critical ends",
                vec!["0 a critical fires", "9 a critical ends", "20 a critical fires", "30 a critical ends"],
            ),
        ] {
            assert_eq!(delivered(script), expected, "{script}");
        }
    }

    #[test]
    fn a_finding_at_another_place_passes_unless_there_is_a_flood_of_them() {
        let crowd: Vec<String> = (0..14).map(|n| format!("{n} place-{n} warning fires\n")).collect();
        let crowd = crowd.concat();
        let lines = delivered(&format!("{crowd}20 worse critical fires\n300"));
        assert_eq!(lines.len(), 1 + MOST_NEW + 1 + 1, "{lines:?}");
        assert_eq!(lines[MOST_NEW + 1], "20 worse critical fires");
        let last = lines.last().unwrap();
        assert!(last.starts_with("300 digest +3 -0 of 3, warning, 3 fire, next 600; place-11 warning fires"), "{last}");
        let lines = delivered(&format!("{crowd}20 place-13 critical fires\n30 place-13 critical ends\n300"));
        assert_eq!(lines[MOST_NEW + 1..][..2], ["20 place-13 critical fires", "30 place-13 critical ends"]);
        assert!(
            lines.last().is_some_and(|last| last.starts_with("300 digest +3 -0 of 3, warning, 2 fire")),
            "{lines:?}"
        );
    }

    #[test]
    fn a_finding_at_another_place_does_not_shorten_the_delay() {
        // After this, `a` is held back for an hour at a time; nothing is held back from 8100 on.
        let long = flapping(0, 60, 120);
        for (script, expected) in [
            // A new place begins no new delay, and what comes back is held back for as long as before.
            (
                "8200 b warning fires\n8210 b warning ends\n8500 a warning fires\n11799\n11800",
                vec![
                    "8200 b warning fires",
                    "8210 b warning ends",
                    "11800 digest +1 -0 of 1, warning, 1 fire, next 3600; a warning fires",
                ],
            ),
            (
                "8200 a warning fires\n8210 a warning ends\n8500 a warning fires\n11799",
                vec!["8200 a warning fires", "8210 a warning ends"],
            ),
            // Two hours are quiet.
            (
                "16000 b warning fires\n16010 b warning ends\n16020 b warning fires\n16300",
                vec![
                    "16000 b warning fires",
                    "16010 b warning ends",
                    "16300 digest +1 -0 of 1, warning, 1 fire, next 600; b warning fires",
                ],
            ),
        ] {
            let lines = delivered(&format!("{long}8100\n{script}"));
            assert_eq!(lines[lines.len() - expected.len()..], expected, "{script}: {lines:?}");
        }
    }

    #[test]
    fn after_a_quiet_time_it_is_the_first_time_again() {
        let lines = delivered(
            "0 a warning fires\n9 a warning ends\n500 a warning fires\n509 a warning ends\n1000\n1700 a warning fires\n1709 a warning ends\n1999 a warning fires\n2000",
        );
        let digest = "2000 digest +1 -0 of 1, warning, 1 fire, next 600; a warning fires";
        assert_eq!(lines.last().map(String::as_str), Some(digest), "{lines:?}");
    }

    #[test]
    fn a_clock_that_is_set_holds_nothing_back_for_longer() {
        for now in [1, 1_000_000] {
            let lines = delivered(&format!("5000 a warning fires\n5009 a warning ends\n5020 a warning fires\n{now}"));
            let last = lines.last().unwrap();
            assert!(last.starts_with(&format!("{now} digest +1")) && last.ends_with("; a warning fires"), "{lines:?}");
        }
    }

    #[test]
    fn a_target_that_makes_up_places_takes_no_memory() {
        let mut limiter = DetectorLimiter::new(LIMITS);
        for n in 0..10 * MOST_REMEMBERED {
            for state in [State::Firing, State::Resolved] {
                let finding = FindingEvent {
                    class: format!("{n}"),
                    state,
                    severity: Severity::Warning,
                    is_proof: false,
                    at: at(1),
                    event: String::new(),
                };
                limiter.take(finding, at(1), LIMITS);
            }
        }
        assert!(limiter.classes.len() <= MOST_REMEMBERED);
        let released = limiter.flush().unwrap();
        assert!(released.tally.classes.len() <= MOST_REMEMBERED && released.tally.openings > 9_000);
    }
}
