//! Small programs with one fault each or none, in front of whichever console-subscriber they are built with.

mod healthy;
mod sick;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use console_subscriber::ConsoleLayer;
use tokio::runtime::{Builder, Runtime};

/// A program and what has to be said about it. The lines that the finding has to name are marked: `// <- NAME`.
struct Program {
    name: &'static str,
    /// The detector that has to fire; none if the program is healthy.
    finding: &'static str,
    /// How bad the finding has to become at least.
    severity: &'static str,
    /// A detector that may fire as well.
    also: &'static str,
    /// How long it may take to tell.
    seconds: u32,
    run: fn(),
}

/// No recording takes longer, and no program is left behind when the one that started it is gone.
const LIFETIME: Duration = Duration::from_secs(300);

/// Runs the program that the first argument names, and says where its feed is; without an argument, lists all, with a comma between
/// the name, the seconds, the detector, its severity, and the other detector.
pub(crate) fn main() -> ExitCode {
    let mut programs = sick::PROGRAMS.iter().chain(healthy::PROGRAMS);
    let done = match std::env::args().nth(1) {
        None => programs.try_for_each(|Program { name, finding, severity, also, seconds, .. }| {
            writeln!(io::stdout(), "{name},{seconds},{finding},{severity},{also}")
        }),
        Some(wanted) => match programs.find(|program| program.name == wanted) {
            Some(program) => serve(program.run),
            None => Err(io::Error::other(format!("there is no program {wanted}"))),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(4)
        }
    }
}

/// Starts the feed and then the program, and ends both after some minutes.
fn serve(program: fn()) -> io::Result<()> {
    let address = free_address()?;
    ConsoleLayer::builder().server_addr(address).retention(Duration::from_secs(30)).init();
    thread::spawn(program);
    let limit = Instant::now() + Duration::from_secs(20);
    while let Err(error) = TcpStream::connect(address) {
        if Instant::now() > limit {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(20));
    }
    writeln!(io::stdout(), "http://{address}")?;
    thread::sleep(LIFETIME);
    Ok(())
}

/// An address that is free now. These subscribers bind for themselves, and cannot tell what port 0 became.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn workers(count: usize) -> Runtime {
    match Builder::new_multi_thread().worker_threads(count).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime can be built: {error}"),
    }
}

/// Keeps the processor busy for so long.
fn compute(work: Duration) {
    let end = Instant::now() + work;
    let mut sum = 1_u64;
    while Instant::now() < end {
        for step in 1..400_u64 {
            sum = sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step);
        }
    }
    std::hint::black_box(sum);
}
