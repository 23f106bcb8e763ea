//! The pairs: what the canary does, and whether it is worse than stable.

use super::service::{Dice, Service};

/// A canary and what it is compared with.
pub(crate) struct Pair {
    pub(crate) name: &'static str,
    /// What differs, in a few words.
    pub(crate) what: &'static str,
    /// Whether that is a regression.
    pub(crate) is_worse: bool,
    /// Whether neither can be said, as one side does nothing, or is not there all the time.
    pub(crate) is_unsure: bool,
    pub(crate) canary: fn(&mut Dice) -> String,
    pub(crate) stable: fn(&mut Dice) -> String,
}

const fn equal(name: &'static str, what: &'static str, canary: fn(&mut Dice) -> String) -> Pair {
    Pair { name, what, is_worse: false, is_unsure: false, canary, stable: usual }
}

const fn unsure(name: &'static str, what: &'static str, canary: fn(&mut Dice) -> String) -> Pair {
    Pair { is_unsure: true, ..equal(name, what, canary) }
}

const fn worse(name: &'static str, what: &'static str, canary: fn(&mut Dice) -> String) -> Pair {
    Pair { is_worse: true, ..equal(name, what, canary) }
}

pub(crate) const PAIRS: &[Pair] = &[
    equal("the same program", "nothing but chance", usual),
    equal("more load", "three times the requests", |dice| service(dice, |it| it.every = 100)),
    equal("a tenth of the traffic", "a tenth of the requests", |dice| service(dice, |it| it.every = 3_000)),
    equal("a warm-up", "slow polls in the first 15 s", |dice| {
        service(dice, |it| {
            it.others = task(
                "warm-up",
                "src/warm.rs:3:5",
                "{ repeat = { times = 150, body = [{ work = \"8ms\" }, { wait = \"90ms\" }] } }",
            );
        })
    }),
    equal("a single long poll", "one poll of 150 ms", |dice| {
        service(dice, |it| {
            it.others = spawned("30s", "request", "src/server.rs:40:5", "", "{ work = \"150ms\" }");
        })
    }),
    equal("another order of starting", "parts start up to 8 s later", |dice| service(dice, |it| it.start = 8_000)),
    equal("moved lines", "every line is 17 lines further down", |dice| service(dice, |it| it.moved = 17)),
    Pair {
        name: "a fresh process",
        what: "stable runs for a minute already",
        is_worse: false,
        is_unsure: false,
        canary: |dice| service(dice, |it| it.others = task("start", "src/start.rs:3:5", "{ wait = \"900ms\" }")),
        stable: |dice| {
            service(dice, |it| {
                it.attach = 60_000;
                it.others = task("start", "src/start.rs:3:5", "{ wait = \"900ms\" }");
            })
        },
    },
    equal("slightly slower", "the database takes 20 % longer", |dice| service(dice, |it| it.database = 48)),
    Pair {
        name: "a busy lock",
        what: "nothing but chance, at a lock that is always taken",
        is_worse: false,
        is_unsure: false,
        canary: |dice| service(dice, |it| it.table = 30),
        stable: |dice| service(dice, |it| it.table = 30),
    },
    unsure("an idle canary", "no requests, no workers", |_| idle("500ms")),
    Pair { stable: |_| idle("500ms"), ..unsure("an idle stable", "stable has no requests and no workers", usual) },
    Pair {
        stable: |_| idle("250ms"),
        ..unsure("a canary that is never polled", "stable has a timer and no more, the canary not even that", |_| {
            idle("1h")
        })
    },
    unsure("a canary that died", "it ends after 75 s, and does not come back", |dice| {
        service(dice, |it| it.others = event("75s", "restart = \"1h\""))
    }),
    unsure("a canary that restarts", "it is started anew twice", |dice| {
        service(dice, |it| it.others = event("30s", "restart = \"1s\"") + &event("60s", "restart = \"1s\""))
    }),
    unsure("a process that is paused", "3 s of every 10 s, so that hardly a block of the canary counts", |dice| {
        service(dice, |it| it.others = (1..9).map(|nth| event(&format!("{nth}5s"), "stop = \"3s\"")).collect())
    }),
    Pair {
        name: "an order of locks at the start",
        what: "a job that both run once, before stable is watched",
        is_worse: false,
        is_unsure: false,
        canary: |dice| migration(dice, 0),
        stable: |dice| migration(dice, 60_000),
    },
    Pair {
        stable: |dice| service(dice, |it| it.interval = 8_000),
        ..equal("updates every 8 s", "nothing but chance, in blocks of two updates", |dice| {
            service(dice, |it| it.interval = 8_000)
        })
    },
    worse("a lock held longer", "the table is held for 36 ms instead of 12 ms", |dice| {
        service(dice, |it| it.table = 36)
    }),
    worse("a blocking poll", "each request computes 30 ms in one poll", |dice| service(dice, |it| it.work = 30_000)),
    worse("a task leak", "a new kind of task, one every 700 ms, never ends", |dice| {
        service(dice, |it| {
            let every = "repeat = { every = \"700ms\", times = 200 }
";
            it.others = spawned("2s", "session", "src/session.rs:8:5", every, "{ wait = \"never\" }");
        })
    }),
    worse("a leak of a known task", "requests that never end, one a second", |dice| {
        service(dice, |it| {
            let every = "repeat = { every = \"1s\", times = 200 }
";
            it.others = spawned("2s", "request", "src/server.rs:40:5", every, "{ wait = \"never\" }");
        })
    }),
    Pair {
        name: "a new lock order",
        what: "a job takes two locks the other way round",
        is_worse: true,
        is_unsure: false,
        canary: |dice| orders(dice, ("prices", "stock")),
        stable: |dice| orders(dice, ("stock", "prices")),
    },
    worse("a growing queue", "a queue gets one more each 100 ms", |dice| {
        service(dice, |it| {
            it.shared = "{ name = \"jobs\", kind = \"queue\", place = \"src/jobs.rs:5:9\" },\n";
            it.others = task(
                "feeder",
                "src/jobs.rs:9:5",
                "{ forever = [{ depth = { of = \"jobs\", by = 1 } }, { wait = \"100ms\" }] }",
            );
        })
    }),
    worse("a spin", "the timer is polled every 4 ms instead of every 500 ms", |dice| service(dice, |it| it.timer = 4)),
    worse("slow requests", "the database takes two and a half times as long", |dice| {
        service(dice, |it| it.database = 100)
    }),
    worse("a slow lock in requests", "a request holds the cache for 40 ms instead of 3 ms", |dice| {
        service(dice, |it| it.held = 40)
    }),
    worse("a deadlock", "two tasks wait for each other", |dice| {
        service(dice, |it| {
            it.shared = "{ name = \"a\", kind = \"mutex\", place = \"src/bank.rs:1:9\" },\n{ name = \"b\", kind = \"mutex\", place = \"src/bank.rs:2:9\" },\n";
            let pay = |lines: u64, one: &str, other: &str| {
                let body = format!("{{ lock = \"{one}\" }}, {{ sleep = \"100ms\" }}, {{ lock = \"{other}\" }}");
                task("pay", &format!("src/bank.rs:{lines}:5"), &body)
            };
            it.others = pay(11, "a", "b") + &pay(12, "b", "a");
        })
    }),
];

/// The usual service, which is started anew once.
pub(crate) fn restarting(dice: &mut Dice) -> String {
    service(dice, |it| it.others = event("30s", "restart = \"1s\""))
}

pub(crate) fn usual(dice: &mut Dice) -> String {
    Service::default().scenario(dice)
}

/// The usual service, but for what is changed.
fn service(dice: &mut Dice, change: impl FnOnce(&mut Service)) -> String {
    let mut service = Service::default();
    change(&mut service);
    service.scenario(dice)
}

/// A task that is spawned once, at the start.
fn task(name: &str, place: &str, body: &str) -> String {
    spawned("1s", name, place, "", body)
}

/// Tasks that are spawned from a time on, as often as a line says.
fn spawned(at: &str, name: &str, place: &str, repeat: &str, body: &str) -> String {
    format!("\n[[spawn]]\nat = \"{at}\"\nname = \"{name}\"\nplace = \"{place}\"\n{repeat}body = [{body}]\n")
}

/// Nothing but a timer.
fn idle(every: &str) -> String {
    format!(
        "about = \"Idle.\"\nrun = \"92s\"\n\n[[spawn]]\nname = \"timer\"\nplace = \"src/main.rs:30:5\"\n\
         body = [{{ forever = [{{ sleep = \"{every}\" }}] }}]\n"
    )
}

/// What happens to the process or the connection.
fn event(at: &str, what: &str) -> String {
    format!("\n[[event]]\nat = \"{at}\"\n{what}\n")
}

/// The usual service, which takes two locks, one inside the other, in its first 20 s only.
fn migration(dice: &mut Dice, attach: u64) -> String {
    service(dice, |it| {
        it.attach = attach;
        it.shared = "{ name = \"old\", kind = \"mutex\", place = \"src/migrate.rs:10:20\" },\n\
                     { name = \"new\", kind = \"mutex\", place = \"src/migrate.rs:11:20\" },\n";
        let body = "{ repeat = { times = 18, body = [{ lock = \"old\" }, { sleep = \"50ms\" }, { lock = \"new\" }, { sleep = \"850ms\" }, \
                    { release = \"new\" }, { release = \"old\" }, { sleep = \"70ms\" }] } }";
        it.others = task("migration", "src/migrate.rs:31:9", body);
    })
}

/// The usual service with two jobs that take two locks, the second of them in this order. They never meet.
fn orders(dice: &mut Dice, (first, second): (&str, &str)) -> String {
    let job = |at: u64, line: u64, name: &str, (one, other): (&str, &str)| {
        let body = format!(
            "{{ forever = [{{ lock = \"{one}\" }}, {{ sleep = \"150ms\" }}, {{ lock = \"{other}\" }}, {{ sleep = \"200ms\" }}, \
             {{ release = \"{other}\" }}, {{ release = \"{one}\" }}, {{ sleep = \"1020ms\" }}] }}"
        );
        format!("\n[[spawn]]\nat = \"{at}ms\"\nname = \"{name}\"\nplace = \"src/shop.rs:{line}:9\"\nbody = [{body}]\n")
    };
    service(dice, |it| {
        it.shared = "{ name = \"stock\", kind = \"mutex\", place = \"src/shop.rs:10:20\" },\n\
                     { name = \"prices\", kind = \"mutex\", place = \"src/shop.rs:11:20\" },\n";
        it.others = job(2_000, 31, "order", ("stock", "prices")) + &job(2_700, 52, "revise", (first, second));
    })
}
