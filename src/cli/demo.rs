//! The arguments of `demo`.

use clap::Args;

use super::args::Outputs;
use crate::feed::recording::Speed;

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Playback speed, such as 1x, 10x or max [default: 1x in the terminal, otherwise max].
    #[arg(long, value_name = "SPEED")]
    pub speed: Option<Speed>,
    /// Where results go, without a terminal.
    #[command(flatten)]
    pub outputs: Outputs,
}
