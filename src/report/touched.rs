//! The findings of a moment, by what they are about.

use std::collections::BTreeMap;

use crate::detect::finding::Finding;
use crate::model::{ResourceKey, SiteKey, TaskKey};

/// Findings, by what they are about.
#[derive(Debug)]
pub(super) struct Touched<'a> {
    /// In the order in which they are read.
    pub(super) findings: Vec<&'a Finding>,
    pub(super) tasks: BTreeMap<TaskKey, Vec<usize>>,
    pub(super) sites: BTreeMap<SiteKey, Vec<usize>>,
    pub(super) resources: BTreeMap<ResourceKey, Vec<usize>>,
}

impl<'a> Touched<'a> {
    /// These findings, in the order in which they are read.
    pub(super) fn by(findings: Vec<&'a Finding>, site_of: impl Fn(TaskKey) -> Option<SiteKey>) -> Self {
        let (mut tasks, mut sites, mut resources) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (index, finding) in findings.iter().enumerate() {
            let scope = &finding.symptom.scope;
            scope.tasks.iter().for_each(|key| note(&mut tasks, *key, index));
            scope.resources.iter().for_each(|key| note(&mut resources, *key, index));
            let of_tasks = scope.tasks.iter().filter_map(|key| site_of(*key));
            scope.sites.iter().copied().chain(of_tasks).for_each(|key| note(&mut sites, key, index));
        }
        Self { findings, tasks, sites, resources }
    }
}

/// Notes a finding, once.
fn note<K: Ord>(known: &mut BTreeMap<K, Vec<usize>>, key: K, index: usize) {
    let indices = known.entry(key).or_default();
    if indices.last() != Some(&index) {
        indices.push(index);
    }
}
