//! Columns of lists as values: what each shows, how it is sorted, and by which word a filter asks for it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Debug;
use std::time::Duration;

use crate::words;

/// The columns of one kind of list.
pub trait Column: Copy + PartialEq + Debug + 'static {
    /// Every column, also those that are only filtered by: heading, term, help and kind of value.
    const SPECS: &'static [Spec<Self>];

    /// What is known of this column.
    fn spec(self) -> Option<&'static Spec<Self>> {
        Self::SPECS.iter().find(|spec| spec.id == self)
    }

    /// Its heading.
    fn title(self) -> &'static str {
        self.spec().map_or("", |spec| spec.title)
    }

    /// A value of it as text.
    fn in_words<'a>(self, value: &'a Value<'_>) -> Cow<'a, str> {
        value.in_words(self.spec().map_or(Kind::Text, |spec| spec.kind))
    }
}

/// What is known of a column, apart from its values.
#[derive(Debug, Clone, Copy)]
pub struct Spec<C: 'static> {
    /// Which column.
    pub id: C,
    /// Its heading.
    pub title: &'static str,
    /// The word before `:`, `<` or `>` in a filter.
    pub term: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What it contains, as a noun phrase.
    pub help: &'static str,
}

/// A row of a table of columns.
pub(super) const fn column<C>(
    id: C,
    title: &'static str,
    term: &'static str,
    kind: Kind,
    help: &'static str,
) -> Spec<C> {
    Spec { id, title, term, kind, help }
}

/// What the values of a column are, which decides how they are written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text; a filter looks for a part of it.
    Text,
    /// A number that names something; a filter asks for exactly this one.
    Id,
    /// A count.
    Count,
    /// A duration, in nanoseconds.
    Time,
    /// An amount of memory.
    Bytes,
    /// A share, in millionths.
    Share,
    /// A number per second, in thousandths.
    Rate,
}

impl Kind {
    /// Whether a filter compares its values with `<` and `>`.
    pub fn is_number(self) -> bool {
        match self {
            Self::Text | Self::Id => false,
            Self::Count | Self::Time | Self::Bytes | Self::Share | Self::Rate => true,
        }
    }
}

/// What a row has in a column: shown, sorted by and filtered by.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// Nothing: below every number and before every text.
    Nothing,
    /// A number in the unit of its column.
    Number(u128),
    /// A text that is sorted by a number, such as a state or a wait.
    Ranked(u128, Cow<'a, str>),
    /// A text.
    Text(Cow<'a, str>),
    /// A text that ends with a line of the source, which says most of it. It is sorted among other texts.
    Place(Cow<'a, str>),
}

impl Ord for Value<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Value<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Value<'_> {}

impl<'a> Value<'a> {
    /// A text.
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A text that ends with a line of the source.
    pub fn place(text: &'a str) -> Self {
        Self::Place(Cow::Borrowed(text))
    }

    /// Where it stands among others.
    fn rank(&self) -> (u8, u128, &str) {
        match self {
            Self::Nothing => (0, 0, ""),
            Self::Number(number) => (1, *number, ""),
            Self::Ranked(rank, text) => (2, *rank, text),
            Self::Text(text) | Self::Place(text) => (3, 0, text),
        }
    }

    /// A number, if there is one.
    pub fn number(number: Option<impl Into<u128>>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number(number.into()))
    }

    /// A number of things.
    pub fn count(count: usize) -> Self {
        Self::Number(count as u128)
    }

    /// A duration, if there is one.
    pub fn time(time: Option<Duration>) -> Self {
        Self::number(time.map(|time| time.as_nanos()))
    }

    /// A share of something, from 0 to 1, or a number of cores.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is small and not negative")]
    pub fn share(share: f64) -> Self {
        Self::Number((share.max(0.0) * 1e6).round() as u128)
    }

    /// A number per second.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and not negative")]
    pub fn rate(rate: f64) -> Self {
        Self::Number((rate.max(0.0) * 1e3).round() as u128)
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Nothing => Value::Nothing,
            Self::Number(number) => Value::Number(number),
            Self::Ranked(rank, text) => Value::Ranked(rank, Cow::Owned(text.into_owned())),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Place(text) => Value::Place(Cow::Owned(text.into_owned())),
        }
    }

    /// How it is written.
    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    fn in_words(&self, kind: Kind) -> Cow<'_, str> {
        let number = match self {
            Self::Nothing => return Cow::Borrowed(""),
            Self::Ranked(_, text) | Self::Text(text) | Self::Place(text) => return Cow::Borrowed(text),
            Self::Number(number) => *number,
        };
        let small = u64::try_from(number).unwrap_or(u64::MAX);
        Cow::Owned(match kind {
            Kind::Text | Kind::Id => number.to_string(),
            Kind::Count => words::number(small),
            Kind::Time => words::duration(Duration::from_nanos(small)),
            Kind::Bytes => words::bytes(small),
            Kind::Share => words::percent(number as f64 / 1e6),
            Kind::Rate => words::decimal(number as f64 / 1e3),
        })
    }
}
