//! Witnesses that are asked for in the terminal: made beside it, out of what the session keeps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::task::{JoinError, JoinSet};

use super::make::{Made, Request, make};
use crate::detect::selector::Selector;
use crate::detect::settings::Settings;
use crate::fleet::TargetId;
use crate::run::exit::sentence;
use crate::run::targets::Tape;
use crate::run::verify::describe;
use crate::words;

/// Characters of a fingerprint's hash in the name of a file.
const SHORT: usize = 8;

/// Makes witnesses of findings in a session.
pub(in crate::run) struct WitnessDesk {
    tapes: BTreeMap<TargetId, Tape>,
    settings: Settings,
    making: JoinSet<String>,
}

impl WitnessDesk {
    /// Makes them out of these files, with these settings.
    pub(in crate::run) fn new(tapes: BTreeMap<TargetId, Tape>, settings: &Settings) -> Self {
        Self { tapes, settings: settings.clone(), making: JoinSet::new() }
    }

    /// Begins to make the witness of a finding, and says so, or why it cannot.
    pub(in crate::run) fn begin(&mut self, target: TargetId, fingerprint: &str) -> String {
        let Some(tape) = self.tapes.get(&target).cloned() else {
            return "Nothing is recorded: start with --record FILE, then press W.".to_owned();
        };
        let request = Request {
            recording: tape.path.clone(),
            finding: Selector::of_fingerprint(fingerprint),
            output: output(Path::new("."), fingerprint),
            settings: self.settings.clone(),
            redact: false,
        };
        let sentence = format!("Cutting a witness to {} …", request.output.display());
        self.making.spawn(async move {
            if let Some(flusher) = tape.flusher {
                flusher.flush().await;
            }
            conclude(tokio::task::spawn_blocking(move || make(&request, &mut |_| {})).await)
        });
        sentence
    }

    /// What came of the next one that is made; waits for ever if none is.
    pub(in crate::run) async fn next(&mut self) -> String {
        match self.making.join_next().await {
            Some(Ok(sentence)) => sentence,
            Some(Err(error)) => failed(&error),
            None => std::future::pending().await,
        }
    }
}

fn conclude(made: Result<anyhow::Result<Made>, JoinError>) -> String {
    match made {
        Ok(Ok(Made::Written(witness))) => {
            let file = witness.file();
            format!(
                "Wrote {} ({}), a witness of {}.",
                file.path.display(),
                words::bytes(file.bytes),
                describe(witness.goal())
            )
        }
        Ok(Ok(Made::Missing(_))) => {
            "The recording does not show this finding when it is played from its begin.".to_owned()
        }
        Ok(Ok(Made::Ambiguous(_))) => "The recording shows several findings of this fingerprint.".to_owned(),
        Ok(Ok(Made::Lost(why))) => why,
        Ok(Err(error)) => sentence(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &JoinError) -> String {
    format!("The witness could not be cut: {error}.")
}

/// A name in a folder that no file has yet: `witness-deadlock-48e63c1e.mcap`.
fn output(folder: &Path, fingerprint: &str) -> PathBuf {
    let (detector, hash) = fingerprint.split_once(':').unwrap_or((fingerprint, ""));
    let stem = format!("witness-{detector}-{}", hash.get(..SHORT).unwrap_or(hash));
    let first = folder.join(format!("{stem}.mcap"));
    let others = (2..u32::MAX).map(|number| folder.join(format!("{stem}-{number}.mcap")));
    std::iter::once(first.clone()).chain(others).find(|path| !path.exists()).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        for expected in ["witness-deadlock-48e63c1e.mcap", "witness-deadlock-48e63c1e-2.mcap"] {
            let path = output(folder.path(), "deadlock:48e63c1eedf4003b");
            assert_eq!(name(&path), expected);
            std::fs::write(path, "").unwrap();
        }
    }
}
