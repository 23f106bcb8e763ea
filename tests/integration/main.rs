//! Every test that needs more than one layer, in one binary: it is linked once.

mod feed;
mod support;
