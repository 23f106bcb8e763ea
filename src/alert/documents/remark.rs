//! What documents remark on, each at its place: the findings of a run, or the differences of a comparison.

use crate::alert::classes::{Level, classes};
use crate::alert::event::Summary;
use crate::report::comparison::{ComparisonView, DifferenceView};
use crate::report::repository::{Elsewhere, Repository, RepositoryPlace};
use crate::words;

/// Something that a document says of a place.
#[derive(Debug)]
pub(super) struct Remark {
    /// How much it weighs.
    pub(super) level: Level,
    /// What it belongs to: a detector, or a kind of difference.
    pub(super) rule: &'static str,
    /// A title, in which nothing comes from a target.
    pub(super) title: String,
    /// A paragraph about it.
    pub(super) message: String,
    /// Its place in the repository.
    pub(super) place: Result<RepositoryPlace, Elsewhere>,
    /// Its name in every run.
    pub(super) fingerprint: String,
}

/// The kinds of differences: the rule, the word that a comparison has for it, and what it means.
pub(super) const DIFFERENCES: [(&str, &str, &str); 4] = [
    ("compare-finding", "finding", "A finding that only the canary has"),
    ("compare-structure", "structure", "A task, lock, channel, wait or order of locks that only the canary has"),
    ("compare-rate", "rate", "A count or rate that is higher on the canary"),
    ("compare-time", "time", "A time that is longer on the canary"),
];

/// The findings of a run, in the order in which they are read, and how many more there were that are forgotten.
pub(super) fn of_run(summary: &Summary, repository: &Repository) -> (Vec<Remark>, usize) {
    let (classes, forgotten) = classes(summary);
    let remark = |class: &crate::alert::classes::Class<'_>| {
        let (row, place) = (&class.finding.row, class.place(repository));
        let said = [Some(class.paragraph(place.as_ref().err().copied())), class.on_targets()];
        Remark {
            level: class.level(),
            rule: row.detector,
            title: format!("{} ({} {})", row.detector, row.grade.as_str(), class.worst.as_str()),
            message: said.into_iter().flatten().collect::<Vec<_>>().join(" "),
            place,
            fingerprint: class.finding.fingerprint.clone(),
        }
    };
    (classes.iter().map(remark).collect(), forgotten)
}

/// The differences of a comparison, what counts first.
pub(super) fn of_comparison(view: &ComparisonView, repository: &Repository) -> Vec<Remark> {
    let remark = |it: &DifferenceView| {
        let place = repository.place(&it.location);
        let details = (!it.details.is_empty()).then(|| it.details.clone());
        let elsewhere = place.as_ref().err().map(|it| it.sentence().to_owned());
        let summary = format!("{}.", words::sentences(&it.summary));
        let said = [Some(summary), details, elsewhere];
        Remark {
            level: if it.counts { Level::Error } else { Level::Note },
            rule: DIFFERENCES.iter().find(|(_, kind, _)| *kind == it.kind).map_or(it.kind, |(rule, ..)| rule),
            title: format!("{}: {}", if it.counts { "regression" } else { "new here" }, it.name),
            message: said.into_iter().flatten().collect::<Vec<_>>().join(" "),
            place,
            fingerprint: it.fingerprint.clone(),
        }
    };
    view.differences.iter().map(remark).collect()
}
