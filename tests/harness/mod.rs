//! The flags of the usual test harness, with any number of words, for test programs that name their tests themselves.

use libtest_mimic::{Arguments, Conclusion, Trial};

/// What every test program takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The usual ones.
    #[command(flatten)]
    pub(crate) usual: Arguments,
    /// Further words: a test runs if its name contains any of them.
    #[arg(value_name = "FILTER")]
    further: Vec<String>,
}

impl Flags {
    /// Runs the tests that the flags select, or lists them. `threads` replaces their number in the flags.
    pub(crate) fn run(mut self, mut trials: Vec<Trial>, threads: Option<usize>) -> Conclusion {
        if !self.further.is_empty() {
            trials.retain(|trial| self.selects(trial.name()));
            self.usual.filter = None;
        }
        self.usual.test_threads = threads.or(self.usual.test_threads).map(|threads| threads.max(1));
        libtest_mimic::run(&self.usual, trials)
    }

    /// Whether the words select a name, or there are none.
    pub(crate) fn selects(&self, name: &str) -> bool {
        let fits = |word: &String| if self.usual.exact { name == word } else { name.contains(word.as_str()) };
        let mut words = self.usual.filter.iter().chain(&self.further).peekable();
        (words.peek().is_none() || words.any(fits)) && !self.usual.skip.iter().any(fits)
    }
}
