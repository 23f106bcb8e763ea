//! One target at one moment, to be asked for rows and views.

use std::cell::OnceCell;

use super::touched::Touched;
use crate::detect::settings::Settings;
use crate::diagnosis::Diagnosis;
use crate::evidence::Evidence;
use crate::fleet::{Fleet, Member, TargetId};
use crate::model::time::Timestamp;

/// What is known of a target and its fleet at a moment: another when anything has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    target: TargetId,
    own: u64,
    fleet: u64,
    members: usize,
}

/// One target as it is known at present, or was when the view was frozen.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) member: &'a Member,
    pub(super) evidence: Evidence<'a>,
    pub(super) touched: OnceCell<Touched<'a>>,
}

impl<'a> Snapshot<'a> {
    /// A target among the others of its fleet.
    pub fn new(fleet: &'a Fleet, member: &'a Member) -> Self {
        Self { fleet, member, evidence: member.diagnosis().evidence(), touched: OnceCell::new() }
    }

    /// A number that changes whenever something has arrived from the target.
    pub fn revision(&self) -> u64 {
        self.member.revision()
    }

    /// What changes whenever something has arrived from this target or another of its fleet: what is made of it stays the same until then.
    pub fn version(&self) -> Version {
        let fleet = self.fleet.members().map(|member| member.revision()).fold(0, u64::wrapping_add);
        Version { target: self.member.id(), own: self.member.revision(), fleet, members: self.fleet.members().len() }
    }

    /// The process of the target that its keys belong to: rises by one when it was seen to restart.
    pub fn epoch(&self) -> u32 {
        self.evidence.epoch()
    }

    /// The settings that its findings were found with.
    pub fn settings(&self) -> &'a Settings {
        self.diagnosis().engine().settings()
    }

    pub(super) fn diagnosis(&self) -> &'a Diagnosis {
        self.member.diagnosis()
    }

    /// The target's time.
    pub(super) fn now(&self) -> Timestamp {
        self.diagnosis().now()
    }
}
