//! The evidence of one scan: facts, and what they mean, each question answered once however many detectors ask it.

use std::cell::RefCell;
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::delays::DelayQuantiles;
use super::flow::Flow;
use super::holders::Holders;
use super::lock_order::LockOrders;
use super::memory::Memory;
use super::poll_samples::PollSamples;
use super::promptness::Promptness;
use super::running_polls::{RunningPoll, Threads};
use super::task_wait::TaskWait;
use crate::model::time::Timestamp;
use crate::model::{Model, ResourceKey, SiteKey, TaskKey};

/// The facts of one moment and what was seen before, to be asked what they mean.
#[derive(Debug)]
pub struct Evidence<'a> {
    model: &'a Model,
    pub(super) memory: &'a Memory,
    pub(super) holders: Answers<ResourceKey, Rc<Holders>>,
    pub(super) nested: Answers<ResourceKey, Rc<[TaskKey]>>,
    pub(super) flows: Answers<ResourceKey, Flow>,
    pub(super) waits: Answers<TaskKey, Rc<TaskWait>>,
    pub(super) running_polls: Answers<(), Rc<[RunningPoll]>>,
    pub(super) woken_by_age: Answers<(), Rc<[(Timestamp, TaskKey)]>>,
    pub(super) threads: Answers<(), Threads>,
    pub(super) promptness: Answers<Timestamp, Rc<Promptness>>,
    pub(super) delays_by_site: Answers<Timestamp, Rc<FxHashMap<SiteKey, DelayQuantiles>>>,
}

impl<'a> Evidence<'a> {
    /// The evidence of a model and of what was seen at its earlier updates.
    pub fn new(model: &'a Model, memory: &'a Memory) -> Self {
        Self {
            model,
            memory,
            holders: Answers::default(),
            nested: Answers::default(),
            flows: Answers::default(),
            waits: Answers::default(),
            running_polls: Answers::default(),
            woken_by_age: Answers::default(),
            threads: Answers::default(),
            promptness: Answers::default(),
            delays_by_site: Answers::default(),
        }
    }

    /// The facts.
    pub fn model(&self) -> &'a Model {
        self.model
    }

    /// Poll samples of the last minute.
    pub fn poll_samples(&self) -> &'a PollSamples {
        &self.memory.samples
    }

    /// In which order tasks were seen to take locks, by spawn site.
    pub fn lock_orders(&self) -> &'a LockOrders {
        self.memory.lock_orders()
    }
}

/// The facts can be asked directly: evidence is what they mean, in addition.
impl Deref for Evidence<'_> {
    type Target = Model;

    fn deref(&self) -> &Model {
        self.model
    }
}

/// Answers that were given already.
pub(super) struct Answers<K, V> {
    known: RefCell<FxHashMap<K, V>>,
}

impl<K: Eq + Hash + Copy, V: Clone> Answers<K, V> {
    /// The answer about `key`, found out if it is asked for the first time.
    pub(super) fn get(&self, key: K, find: impl FnOnce() -> V) -> V {
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let answer = find();
        self.known.borrow_mut().insert(key, answer.clone());
        answer
    }
}

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self { known: RefCell::new(FxHashMap::default()) }
    }
}

impl<K, V> fmt::Debug for Answers<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("known", &self.known.borrow().len()).finish()
    }
}
