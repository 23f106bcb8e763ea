//! Every test that needs more than one layer, in one binary: it is linked once.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

mod feed;
mod support;
