//! The integration tests, in one binary: a module for each thing that is tested.

mod docs;
mod layers;
mod source;
