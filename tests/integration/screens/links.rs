//! Links: whatever a finding names can be opened from its page.

use tokio_canary::fleet::Fleet;
use tokio_canary::report::columns::Column;
use tokio_canary::report::sites::SiteColumn;
use tokio_canary::report::{Link, Snapshot, SubjectKind};

use super::{Session, pictures, sick};
use crate::source::in_repository;
use crate::support::simulator::scenario::Scenario;
use crate::support::simulator::timeline::{Told, play_before};

#[test]
fn every_site_that_a_finding_names_can_be_opened() {
    let mut sites = 0;
    for second in [8, 12, 16, 20] {
        let (fleet, target, _) = pictures::demo(second);
        let shown = Snapshot::new(&fleet, fleet.member(target).expect("it has joined"));
        for key in shown.current_findings() {
            let finding = shown.finding(&key).expect("it holds");
            let subject = &finding.subject;
            let subject = (subject.kind, &subject.name, &subject.location, subject.site);
            let related = finding.related.iter().map(|it| (it.kind, &it.name, &it.location, it.site));
            for (kind, name, location, site) in std::iter::once(subject).chain(related) {
                let link = shown.site_link(site);
                assert_eq!(link.is_some(), kind == SubjectKind::Site, "{name} {location}");
                assert!(link.as_ref().is_none_or(|link| shown.knows(link)), "{name} {location}");
                sites += usize::from(link.is_some());
            }
        }
    }
    assert!(sites > 8, "only {sites} sites were named");
}

/// Tasks that one line spawns in two ways have two sites, of the same name and place.
#[test]
fn a_finding_leads_to_the_site_it_is_about_and_not_to_one_of_the_same_name_and_place() {
    for blocked in ["task", "local"] {
        let mut session = Session::new(120, 40);
        session.connect();
        for (id, kind) in [(7, "task"), (8, "local")] {
            session.service.spawn_as(id, kind, &[("task.name", "resize")], "src/images.rs", 12);
        }
        session.tick(3);
        session.service.poll(if blocked == "task" { 7 } else { 8 }, None);
        session.tick(8);
        let shown = Snapshot::new(&session.fleet, session.fleet.members().next().expect("it has joined"));
        let findings = shown.current_findings().into_iter().filter_map(|key| shown.finding(&key));
        let finding = findings.into_iter().find(|it| it.row.detector == "blocked-worker").expect("it blocks");
        let Some(Link::Site(site)) = shown.site_link(finding.subject.site) else { panic!("a site: {finding:#?}") };
        let kind = shown.site_value(site, SiteColumn::Kind);
        assert_eq!(SiteColumn::Kind.in_words(&kind), blocked);
    }
}

#[test]
fn what_a_finding_explains_can_be_opened_and_leads_back() {
    let path = in_repository("tests/scenarios/findings/blocked-hides-stalled-things.toml");
    let mut explained = 0;
    play_before(&Scenario::read(&path), Told::Once, &mut |diagnosis| {
        let mut fleet = Fleet::default();
        let target = fleet.join(diagnosis.clone());
        let shown = Snapshot::new(&fleet, fleet.member(target).expect("it has joined"));
        for key in shown.current_findings() {
            for (text, link) in shown.explained(&key) {
                // One that is not confirmed is forgotten in the scan that does not see it any more.
                let Some(Link::Finding(hidden)) = link else { continue };
                let page = shown.finding(&hidden).expect("it has a page");
                assert!(text.contains(&page.headline), "{text}: {}", page.headline);
                assert_eq!(page.caused_by.and_then(|cause| shown.finding_of(&cause)), Some(key.clone()), "{text}");
                explained += 1;
            }
        }
    });
    assert!(explained > 0, "nothing was explained");
}

#[test]
fn the_last_branch_of_a_diagram_ends_it() {
    for waiters in [1, 3, 9] {
        let mut session = sick(120, 60);
        for waiter in 0..waiters {
            session.service.spawn(20 + waiter, "report", "src/report.rs", 9);
        }
        session.tick(1);
        for waiter in 0..waiters {
            session.service.wait(300 + waiter, 20 + waiter, 101);
            session.service.wait(400 + waiter, 20 + waiter, 102);
        }
        session.tick(6);
        session.keys("f enter");
        let screen = session.screen();
        let branches =
            |mark: &str| screen.lines().filter(|line| line.trim_start_matches('"').starts_with(mark)).count();
        let drawn = usize::try_from(waiters).expect("a few").min(7);
        assert_eq!((branches("  ├ "), branches("  └ ")), (drawn - 1, 1), "{waiters} wait: {screen}");
        assert_eq!(screen.contains("  └ and 3 other tasks"), waiters == 9, "{screen}");
    }
}
