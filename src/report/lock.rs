//! What a run says of a concurrency lockfile: how much of it was seen, and what is not in it.

use crate::words;

/// Parts that are not in the file and are listed; the others are counted.
const LISTED: usize = 20;

/// A target measured by a lockfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockView {
    /// The file, as the user named it.
    pub file: String,
    /// Parts that the file lists.
    pub parts: usize,
    /// How many of them the target showed.
    pub seen: usize,
    /// The parts of the target that are not in it, each as a noun phrase.
    pub new: Vec<String>,
}

impl LockView {
    /// How much was seen and how much of that is new, as a sentence.
    pub fn sentence(&self) -> String {
        let Self { file, parts, seen, new } = self;
        let parts = words::count(*parts, "part");
        format!("Lockfile {file}: {} of {parts} seen, {} new.", words::number(*seen), words::number(new.len()))
    }

    /// A clause about each part that is not in the file.
    pub fn clauses(&self) -> impl Iterator<Item = String> {
        self.new.iter().map(|part| self.clause(part))
    }

    /// The same as lines, as far as they are listed, and how many more there are.
    pub fn lines(&self) -> Vec<String> {
        let more = self.new.len().saturating_sub(LISTED);
        let listed = self.new.iter().take(LISTED).map(|part| self.clause(part));
        listed.chain((more > 0).then(|| format!("not in {}: {} more", self.file, words::number(more)))).collect()
    }

    fn clause(&self, part: &str) -> String {
        format!("not in {}: {part}", self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockfile_is_a_sentence_and_a_line_for_each_part_that_it_lacks() {
        let view = |new: usize| LockView {
            file: "a.lock".to_owned(),
            parts: 14,
            seen: 12,
            new: (1..=new).map(|number| format!("creation of Mutex of src/{number}.rs")).collect(),
        };
        assert_eq!(view(0).sentence(), "Lockfile a.lock: 12 of 14 parts seen, 0 new.");
        assert_eq!((view(0).lines(), view(2).lines().len()), (Vec::new(), 2));
        let lines = view(LISTED + 7).lines();
        assert_eq!(lines[0], "not in a.lock: creation of Mutex of src/1.rs");
        assert_eq!((lines.len(), lines[LISTED].as_str()), (LISTED + 1, "not in a.lock: 7 more"));
    }
}
