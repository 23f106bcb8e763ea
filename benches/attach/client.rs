//! Who can be attached to the service while it is measured.

use std::fmt::{self, Display, Formatter};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use tokio::runtime::{Builder, Runtime};

use crate::process::Ended;

/// A client of the feed.
pub(crate) enum Client {
    /// None at all.
    Nobody,
    /// Reads the updates, and does nothing else.
    Reader,
    /// The stock tokio-console at this path.
    Console(PathBuf),
    /// `tokio-canary watch` at this path, with these flags.
    Canary(PathBuf, Vec<&'static str>),
}

/// A client that is attached.
pub(crate) enum Attached {
    Nobody,
    Reader(Runtime),
    Process(Ended),
}

impl Client {
    pub(crate) fn attach(self, address: &str) -> io::Result<Attached> {
        let url = format!("http://{address}");
        match self {
            Self::Nobody => Ok(Attached::Nobody),
            Self::Reader => {
                let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
                runtime.spawn(read(url));
                Ok(Attached::Reader(runtime))
            }
            Self::Console(path) => {
                let shell = format!("stty cols 160 rows 45; exec '{}' {url}", path.display());
                // Without a pipe for input it would read the end of its input, and leave.
                Ok(Attached::Process(start(Command::new("script").args(["-qfec", &shell, "/dev/null"]))?))
            }
            Self::Canary(path, flags) => {
                Ok(Attached::Process(start(Command::new(path).arg("watch").args(flags).arg(url))?))
            }
        }
    }
}

impl Display for Client {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Reader => f.write_str("a client that only reads updates"),
            Self::Console(_) => f.write_str("tokio-console"),
            Self::Canary(_, flags) => {
                f.write_str("`tokio-canary watch")?;
                flags.iter().try_for_each(|flag| write!(f, " {flag}"))?;
                f.write_str("`")
            }
        }
    }
}

impl Attached {
    /// Ends it.
    ///
    /// # Errors
    /// It had ended by itself, so that nothing was measured.
    pub(crate) fn detach(self) -> io::Result<()> {
        match self {
            Self::Nobody => Ok(()),
            Self::Reader(runtime) => {
                runtime.shutdown_background();
                Ok(())
            }
            Self::Process(mut process) => match process.0.try_wait()? {
                None => Ok(()),
                Some(status) => Err(io::Error::other(format!("the client has ended by itself: {status}"))),
            },
        }
    }
}

/// Attaches `tokio-canary watch`, and returns the lag that each heartbeat tells.
pub(crate) fn lags(tool: &Path, address: &str) -> io::Result<(impl Iterator<Item = io::Result<Option<f64>>>, Ended)> {
    let mut command = Command::new(tool);
    command.args(["watch", "--output", "ndjson", "--heartbeat", "1s", &format!("http://{address}")]);
    let mut client = Ended(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
    let output = client.0.stdout.take().ok_or_else(|| io::Error::other("the client has no output"))?;
    let events = BufReader::new(output).lines().map(|line| serde_json::from_str(&line?).map_err(io::Error::other));
    let lags = events.filter_map(|event: io::Result<serde_json::Value>| match event {
        Ok(event) if event["type"] == "heartbeat" => Some(Ok(event["lag_s"].as_f64())),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    Ok((lags, client))
}

fn start(command: &mut Command) -> io::Result<Ended> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Ended)
}

async fn read(url: String) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut client = InstrumentClient::connect(url).await?.max_decoding_message_size(usize::MAX);
    let mut updates = client.watch_updates(InstrumentRequest {}).await?.into_inner();
    while updates.message().await?.is_some() {}
    Ok(())
}
