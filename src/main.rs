//! The command line tool: everything is in the library.

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Makes glibc return every large block to the system when it is freed. By default it takes later large blocks from the heap once a first one has
/// been freed, and the gaps that these leave between small blocks are not returned.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt is a C function without a safe wrapper")]
fn return_large_blocks() {
    /// In bytes. Updates of large targets reach this size, hardly anything else does.
    const LARGE: libc::c_int = 1024 * 1024;
    // SAFETY: it only sets a parameter of the allocator, and no other thread runs yet.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    return_large_blocks();
    tokio_canary::run::main_of_process()
}
