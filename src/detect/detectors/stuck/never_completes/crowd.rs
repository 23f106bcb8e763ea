//! Stragglers as a crowd: several tasks of a site that stopped where their siblings end, with more to come.

use super::{ALWAYS, CROWD, GROWTH, SAME_POLL, SIBLINGS};
use crate::detect::describe;
use crate::detect::settings::Scoped;
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::places;
use crate::evidence::stragglers::Stragglers;
use crate::model::SiteKey;
use crate::words;

/// Stragglers of which there are several, and more come all the time.
pub(super) struct Crowd {
    /// Their spawn site.
    pub(super) site: SiteKey,
    stragglers: Stragglers,
}

/// The crowds of all sites.
pub(super) fn crowds(evidence: &Evidence<'_>, settings: Scoped<'_>) -> Vec<Crowd> {
    let siblings = u64::try_from(settings.get(&SIBLINGS)).unwrap_or(u64::MAX);
    let sites = evidence.sites().filter(|(_, site)| site.id.kind.is_async());
    let crowds = sites.filter_map(|(key, site)| {
        let stragglers = evidence.stragglers(key, siblings)?;
        // Where others of that age are polled, members of the site live that long.
        let most = 4 * stragglers.lively <= stragglers.tasks.len();
        // More keep coming, or nothing of the site comes to an end any more.
        let stands = site.last_end.is_some_and(|end| evidence.running_since(end) > stragglers.limit);
        // Those that were all started within moments are a crew of workers, spawned where short jobs are as well.
        let one_by_one = stragglers.spread() >= stragglers.limit;
        let comes = stragglers.keep_coming || (stands && one_by_one);
        let crowd = stragglers.count >= settings.get(&CROWD) && comes && most;
        crowd.then_some(Crowd { site: key, stragglers })
    });
    crowds.collect()
}

/// The crowds to report: of those whose members were spawned together, only the first.
pub(super) fn leading(crowds: &[Crowd]) -> impl Iterator<Item = &Crowd> {
    crowds.iter().filter(|crowd| {
        let (own, site) = (&crowd.stragglers, crowd.site);
        let first = |other: &&Crowd| (other.stragglers.oldest, site) > (own.oldest, other.site);
        !crowds.iter().filter(|other| other.site != site && own.born_with(&other.stragglers)).any(|other| first(&other))
    })
}

/// The symptom of a crowd.
pub(super) fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    crowds: &[Crowd],
    crowd: &Crowd,
) -> Option<Symptom> {
    let (key, it) = (crowd.site, &crowd.stragglers);
    let site = evidence.site(key)?;
    let others: Vec<&Crowd> =
        crowds.iter().filter(|other| other.site != key && other.stragglers.born_with(it)).collect();
    let same_poll = std::iter::once(crowd).chain(others.iter().copied()).find_map(|it| it.stragglers.stopped_at_poll);
    let first = *it.tasks.first()?;
    let wait = evidence.task_wait(first);
    let seen = wait.awaited.iter().any(|it| evidence.used_to_end(it.resource));
    let is_one_place = same_poll.is_some() || it.all_stay;
    let unseen = settings.get(if is_one_place { &SAME_POLL } else { &GROWTH });
    let limit = match (seen || it.has_stalled, it.are_no_clients()) {
        (true, _) => it.limit,
        (false, true) => unseen,
        // A connected client sends a ping every few minutes at the latest.
        (false, false) => settings.get(&ALWAYS),
    };
    let may_be_clients = it.oldest < limit || !(seen || it.are_no_clients() || it.keep_coming);
    let is_library = places::is_no_place_of_work(site.id.kind, &site.id.location);
    let stopped = it.stopped_at_poll.map_or_else(String::new, |polls| {
        format!(" Each stopped after {}.", words::count(usize::try_from(polls).unwrap_or(usize::MAX), "poll"))
    });
    let coming = match (it.has_stalled, it.keep_coming) {
        (true, _) if it.all_stay => ", and as many keep coming as before, of which none has ended",
        (true, _) => ", and as many keep coming as before, of which hardly any has ended",
        (false, true) => ", and more keep coming",
        (false, false) => "",
    };
    let stopped_at = evidence.task(first).map(|task| task.stats.idle_from());
    let ended = stopped_at.map_or_else(String::new, |at| describe::ended_before(evidence, at));
    let with: Vec<SiteKey> = others.iter().map(|other| other.site).collect();
    let symptom = Symptom::of_site(evidence, key, &it.tasks, it.count)
        .unless((is_library && !it.has_stalled).then_some(LookAlike::LibraryTask))
        .unless(may_be_clients.then_some(LookAlike::QuietClients))
        .summary(format!(
            "{} {} stopped early and have been idle since, the oldest is {} old (warning from {}){coming}. {} completed, all within {}.{stopped}",
            it.count,
            describe::tasks(site),
            words::duration(it.oldest),
            words::limit(limit),
            words::count(usize::try_from(site.completed()).unwrap_or(usize::MAX), "sibling"),
            words::duration(it.longest),
        ))
        .because(Fact::time("age of the oldest straggler", it.oldest).from(limit))
        .because(Fact::count("stragglers", "tasks", it.count).from(settings.get(&CROWD)))
        .because(Fact::share("share of them among those that ended or stopped", it.share))
        .because(Fact::time("95th percentile of their siblings' lifetimes", it.usual))
        .because(Fact::time("longest lifetime of a sibling", it.longest))
        .because(Fact::time("age from which on a task is a straggler", it.limit))
        .because(Fact::count("tasks of the site of that age that were polled lately", "tasks", it.lively))
        .involving(wait.awaited.first().map(|it| describe::related_resource(evidence, it.resource)))
        .involving(describe::related_sites(evidence, &with, Role::Waiter))
        .cause(Some(describe::awaited(evidence, first, "The oldest of them") + &ended))
        .advice(
            "Put a timeout around what these tasks await, and look for the path on which the other side never answers: a reply that is lost, a \
             stream or a result that nobody reads, a connection that is neither returned nor closed."
                .to_owned()
                + &describe::library_hint(&site.id.location),
        )
        .touching(wait.awaited.first().map(|it| it.resource))
        .touching_sites(with)
        .last_progress(site.last_end)
        .since(stopped_at);
    Some(symptom)
}
