//! Messages of the corpus, changed element by element.

use console_api::register_metadata::NewMetadata;
use console_api::{async_ops, resources, tasks};
use tokio_canary::feed::FeedEvent;
use tokio_canary::feed::recording::Events;
use tokio_canary::wire::{Change, Kind, Message};

use crate::source::{files_below, in_repository};

/// Changes nothing, and counts what it is shown.
#[derive(Default)]
struct Nothing(usize);

impl Change for Nothing {
    fn metadata(&mut self, _: &mut NewMetadata) {
        self.0 += 1;
    }

    fn task(&mut self, _: &mut tasks::Task) {
        self.0 += 1;
    }

    fn resource(&mut self, _: &mut resources::Resource) {
        self.0 += 1;
    }

    fn resource_stats(&mut self, _: &mut resources::Stats) {
        self.0 += 1;
    }

    fn poll_op(&mut self, _: &mut resources::PollOp) {
        self.0 += 1;
    }

    fn async_op(&mut self, _: &mut async_ops::AsyncOp) {
        self.0 += 1;
    }

    fn async_op_stats(&mut self, _: &mut async_ops::Stats) {
        self.0 += 1;
    }
}

#[test]
fn a_change_that_does_nothing_leaves_every_message_of_the_corpus_as_it_is() {
    let (mut messages, mut nothing) = (0, Nothing::default());
    for recording in files_below(&in_repository("tests/recordings"), "mcap") {
        for arrived in Events::open(&recording).unwrap() {
            let FeedEvent::Update(update) = &arrived.event else { continue };
            let changed = update.message.changed(&mut nothing);
            assert_eq!(changed.decoded(), update.message.decoded(), "{}", recording.display());
            messages += 1;
        }
    }
    assert!(messages > 1_000 && nothing.0 > 10_000, "{messages} messages, {} elements", nothing.0);
}

#[test]
fn an_element_that_cannot_be_decoded_is_still_counted_after_a_change() {
    // A task update with a task of two bytes that make no sense, one without anything, and counters without a value.
    let bad = [0x12, 8, 0x0a, 2, 0xff, 0xff, 0x0a, 0, 0x1a, 0];
    let bad = Message::new(bad.to_vec().into()).unwrap();
    let changed = bad.changed(&mut Nothing::default());
    for message in [&bad, &changed] {
        assert_eq!(message.introduced_ids(Kind::Task).count(), 2);
        assert_eq!(message.new_tasks().map(|it| it.is_some()).collect::<Vec<_>>(), [false, true]);
        assert_eq!(message.task_stats().count(), 1);
        assert_eq!(message.decoded().task_update.unwrap().stats_update.len(), 0);
    }
}
