//! What the tool says about a recorded feed, compared with its label.

use std::path::Path;

use tokio_canary::detect::finding::Finding;
use tokio_canary::detect::settings::Settings;
use tokio_canary::detect::severity::{Severity, State};
use tokio_canary::detect::subject::Role;
use tokio_canary::diagnosis::{Diagnosis, Ended};
use tokio_canary::feed::recording::{Speed, open};
use tokio_canary::model::DEFAULT_RETENTION;

use crate::labels::Recording;

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
    let mut found = label.detector.is_empty();
    while let Some(arrived) = feed.events.recv().await {
        for transition in diagnosis.apply(arrived) {
            let finding = &transition.finding;
            if finding.state != State::Firing {
                continue;
            }
            found |=
                finding.detector.id == label.detector && (label.places.is_empty() || is_at(finding, &label.places));
            if finding.severity() >= Severity::Warning && !is_explained(finding, label) {
                faults.push(format!("{} at {:?}: {}", finding.detector.id, place(finding), finding.symptom.summary));
            }
        }
    }
    if !found {
        faults.push(format!("{} did not fire at {}", label.detector, label.places.join(" or ")));
    }
    if diagnosis.ended() != Some(&Ended::Complete) {
        faults.push(format!("the recording ends with {:?}", diagnosis.ended()));
    }
    faults
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

fn is_explained(finding: &Finding, label: &Recording) -> bool {
    let id = finding.detector.id;
    let named = label.places.is_empty() || is_at(finding, &label.places) || is_at(finding, &label.other_places);
    let is_the_one = id == label.detector && named;
    let is_tolerated = label.also.iter().any(|also| also == id) && (named || place(finding).is_empty());
    is_the_one || is_tolerated
}
