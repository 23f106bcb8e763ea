//! A simulated service whose numbers differ from run to run, as those of two processes of one program do.

use std::fmt::Write as _;

/// How long each side is watched, in milliseconds.
const RUN: u64 = 92_000;

/// Numbers that depend on nothing but their seed.
pub(crate) struct Dice(fastrand::Rng);

impl Dice {
    pub(crate) fn of(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number near another: between four fifths of it and six fifths.
    fn near(&mut self, middle: u64) -> u64 {
        let spread = (middle / 5).max(1);
        (middle - spread).max(1) + self.0.u64(0..=2 * spread)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0.u64(0..limit.max(1))
    }
}

/// A service: clients send requests, which use a cache behind a lock; workers share a table; a listener and a timer go on for ever.
#[derive(Clone)]
pub(crate) struct Service {
    /// Milliseconds between two requests of one of six clients.
    pub(crate) every: u64,
    /// Milliseconds for which a request holds the cache.
    pub(crate) held: u64,
    /// Microseconds that it computes in one poll.
    pub(crate) work: u64,
    /// Milliseconds that it waits for its database.
    pub(crate) database: u64,
    /// Milliseconds for which a worker holds the table.
    pub(crate) table: u64,
    /// Milliseconds between two polls of the timer.
    pub(crate) timer: u64,
    /// By how many lines the source has moved.
    pub(crate) moved: u64,
    /// When the parts start, at the latest, in milliseconds.
    pub(crate) start: u64,
    /// When it is attached to.
    pub(crate) attach: u64,
    /// Milliseconds between two updates.
    pub(crate) interval: u64,
    /// Further statements of a request.
    pub(crate) then: &'static str,
    /// Further things that are shared.
    pub(crate) shared: &'static str,
    /// Further tasks.
    pub(crate) others: String,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            every: 300,
            held: 3,
            work: 150,
            database: 40,
            table: 12,
            timer: 500,
            moved: 0,
            start: 1_000,
            attach: 0,
            interval: 1_000,
            then: "",
            shared: "",
            others: String::new(),
        }
    }
}

impl Service {
    /// The service as a scenario.
    pub(crate) fn scenario(&self, dice: &mut Dice) -> String {
        let line = |line: u64| line + self.moved;
        let mut text = format!(
            "about = \"A service.\"\nrun = \"{}ms\"\nattach = \"{}ms\"\ninterval = \"{}ms\"\nshared = [\n\
             {{ name = \"cache\", kind = \"mutex\", place = \"src/cache.rs:{}:9\" }},\n\
             {{ name = \"table\", kind = \"mutex\", place = \"src/table.rs:{}:9\" }},\n{}]\n",
            RUN + self.attach,
            self.attach,
            self.interval,
            line(10),
            line(20),
            self.shared
        );
        let mut spawn = |at: u64, name: &str, place: &str, repeat: &str, body: &str| {
            let _ = write!(
                text,
                "\n[[spawn]]\nat = \"{at}ms\"\nname = \"{name}\"\nplace = \"{place}\"\n{repeat}body = [{body}]\n"
            );
        };
        for _ in 0..6 {
            let every = dice.near(self.every);
            let repeat = format!("repeat = {{ every = \"{every}ms\", times = {} }}\n", (RUN + self.attach) / every);
            let body = format!(
                "{{ wait = \"{}ms\" }}, {{ lock = \"cache\" }}, {{ wait = \"{}ms\" }}, {{ release = \"cache\" }}, {{ work = \"{}us\" }}, \
                 {{ wait = \"{}ms\" }}{}",
                dice.near(self.database),
                dice.near(self.held),
                dice.near(self.work),
                dice.near(self.database),
                self.then
            );
            spawn(dice.below(self.start), "request", &format!("src/server.rs:{}:5", line(40)), &repeat, &body);
        }
        for _ in 0..4 {
            let body = format!(
                "{{ forever = [{{ lock = \"table\" }}, {{ wait = \"{}ms\" }}, {{ release = \"table\" }}, {{ wait = \"{}ms\" }}] }}",
                dice.near(self.table),
                dice.near(60)
            );
            spawn(dice.below(self.start), "worker", &format!("src/worker.rs:{}:5", line(12)), "", &body);
        }
        let body = format!("{{ forever = [{{ sleep = \"{}ms\" }}, {{ work = \"80us\" }}] }}", dice.near(self.timer));
        spawn(dice.below(self.start), "timer", &format!("src/main.rs:{}:5", line(30)), "", &body);
        text + &self.others
    }
}
