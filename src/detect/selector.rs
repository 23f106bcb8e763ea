//! How a user names a finding: by its fingerprint or the beginning of it, or by detector and place.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use super::finding::Finding;
use crate::model::location::Location;

/// The name of a finding: `deadlock`, `deadlock:3f2a`, `deadlock@src/bank.rs:41`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The beginning of its fingerprint.
    beginning: String,
    /// Its place, as a file or with line and column.
    place: Option<String>,
}

impl Selector {
    /// The finding of this fingerprint.
    pub fn of_fingerprint(fingerprint: &str) -> Self {
        Self { beginning: fingerprint.to_owned(), place: None }
    }

    /// The detector that it names; what stands before the hash of the fingerprint.
    pub fn detector(&self) -> &str {
        self.beginning.split(':').next().unwrap_or_default()
    }

    /// Whether it names a place.
    pub fn has_place(&self) -> bool {
        self.place.is_some()
    }

    /// Whether it names a finding by its own place or by that of anything that has a part in it.
    pub fn names(&self, finding: &Finding) -> bool {
        let symptom = &finding.symptom;
        let related = symptom.related.iter().map(|related| related.location.as_str());
        self.matches(&finding.fingerprint, std::iter::once(symptom.subject.location.as_str()).chain(related))
    }

    /// Whether it names a finding with this fingerprint, and these places.
    pub fn matches<'a>(&self, fingerprint: &str, places: impl IntoIterator<Item = &'a str>) -> bool {
        // A whole id is no beginning of another id.
        let is_it = if self.beginning.contains(':') {
            fingerprint.starts_with(&self.beginning)
        } else {
            fingerprint.split(':').next() == Some(&self.beginning)
        };
        is_it && self.place.as_ref().is_none_or(|place| places.into_iter().any(|it| is_at(it, place)))
    }
}

/// Whether a place is meant by a text that is its file, with or without line and column, or the end of that.
fn is_at(place: &str, text: &str) -> bool {
    let location = Location::parse(place);
    let is_end = |whole: &str| whole.strip_suffix(text).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    [location.as_str(), location.without_column(), location.file()].into_iter().any(is_end)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.beginning)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, "@{place}"))
    }
}

impl FromStr for Selector {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (beginning, place) = match text.split_once('@') {
            Some((beginning, place)) => (beginning, Some(place.to_owned())),
            None => (text, None),
        };
        Ok(Self { beginning: beginning.to_owned(), place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_named_by_detector_place_or_fingerprint() {
        let (fingerprint, places) = ("deadlock:3f2a0011223344ff", ["src/bank.rs:41:9", "src/other.rs:7:5"]);
        for (text, expected) in [
            ("deadlock", true),
            ("deadlock:3f2a", true),
            ("deadlock:3f2a0011223344ff", true),
            ("deadlock:", true),
            ("deadlock:3f2b", false),
            ("dead", false),
            ("lost-waker", false),
            ("deadlock@src/bank.rs", true),
            ("deadlock@bank.rs:41", true),
            ("deadlock@src/bank.rs:41:9", true),
            ("deadlock@other.rs:7", true),
            ("deadlock@ank.rs", false),
            ("deadlock@src/bank.rs:42", false),
            ("deadlock:3f2a@src/bank.rs", true),
            ("lost-waker@src/bank.rs", false),
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.matches(fingerprint, places), expected, "{text}");
        }
    }
}
