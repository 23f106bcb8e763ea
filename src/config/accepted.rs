//! A finding that a baseline accepts.

use std::time::SystemTime;

use super::origin::Origin;

/// A finding that is known and accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The class of the finding.
    pub fingerprint: String,
    /// What it was called when it was written, for whoever reads the file.
    pub finding: Option<String>,
    /// Why it is acceptable.
    pub statement: String,
    /// From when on it counts again.
    pub expires: Option<SystemTime>,
    /// Where it is written.
    pub origin: Origin,
}
