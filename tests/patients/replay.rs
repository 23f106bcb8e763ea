//! What the tool says about a recorded feed, compared with its label.

use std::path::Path;
use std::time::Duration;

use tokio_canary::detect::finding::Finding;
use tokio_canary::detect::settings::Settings;
use tokio_canary::detect::severity::{Severity, State};
use tokio_canary::detect::subject::Role;
use tokio_canary::diagnosis::{Diagnosis, Ended};
use tokio_canary::feed::recording::{Speed, open};
use tokio_canary::model::DEFAULT_RETENTION;

use crate::labels::{Expected, Recording};

/// Plays a recording as fast as it can be judged, and returns what is not as its label says.
pub(crate) fn judge(path: &Path, label: &Recording) -> Vec<String> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(judged(path, label)),
        Err(error) => vec![error.to_string()],
    }
}

async fn judged(path: &Path, label: &Recording) -> Vec<String> {
    let mut feed = match open(path, Speed::Max) {
        Ok(feed) => feed,
        Err(error) => return vec![error.to_string()],
    };
    let mut diagnosis = Diagnosis::new(label.file.clone(), Settings::default(), DEFAULT_RETENTION);
    let mut faults = Vec::new();
    let mut first_update = None;
    let mut found = None;
    while let Some(arrived) = feed.events.recv().await {
        let at = arrived.at;
        for transition in diagnosis.apply(arrived) {
            let finding = &transition.finding;
            if finding.state != State::Firing {
                continue;
            }
            if found.is_none() && label.finding.as_ref().is_some_and(|expected| is_meant(finding, expected)) {
                found = at.duration_since(first_update.unwrap_or(at)).ok();
            }
            if finding.severity() >= Severity::Warning && !is_explained(finding, label.finding.as_ref()) {
                faults.push(format!("{} at {:?}: {}", finding.detector.id, place(finding), finding.symptom.summary));
            }
        }
        if first_update.is_none() && diagnosis.updates() > 0 {
            first_update = Some(at);
        }
    }
    faults.extend(label.finding.as_ref().and_then(|expected| missed(expected, found)));
    if diagnosis.ended() != Some(&Ended::Complete) {
        faults.push(format!("the recording ends with {:?}", diagnosis.ended()));
    }
    faults
}

/// What is wrong if the finding was found, and as bad as it has to be, after so long.
fn missed(expected: &Expected, found: Option<Duration>) -> Option<String> {
    let limit = expected.within;
    let what = [&[expected.detector.clone()][..], &expected.families].concat().join(" ");
    let places = [&expected.places[..], &expected.names].concat().join(" or ");
    let what = format!("{} of {} at {places}", expected.severity.as_str(), what.trim());
    match found {
        None => Some(format!("there was no {what}")),
        Some(after) if after > Duration::from_secs(limit) => {
            Some(format!("{what} came after {:.1} s, and {limit} s is the limit", after.as_secs_f64()))
        }
        Some(_) => None,
    }
}

/// The place of the subject, or, if it has none, that of what does it harm.
fn place(finding: &Finding) -> &str {
    let symptom = &finding.symptom;
    let culprit = symptom.related.iter().find(|party| party.role == Role::Culprit);
    let places = std::iter::once(&symptom.subject.location).chain(culprit.map(|party| &party.location));
    places.map(String::as_str).find(|place| !place.is_empty()).unwrap_or_default()
}

fn is_at(finding: &Finding, places: &[String]) -> bool {
    let location = place(finding);
    places.iter().any(|place| location.ends_with(place.as_str()) || location.contains(&format!("{place}:")))
}

/// Whether it is where the label says, or the label does not say.
fn is_placed(finding: &Finding, expected: &Expected) -> bool {
    let Expected { places, names, .. } = expected;
    let anywhere = places.is_empty() && names.is_empty();
    anywhere || is_at(finding, places) || names.contains(&finding.symptom.subject.name)
}

fn is_of_family(finding: &Finding, expected: &Expected) -> bool {
    expected.families.iter().any(|family| family == finding.detector.family.as_str())
}

fn is_meant(finding: &Finding, expected: &Expected) -> bool {
    let kind = finding.detector.id == expected.detector || is_of_family(finding, expected);
    kind && is_placed(finding, expected) && finding.severity() >= expected.severity
}

fn is_explained(finding: &Finding, expected: Option<&Expected>) -> bool {
    let Some(expected) = expected else { return false };
    let id = finding.detector.id;
    let named = is_placed(finding, expected) || is_at(finding, &expected.other_places);
    let is_tolerated = expected.also.iter().any(|also| also == id) && (named || place(finding).is_empty());
    // Where a whole family will do, the fault may show elsewhere too.
    (id == expected.detector && named) || is_tolerated || is_of_family(finding, expected)
}
