//! Targets from a file, one a line, which is read again and again: whoever writes it decides what is watched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::discovery::{Discovered, Discovery, WAITING};
use super::endpoint::Target;

/// How often the file is read.
const LOOK: Duration = Duration::from_secs(1);
/// The largest file, in bytes.
const LARGEST: u64 = 1024 * 1024;
/// What begins a line that is not a target.
const COMMENT: char = '#';

/// Follows the targets in a file: each is there for as long as it has a line.
///
/// # Panics
/// Outside a Tokio runtime.
#[must_use]
pub fn follow(path: PathBuf) -> Discovery {
    let (sender, events) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut list = List::default();
        loop {
            let file = path.clone();
            let text = spawn_blocking(move || read(&file)).await.unwrap_or_else(|error| Err(io::Error::other(error)));
            for event in list.compare(&path, text) {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = sender.closed() => return,
                () = sleep(LOOK) => {}
            }
        }
    });
    Discovery { events }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let size = File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if u64::try_from(size).unwrap_or(u64::MAX) > LARGEST {
        return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
    }
    Ok(text)
}

/// What the file said when it was read last.
#[derive(Debug, Default)]
struct List {
    present: BTreeMap<String, Target>,
    is_complete: bool,
    /// What was wrong with it, and said.
    fault: Option<String>,
}

impl List {
    /// What is different now. A file that cannot be read, or not all of it, changes nothing.
    fn compare(&mut self, path: &Path, text: io::Result<String>) -> Vec<Discovered> {
        let read = text.map_err(|error| {
            format!(
                "{} cannot be read: {error}. It is read again every second, and the targets stay as they are.",
                path.display()
            )
        });
        let wanted = match read.and_then(|text| targets(path, &text)) {
            Ok(wanted) => wanted,
            Err(reason) if self.fault.as_ref() == Some(&reason) => return Vec::new(),
            Err(reason) => {
                self.fault = Some(reason.clone());
                return vec![Discovered::Lost { reason }];
            }
        };
        self.fault = None;
        let gone = self.present.keys().filter(|key| !wanted.contains_key(*key)).cloned();
        let mut events: Vec<_> = gone.map(|key| Discovered::Left { key, has_failed: false }).collect();
        let new = wanted.iter().filter(|(key, _)| !self.present.contains_key(*key));
        events.extend(new.map(|(key, target)| {
            let (key, name, target) = (key.clone(), key.clone(), target.clone());
            Discovered::Joined { key, name, target }
        }));
        events.extend((!std::mem::replace(&mut self.is_complete, true)).then_some(Discovered::Complete));
        self.present = wanted;
        events
    }
}

/// The targets in a text, by their keys.
///
/// # Errors
/// A sentence about the first line that is none.
fn targets(path: &Path, text: &str) -> Result<BTreeMap<String, Target>, String> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(COMMENT));
    let target = |(index, line): (usize, &str)| match line.parse() {
        Ok(target @ Target::Live(_)) => Ok((target.to_string(), target)),
        Ok(Target::Recording(_)) => {
            Err((index, "a recording does not come and go; name it on the command line".to_owned()))
        }
        Err(error) => {
            Err((index, format!("{error}").lines().next().unwrap_or_default().trim_end_matches('.').to_owned()))
        }
    };
    lines.map(target).collect::<Result<_, _>>().map_err(|(index, what)| {
        format!("{}:{}: {what}. The targets stay as they were until it is corrected.", path.display(), index + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The changes in short: `+key`, `-key`, `complete`, or the reason.
    fn compare(list: &mut List, text: &str) -> Vec<String> {
        let text = match text {
            "missing" => Err(io::ErrorKind::NotFound.into()),
            text => Ok(text.to_owned()),
        };
        let said = list.compare(Path::new("t.txt"), text).into_iter().map(|event| match event {
            Discovered::Joined { key, .. } => format!("+{}", key.trim_start_matches("http://")),
            Discovered::Left { key, .. } => format!("-{}", key.trim_start_matches("http://")),
            Discovered::Lost { reason } => reason,
            Discovered::Leaving { .. } => panic!("a file does not say so"),
            Discovered::Complete => "complete".to_owned(),
        });
        said.collect()
    }

    #[test]
    fn lines_come_and_go() {
        let mut list = List::default();
        assert_eq!(compare(&mut list, "# canaries\na:1\n\n b:2 \n"), ["+a:1", "+b:2", "complete"]);
        assert_eq!(compare(&mut list, "b:2\nhttp://b:2/\na:1"), [""; 0], "order and spelling are nothing");
        assert_eq!(compare(&mut list, "b:2\nc:3"), ["-a:1", "+c:3"]);
        assert_eq!(compare(&mut list, ""), ["-b:2", "-c:3"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_changes_nothing_and_is_said_once() {
        let mut list = List::default();
        assert_eq!(
            compare(&mut list, "missing"),
            [
                "t.txt cannot be read: entity not found. It is read again every second, and the targets stay as they are."
            ]
        );
        assert_eq!(compare(&mut list, "missing"), [""; 0]);
        assert_eq!(compare(&mut list, "a:1"), ["+a:1", "complete"]);
        let fault = compare(&mut list, "b:2\nnot a target");
        assert!(fault.len() == 1 && fault[0].starts_with("t.txt:2: `not a target` is not a target: "), "{fault:?}");
        assert!(compare(&mut list, "b:2\nincident.mcap")[0].contains("a recording does not come and go"));
        assert_eq!(compare(&mut list, "b:2"), ["-a:1", "+b:2"]);
        assert_eq!(compare(&mut list, "missing").len(), 1, "it is reported again after it was mended");
    }
}
