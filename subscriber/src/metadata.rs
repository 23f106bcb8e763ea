//! The callsites that the feed refers to.

use std::sync::{Mutex, PoisonError};

use tracing_core::{Level, Metadata};

use crate::callsite;
use crate::encode;
use crate::wire;

/// The numbers of `Metadata`.
mod number {
    pub(super) const NAME: u32 = 1;
    pub(super) const TARGET: u32 = 2;
    pub(super) const MODULE_PATH: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const KIND: u32 = 5;
    pub(super) const LEVEL: u32 = 6;
    pub(super) const FIELD_NAMES: u32 = 7;
    pub(super) const EVENT: u64 = 1;
}

/// Callsites in the order of their registration. The program has a fixed number of them.
#[derive(Debug, Default)]
pub(crate) struct Registered(Mutex<Vec<&'static Metadata<'static>>>);

impl Registered {
    /// Adds a callsite, once: callsites are registered again whenever a subscriber comes or goes.
    pub(crate) fn insert(&self, metadata: &'static Metadata<'static>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.iter().any(|known| std::ptr::eq(*known, metadata)) {
            known.push(metadata);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Appends all from the `first` on as elements of `RegisterMetadata`.
    pub(crate) fn encode(&self, first: usize, out: &mut Vec<u8>) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for metadata in known.iter().skip(first) {
            wire::nested(out, 1, |out| {
                encode::id(out, 1, callsite::number(metadata));
                wire::nested(out, 2, |out| write(metadata, out));
            });
        }
    }
}

fn write(metadata: &Metadata<'_>, out: &mut Vec<u8>) {
    wire::bytes(out, number::NAME, metadata.name().as_bytes());
    wire::bytes(out, number::TARGET, metadata.target().as_bytes());
    wire::bytes(out, number::MODULE_PATH, metadata.module_path().unwrap_or_default().as_bytes());
    if let Some(file) = metadata.file() {
        wire::nested(out, number::LOCATION, |out| {
            wire::bytes(out, encode::location::FILE, file.as_bytes());
            if let Some(line) = metadata.line() {
                wire::uint(out, encode::location::LINE, line.into());
            }
        });
    }
    wire::count(out, number::KIND, if metadata.is_event() { number::EVENT } else { 0 });
    wire::count(out, number::LEVEL, level(*metadata.level()));
    for field in metadata.fields() {
        wire::bytes(out, number::FIELD_NAMES, field.name().as_bytes());
    }
}

/// The number of `Metadata.Level`.
fn level(level: Level) -> u64 {
    match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    }
}
