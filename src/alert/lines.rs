//! Sinks that write lines to a file or to standard output.

use std::io::{self, Write};

use super::event::{Event, Summary};
use super::sink::Sink;
use super::{ndjson, text};
use crate::report::sanitize::{Charset, logged};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// One sentence a line.
    Text,
    /// One JSON object a line.
    Ndjson,
}

/// Writes a line for each event that its format has a line for.
pub struct Lines<W> {
    output: W,
    format: LineFormat,
    charset: Charset,
}

impl<W: Write + Send> Lines<W> {
    /// Lines of a format; `charset` is what a terminal can show, if it is one.
    pub fn new(output: W, format: LineFormat, charset: Charset) -> Self {
        Self { output, format, charset }
    }

    /// Writes a line in one piece: others may write to the same place.
    fn write(&mut self, line: &str) -> io::Result<()> {
        self.output.write_all(format!("{line}\n").as_bytes())?;
        self.output.flush()
    }
}

impl<W: Write + Send> Sink for Lines<W> {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        match self.format {
            LineFormat::Text => text::line(event).map_or(Ok(()), |line| self.write(&logged(&self.charset.line(&line)))),
            LineFormat::Ndjson => self.write(&ndjson::line(event)),
        }
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let is_several = summary.is_of_several();
        match self.format {
            LineFormat::Text => {
                let targets = summary.targets.iter().flat_map(|it| text::summary_lines(it, summary.is_verdict));
                let all = if is_several { text::last_lines(summary) } else { Vec::new() };
                targets.chain(all).try_for_each(|line| self.write(&logged(&self.charset.line(&line))))
            }
            LineFormat::Ndjson => {
                let targets = summary.targets.iter().map(|it| ndjson::summary_line(it, summary.is_verdict));
                let all = is_several.then(|| ndjson::run_line(summary));
                targets.chain(all).try_for_each(|line| self.write(&line))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::Value;

    use super::*;
    use crate::alert::event::{Event, EventKind};
    use crate::detect::settings::Settings;
    use crate::diagnosis::{Arrived, Criteria, Diagnosis};
    use crate::feed::{FeedEvent, Status};
    use crate::fleet::{Fleet, Step, TargetId};
    use crate::model::DEFAULT_RETENTION;
    use crate::report::sanitize::is_hidden;
    use crate::report::verdict::VerdictView;

    /// What a format writes of these events of one target, and of the summary.
    fn written(format: LineFormat, charset: Charset, events: Vec<FeedEvent>) -> Vec<String> {
        written_of("http://a\u{1b}[2J", format, charset, events)
    }

    fn written_of(name: &str, format: LineFormat, charset: Charset, events: Vec<FeedEvent>) -> Vec<String> {
        let mut fleet = Fleet::default();
        let target = fleet.join(Diagnosis::new(name.to_owned(), Settings::default(), DEFAULT_RETENTION));
        let mut lines = Lines::new(Vec::new(), format, charset);
        let mut take = |step: &Step, fleet: &Fleet| {
            Event::of(step, fleet).iter().for_each(|event| lines.take(event).expect("memory takes everything"));
        };
        take(&Step::Joined(target), &fleet);
        for event in events {
            let step = fleet.apply(target, Arrived { at: SystemTime::UNIX_EPOCH, event });
            take(&step, &fleet);
        }
        lines.finish(&summary(&fleet, target)).expect("memory takes everything");
        let text = String::from_utf8(lines.output).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    fn summary(fleet: &Fleet, target: TargetId) -> Summary {
        let member = fleet.member(target).expect("it is there");
        let verdict = VerdictView::of(member.diagnosis(), Criteria::default());
        Summary::new(fleet, vec![(member, verdict)], Criteria::default().fail_on).as_verdict()
    }

    fn quiet() -> Vec<FeedEvent> {
        vec![FeedEvent::Status(Status::Live), FeedEvent::Quiet(Duration::from_secs(6))]
    }

    #[test]
    fn a_line_of_text_is_one_line_whatever_a_target_is_called() {
        let lines = written(LineFormat::Text, Charset::Ascii, quiet());
        assert_eq!(lines.len(), 2, "{lines:?}");
        let (finding, summary) = (&lines[0], &lines[1]);
        assert!(finding.starts_with("1970-01-01T00:00:06Z http://a\\u{1b}[2J warning quiet-feed: "), "{finding}");
        assert!(finding.contains(" Next: ") && finding.is_ascii(), "{finding}");
        assert!(
            summary.contains("INCONCLUSIVE (exit 3): no update ever arrived, updates stopped arriving; 1 warning."),
            "{summary}"
        );
    }

    #[test]
    fn no_line_contains_anything_hidden() {
        let hostile: String = ('\0'..=char::MAX).filter(|it| is_hidden(*it)).collect();
        for format in [LineFormat::Text, LineFormat::Ndjson] {
            for line in written_of(&hostile, format, Charset::Unicode, quiet()) {
                assert!(line.len() > hostile.len() && !line.contains(is_hidden), "{format:?}");
            }
        }
    }

    #[test]
    fn each_line_of_ndjson_is_an_object_of_the_schema() {
        let lines = written(LineFormat::Ndjson, Charset::Unicode, quiet());
        let objects: Vec<Value> = lines.iter().map(|line| line.parse().expect("JSON")).collect();
        let types: Vec<&str> = objects.iter().filter_map(|object| object["type"].as_str()).collect();
        assert_eq!(types, ["hello", "status", "finding", "quality", "summary"]);
        assert!(objects.iter().all(|object| object["target"] == "http://a\u{1b}[2J" && object["at"].is_string()));
        assert_eq!(objects[0]["schema"], "tokio-canary.events/v1");
        let finding = &objects[2];
        for key in [
            "state",
            "detector",
            "family",
            "severity",
            "grade",
            "fingerprint",
            "subject",
            "related",
            "summary",
            "evidence",
            "look_alikes",
            "cause",
            "caused_by",
            "explains",
            "recommendation",
            "help",
            "since",
            "first_seen",
            "last_seen",
            "count",
            "members",
            "targets",
        ] {
            assert!(!finding[key].is_null() || ["cause", "caused_by"].contains(&key), "{key} is missing: {finding}");
        }
        assert_eq!((&finding["evidence"][0]["fired"], finding["targets"].as_u64()), (&Value::Bool(true), Some(1)));
        assert_eq!((&objects[4]["verdict"], objects[4]["exit_code"].as_u64()), (&"inconclusive".into(), Some(3)));
    }

    #[test]
    fn a_heartbeat_is_said_to_programs_only() {
        let event = Event {
            target: "a".to_owned(),
            at: SystemTime::UNIX_EPOCH,
            kind: EventKind::Heartbeat { tasks: 3, listed: 5, lag: None, findings: 1 },
        };
        for (format, expected) in [
            (LineFormat::Text, ""),
            (
                LineFormat::Ndjson,
                "{\"at\":\"1970-01-01T00:00:00.000Z\",\"findings\":1,\"lag_s\":null,\"target\":\"a\",\"tasks\":3,\"tasks_listed\":5,\
                 \"type\":\"heartbeat\"}\n",
            ),
        ] {
            let mut lines = Lines::new(Vec::new(), format, Charset::Unicode);
            lines.take(&event).expect("memory takes everything");
            assert_eq!(String::from_utf8_lossy(&lines.output), expected);
        }
    }
}
