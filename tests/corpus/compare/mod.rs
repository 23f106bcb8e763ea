//! Pairs of programs, canary against stable: those that differ must be told apart, and those that only look so must not.

mod pairs;
mod service;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use libtest_mimic::Trial;
use tokio_canary::compare::{Comparison, Conclusion, Criteria, Item, Observer, What, compare};
use tokio_canary::detect::settings::Settings;
use tokio_canary::detect::severity::Severity;
use tokio_canary::diagnosis::{Arrived, Diagnosis, Ended, FeedEvent, Status};
use tokio_canary::model::DEFAULT_RETENTION;
use tokio_canary::report::comparison::ComparisonView;

use self::pairs::{PAIRS, Pair};
use self::service::Dice;
use crate::simulator::scenario::Scenario;
use crate::simulator::timeline::{Told, play_before};
use crate::trial;

/// Runs of each pair in an ordinary test; `--rates` takes more.
const RUNS: u64 = 1;

const CRITERIA: Criteria = Criteria { fail_on: Severity::Warning, fails_on_new: false };

/// Two tasks that hold a lock for 12 ms now and then, so that one waits for the other in some of the turns.
const TWO_TASKS: &str = r#"
about = "A lock that few wait for."
run = "92s"
shared = [{ name = "table", kind = "mutex", place = "src/table.rs:20:9" }]
spawn = [
    { name = "reader", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ lock = "table" }, { wait = "12ms" }, { release = "table" }, { wait = "150ms" }] }] },
    { name = "writer", place = "src/b.rs:1:1", at = "510ms", body = [{ forever = [{ lock = "table" }, { wait = "12ms" }, { release = "table" }, { wait = "161ms" }] }] },
]
"#;

/// A test for each pair, and that the same recordings give the same verdict.
pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let of_pairs = PAIRS.iter().map(|pair| trial(format!("compare::{}", pair.name), || complaints(pair)));
    let of_pods =
        PAIRS.iter().map(|pair| trial(format!("compare-pods::{}", pair.name), || complaints_about_pods(pair)));
    let same = trial("compare::the same recordings give the same verdict", || {
        let pair = &PAIRS[0];
        let [one, other] = [run(pair, 7, 1), run(pair, 7, 1)].map(|it| ComparisonView::of(&it));
        if one == other { Vec::new() } else { vec![format!("{one:#?} and {other:#?}")] }
    });
    of_pairs.chain(of_pods).chain([same]).chain(of_observers())
}

/// Tests of what no pair of programs shows.
fn of_observers() -> [Trial; 12] {
    [
        trial("compare::updates every 8 s are comparable", || {
            let pair = pair("updates every 8 s");
            let observer = observed(&(pair.canary)(&mut Dice::of(5)));
            let (blocks, spoilt) = (observer.series().blocks(), observer.series().spoilt());
            if (blocks, spoilt) == (5, 0) { Vec::new() } else { vec![format!("{blocks} blocks, {spoilt} spoilt")] }
        }),
        trial("compare::a hold shows where never more than one task waits", || {
            let observer = observed(TWO_TASKS);
            let holds = observer.series().metrics().filter(|it| it.what == What::Held);
            let holds: Vec<f64> = holds.flat_map(|it| observer.series().values(it)).collect();
            let is_right = holds.len() >= 5 && holds.iter().all(|it| (0.011..0.014).contains(it));
            if is_right { Vec::new() } else { vec![format!("holds of {holds:?} s")] }
        }),
        trial("compare::a canary that never came up is not the same", || {
            let mut silent = Observer::for_at_most(None);
            silent.finish(&Diagnosis::new("dead".to_owned(), Settings::default(), DEFAULT_RETENTION));
            let [canary, stable] = usual_observers([&alive, &alive]);
            expect(&compare(&[&canary, &silent], &[&stable], CRITERIA), Conclusion::NotEnoughData, "the canary")
        }),
        trial("compare::a recording that is cut off is not the same", || {
            let cut = |observer: &mut Observer, diagnosis: &mut Diagnosis| {
                ended(observer, diagnosis, (0, Ended::Truncated { reason: "It is cut off.".to_owned() }));
            };
            let [canary, stable] = usual_observers([&cut, &alive]);
            expect(&compare(&[&canary], &[&stable], CRITERIA), Conclusion::NotEnoughData, "of the canary breaks off")
        }),
        trial("compare::a canary that died in its recording is not the same", || {
            let [canary, stable] = usual_observers([&died, &complete]);
            let lost = "NOT ENOUGH DATA (exit 3): a target of the canary was lost after ";
            expect(&compare(&[&canary], &[&stable], CRITERIA), Conclusion::NotEnoughData, lost)
        }),
        trial("compare::recordings that end with their services are the same", || {
            let same = |ends: [End<'_>; 2]| {
                let [canary, stable] = usual_observers(ends);
                expect(&compare(&[&canary], &[&stable], CRITERIA), Conclusion::Same, "")
            };
            [same([&died, &died]), same([&stopped, &complete])].concat()
        }),
        trial("compare::a stable that died in its recording is no fault of the canary", || {
            let [canary, stable] = usual_observers([&complete, &died]);
            expect(&compare(&[&canary], &[&stable], CRITERIA), Conclusion::Same, "")
        }),
        trial("compare::restarts count for each target", || {
            let with = |restarts: [bool; 6]| {
                let program = |(seed, restarts): (u64, bool)| {
                    let others = if restarts { pairs::restarting } else { pairs::usual };
                    observed(&others(&mut Dice::of(seed)))
                };
                let observers: Vec<Observer> = (0..).zip(restarts).map(program).collect();
                let (canary, stable) = observers.split_at(3);
                compare(&canary.iter().collect::<Vec<_>>(), &stable.iter().collect::<Vec<_>>(), CRITERIA)
            };
            let says = "the canary restarted 3 times in 3 targets while it was watched, stable 1 time in 3 targets";
            let more = with([true, true, true, false, false, true]);
            let equal = with([false, true, false, true, false, false]);
            [expect(&more, Conclusion::NotEnoughData, says), expect(&equal, Conclusion::Same, "")].concat()
        }),
        trial("compare::what died is said beside what is worse", || {
            let faulty = pair("a deadlock");
            let mut canary = observed(&(faulty.canary)(&mut Dice::of(5)));
            let stable = observed(&(faulty.stable)(&mut Dice::of(6)));
            let mut diagnosis = Diagnosis::new("dead".to_owned(), Settings::default(), DEFAULT_RETENTION);
            died(&mut canary, &mut diagnosis);
            canary.finish(&diagnosis);
            let says = "REGRESSION (exit 1): a target of the canary was lost after ";
            expect(&compare(&[&canary], &[&stable], CRITERIA), Conclusion::Regression, says)
        }),
        trial("compare::a service that came up is the same", || {
            let [canary, stable] = usual_observers([&alive, &alive]);
            expect(&compare(&[&canary], &[&stable], CRITERIA), Conclusion::Same, "")
        }),
        trial("compare::what was only seen at the start is not lasting", || {
            let pair = pair("an order of locks at the start");
            let observer = observed(&(pair.canary)(&mut Dice::of(5)));
            let of_start = |it: &Item| matches!(it, Item::Nests { who, .. } if who.name == "migration");
            let lasting = |it: &Item| matches!(it, Item::Waits { who, .. } if who.name == "worker");
            let is = |which: &dyn Fn(&Item) -> bool| {
                observer.structure().items().find(|(item, _)| which(item)).map(|(_, it)| it.is_lasting)
            };
            let found = (is(&of_start), is(&lasting));
            if found == (Some(false), Some(true)) { Vec::new() } else { vec![format!("lasting: {found:?}")] }
        }),
        trial("compare::numbers that depend on load are not among those compared", || {
            let loaded = pair("more load");
            let (loaded, same) = (run(loaded, 7, 1), run(&PAIRS[0], 7, 1));
            let is_right = loaded.not_compared > 0 && loaded.compared < same.compared;
            if is_right { Vec::new() } else { vec![format!("{} of {}", loaded.compared, same.compared)] }
        }),
    ]
}

fn pair(name: &str) -> &'static Pair {
    PAIRS.iter().find(|pair| pair.name == name).unwrap_or_else(|| panic!("there is no pair {name}"))
}

/// How the watch of a process ends.
type End<'a> = &'a dyn Fn(&mut Observer, &mut Diagnosis);

/// A canary and stable with these ends, both the usual service.
fn usual_observers(ends: [End<'_>; 2]) -> [Observer; 2] {
    let observer = |(seed, end): (u64, End<'_>)| {
        let mut observer = Observer::for_at_most(None);
        let scenario = Scenario::parse(&(PAIRS[0].stable)(&mut Dice::of(seed)));
        let mut diagnosis = play_before(&scenario, Told::Once, &mut |it| observer.observe(it)).diagnosis;
        end(&mut observer, &mut diagnosis);
        observer.finish(&diagnosis);
        observer
    };
    [(1, ends[0]), (2, ends[1])].map(observer)
}

/// A service that is there until its time is over.
fn alive(_: &mut Observer, _: &mut Diagnosis) {}

/// A recording that ends while its service is there.
fn complete(observer: &mut Observer, diagnosis: &mut Diagnosis) {
    ended(observer, diagnosis, (0, Ended::Complete));
}

/// A recording that lasts longer than its service.
fn died(observer: &mut Observer, diagnosis: &mut Diagnosis) {
    lost(observer, diagnosis);
    ended(observer, diagnosis, (20, Ended::Complete));
}

/// A recording that ends a moment after its service.
fn stopped(observer: &mut Observer, diagnosis: &mut Diagnosis) {
    lost(observer, diagnosis);
    ended(observer, diagnosis, (2, Ended::Complete));
}

/// The end of a recording so many seconds after the epoch.
fn ended(observer: &mut Observer, diagnosis: &mut Diagnosis, (second, ended): (u64, Ended)) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    diagnosis.apply(Arrived { at, event: FeedEvent::Ended(ended) });
    observer.observe(diagnosis);
}

/// The end of a connection at the epoch.
fn lost(observer: &mut Observer, diagnosis: &mut Diagnosis) {
    let at = SystemTime::UNIX_EPOCH;
    let status = Status::Lost { reason: "It is gone.".to_owned(), retry_at: at };
    diagnosis.apply(Arrived { at, event: FeedEvent::Status(status) });
    observer.observe(diagnosis);
}

fn expect(comparison: &Comparison, conclusion: Conclusion, says: &str) -> Vec<String> {
    let sentence = ComparisonView::of(comparison).sentence;
    if comparison.conclusion == conclusion && sentence.contains(says) { Vec::new() } else { vec![sentence] }
}

fn complaints(pair: &Pair) -> Vec<String> {
    (0..RUNS).filter_map(|seed| wrong(pair, seed, 1)).collect()
}

fn complaints_about_pods(pair: &Pair) -> Vec<String> {
    wrong(pair, 1, 3).into_iter().collect()
}

/// What is wrong with the verdict about a pair.
fn wrong(pair: &Pair, seed: u64, pods: u64) -> Option<String> {
    let comparison = run(pair, seed, pods);
    let is_right = match comparison.conclusion {
        Conclusion::Regression => pair.is_worse,
        Conclusion::Same => !pair.is_worse && !pair.is_unsure,
        // Three targets differ among themselves more than the blocks of one, so that little may be open for a while.
        Conclusion::NotEnoughData => pair.is_unsure || (!pair.is_worse && pods > 1),
    };
    let view = ComparisonView::of(&comparison);
    (!is_right).then(|| {
        format!(
            "seed {seed}, {pods} a side: {}\n  {}\n  {:?}\n  {:#?}",
            view.sentence,
            view.load(),
            view.reasons,
            view.differences
        )
    })
}

/// One comparison of a pair, with so many targets a side.
fn run(pair: &Pair, seed: u64, pods: u64) -> Comparison {
    let observers = |side: u64, program: fn(&mut Dice) -> String| {
        let observe = |pod: u64| observed(&program(&mut Dice::of(seed * 1_000 + side * 100 + pod)));
        (0..pods).map(observe).collect::<Vec<Observer>>()
    };
    let (canary, stable) = (observers(0, pair.canary), observers(1, pair.stable));
    compare(&canary.iter().collect::<Vec<_>>(), &stable.iter().collect::<Vec<_>>(), CRITERIA)
}

/// What is remembered of a simulated process.
fn observed(program: &str) -> Observer {
    let mut observer = Observer::for_at_most(None);
    let timeline = play_before(&Scenario::parse(program), Told::Once, &mut |diagnosis| observer.observe(diagnosis));
    observer.finish(&timeline.diagnosis);
    observer
}

/// What a pair comes to; what is wrong about that goes to standard error.
fn concluded(pair: &Pair, seed: u64, pods: u64) -> Conclusion {
    let comparison = run(pair, seed, pods);
    if (comparison.conclusion == Conclusion::Regression) != pair.is_worse {
        eprintln!("{}, seed {seed}, {pods} a side: {}", pair.name, ComparisonView::of(&comparison).sentence);
    }
    comparison.conclusion
}

/// A table of how often each pair got which verdict, in so many runs with other numbers each.
pub(crate) fn rates(runs: u64) -> String {
    let mut text = String::from(
        "| pair | what differs | regression | same | not enough data | with three targets a side |\n|---|---|---|---|---|---|\n",
    );
    let (mut false_alarms, mut misses, mut healthy, mut worse) = (0, 0, 0, 0);
    for (first, pair) in (10_000..).step_by(100).zip(PAIRS) {
        let of =
            |pods: u64, runs: u64| (first..first + runs).map(|seed| concluded(pair, seed, pods)).collect::<Vec<_>>();
        let count = |all: &[Conclusion], is: Conclusion| all.iter().filter(|it| **it == is).count();
        let (one, three) = (of(1, runs), of(3, runs.div_ceil(4)));
        let regressions = count(&one, Conclusion::Regression) + count(&three, Conclusion::Regression);
        let all = one.len() + three.len();
        if pair.is_worse {
            (worse, misses) = (worse + all, misses + all - regressions);
        } else {
            (healthy, false_alarms) = (healthy + all, false_alarms + regressions);
        }
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} of {} {} |",
            pair.name,
            pair.what,
            count(&one, Conclusion::Regression),
            count(&one, Conclusion::Same),
            count(&one, Conclusion::NotEnoughData),
            count(&three, if pair.is_worse { Conclusion::Regression } else { Conclusion::Same }),
            three.len(),
            if pair.is_worse { "a regression" } else { "the same" },
        );
    }
    let _ = writeln!(
        text,
        "\n{false_alarms} false alarms in {healthy} comparisons of equal programs; {misses} misses in {worse} comparisons of different ones."
    );
    text
}
