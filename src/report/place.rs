//! Names and places in one line, and the place that says most about a finding.

use crate::detect::subject::Role;
use crate::detect::symptom::Symptom;
use crate::model::location::Location;

/// A name and the place that belongs to it in one line, as far as they are known: `transfer (src/bank.rs:41:9)`.
pub(super) fn named_place(name: &str, location: &str) -> String {
    match (name, location) {
        (name, "") => name.to_owned(),
        ("", location) => location.to_owned(),
        (name, location) => format!("{name} ({location})"),
    }
}

/// The file and line of a place, without folders and column: it stands in for a name where there is none.
pub(super) fn file_and_line(location: &Location) -> &str {
    location.without_column().rsplit('/').next().unwrap_or_default()
}

/// The name and the place that a list leads with: those of the subject, unless that is where a library spawns or makes whatever its users give
/// it. Then the line of the service's own that has a part in it says more: a lock, or else another task. The library's part stays in the name.
pub(super) fn lead(symptom: &Symptom) -> (String, String) {
    let subject = &symptom.subject;
    let own = symptom.related.iter().filter(|it| is_own(&it.location));
    let telling = own.min_by_key(|it| (it.role != Role::Resource, it.role != Role::Holder && it.role != Role::Culprit));
    match telling.filter(|_| Location::parse(&subject.location).is_library()) {
        Some(lead) => {
            let name =
                [subject.name.as_str(), lead.name.as_str()].map(str::trim).into_iter().filter(|it| !it.is_empty());
            (name.collect::<Vec<_>>().join(", "), lead.location.clone())
        }
        None => (subject.name.clone(), subject.location.clone()),
    }
}

fn is_own(location: &str) -> bool {
    !location.is_empty() && !Location::parse(location).is_library()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::subject::{Related, Subject, SubjectKind};

    fn related(role: Role, name: &str, location: &str) -> Related {
        Related { kind: SubjectKind::Site, name: name.to_owned(), location: location.to_owned(), role, site: None }
    }

    fn leads(location: &str, parties: &[Related]) -> String {
        let (name, location) = ("axum connection".to_owned(), location.to_owned());
        let subject = Subject { kind: SubjectKind::Site, name, location, count: 1, ids: Vec::new(), site: None };
        let (name, location) = lead(&Symptom { related: parties.to_vec(), ..Symptom::about(subject) });
        named_place(&name, &location)
    }

    #[test]
    fn a_place_in_a_library_gives_way_to_a_line_of_the_service() {
        let library = "axum-0.8.9/src/serve/mod.rs:389:5";
        let lock = related(Role::Resource, "Mutex", "src/state.rs:12:22");
        let waiter = related(Role::Waiter, "report", "src/report.rs:9:5");
        let pool = related(Role::Resource, "Semaphore", "sqlx-core-0.8.2/src/sync.rs:37:17");
        for (case, location, parties, leads_with) in [
            ("the lock", library, &[waiter.clone(), lock.clone()][..], "axum connection, Mutex (src/state.rs:12:22)"),
            ("or else a task", library, &[pool.clone(), waiter.clone()], "axum connection, report (src/report.rs:9:5)"),
            ("nothing else is known", library, &[pool], "axum connection (axum-0.8.9/src/serve/mod.rs:389:5)"),
            ("its own line says enough", "src/main.rs:1:1", &[lock], "axum connection (src/main.rs:1:1)"),
        ] {
            assert_eq!(leads(location, parties), leads_with, "{case}");
        }
    }
}
