//! What clients are told, over a real connection.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails must say so")]

mod beside;
mod client;
mod conformance;
mod facts;
mod program;
mod serving;
mod stress;
