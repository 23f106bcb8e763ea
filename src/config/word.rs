//! Types whose values are a few words, such as severities: read, written and explained in one way.

use std::fmt::Debug;

use crate::detect::settings::Type;
use crate::detect::severity::Severity;
use crate::spelling;

/// A type whose values are a few words.
pub trait Word: Copy + Debug + PartialEq + Sync + 'static {
    /// What one is, with its article.
    const NOUN: &'static str;
    /// All of them.
    const ALL: &'static [Self];
    /// The word for it.
    fn word(self) -> &'static str;
    /// What it means.
    fn meaning(self) -> &'static str;
}

/// All words of a type, as in a sentence: `info, warning, critical`.
pub fn list<T: Word>() -> String {
    T::ALL.iter().map(|value| value.word()).collect::<Vec<_>>().join(", ")
}

impl<T: Word> Type for T {
    fn parse(text: &str) -> Result<Self, String> {
        T::ALL.iter().copied().find(|value| value.word() == text).ok_or_else(|| {
            let words = T::ALL.iter().map(|value| value.word());
            let hint = spelling::hint(text, words, || format!("it is one of {}", list::<T>()));
            format!("`{text}` is not {}{hint}", T::NOUN)
        })
    }

    fn written(&self) -> String {
        self.word().to_owned()
    }
}

impl Word for Severity {
    const NOUN: &'static str = "a severity";
    const ALL: &'static [Self] = &[Self::Info, Self::Warning, Self::Critical];

    fn word(self) -> &'static str {
        self.as_str()
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Info => "Worth knowing",
            Self::Warning => "Something is wrong",
            Self::Critical => "The service does not do its work",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_or_put_right() {
        assert_eq!(Severity::parse("critical"), Ok(Severity::Critical));
        assert_eq!(Severity::from_value(&Severity::Info.erase()), Some(Severity::Info));
        for (wrong, says) in [
            ("warn", "`warn` is not a severity; did you mean `warning`?"),
            ("Critical", "`Critical` is not a severity; did you mean `critical`?"),
            ("bad", "`bad` is not a severity; it is one of info, warning, critical"),
        ] {
            assert_eq!(Severity::parse(wrong), Err(says.to_owned()));
        }
    }
}
