//! A step of `doctor`: its topic, its result and the remedy.

use crate::feed::live::examine::Stage;

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A stage of the way to a console.
    Way(Stage),
    /// The file of a recording.
    File,
    /// Who recorded it, and what.
    Recorder,
    /// Whether it breaks off.
    Completeness,
    /// The time that it covers.
    Span,
    /// Whether a client has paused the feed.
    Pause,
    /// Whether updates arrive, and how often.
    Updates,
    /// Whether the target's clock runs.
    Clock,
    /// The size of messages.
    Message,
    /// Whether tasks are instrumented.
    Tasks,
    /// Whether locks, channels and timers are.
    Resources,
    /// Whether waits for them are.
    Waits,
    /// What the target keeps of what has ended.
    Retention,
    /// How late things are reported.
    Lag,
    /// What was lost.
    Losses,
    /// What watching costs the target.
    Cost,
}

impl Topic {
    /// Those that are no stage of the way.
    const OTHERS: [Self; 15] = [
        Self::File,
        Self::Recorder,
        Self::Completeness,
        Self::Span,
        Self::Pause,
        Self::Updates,
        Self::Clock,
        Self::Message,
        Self::Tasks,
        Self::Resources,
        Self::Waits,
        Self::Retention,
        Self::Lag,
        Self::Losses,
        Self::Cost,
    ];

    /// Every one of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Stage::ALL.into_iter().map(Self::Way).chain(Self::OTHERS)
    }

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Way(stage) => stage.as_str(),
            Self::File => "file",
            Self::Recorder => "recorder",
            Self::Completeness => "completeness",
            Self::Span => "span",
            Self::Pause => "pause",
            Self::Updates => "updates",
            Self::Clock => "clock",
            Self::Message => "message",
            Self::Tasks => "tasks",
            Self::Resources => "resources",
            Self::Waits => "waits",
            Self::Retention => "retention",
            Self::Lag => "lag",
            Self::Losses => "losses",
            Self::Cost => "cost",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As it should.
    Good,
    /// Some of what could be seen is not, or costs much.
    Warning,
    /// The target cannot be watched like this.
    Failed,
    /// Another step was in the way.
    Untried,
}

impl Mark {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Good, Self::Warning, Self::Failed, Self::Untried];

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Untried => "untried",
        }
    }
}

/// A step that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it was about.
    pub topic: Topic,
    /// How it ended.
    pub mark: Mark,
    /// What was seen, in a sentence.
    pub fact: String,
    /// What to do about it, where something should be done.
    pub remedy: Option<String>,
}

impl Step {
    /// One that ended as it should.
    pub fn good(topic: Topic, fact: impl Into<String>) -> Self {
        Self { topic, mark: Mark::Good, fact: fact.into(), remedy: None }
    }

    /// One that hides something, or costs much.
    pub fn warning(topic: Topic, fact: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { topic, mark: Mark::Warning, fact: fact.into(), remedy: Some(remedy.into()) }
    }

    /// One after which the target cannot be watched.
    pub fn failed(topic: Topic, fact: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { topic, mark: Mark::Failed, fact: fact.into(), remedy: Some(remedy.into()) }
    }

    /// One whose first sentence is the fact, and the rest what to do.
    pub fn split(topic: Topic, mark: Mark, sentences: &str) -> Self {
        let ends = sentences.match_indices(['.', '?']).map(|(at, _)| at + 1);
        let begins = |rest: &str| {
            rest.strip_prefix(' ').is_some_and(|it| {
                it.starts_with(|first: char| first.is_uppercase() || first == '`') || it.starts_with("tokio-canary ")
            })
        };
        let end = ends.into_iter().find(|end| begins(&sentences[*end..]));
        let (fact, rest) = sentences.split_at(end.unwrap_or(sentences.len()));
        let remedy = Some(rest.trim()).filter(|rest| !rest.is_empty()).map(str::to_owned);
        Self { topic, mark, fact: fact.to_owned(), remedy }
    }

    /// One that was not tried because another one has failed.
    pub(super) fn untried(topic: Topic, reason: Option<Topic>) -> Self {
        let because = reason.map(|reason| format!(", because of the step `{}`", reason.as_str())).unwrap_or_default();
        Self { topic, mark: Mark::Untried, fact: format!("Not tried{because}."), remedy: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fact_ends_where_the_next_sentence_begins() {
        let of = |text| {
            let step = Step::split(Topic::Way(Stage::Port), Mark::Failed, text);
            (step.fact, step.remedy)
        };
        assert_eq!(of("Nothing."), ("Nothing.".to_owned(), None));
        assert_eq!(
            of("Nothing at 127.0.0.1. Is it up? Start it."),
            ("Nothing at 127.0.0.1.".to_owned(), Some("Is it up? Start it.".to_owned()))
        );
        assert_eq!(of("No pod. `kubectl get pods` lists them.").1.as_deref(), Some("`kubectl get pods` lists them."));
        assert_eq!(of("It is 0.5 or so. it goes on").1, None, "a sentence begins with a capital letter");
    }

    #[test]
    fn every_word_stands_for_one_topic() {
        let words: std::collections::BTreeSet<&str> = Topic::all().map(Topic::as_str).collect();
        assert_eq!(words.len(), Topic::all().count());
    }
}
