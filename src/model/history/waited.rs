//! How long has been waited for locks, semaphores and bounded channels in total, by what was waited for and by whom: sums that outlive tasks,
//! locks and processes, and never fall.

use std::time::Duration;

use slotmap::{SlotMap, new_key_type};

use crate::model::collections::SeededMap;
use crate::model::location::Location;
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;

/// Most rows: places that make locks, times the spawn sites that use each. What comes when there are as many is counted as the rest.
const MOST: usize = 512;
/// Where there are too many, a row for which nobody has waited for this long makes room.
const AT_REST: Duration = Duration::from_secs(3_600);
/// How often room is made, at most: it costs a look at every row.
const SWEEP: Duration = Duration::from_secs(60);

new_key_type! {
    /// A row of the total waits.
    pub(in crate::model) struct WaitRow;
}

/// What is waited for, and by whom: names and places, so that it is the same after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WaitPlace {
    /// The kind of what is waited for.
    pub kind: ResourceKind,
    /// Where that was made; unknown where the feed does not say, as of bounded channels.
    pub made_at: Location,
    /// The name of the tasks that wait, with numbers left out; empty for tasks without one.
    pub name: Text,
    /// Where they were spawned.
    pub spawned_at: Location,
}

/// How long has been waited in total, and how many wait now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitTotal {
    ended: Duration,
    waiting: u64,
    /// The sum of the times since when they wait, in nanoseconds: all present waits grow at once.
    since: u128,
    changed: Timestamp,
}

impl WaitTotal {
    /// The sum of all waits until `now`, present ones included.
    pub fn waited(&self, now: Timestamp) -> Duration {
        let present = (u128::from(self.waiting) * u128::from(now.nanos())).saturating_sub(self.since);
        self.ended.saturating_add(duration(present))
    }

    /// Whether somebody waits at present.
    pub fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// When it last began or ended that somebody waits; zero if that was in a process before.
    pub fn changed(&self) -> Timestamp {
        self.changed
    }

    fn begin(&mut self, since: Timestamp, now: Timestamp) {
        self.waiting += 1;
        self.since += u128::from(since.nanos());
        self.changed = now;
    }

    fn end(&mut self, since: Timestamp, until: Timestamp, now: Timestamp) {
        self.waiting = self.waiting.saturating_sub(1);
        self.since = self.since.saturating_sub(u128::from(since.nanos()));
        self.add(until.since(since), now);
    }

    fn add(&mut self, wait: Duration, now: Timestamp) {
        self.ended = self.ended.saturating_add(wait);
        self.changed = now;
    }

    /// Ends the present waits.
    fn settle(&mut self, now: Timestamp) {
        *self = Self { ended: self.waited(now), ..Self::default() };
    }
}

fn duration(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A present wait that is counted: its row, or the rest, and since when it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) struct CountedWait {
    row: Option<WaitRow>,
    since: Timestamp,
}

/// The total waits of a target, over all its processes.
#[derive(Debug, Clone, Default)]
pub struct WaitTotals {
    rows: SlotMap<WaitRow, (WaitPlace, WaitTotal)>,
    keys: SeededMap<WaitPlace, WaitRow>,
    rest: WaitTotal,
    /// Present waits have been counted until then: what ends is counted at least as long.
    until: Timestamp,
    next_sweep: Timestamp,
}

impl WaitTotals {
    /// The total of each place and of those who wait there, in no order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (&WaitPlace, &WaitTotal)> {
        self.rows.values().map(|(place, total)| (place, total))
    }

    /// The total of those that have no row of their own, because there were too many.
    pub fn rest(&self) -> &WaitTotal {
        &self.rest
    }

    /// How many wait, over all places.
    pub fn waiting(&self) -> u64 {
        self.rest.waiting + self.rows.values().map(|(_, total)| total.waiting).sum::<u64>()
    }

    /// The row of a place, made if there is room.
    pub(in crate::model) fn row(&mut self, place: WaitPlace, now: Timestamp) -> Option<WaitRow> {
        if let Some(row) = self.keys.get(&place) {
            return Some(*row);
        }
        if self.rows.len() >= MOST && now >= self.next_sweep {
            self.next_sweep = now.plus(SWEEP);
            self.make_room(now);
        }
        (self.rows.len() < MOST).then(|| {
            let row = self.rows.insert((place.clone(), WaitTotal::default()));
            self.keys.insert(place, row);
            row
        })
    }

    /// Whether a row is still there.
    pub(in crate::model) fn has(&self, row: WaitRow) -> bool {
        self.rows.contains_key(row)
    }

    /// Counts a wait from now on that began at a time.
    pub(in crate::model) fn begin(&mut self, row: Option<WaitRow>, since: Timestamp, now: Timestamp) -> CountedWait {
        self.total(row).begin(since, now);
        CountedWait { row, since }
    }

    /// Counts a wait no longer that has ended. It is not taken back if it turns out to have ended before it was last counted.
    pub(in crate::model) fn end(&mut self, wait: CountedWait, until: Timestamp, now: Timestamp) {
        let until = until.max(self.until);
        self.total(wait.row).end(wait.since, until, now);
    }

    /// Counts a wait that had ended when it was first seen.
    pub(in crate::model) fn add(&mut self, row: Option<WaitRow>, wait: Duration, now: Timestamp) {
        self.total(row).add(wait, now);
    }

    /// Says that an update has been read: every present wait is counted until then.
    pub(in crate::model) fn reach(&mut self, now: Timestamp) {
        self.until = now;
    }

    /// The totals with which another process begins, or another clock: who waited waits no more.
    #[must_use]
    pub(in crate::model) fn carried_over(mut self) -> Self {
        let until = self.until;
        self.rows.values_mut().map(|(_, total)| total).chain([&mut self.rest]).for_each(|total| total.settle(until));
        (self.until, self.next_sweep) = (Timestamp::default(), Timestamp::default());
        self
    }

    fn total(&mut self, row: Option<WaitRow>) -> &mut WaitTotal {
        match row.and_then(|row| self.rows.get_mut(row)) {
            Some((_, total)) => total,
            None => &mut self.rest,
        }
    }

    /// Forgets the rows for which nobody has waited for long.
    fn make_room(&mut self, now: Timestamp) {
        let keys = &mut self.keys;
        self.rows.retain(|_, (place, total)| {
            let stays = total.waiting > 0 || now.since(total.changed) < AT_REST;
            if !stays {
                keys.remove(place);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    fn place(line: usize) -> WaitPlace {
        WaitPlace {
            kind: ResourceKind::Mutex,
            made_at: Location::parse(&format!("src/a.rs:{line}:1")),
            name: "worker".into(),
            spawned_at: Location::parse("src/b.rs:1:1"),
        }
    }

    fn seconds(totals: &WaitTotals, now: u64) -> u64 {
        let rows = totals.rows().map(|(_, total)| total).chain([totals.rest()]);
        rows.map(|total| total.waited(at(now)).as_secs()).sum()
    }

    #[test]
    fn present_waits_grow_together_and_become_what_they_were() {
        let mut totals = WaitTotals::default();
        let row = totals.row(place(1), at(10));
        let (one, other) = (totals.begin(row, at(8), at(10)), totals.begin(row, at(10), at(10)));
        totals.reach(at(10));
        assert_eq!((totals.waiting(), seconds(&totals, 10), seconds(&totals, 15)), (2, 2, 12));
        totals.end(one, at(14), at(15));
        totals.add(row, Duration::from_secs(3), at(15));
        totals.reach(at(15));
        assert_eq!((totals.waiting(), seconds(&totals, 15)), (1, 6 + 5 + 3));
        totals.end(other, at(16), at(20));
        assert_eq!((totals.waiting(), seconds(&totals, 99)), (0, 6 + 6 + 3));
    }

    #[test]
    fn no_total_falls_when_a_wait_ended_before_it_was_last_counted() {
        let mut totals = WaitTotals::default();
        let row = totals.row(place(1), at(10));
        let wait = totals.begin(row, at(10), at(10));
        totals.reach(at(20));
        assert_eq!(seconds(&totals, 20), 10);
        totals.end(wait, at(12), at(21));
        assert_eq!(seconds(&totals, 21), 10);
    }

    #[test]
    fn another_process_goes_on_from_the_same_totals_whatever_its_clock_says() {
        let mut totals = WaitTotals::default();
        let row = totals.row(place(1), at(1_000));
        totals.begin(row, at(1_000), at(1_000));
        totals.reach(at(1_005));
        let mut totals = totals.carried_over();
        assert_eq!((totals.waiting(), seconds(&totals, 3)), (0, 5));
        let row = totals.row(place(1), at(3));
        let wait = totals.begin(row, at(3), at(3));
        totals.reach(at(4));
        totals.end(wait, at(5), at(6));
        assert_eq!((totals.rows().len(), seconds(&totals, 6)), (1, 7));
    }

    #[test]
    fn rows_are_bounded_and_the_rest_is_counted_too() {
        let mut totals = WaitTotals::default();
        let second = Duration::from_secs(1);
        for line in 0..2 * MOST {
            let row = totals.row(place(line), at(60));
            totals.add(row, second, at(60));
        }
        assert_eq!((totals.rows().len(), totals.rest().waited(at(60))), (MOST, second * 512));
        // One of those that have a row is still waited for.
        let row = totals.row(place(7), at(61));
        totals.begin(row, at(61), at(61));
        let later = at(60 + 3_700);
        let row = totals.row(place(5_000), later);
        assert!(row.is_some(), "rows at rest make room");
        assert_eq!(totals.rows().len(), 2);
    }
}
