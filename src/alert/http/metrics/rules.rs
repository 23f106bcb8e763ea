//! Alerting rules for Prometheus over the metrics: vital signs by thresholds that a service can change, findings by the registry of detectors.

use std::fmt::Write as _;

use crate::alert::push::alert_name;
use crate::detect::detectors::DETECTORS;

/// How bad it is, as the label of a rule.
#[derive(Debug, Clone, Copy)]
enum Level {
    Warning,
    Critical,
    /// That of the finding.
    Findings,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Findings => "{{ $labels.severity }}",
        }
    }
}

/// A rule: what it is called, when it fires, and what it says then.
#[derive(Debug, Clone)]
struct Rule {
    alert: String,
    expression: String,
    /// How long it has to hold; nothing where the tool has waited already.
    hold: Option<&'static str>,
    level: Level,
    summary: String,
    description: String,
}

const HEAD: &str = "\
# Alerting rules over the metrics of `tokio-canary watch --listen`, printed by `tokio-canary config prometheus-rules`.
# Thresholds of vital signs are those of a medium-sized service: change them to fit yours. Findings have thresholds of their own,
# in the configuration of tokio-canary.
groups:
";

/// The rules, as a file that Prometheus reads.
pub fn text() -> String {
    let findings = DETECTORS.iter().map(|detector| finding(detector.id, detector.title)).collect();
    let mut text = HEAD.to_owned();
    for (name, rules) in [("tokio-canary-vital-signs", vital_signs()), ("tokio-canary-findings", findings)] {
        let _ = writeln!(text, "  - name: {name}\n    rules:");
        rules.iter().for_each(|rule: &Rule| rule.write(&mut text));
    }
    text
}

impl Rule {
    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "      - alert: {}\n        expr: {}", self.alert, quoted(&self.expression));
        if let Some(hold) = self.hold {
            let _ = writeln!(text, "        for: {hold}");
        }
        let _ = writeln!(text, "        labels:\n          severity: {}", quoted(self.level.as_str()));
        let (summary, description) = (quoted(&self.summary), quoted(&self.description));
        let _ =
            writeln!(text, "        annotations:\n          summary: {summary}\n          description: {description}");
    }
}

/// A text between single quotes, in which YAML knows no escapes but that of the quote.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn finding(id: &str, title: &str) -> Rule {
    Rule {
        // The name that Alertmanager alerts have too, so that one silence fits both.
        alert: alert_name(id),
        expression: format!("tokio_canary_findings{{detector=\"{id}\",severity=~\"warning|critical\"}} > 0"),
        hold: None,
        level: Level::Findings,
        summary: format!("{{{{ $labels.target }}}}: {title}"),
        description: format!(
            "tokio-canary has {{{{ $value }}}} {{{{ $labels.severity }}}} findings of {id}. Its /findings says where and why; \
             `tokio-canary explain {id}` says what to do."
        ),
    }
}

fn vital_signs() -> Vec<Rule> {
    let rule = |alert: &str, expression: &str, hold, level, summary: &str, description: &str| Rule {
        alert: alert.to_owned(),
        expression: expression.to_owned(),
        hold,
        level,
        summary: summary.to_owned(),
        description: description.to_owned(),
    };
    vec![
        rule(
            "TokioCanaryDown",
            "up{job=\"tokio-canary\"} == 0 or absent(tokio_canary_build_info or up{job=\"tokio-canary\"})",
            Some("5m"),
            Level::Warning,
            "{{ if $labels.instance }}tokio-canary at {{ $labels.instance }} is down{{ else }}No tokio-canary is scraped{{ end }}",
            "Nothing watches its services: it does not respond, or Prometheus does not scrape it.",
        ),
        rule(
            "TokioTargetDown",
            "tokio_canary_target_up == 0",
            Some("2m"),
            Level::Warning,
            "tokio-canary gets no updates from {{ $labels.target }}",
            "The service is down or stuck, or its console endpoint cannot be reached. Nothing in it is judged meanwhile.",
        ),
        rule(
            "TokioFeedLag",
            "tokio_canary_feed_lag_seconds > 2",
            Some("5m"),
            Level::Warning,
            "{{ $labels.target }} reports {{ $value | humanizeDuration }} late",
            "The target has more events than console-subscriber hands over, so detectors that need complete data are off. Shorten its \
             retention to 60 s.",
        ),
        rule(
            "TokioFeedLossy",
            "sum by (instance, target) (increase(tokio_canary_feed_dropped_events_total[10m])) > 0",
            None,
            Level::Warning,
            "{{ $labels.target }} has dropped events",
            "Its event buffer was full, so tasks and waits are missing. Give it a larger event_buffer_capacity.",
        ),
        rule(
            "TokioWaiting",
            "sum by (instance, target, kind, location) (rate(tokio_canary_waited_seconds_total[5m])) > 10",
            Some("5m"),
            Level::Warning,
            "{{ $value | humanize }} tasks of {{ $labels.target }} wait for the {{ $labels.kind }} at {{ $labels.location }}",
            "The rate of the seconds waited is the mean number of waiters. The labels task and spawned_at of \
             tokio_canary_waited_seconds_total say who waits. A pool of idle workers around one lock, or a semaphore used as a signal, \
             looks the same: raise the threshold or exclude that location.",
        ),
        rule(
            "TokioSlowScheduling",
            "tokio_canary_scheduling_delay_seconds{percentile=\"50\"} > 0.05",
            Some("5m"),
            Level::Critical,
            "Half of the woken tasks of {{ $labels.target }} wait {{ $value | humanizeDuration }} for a worker",
            "There is more work than the workers can do, or something blocks them.",
        ),
        rule(
            "TokioWorkersBusy",
            "tokio_canary_busy_ratio > 0.9",
            Some("10m"),
            Level::Warning,
            "The workers of {{ $labels.target }} are busy {{ $value | humanizePercentage }} of the time",
            "There is little headroom for peaks. Move computations to spawn_blocking or to a pool, or add workers and cores.",
        ),
        rule(
            "TokioCanaryAlertsLost",
            "increase(tokio_canary_output_lost_events_total[10m]) > 0",
            None,
            Level::Warning,
            "tokio-canary could not deliver all events to {{ $labels.output }}",
            "The output or receiver is too slow, is unreachable, or refuses them. The log of tokio-canary says which.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::http::metrics::METRICS;

    #[test]
    fn rules_ask_for_metrics_that_exist() {
        let names: Vec<String> = METRICS.iter().map(|metric| metric.full_name()).collect();
        let text = text();
        let expressions: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("expr:")).collect();
        assert_eq!(expressions.len(), DETECTORS.len() + vital_signs().len());
        let alerts: std::collections::BTreeSet<&str> =
            text.lines().filter_map(|it| it.split_once("- alert: ")).map(|it| it.1).collect();
        assert_eq!(alerts.len(), expressions.len(), "each has a name of its own: {alerts:?}");
        for expression in expressions {
            let name = expression.split(|it: char| !it.is_ascii_lowercase() && it != '_');
            let asked = name.filter(|it| it.starts_with("tokio_canary_")).collect::<Vec<_>>();
            assert!(!asked.is_empty() && asked.iter().all(|it| names.iter().any(|name| name == it)), "{expression}");
        }
    }
}
