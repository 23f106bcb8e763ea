//! Which programs may run at the same time: many that wait, one for each core that computes, and nothing beside one that measures.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use libtest_mimic::{Failed, Trial};

/// What a program needs of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// It mostly waits, and bears company.
    Little,
    /// It keeps a core busy.
    Core,
    /// What it is about is how long polls take, which any other work would make longer.
    Everything,
}

/// Who runs, and who waits for a place.
#[derive(Debug)]
pub(crate) struct Machine {
    cores: usize,
    at_a_time: usize,
    programs: Mutex<Programs>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Programs {
    running: Vec<Demand>,
    /// By rank: whoever comes first and fits is next.
    waiting: BTreeMap<usize, Demand>,
}

/// A program's place on the machine, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    machine: &'a Machine,
    demand: Demand,
}

impl Machine {
    /// This machine, with at most so many programs at a time.
    pub(crate) fn new(at_a_time: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::with_cores(cores, at_a_time)
    }

    fn with_cores(cores: usize, at_a_time: usize) -> Self {
        Self { cores, at_a_time: at_a_time.max(1), programs: Mutex::default(), left: Condvar::new() }
    }

    /// Waits until there is a place for a program, and nobody of a lower rank could have it.
    pub(crate) fn place_for(&self, rank: usize, demand: Demand) -> Place<'_> {
        let mut programs = self.programs();
        programs.waiting.insert(rank, demand);
        while self.next(&programs) != Some(rank) {
            programs = self.left.wait(programs).unwrap_or_else(PoisonError::into_inner);
        }
        programs.waiting.remove(&rank);
        programs.running.push(demand);
        // There may be a place for the next one too.
        self.left.notify_all();
        Place { machine: self, demand }
    }

    fn next(&self, programs: &Programs) -> Option<usize> {
        for (rank, demand) in &programs.waiting {
            if self.fits(*demand, &programs.running) {
                return Some(*rank);
            }
            if *demand == Demand::Everything {
                // Whoever began before it would keep it from ever beginning.
                return None;
            }
        }
        None
    }

    fn fits(&self, demand: Demand, running: &[Demand]) -> bool {
        let of = |kind| running.iter().filter(|it| **it == kind).count();
        match demand {
            _ if of(Demand::Everything) > 0 || running.len() >= self.at_a_time => false,
            Demand::Little => true,
            Demand::Core => of(Demand::Core) < self.cores,
            Demand::Everything => running.is_empty(),
        }
    }

    fn programs(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut programs = self.machine.programs();
        if let Some(place) = programs.running.iter().position(|it| *it == self.demand) {
            programs.running.swap_remove(place);
        }
        self.machine.left.notify_all();
    }
}

/// What is tested about the machine itself.
pub(crate) fn trials() -> [Trial; 3] {
    use Demand::{Core, Everything, Little};
    [
        trial(
            "machine::one-for-each-core-computes",
            &[Core, Core, Core, Little, Little, Little],
            &[&[Core, Core, Little, Little], &[Core, Little]],
        ),
        trial(
            "machine::whoever-measures-is-alone",
            &[Everything, Little, Everything, Core],
            &[&[Everything], &[Little], &[Everything], &[Core]],
        ),
        trial("machine::all-others-come-at-once", &[Little; 5], &[&[Little; 4], &[Little]]),
    ]
}

/// Whether programs that come to a machine with two cores and four places run in these rounds, if those of a round leave together.
fn trial(name: &str, coming: &'static [Demand], expected: &'static [&'static [Demand]]) -> Trial {
    Trial::test(name, move || {
        let machine = Machine::with_cores(2, 4);
        let mut programs = Programs { running: Vec::new(), waiting: coming.iter().copied().enumerate().collect() };
        let mut rounds = Vec::new();
        while !programs.waiting.is_empty() && rounds.len() < coming.len() {
            while let Some(rank) = machine.next(&programs) {
                programs.running.extend(programs.waiting.remove(&rank));
            }
            rounds.push(std::mem::take(&mut programs.running));
        }
        if rounds == expected { Ok(()) } else { Err(Failed::from(format!("they run as {rounds:?}"))) }
    })
}
