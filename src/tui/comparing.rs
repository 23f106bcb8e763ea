//! The comparison of the targets, where there is one, and how far it was read.

use super::visit::Goto;
use super::widgets::page::Reader;
use crate::report::progress::ProgressView;

/// A comparison of the targets.
#[derive(Debug)]
pub struct Comparing {
    /// What it comes to so far.
    pub view: ProgressView,
    /// How far it was read.
    pub reader: Reader<Goto>,
}

impl From<ProgressView> for Comparing {
    fn from(view: ProgressView) -> Self {
        Self { view, reader: Reader::default() }
    }
}
