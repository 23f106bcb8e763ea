//! Feeds an input to the tool, looks at everything that it says, and panics if it says what it must not.

use std::time::{Duration, SystemTime};

use console_api::tasks::TaskDetails;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use prost::Message as _;
use prost::bytes::Bytes;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio_canary::alert::event::{Event, Summary};
use tokio_canary::alert::sink::Sink;
use tokio_canary::alert::{DocumentFormat, LineFormat, Lines};

use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::{Criteria, Diagnosis, Verdict};
use tokio_canary::feed::recording::{Playback, Speed, open};
use tokio_canary::feed::{Arrived, Ended, FeedEvent, Status, Update};
use tokio_canary::fleet::{Fleet, TargetId};
use tokio_canary::model::DEFAULT_RETENTION;
use tokio_canary::report::Snapshot;
use tokio_canary::report::connection::ConnectionView;
use tokio_canary::report::repository::Repository;
use tokio_canary::report::sanitize::Charset;
use tokio_canary::report::verdict::VerdictView;
use tokio_canary::tui::state::UiState;
use tokio_canary::tui::update::Surroundings;

use crate::mutate::Input;
use crate::tape::Message;

/// No line is longer than this, whatever it is about, in bytes.
const LONGEST_LINE: usize = 64 * 1024;
/// The longest reason of a lost connection, in characters.
const LONGEST_REASON: usize = 512;
/// How often the screens are looked at: after so many events, and at the end.
const LOOK_EVERY: usize = 24;
/// Keys that lead through lists and pages: findings, tasks, resources and what is selected in them. Each look takes one of these ways in turn.
const WAYS: [&[KeyCode]; 3] = [
    &[KeyCode::Char('f'), KeyCode::Enter, KeyCode::Esc, KeyCode::Char(']'), KeyCode::Char('n'), KeyCode::Esc],
    &[
        KeyCode::Char('t'),
        KeyCode::Enter,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Esc,
        KeyCode::Char('T'),
        KeyCode::Enter,
        KeyCode::Esc,
    ],
    &[KeyCode::Char('r'), KeyCode::Enter, KeyCode::Esc, KeyCode::Char('a'), KeyCode::Enter, KeyCode::Esc],
];

/// Everything that watches one target: a diagnosis, outputs, and a screen.
struct Watch {
    fleet: Fleet,
    target: TargetId,
    screen: UiState,
    terminal: Terminal<TestBackend>,
    text: Vec<u8>,
    objects: Vec<u8>,
    events: usize,
    updates: usize,
    /// Which way the next look takes.
    way: usize,
}

/// Feeds an input to the tool; `folder` is where files are put to be played.
pub(crate) fn judge(input: &Input, folder: &std::path::Path) {
    let mut watch = Watch::new(input.size());
    match input {
        Input::Messages(messages) => watch.follow(messages),
        Input::File { bytes, .. } => watch.play(bytes, folder),
    }
    watch.conclude();
}

impl Watch {
    fn new(way: usize) -> Self {
        let mut fleet = Fleet::default();
        let target = fleet.join(Diagnosis::new("fuzzed".to_owned(), Settings::default(), DEFAULT_RETENTION));
        let terminal = Terminal::new(TestBackend::new(100, 30)).unwrap_or_else(|error| panic!("{error}"));
        let screen = UiState::default();
        Self { fleet, target, screen, terminal, text: Vec::new(), objects: Vec::new(), events: 0, updates: 0, way }
    }

    /// Takes messages as a live feed does: one that cannot be decoded ends the connection.
    fn follow(&mut self, messages: &[Message]) {
        let mut playback = Playback::default();
        for message in messages {
            let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(message.at);
            // A feed says no more than this of why it lost a target.
            let lost = |reason: String| {
                let reason = reason.chars().take(LONGEST_REASON).collect();
                FeedEvent::Status(Status::Lost { reason, retry_at: at })
            };
            let event = match message.topic {
                "update" | "state" => match Update::decode(Bytes::from(message.bytes.clone())) {
                    Ok(update) => FeedEvent::Update(Box::new(update)),
                    Err(error) => lost(error.to_string()),
                },
                "details" => match TaskDetails::decode(&*message.bytes) {
                    Ok(details) => FeedEvent::Details(Box::new(details)),
                    Err(_) => continue,
                },
                "status" if message.bytes.len() <= 4 => FeedEvent::Status(Status::Live),
                "status" => lost(String::from_utf8_lossy(&message.bytes).into_owned()),
                "paused" => FeedEvent::Paused(!message.bytes.is_empty()),
                _ => continue,
            };
            for arrived in playback.unfold(Arrived { at, event }) {
                self.take(arrived);
            }
        }
    }

    /// Plays a file to its end, which must come and be said.
    fn play(&mut self, bytes: &[u8], folder: &std::path::Path) {
        let path = folder.join("input.mcap");
        std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap_or_else(|error| panic!("{error}")).block_on(async {
            let mut feed = match open(&path, Speed::Max) {
                Ok(feed) => feed,
                Err(error) => return check_line(&error.to_string()),
            };
            let mut ended = None;
            while let Some(arrived) = feed.events.recv().await {
                if let FeedEvent::Ended(end) = &arrived.event {
                    ended = Some(end.clone());
                }
                self.take(arrived);
            }
            match ended.unwrap_or_else(|| panic!("the feed ends without a word")) {
                Ended::Complete | Ended::Exited => {}
                // As every front end prints it.
                Ended::Truncated { reason } => check_line(&Charset::Unicode.line(&reason)),
            }
        });
    }

    fn take(&mut self, arrived: Arrived) {
        self.events += 1;
        self.updates += usize::from(matches!(arrived.event, FeedEvent::Update(_)));
        let step = self.fleet.apply(self.target, arrived);
        for event in Event::of(&step, &self.fleet) {
            self.write(|sink| sink.take(&event));
        }
        if self.events.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
    }

    /// Writes to an output of each format.
    fn write(&mut self, mut act: impl FnMut(&mut dyn Sink) -> std::io::Result<()>) {
        for (output, format) in [(&mut self.text, LineFormat::Text), (&mut self.objects, LineFormat::Ndjson)] {
            act(&mut Lines::new(output, format, Charset::Unicode)).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Looks at the screens along the next way.
    fn look(&mut self) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000);
        self.screen.sync(&self.fleet);
        self.way = self.way.wrapping_add(1);
        for key in WAYS[self.way % WAYS.len()].iter().copied() {
            let around = Surroundings { fleet: &self.fleet, width: 100, now };
            self.screen.press(KeyEvent::new(key, KeyModifiers::NONE), around);
            let Self { screen, fleet, terminal, .. } = self;
            let drawn = terminal.draw(|frame| tokio_canary::tui::draw(frame, screen, fleet, now));
            drawn.unwrap_or_else(|error| panic!("{error}"));
            for cell in self.terminal.backend().buffer().content() {
                check_text(cell.symbol());
            }
        }
    }

    fn conclude(mut self) {
        self.look();
        for event in Event::heartbeats(&self.fleet) {
            self.write(|sink| sink.take(&event));
        }
        let member = self.fleet.member(self.target).unwrap_or_else(|| panic!("the target has left"));
        let diagnosis = member.diagnosis();
        let connection = ConnectionView::of(diagnosis, SystemTime::UNIX_EPOCH);
        assert!(connection.sentence.len() <= LONGEST_LINE, "{} bytes about the connection", connection.sentence.len());
        let verdict = VerdictView::of(diagnosis, Criteria::default());
        check_verdict(diagnosis, &verdict, self.updates);
        let shown = Snapshot::new(&self.fleet, member).target(Criteria::default(), SystemTime::UNIX_EPOCH);
        // As every front end prints it.
        check_line(&Charset::Unicode.line(&shown.verdict.sentence()));
        let summary = Summary::new(&self.fleet, vec![(member, verdict)], Criteria::default().fail_on).as_verdict();
        self.write(|sink| sink.finish(&summary));
        for format in DocumentFormat::ALL {
            let document = format.render(&summary, &Repository::default());
            let document = document.unwrap_or_else(|error| panic!("{format:?}: {error}"));
            document.lines().for_each(check_text);
        }
        for line in lines(&self.text) {
            check_line(line);
        }
        for line in lines(&self.objects) {
            assert!(line.len() <= 4 * LONGEST_LINE, "a line of {} bytes", line.len());
            assert!(!line.chars().any(char::is_control), "a control character: {line:?}");
            let object: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(object["type"].is_string(), "an object without a type: {line}");
        }
    }
}

/// What was refused altogether must not be called healthy.
fn check_verdict(diagnosis: &Diagnosis, verdict: &VerdictView, updates: usize) {
    let judged = diagnosis.model().clock().updates();
    if updates == 0 || judged == 0 {
        assert_ne!(verdict.verdict, Verdict::Healthy, "healthy after {updates} updates, of which {judged} were read");
    }
    assert_eq!(verdict.verdict == Verdict::Healthy, verdict.verdict.exit_code() == 0, "{verdict:?}");
}

fn lines(output: &[u8]) -> impl Iterator<Item = &str> {
    let text = std::str::from_utf8(output).unwrap_or_else(|error| panic!("an output is not UTF-8: {error}"));
    assert!(text.is_empty() || text.ends_with('\n'), "an output ends in the middle of a line");
    text.split_terminator('\n')
}

fn check_line(line: &str) {
    assert!(line.len() <= LONGEST_LINE, "a line of {} bytes: {:.200}…", line.len(), line);
    check_text(line);
}

/// Nothing that moves a cursor, breaks a line, turns the reading direction or is not seen.
fn check_text(text: &str) {
    let harmful = |it: &char| {
        it.is_control()
            || matches!(
                it,
                '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
            )
    };
    if let Some(found) = text.chars().find(harmful) {
        panic!("U+{:04X} in {:.400?}", u32::from(found), text);
    }
}
