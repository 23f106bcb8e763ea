//! The integration tests, in one binary: a module for each thing that is tested.

mod arbitrary;
mod config;
mod corpus;
mod docs;
mod feed;
mod language;
mod layers;
mod model;
mod proto;
mod recording;
mod scenarios;
mod screens;
mod source;
mod support;
mod suppressions;
mod witness;
