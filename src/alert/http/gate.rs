//! The verdict so far, for rollout controllers: one word, one reason, and the same for each target.

use serde_json::{Value, json};

use crate::alert::ndjson;
use crate::diagnosis::Verdict;
use crate::report::verdict::VerdictView;

/// What a target comes to so far.
#[derive(Debug)]
pub struct TargetVerdict {
    /// The target, as the user named it.
    pub(super) target: String,
    /// Whether it has been judged at least once, and is connected.
    pub(super) is_ready: bool,
    pub(super) verdict: VerdictView,
}

/// The status with which `/gate` answers. No 5xx, which a client may try again, or take for a fault of the tool.
pub(super) fn status(verdict: Verdict) -> u16 {
    match verdict {
        Verdict::Healthy => 200,
        Verdict::Findings => 412,
        Verdict::Inconclusive => 409,
    }
}

/// What several targets come to.
#[derive(Debug)]
pub(super) struct Gate {
    /// The worst of them: one that fails, or else one that could not be judged.
    pub(super) verdict: Verdict,
    /// Why, as a sentence.
    pub(super) reason: String,
    targets: Vec<TargetVerdict>,
}

impl Gate {
    /// A gate before which nothing is known, and why.
    pub(super) fn unknown(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Inconclusive, reason: reason.into(), targets: Vec::new() }
    }

    /// The gate of these targets; of all if none is named.
    pub(super) fn of(mut targets: Vec<TargetVerdict>, named: &[String]) -> Self {
        if let Some(missing) = named.iter().find(|name| !targets.iter().any(|it| it.target == **name)) {
            let known: Vec<&str> = targets.iter().map(|it| it.target.as_str()).collect();
            return Self::unknown(format!("No target is named {missing}. Targets: {}.", known.join(", ")));
        }
        targets.retain(|it| named.is_empty() || named.contains(&it.target));
        let several = targets.len() > 1;
        let Some(worst) = targets.iter().max_by_key(|it| it.verdict.verdict) else {
            return Self::unknown("No target is watched.");
        };
        let verdict = worst.verdict.verdict;
        let mut reason = worst.verdict.reason();
        if several && verdict != Verdict::Healthy {
            reason = format!("{}: {reason}", worst.target);
        }
        Self { verdict, reason, targets }
    }

    /// The body of `/verdict`.
    pub(super) fn json(&self) -> String {
        let target = |it: &TargetVerdict| -> Value {
            let verdict = &it.verdict;
            let findings: serde_json::Map<String, Value> = verdict
                .fired
                .by_severity()
                .map(|(severity, count)| (severity.as_str().to_owned(), count.into()))
                .into_iter()
                .collect();
            json!({
                "target": it.target,
                "verdict": verdict.verdict.outcome(),
                "reason": verdict.reason(),
                "inconclusive_because": verdict.reasons.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
                "findings": findings,
                "expected": verdict.expected,
                "suppressed": verdict.suppressed,
                "updates": verdict.updates,
            })
        };
        let targets: Vec<Value> = self.targets.iter().map(target).collect();
        let body = json!({"verdict": self.verdict.outcome(), "reason": self.reason, "targets": targets});
        ndjson::written(&body)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::detect::settings::Settings;
    use crate::diagnosis::{Arrived, Criteria, Diagnosis, Status};
    use crate::feed::FeedEvent;
    use crate::model::DEFAULT_RETENTION;

    fn judged(target: &str, verdict: Verdict) -> TargetVerdict {
        let mut diagnosis = Diagnosis::new(target.to_owned(), Settings::default(), DEFAULT_RETENTION);
        let at = std::time::SystemTime::UNIX_EPOCH;
        for event in [FeedEvent::Status(Status::Live), FeedEvent::Quiet(Duration::from_secs(6))] {
            diagnosis.apply(Arrived { at, event });
        }
        let view = VerdictView::of(&diagnosis, Criteria::default());
        TargetVerdict { target: target.to_owned(), is_ready: true, verdict: VerdictView { verdict, ..view } }
    }

    #[test]
    fn the_worst_target_decides_and_is_named() {
        let (pass, fail, unknown) = (Verdict::Healthy, Verdict::Findings, Verdict::Inconclusive);
        for (verdicts, verdict, code, begins) in [
            (vec![pass], pass, 200, "1 warning. Worst: quiet-feed"),
            (vec![fail], fail, 412, "1 warning. Worst: quiet-feed"),
            (vec![unknown], unknown, 409, "no update ever arrived"),
            (vec![pass, unknown, fail], fail, 412, "c: 1 warning. Worst"),
            (vec![pass, unknown], unknown, 409, "b: no update ever arrived"),
            (vec![], unknown, 409, "No target is watched."),
        ] {
            let targets = verdicts.into_iter().zip(["a", "b", "c"]).map(|(verdict, name)| judged(name, verdict));
            let gate = Gate::of(targets.collect(), &[]);
            assert_eq!((gate.verdict, status(gate.verdict)), (verdict, code));
            assert!(gate.reason.starts_with(begins), "{}", gate.reason);
        }
    }

    #[test]
    fn a_target_that_is_named_decides_alone_and_one_that_does_not_exist_is_inconclusive() {
        let targets = || vec![judged("a", Verdict::Healthy), judged("b", Verdict::Findings)];
        assert_eq!(Gate::of(targets(), &["a".to_owned()]).verdict, Verdict::Healthy);
        assert_eq!(Gate::of(targets(), &["b".to_owned()]).verdict, Verdict::Findings);
        let gate = Gate::of(targets(), &["c".to_owned()]);
        assert_eq!((gate.verdict, &*gate.reason), (Verdict::Inconclusive, "No target is named c. Targets: a, b."));
    }

    /// The keys of an object and of what is in it.
    fn keys(value: &Value) -> Vec<String> {
        let inner = |(key, value): (&String, &Value)| {
            let value = value.get(0).unwrap_or(value);
            let below = keys(value).into_iter().map(|it| format!("{key}.{it}")).collect::<Vec<_>>();
            std::iter::once(key.clone()).chain(below)
        };
        let mut keys: Vec<String> = value.as_object().into_iter().flatten().flat_map(inner).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_guide_shows_the_body_as_it_is() {
        let guide = include_str!("../../../docs/guides/argo-rollouts.md");
        let shown = guide.split("```json").nth(1).and_then(|it| it.split("```").next()).expect("an example");
        let written: Value = Gate::of(vec![judged("a", Verdict::Findings)], &[]).json().parse().expect("JSON");
        assert_eq!(keys(&shown.parse().expect("JSON")), keys(&written));
    }

    #[test]
    fn the_body_has_one_word_and_one_reason_and_hides_nothing() {
        let gate = Gate::of(vec![judged("a\u{202e}\u{1b}[2J", Verdict::Inconclusive)], &[]);
        let body = gate.json();
        assert!(!body.contains(crate::report::sanitize::is_hidden), "{body}");
        let value: Value = body.parse().expect("JSON");
        assert_eq!(
            (&value["verdict"], &value["targets"][0]["target"]),
            (&"inconclusive".into(), &"a\u{202e}\u{1b}[2J".into())
        );
        assert_eq!(value["targets"][0]["inconclusive_because"][0], "never_connected");
        assert_eq!(value["targets"][0]["findings"]["warning"], 1);
    }
}
