//! Whether a target can be watched, step by step, and how to mend what is in the way.
//!
//! The steps of a kind of target are a list ([`plan`]). Whoever looks at the target notes what steps come to; the report names
//! the steps that nobody could try.

mod feed;
mod recording;
mod seen;
mod step;

use crate::feed::endpoint::Target;
use crate::feed::live::examine::{Outcome, Passed, stages};

pub use self::feed::{Cost, feed};
pub use self::recording::{File, recording};
pub use self::seen::Seen;
pub use self::step::{Mark, Step, Topic};

/// What is looked at once updates arrive, whatever they come from.
const FEED: [Topic; 9] = [
    Topic::Updates,
    Topic::Clock,
    Topic::Message,
    Topic::Tasks,
    Topic::Resources,
    Topic::Waits,
    Topic::Retention,
    Topic::Lag,
    Topic::Losses,
];

/// The steps for a target, in their order.
pub fn plan(target: &Target) -> Vec<Topic> {
    match target {
        Target::Live(address) => {
            let way = stages(address).iter().copied().map(Topic::Way);
            way.chain([Topic::Pause]).chain(FEED).chain([Topic::Cost]).collect()
        }
        Target::Recording(_) => {
            [Topic::File, Topic::Recorder, Topic::Completeness, Topic::Span].into_iter().chain(FEED).collect()
        }
    }
}

/// A target that is being looked at.
#[derive(Debug)]
pub struct Checkup {
    left: Vec<Topic>,
    steps: Vec<Step>,
}

impl Checkup {
    /// Nothing has been looked at.
    pub fn new(target: &Target) -> Self {
        let mut left = plan(target);
        left.reverse();
        Self { left, steps: Vec::new() }
    }

    /// Takes in what came of the way to a console.
    pub fn went(&mut self, way: Vec<Passed>) {
        self.note(way.into_iter().map(|(stage, outcome)| {
            let topic = Topic::Way(stage);
            match outcome {
                Outcome::Good(fact) => Step::good(topic, fact),
                Outcome::Doubtful(sentences) => Step::split(topic, Mark::Warning, &sentences),
                Outcome::Bad(sentences) => Step::split(topic, Mark::Failed, &sentences),
            }
        }));
    }

    /// Takes in what came of steps, which follow on those before.
    pub fn note(&mut self, steps: impl IntoIterator<Item = Step>) {
        for step in steps {
            while let Some(topic) = self.left.pop()
                && topic != step.topic
            {
                self.steps.push(Step::untried(topic, self.failed().map(|it| it.topic)));
            }
            self.steps.push(step);
        }
    }

    /// The first step that has failed.
    pub fn failed(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.mark == Mark::Failed)
    }

    /// How many steps ended so.
    pub fn count(&self, mark: Mark) -> usize {
        self.steps.iter().filter(|step| step.mark == mark).count()
    }

    /// The completed steps from this index on.
    pub fn steps_from(&self, first: usize) -> &[Step] {
        self.steps.get(first..).unwrap_or_default()
    }

    /// Says of everything that is left that it could not be tried.
    pub fn close(&mut self) {
        let reason = self.failed().map(|step| step.topic);
        let left = std::mem::take(&mut self.left);
        self.steps.extend(left.into_iter().rev().map(|topic| Step::untried(topic, reason)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::live::examine::Stage;

    fn target(text: &str) -> Target {
        text.parse().expect("a target")
    }

    #[test]
    fn what_could_not_be_tried_is_said_with_what_is_in_the_way() {
        let mut checkup = Checkup::new(&target("https://canary.example"));
        let good = Outcome::Good("It is there.".to_owned());
        checkup
            .went(vec![(Stage::Address, good), (Stage::Port, Outcome::Bad("Nothing listens. Start it.".to_owned()))]);
        checkup.close();
        let steps = checkup.steps_from(0);
        assert_eq!(steps.iter().map(|it| it.topic).collect::<Vec<_>>(), plan(&target("https://canary.example")));
        assert_eq!((steps[1].fact.as_str(), steps[1].remedy.as_deref()), ("Nothing listens.", Some("Start it.")));
        assert!(steps[2..].iter().all(|it| it.mark == Mark::Untried), "{steps:?}");
        assert_eq!(steps[2].fact, "Not tried, because of the step `port`.");
        assert_eq!((checkup.count(Mark::Failed), checkup.count(Mark::Good)), (1, 1));
    }

    #[test]
    fn each_kind_of_target_has_its_steps_and_none_of_them_twice() {
        for (text, has, has_not) in [
            ("localhost:1", Topic::Way(Stage::Address), Topic::Way(Stage::Tls)),
            ("https://localhost", Topic::Way(Stage::Tls), Topic::File),
            ("unix:/run/app.sock", Topic::Way(Stage::Port), Topic::Way(Stage::Address)),
            #[cfg(feature = "k8s")]
            ("k8s://shop/deploy/web", Topic::Way(Stage::Rights), Topic::Way(Stage::Address)),
            ("a.mcap", Topic::Completeness, Topic::Cost),
        ] {
            let mut plan = plan(&target(text));
            assert!(plan.contains(&has) && !plan.contains(&has_not), "{text}: {plan:?}");
            let steps = plan.len();
            plan.sort_by_key(|topic| topic.as_str());
            plan.dedup();
            assert_eq!(plan.len(), steps, "{text}");
        }
    }
}
