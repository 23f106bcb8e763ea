//! Several targets on one screen: each with its state and its verdict in words, and the findings of all of them.

use tokio_canary::diagnosis::Criteria;
use tokio_canary::feed::{Ended, FeedEvent, Status};
use tokio_canary::fleet::TargetId;
use tokio_canary::report::Link;

use super::service::Service;
use super::{Session, diagnosis, fall_ill, lost, sick};

/// A faulty service, and beside it one that is well.
fn sick_and_healthy(width: u16, height: u16) -> (Session, TargetId) {
    let mut session = sick(width, height);
    let first = session.target;
    session.target = session.fleet.join(diagnosis("unix:/run/well.sock"));
    session.service = Service::starting_at(60_000);
    session.connect();
    session.service.spawn(7, "worker", "src/main.rs", 3);
    session.service.mutex(101, "src/main.rs", 2);
    session.tick(8);
    (session, first)
}

/// The line of the list of targets that is about one.
fn line(screen: &str, name: &str) -> String {
    let lines = screen.lines().skip_while(|line| !line.contains("verdict")).map(str::to_owned);
    lines.into_iter().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name} is not listed: {screen}"))
}

#[test]
fn every_target_has_a_verdict_in_words() {
    let (mut session, first) = sick_and_healthy(200, 45);
    session.fleet.join(diagnosis("unix:/run/new.sock"));
    let screen = session.screen();
    for (name, verdict) in
        [("127.0.0.1", "critical, 2 findings"), ("well.sock", "healthy"), ("new.sock", "nothing seen yet")]
    {
        assert!(line(&screen, name).contains(verdict), "{name}: {screen}");
    }
    let status = session.service.status(lost(70));
    session.apply(status);
    let screen = session.screen();
    let of_lost = line(&screen, "well.sock");
    assert!(of_lost.contains("not judged: the connection was lost") && !of_lost.contains("healthy"), "{screen}");
    session.state.criteria = Criteria { min_updates: 1_000, ..Criteria::default() };
    assert!(
        line(&session.screen(), "127.0.0.1").contains("critical, 2 findings, not fully judged"),
        "{}",
        session.screen()
    );
    assert!(session.fleet.member(first).is_some());
}

#[test]
fn what_is_selected_among_the_targets_is_judged_beside_the_list() {
    let (mut session, _) = sick_and_healthy(160, 45);
    let screen = session.screen();
    assert!(screen.contains("2 critical so far in 12 s.") && screen.contains("- critical deadlock"), "{screen}");
    session.state.criteria = Criteria { min_updates: 1_000, ..Criteria::default() };
    session.keys("down");
    let screen = session.screen();
    assert!(screen.contains("That does not mean healthy: only 8 updates arrived"), "{screen}");
}

#[test]
fn a_tab_says_the_state_of_its_target_in_words() {
    let (mut session, _) = sick_and_healthy(120, 30);
    let tab = |session: &mut Session| {
        let screen = session.screen();
        screen
            .lines()
            .next()
            .expect("a line")
            .split("2:")
            .nth(1)
            .expect("the second tab")
            .trim_end_matches(['"', ' '])
            .to_owned()
    };
    assert!(session.screen().lines().next().is_some_and(|line| line.contains("6669 CRIT  2:")), "{}", session.screen());
    assert_eq!(tab(&mut session), "unix:/run/well.sock ok");
    session.state.criteria = Criteria { min_updates: 1_000, ..Criteria::default() };
    assert_eq!(tab(&mut session), "unix:/run/well.sock unclear");
    session.state.criteria = Criteria::default();
    let stranger = Status::Stranger { reason: "HTTP answers there.".to_owned(), retry_at: session.service.now() };
    for (event, word) in [
        (FeedEvent::Paused(true), "PAUSED"),
        (FeedEvent::Paused(false), "WARN"),
        (FeedEvent::Quiet(std::time::Duration::from_secs(7)), "QUIET"),
        (FeedEvent::Status(stranger), "NO CONSOLE"),
        (FeedEvent::Status(lost(90)), "LOST"),
        (FeedEvent::Ended(Ended::Complete), "END"),
    ] {
        let event = session.service.event(event);
        session.apply(event);
        assert!(tab(&mut session).contains(word), "{word}: {}", tab(&mut session));
    }
}

#[test]
fn every_finding_of_every_target_is_on_the_overview() {
    let mut session = sick(100, 40);
    session.target = session.fleet.join(diagnosis("unix:/run/other.sock"));
    session.service = Service::starting_at(60_000);
    session.connect();
    for (number, letter) in (0..15_u32).zip('a'..) {
        session.service.spawn(20 + u64::from(number), &format!("busy-{letter}"), "src/busy.rs", 10 * number + 1);
    }
    session.tick(3);
    for number in 0..15 {
        session.service.poll(20 + number, None);
        session.tick(1);
    }
    session.tick(10);
    let found = session.fleet.findings().len();
    assert!(found > 12, "{found} findings");
    let screen = session.screen();
    assert!(screen.contains(&format!("and {} other findings: at the end of this page (G)", found - 12)), "{screen}");
    let mut seen = Vec::new();
    for _ in 0..60 {
        let goto = session.state.front_target().cloned();
        seen.extend(
            goto.and_then(|goto| goto.link).filter(|link| matches!(link, Link::Finding(_)) && !seen.contains(link)),
        );
        session.keys("down");
    }
    assert_eq!(seen.len(), found, "{seen:#?}");
}

#[test]
fn the_next_finding_is_that_of_any_target() {
    let (mut session, first) = sick_and_healthy(100, 30);
    session.keys("tab");
    assert_eq!(session.state.active, Some(session.target));
    session.keys("T n");
    assert!(session.screen().contains("Deadlock: 2 tasks"), "{}", session.screen());
    assert_eq!(session.state.active, Some(first));
    session.keys("n");
    assert!(session.screen().contains("blocked"), "{}", session.screen());
    session.keys("n N N");
    assert!(session.screen().contains("Deadlock: 2 tasks"), "{}", session.screen());
    session.keys("esc");
    assert!(session.screen().contains("Longest waits"), "one page at a time is open: {}", session.screen());
}

#[test]
fn a_row_of_a_target_leads_to_its_findings_whatever_was_open_there() {
    let mut session = sick(100, 40);
    let first = session.target;
    session.fleet.join(diagnosis("unix:/run/other.sock"));
    session.keys("T enter");
    assert!(session.screen().contains("Task 7: transfer"), "{}", session.screen());
    session.keys("tab o");
    session.draw();
    session.keys("enter");
    assert_eq!(session.state.active, Some(first));
    let screen = session.screen();
    assert!(screen.contains("2 findings") && !screen.contains("Task 7: transfer"), "{screen}");
}

#[test]
fn the_overview_of_two_faulty_targets_says_it_once() {
    let mut session = sick(160, 45);
    session.target = session.fleet.join(diagnosis("unix:/run/other.sock"));
    session.service = Service::starting_at(60_000);
    fall_ill(&mut session);
    assert!(session.screen().contains("2 of 2 targets"), "{}", session.screen());
}
