//! Where a run without a terminal view writes what it finds, and in which form.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::word::Word;
use crate::detect::settings::Type;

/// What is written: lines while the run lasts, or a document at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One sentence a line.
    Text,
    /// One JSON object a line.
    Ndjson,
    /// A screen of Markdown.
    Brief,
    /// A test report.
    Junit,
    /// Annotations of a workflow and its summary.
    Github,
    /// Results of a code scanner.
    Sarif,
}

impl Format {
    /// Whether it is written as a whole when the run ends.
    pub fn is_document(self) -> bool {
        !matches!(self, Self::Text | Self::Ndjson)
    }
}

impl Word for Format {
    const NOUN: &'static str = "a format";
    const ALL: &'static [Self] = &[Self::Text, Self::Ndjson, Self::Brief, Self::Junit, Self::Github, Self::Sarif];

    fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Ndjson => "ndjson",
            Self::Brief => "brief",
            Self::Junit => "junit",
            Self::Github => "github",
            Self::Sarif => "sarif",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Text => "One sentence a line, for people and logs",
            Self::Ndjson => "One JSON object a line (schema tokio-canary.events/v1), for programs",
            Self::Brief => "At the end, a screen of Markdown, for chats, issues and assistants",
            Self::Junit => "At the end, a JUnit report: a suite for each target, a case for each detector",
            Self::Github => "At the end, annotations of a GitHub workflow, and the brief as its job summary",
            Self::Sarif => "At the end, SARIF 2.1.0 for GitHub code scanning",
        }
    }
}

/// One place to which a run writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What is written.
    pub format: Format,
    /// The file to which lines are appended, or which a document replaces; standard output, if none.
    pub path: Option<PathBuf>,
}

impl Output {
    /// The file, or the words for standard output.
    pub fn place(&self) -> String {
        self.path.as_ref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string())
    }
}

impl Default for Output {
    fn default() -> Self {
        Self { format: Format::Text, path: None }
    }
}

impl FromStr for Output {
    type Err = String;

    /// Reads `FORMAT` or `FORMAT=PATH`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (format, path) = match text.split_once('=') {
            Some((_, "")) => return Err(format!("`{text}` names no file; write it like ndjson=findings.ndjson")),
            Some((format, path)) => (format, Some(PathBuf::from(path))),
            None => (text, None),
        };
        Ok(Self { format: Format::parse(format.trim())?, path })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format.word())?;
        self.path.as_ref().map_or(Ok(()), |path| write!(f, "={}", path.display()))
    }
}

/// The first place to which two outputs write, whose lines would get mixed up.
pub(super) fn shared_place<'a>(outputs: impl IntoIterator<Item = &'a Output>) -> Option<(usize, String)> {
    let mut seen: Vec<&Option<PathBuf>> = Vec::new();
    for (index, output) in outputs.into_iter().enumerate() {
        if seen.contains(&&output.path) {
            return Some((index, output.place()));
        }
        seen.push(&output.path);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_format_and_perhaps_a_file() {
        for text in ["text", "ndjson", "ndjson=out/findings=1.ndjson", "junit=canary.xml", "brief", "github", "sarif"] {
            assert_eq!(text.parse::<Output>().map(|output| output.to_string()), Ok(text.to_owned()));
        }
        for (wrong, says) in [
            ("json", "`json` is not a format; did you mean `ndjson`?"),
            ("xml", "`xml` is not a format; it is one of text, ndjson, brief, junit, github, sarif"),
            ("text=", "`text=` names no file; write it like ndjson=findings.ndjson"),
        ] {
            assert_eq!(wrong.parse::<Output>(), Err(says.to_owned()));
        }
    }

    #[test]
    fn two_outputs_share_no_place() {
        let outputs = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("right")).collect::<Vec<Output>>();
        assert_eq!(shared_place(&outputs(&["text", "ndjson=a", "text=b"])), None);
        assert_eq!(shared_place(&outputs(&["text", "ndjson"])), Some((1, "standard output".to_owned())));
        assert_eq!(shared_place(&outputs(&["text=a", "text", "ndjson=a"])), Some((2, "a".to_owned())));
    }
}
