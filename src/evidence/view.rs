//! The evidence of one scan.

use std::ops::Deref;

use super::lock_order::LockOrders;
use super::memory::Memory;
use super::poll_samples::PollSamples;
use crate::model::Model;

/// The facts of one moment, and what they mean. Each question is answered once, however many detectors ask it.
#[derive(Debug)]
pub struct Evidence<'a> {
    pub(super) model: &'a Model,
    pub(super) memory: &'a Memory,
}

impl<'a> Evidence<'a> {
    /// The evidence of a model and of what was seen at its earlier updates.
    pub fn new(model: &'a Model, memory: &'a Memory) -> Self {
        Self { model, memory }
    }

    /// Poll samples of the last minute.
    pub fn poll_samples(&self) -> &'a PollSamples {
        &self.memory.samples
    }

    /// In which order tasks were seen to take locks, by spawn site.
    pub fn lock_orders(&self) -> &'a LockOrders {
        self.memory.lock_orders()
    }

    /// The facts.
    pub fn model(&self) -> &'a Model {
        self.model
    }
}

impl Deref for Evidence<'_> {
    type Target = Model;

    fn deref(&self) -> &Model {
        self.model
    }
}
