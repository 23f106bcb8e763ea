//! Which findings there are about a task, a spawn site or a resource.

use std::borrow::Cow;

use super::columns::Value;
use super::findings::FindingKey;
use super::link::{Link, Linked};
use super::place::{lead, named_place};
use super::snapshot::Snapshot;
use super::touched::Touched;
use crate::detect::finding::Finding;
use crate::detect::severity::Severity;

/// A count of findings below this does not change which severity is worse.
const MOST: u128 = 1 << 32;

impl<'a> Snapshot<'a> {
    /// The findings about something, in the order in which they are read; none about a finding.
    pub fn findings_about(&self, link: &Link) -> Vec<Linked> {
        self.about(link)
            .map(|finding| {
                let (name, location) = lead(&finding.symptom);
                let place = named_place(&name, &location);
                let text = format!("{} {}: {place}", finding.severity().as_str(), finding.detector.id);
                Linked { text, link: Link::Finding(FindingKey::of(finding)) }
            })
            .collect()
    }

    /// How many findings there are about something and how bad they are: `2 critical`.
    pub(super) fn severity_about(&self, link: &Link) -> Value<'static> {
        let severities: Vec<Severity> = self.about(link).map(Finding::severity).collect();
        let Some(worst) = severities.iter().max() else { return Value::Nothing };
        let count = severities.len();
        let text = match severities.iter().filter(|it| *it == worst).count() {
            worst_ones if worst_ones == count => format!("{count} {}", worst.as_str()),
            worst_ones => format!("{worst_ones} {} +{}", worst.as_str(), count - worst_ones),
        };
        Value::Ranked((*worst as u128 + 1) * MOST + count as u128, Cow::Owned(text))
    }

    /// The worst severity of the findings about something.
    pub fn worst_about(&self, link: &Link) -> Option<Severity> {
        self.about(link).map(Finding::severity).max()
    }

    /// The detectors that reported something about it: `deadlock, lock-order`.
    pub(super) fn detectors_about(&self, link: &Link) -> Value<'static> {
        let mut detectors = self.about(link).map(|finding| finding.detector.id);
        match (detectors.next(), detectors.next()) {
            (None, _) => Value::Nothing,
            (Some(one), None) => Value::text(one),
            (Some(one), Some(two)) => {
                Value::Text([one, two].into_iter().chain(detectors).collect::<Vec<_>>().join(", ").into())
            }
        }
    }

    /// Whether there is a finding about something.
    pub(super) fn is_touched(&self, link: &Link) -> bool {
        self.about(link).next().is_some()
    }

    fn about(&self, link: &Link) -> impl Iterator<Item = &'a Finding> {
        let touched = self
            .touched
            .get_or_init(|| Touched::by(self.diagnosis().findings(), |key| Some(self.evidence.task(key)?.site)));
        let indices = match link {
            Link::Task(key) => touched.tasks.get(key),
            Link::Site(key) | Link::TasksOf(key) => touched.sites.get(key),
            Link::Resource(key) => touched.resources.get(key),
            Link::Finding(_) => None,
        };
        indices.into_iter().flatten().map(|index| touched.findings[*index])
    }
}
