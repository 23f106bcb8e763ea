//! The command line tool: everything is in the library.

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Has the allocator of glibc return large blocks to the system when they are freed. Otherwise the first large message that is freed makes it
/// put all later ones among what lives long, and the gaps that they leave stay.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc is told so by a C function only")]
fn return_large_blocks() {
    /// Messages of busy targets are larger, and hardly anything else is.
    const LARGE: libc::c_int = 1024 * 1024;
    // SAFETY: it changes a number that the allocator reads under its own lock, and no other thread runs yet.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    return_large_blocks();
    tokio_canary::run::main_of_process()
}
