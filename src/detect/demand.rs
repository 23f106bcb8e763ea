//! Whether those who ask for a permit of a semaphore suffer from not getting one.

use std::time::Duration;

use super::wording;
use crate::model::Model;
use crate::model::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::waits::GivenUp;

/// Whether most of those who gave up a wait of some length since a time have failed: their task has ended, or it is a library's, such as the
/// connection of a server. A task of the user's may try again.
pub(super) fn most_failed(model: &Model, semaphore: &Resource, from: Timestamp, long: Duration) -> bool {
    let has_failed = |it: &GivenUp| {
        let Some(task) = model.task(it.task).filter(|task| task.is_alive()) else { return true };
        model.site(task.site).is_some_and(|site| wording::is_in_library(&site.id.location))
    };
    let given_up = semaphore.given_up.iter().filter(|it| it.at >= from && it.at.since(it.since) >= long);
    let (failed, tried): (Vec<bool>, Vec<bool>) = given_up.map(has_failed).partition(|failed| *failed);
    failed.len() > tried.len()
}
