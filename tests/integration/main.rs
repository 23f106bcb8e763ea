//! The integration tests, in one binary: a module for each thing that is tested.

mod arbitrary;
mod black_box;
mod chosen_values;
mod circles;
mod compare;
mod config;
#[cfg(feature = "k8s")]
mod deploy;
mod diagrams;
mod docs;
mod doctor;
mod evidence;
mod facts;
mod feed;
mod fleet;
mod gate;
mod hostile;
mod http;
#[cfg(feature = "k8s")]
mod kubernetes;
mod language;
mod layers;
mod model;
mod outputs;
mod proto;
mod push;
mod recording;
mod registry;
mod scaling;
mod screens;
mod source;
mod support;
mod suppressions;
mod surroundings;
mod terminal;
mod tls;
mod tool;
mod vitals;
mod wire;
mod witness;
