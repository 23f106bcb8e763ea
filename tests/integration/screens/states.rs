//! Every state of a connection and of a view that is not met every day, as a whole screen, with the word that says what it is.

use std::time::Duration;

use insta::assert_snapshot;
use tokio_canary::feed::{Arrived, Ended, FeedEvent, Status, Update};

use super::{Session, play, sick};

/// A state: its name, how it comes about, the keys that lead to it, and what has to be on the screen.
struct State {
    name: &'static str,
    prepare: fn(&mut Session),
    keys: &'static str,
    says: &'static str,
}

const CONNECTIONS: &[State] = &[
    State { name: "wrong_port", prepare: wrong_port, keys: "o", says: "NOT A CONSOLE" },
    State { name: "paused", prepare: paused, keys: "o", says: "PAUSED by a client" },
    State { name: "quiet", prepare: quiet, keys: "o", says: "QUIET for 7.0 s" },
    State { name: "lagging", prepare: lagging, keys: "T", says: "New tasks and waits are reported" },
    State { name: "partial", prepare: partial, keys: "o", says: "PARTIAL|partial:" },
    State { name: "recording", prepare: recording, keys: "o", says: "REC 61 kB" },
    State { name: "playing", prepare: playing, keys: "o", says: "10x 00:06/00:19" },
    State { name: "play_paused", prepare: play_paused, keys: "o", says: "PAUSED 00:06/00:19" },
    State { name: "end", prepare: end, keys: "o", says: "END 00:07/00:19" },
];

const VIEWS: &[State] = &[
    State { name: "explained", prepare: nothing, keys: "f x", says: "WHAT IT MEANS" },
    State { name: "ended_task", prepare: ended_task, keys: "", says: "It has ended and is not listed any more" },
    State { name: "mistake", prepare: nothing, keys: "T / age>soon", says: "not a duration" },
    State { name: "empty", prepare: nothing, keys: "T / nowhere enter", says: "no tasks" },
    State { name: "diagram", prepare: nothing, keys: "f enter", says: "Deadlock" },
];

fn nothing(_: &mut Session) {}

fn apply(session: &mut Session, event: FeedEvent) {
    let event = session.service.event(event);
    session.apply(event);
}

fn wrong_port(session: &mut Session) {
    let reason = "http://127.0.0.1:6669 answers, but is no console-subscriber: HTTP/1.1 404.".to_owned();
    let retry_at = session.service.now() + Duration::from_secs(5);
    apply(session, FeedEvent::Status(Status::Stranger { reason, retry_at }));
}

fn paused(session: &mut Session) {
    apply(session, FeedEvent::Paused(true));
}

fn quiet(session: &mut Session) {
    apply(session, FeedEvent::Quiet(Duration::from_secs(7)));
}

fn lagging(session: &mut Session) {
    let Arrived { event: FeedEvent::Update(mut update), .. } = session.service.tick() else { panic!("an update") };
    update.lag = Some(Duration::from_secs(3));
    apply(session, FeedEvent::Update(update));
}

fn partial(session: &mut Session) {
    let Arrived { event: FeedEvent::Update(update), .. } = session.service.tick() else { panic!("an update") };
    let mut message = update.message.decoded();
    message.task_update.get_or_insert_default().dropped_events = 5;
    apply(session, FeedEvent::Update(Box::new(Update::from(message))));
}

fn recording(session: &mut Session) {
    session.fleet.note_recorded(session.target, 61_000);
}

fn playing(session: &mut Session) {
    play(session, Some(10.0), false);
}

fn play_paused(session: &mut Session) {
    play(session, Some(10.0), true);
}

fn end(session: &mut Session) {
    play(session, Some(10.0), false);
    apply(session, FeedEvent::Ended(Ended::Complete));
}

/// Opens the page of a task that ends and is forgotten.
fn ended_task(session: &mut Session) {
    session.keys("T enter");
    session.draw();
    session.service.end(7);
    session.service.end(9);
    session.tick(30);
}

fn check(states: &[State], sizes: &[(u16, u16)]) {
    for State { name, prepare, keys, says } in states {
        for (width, height) in sizes {
            let mut session = sick(*width, *height);
            prepare(&mut session);
            session.keys(keys);
            let screen = session.screen();
            let text = screen.replace(['"', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(says.split('|').any(|word| text.contains(word)), "{name} at {width}x{height}: {screen}");
            assert_snapshot!(format!("{name}_{width}x{height}"), screen);
        }
    }
}

#[test]
fn every_state_of_a_connection_is_said_on_every_screen() {
    check(CONNECTIONS, &[(160, 45), (80, 24)]);
}

#[test]
fn every_view_fits_in_its_rare_states() {
    check(VIEWS, &[(80, 24), (40, 10)]);
    check(&VIEWS[4..], &[(120, 40)]);
}
