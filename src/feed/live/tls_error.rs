//! The errors of TLS inside those of connections.

use std::error::Error;
use std::io;

/// What TLS says about a failure.
pub(super) fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| (inner as &(dyn Error + 'static)).downcast_ref())
}
