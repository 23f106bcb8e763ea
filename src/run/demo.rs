//! `demo`: plays a recording that is part of the tool.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use tempfile::NamedTempFile;

use super::targets::Manner;
use crate::cli::{DemoArgs, Playback};
use crate::config::{Flags, Sources};
use crate::feed::endpoint::Target;

/// A service with four faults. How it was recorded is in docs/guides/terminal.md.
static RECORDING: &[u8] = include_bytes!("../../assets/demo.mcap");

/// What the target is called.
const NAME: &str = "demo";

/// The recording, in a file that is gone with this.
pub(super) struct Demo {
    file: NamedTempFile,
}

impl Demo {
    /// Writes the recording to where it can be played: a witness of it can be cut, as of any other.
    ///
    /// # Errors
    /// There is no place for temporary files.
    pub(super) fn unpack() -> anyhow::Result<Self> {
        let mut file = tempfile::Builder::new()
            .prefix("tokio-canary-demo-")
            .suffix(".mcap")
            .tempfile()
            .context("There is no place for the recording of the demo")?;
        file.write_all(RECORDING).and_then(|()| file.flush()).context("The recording of the demo cannot be written")?;
        Ok(Self { file })
    }

    /// What it is configured by: nothing of the user's. Nobody gets alerts of it.
    pub(super) fn sources(&self, mut flags: Flags) -> Sources {
        flags.targets = vec![Target::Recording(self.file.path().to_owned())];
        flags.isolated = true;
        Sources { flags, variables: Vec::new(), own_file: None, local_file: PathBuf::new(), now: SystemTime::now() }
    }

    /// How it is opened.
    pub(super) fn manner() -> Manner {
        Manner { name: Some(NAME), ..Manner::default() }
    }
}

/// How it is played.
pub(super) fn playback(args: &DemoArgs) -> Playback {
    Playback { record: None, speed: args.speed }
}

/// Whether it is shown in the terminal: there is one, and nothing else wants to write there.
pub(super) fn is_shown(args: &DemoArgs) -> bool {
    let is_free = args.outputs.outputs.iter().all(|output| output.path.is_some());
    is_free && io::stdin().is_terminal() && io::stdout().is_terminal()
}
