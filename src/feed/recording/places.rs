//! Takes the folders of the machine that built a service out of what is recorded about it.

use std::borrow::Cow;

use console_api::instrument::Update;
use console_api::{Location, Metadata};

use crate::paths;

/// Shortens every place in an update, and returns whether that changed anything. Names that the service gave to something stay.
pub(super) fn shorten(update: &mut Update) -> bool {
    let tasks = update.task_update.iter_mut().flat_map(|part| &mut part.new_tasks);
    let resources = update.resource_update.iter_mut().flat_map(|part| &mut part.new_resources);
    let places = tasks.filter_map(|task| task.location.as_mut());
    let places = places.chain(resources.filter_map(|resource| resource.location.as_mut()));
    let mut changed = places.fold(false, |changed, place| shorten_place(place) | changed);
    for new in update.new_metadata.iter_mut().flat_map(|registered| &mut registered.metadata) {
        changed |= new.metadata.as_mut().is_some_and(shorten_metadata);
    }
    changed
}

fn shorten_metadata(metadata: &mut Metadata) -> bool {
    let name = replace(&mut metadata.name, paths::short_callsite);
    metadata.location.as_mut().is_some_and(shorten_place) | name
}

fn shorten_place(place: &mut Location) -> bool {
    place.file.as_mut().is_some_and(|file| replace(file, paths::short))
}

fn replace(text: &mut String, short: impl FnOnce(&str) -> Cow<'_, str>) -> bool {
    let short = short(text);
    if short == text.as_str() {
        return false;
    }
    *text = short.into_owned();
    true
}
