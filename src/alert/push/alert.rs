//! A finding as Prometheus and Alertmanager see one: labels that say which alert it is, annotations that say it in words.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::alert::event::Event;
use crate::config::receiver::{Labels, OWN_LABELS};
use crate::report::finding::FindingView;
use crate::report::sanitize::bounded;

/// The longest value of a label, in bytes.
const LABEL: usize = 256;
/// The longest annotation, in bytes: enough for every sentence of a finding.
const ANNOTATION: usize = 4096;

/// The annotation with the path of the recording that shows a finding.
pub(super) const RECORDING: &str = "recording";

/// A finding that fires or is resolved.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alert {
    /// What makes it this alert. The same findings in later runs have the same: there are no ids and no numbers in it.
    pub(super) labels: BTreeMap<String, String>,
    /// What it says.
    pub(super) annotations: BTreeMap<&'static str, String>,
    /// When the problem began, by our clock.
    pub(super) starts: SystemTime,
    /// When it ended, by our clock, if it has.
    pub(super) ends: Option<SystemTime>,
}

impl Alert {
    /// A finding that fires now. A target whose clock is ahead cannot make it begin in the future.
    pub(super) fn firing(event: &Event, view: &FindingView, extra: &Labels, now: SystemTime) -> Self {
        let labels = OWN_LABELS.into_iter().map(str::to_owned).zip(own_labels(&event.target, view));
        let extra = extra.iter().map(|(name, value)| (name.clone(), value.clone()));
        let labels = extra.chain(labels).map(|(name, value)| (name, bounded(&value, LABEL)));
        Self {
            labels: labels.filter(|(_, value)| !value.is_empty()).collect(),
            annotations: annotations(&event.target, view),
            starts: view.since.min(now),
            ends: None,
        }
    }

    /// The name that Alertmanager gives to these labels: FNV-1a over sorted names and values, each with a separator behind it.
    /// Source: `labelSetToFingerprint` of prometheus/common, `model/fnv.go` and `model/signature.go`.
    pub(super) fn fingerprint(&self) -> u64 {
        let parts = self.labels.iter().flat_map(|(name, value)| [name, value]);
        let bytes = parts.flat_map(|part| part.bytes().chain([0xff]));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// The word of its state.
    pub(super) fn status(&self) -> &'static str {
        if self.ends.is_some() { "resolved" } else { "firing" }
    }
}

/// The values of [`OWN_LABELS`], in their order.
fn own_labels(target: &str, view: &FindingView) -> [String; OWN_LABELS.len()] {
    [
        alert_name(view.row.detector),
        view.row.severity.as_str().to_owned(),
        "tokio-canary".to_owned(),
        target.strip_prefix("http://").unwrap_or(target).to_owned(),
        view.row.detector.to_owned(),
        view.family.to_owned(),
        view.row.grade.as_str().to_owned(),
        view.subject.location.clone(),
        view.fingerprint.clone(),
    ]
}

fn annotations(target: &str, view: &FindingView) -> BTreeMap<&'static str, String> {
    let detector = view.row.detector;
    let place = Some(view.subject_in_words()).filter(|it| !it.is_empty()).map(|it| format!(" at {it}"));
    let look_alikes = view.look_alikes.iter().map(|it| format!(" {it}")).collect::<Vec<_>>().concat();
    let description =
        format!("{}{look_alikes} Next: {} More: tokio-canary explain {detector}", view.headline, view.advice);
    let summary = format!("{detector}{} on {target}", place.unwrap_or_default());
    let recording = view.recording.as_ref().map(|path| (RECORDING, path.display().to_string()));
    let annotations = [("summary", summary), ("description", description)].into_iter().chain(recording);
    annotations.map(|(name, text)| (name, bounded(&text, ANNOTATION))).collect()
}

/// `TokioBlockedWorker` of `blocked-worker`.
pub(in crate::alert) fn alert_name(detector: &str) -> String {
    let capitals = detector.split('-').map(|word| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_uppercase() + rest
    });
    format!("Tokio{}", capitals.collect::<String>())
}

/// A point in time as Prometheus writes one.
pub(super) fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_named_like_those_of_prometheus() {
        assert_eq!(alert_name("deadlock"), "TokioDeadlock");
        assert_eq!(alert_name("never-completes"), "TokioNeverCompletes");
    }

    #[test]
    fn the_fingerprint_is_that_of_alertmanager() {
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let alert = |pairs| Alert {
            labels: labels(pairs),
            annotations: BTreeMap::new(),
            starts: SystemTime::UNIX_EPOCH,
            ends: None,
        };
        // Without labels it is the offset basis, as in `emptyLabelSignature` of prometheus/common.
        assert_eq!(alert(&[]).fingerprint(), 14_695_981_039_346_656_037);
        // What `amtool alert query -o json` of Alertmanager 0.25 shows for these labels.
        let shown = [
            ("alertname", "TokioDeadlock"),
            ("detector", "deadlock"),
            ("family", "stuck"),
            ("fingerprint", "deadlock:644c9d6f6ba7e245"),
            ("grade", "proof"),
            ("instance", "tests/recordings/old-0.4-crossed-mutexes.mcap"),
            ("job", "tokio-canary"),
            ("location", "../programs/sick.rs:70:9"),
            ("severity", "critical"),
        ];
        assert_eq!(format!("{:016x}", alert(&shown).fingerprint()), "444ef82dfe611c2c");
    }
}
