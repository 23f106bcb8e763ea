//! Everything that the configuration is made of.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use super::file;
use super::flags::Flags;

/// Everything that the configuration is made of. Nothing else is looked at.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What the command line says.
    pub flags: Flags,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// The user's own file; it need not exist.
    pub own_file: Option<PathBuf>,
    /// The file in the current folder; it need not exist.
    pub local_file: PathBuf,
    /// The time at which suppressions are or are not expired.
    pub now: SystemTime,
}

impl Sources {
    /// What this process was started with.
    pub fn of_process(flags: Flags) -> Self {
        Self {
            flags,
            variables: std::env::vars_os().collect(),
            own_file: file::users_own(),
            local_file: PathBuf::from(".").join(file::LOCAL_FILE),
            now: SystemTime::now(),
        }
    }
}
