//! The language of filters: plain words, and terms that name a column, each of which a row has to match.

use std::fmt;

use super::columns::{Column, Kind, Spec, Value};

/// What a list is filtered by.
#[derive(Debug, Clone, PartialEq)]
pub struct Query<C> {
    terms: Vec<Term<C>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Term<C> {
    is_inverse: bool,
    test: Test<C>,
}

/// What a term asks of a row.
#[derive(Debug, Clone, PartialEq)]
enum Test<C> {
    /// A part of any of its texts, in lower case; numbers are looked at only if the part has a digit.
    Anywhere(String),
    /// A part of the text of a column, in lower case.
    Contains(C, String),
    /// Nothing.
    IsEmpty(C),
    /// Exactly this number.
    Is(C, u128),
    /// A number above this one.
    Above(C, u128),
    /// A number below this one.
    Below(C, u128),
}

/// Why a filter cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The term as typed.
    pub term: String,
    /// What is wrong with it, without the term.
    pub reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.term, self.reason)
    }
}

impl<C> Default for Query<C> {
    fn default() -> Self {
        Self { terms: Vec::new() }
    }
}

impl<C: Column> Query<C> {
    /// Reads a filter.
    ///
    /// # Errors
    /// The first term that is wrong.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let terms = split(text).into_iter().filter(|token| !token.is_empty()).map(|token| term(&token));
        Ok(Self { terms: terms.collect::<Result<_, _>>()? })
    }

    /// Whether every row matches.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether a row with these values matches every term. A value is asked for only if a term needs it.
    pub fn accepts<'a>(&self, value: impl Fn(C) -> Value<'a>) -> bool {
        self.terms.iter().all(|term| term.test.holds(&value) != term.is_inverse)
    }
}

impl<C: Column> Test<C> {
    fn holds<'a>(&self, value: &impl Fn(C) -> Value<'a>) -> bool {
        let contains = |column: C, part: &str| has_part(&column.in_words(&value(column)), part);
        match self {
            Self::Anywhere(part) => {
                let has_digit = part.bytes().any(|it| it.is_ascii_digit());
                let searched = |spec: &&Spec<C>| has_digit || !spec.kind.is_number();
                C::SPECS.iter().filter(searched).any(|spec| contains(spec.id, part))
            }
            Self::Contains(column, part) => contains(*column, part),
            Self::IsEmpty(column) => column.in_words(&value(*column)).is_empty(),
            Self::Is(column, wanted) => number(&value(*column)) == Some(*wanted),
            Self::Above(column, limit) => number(&value(*column)).is_some_and(|it| it > *limit),
            Self::Below(column, limit) => number(&value(*column)).is_some_and(|it| it < *limit),
        }
    }
}

fn number(value: &Value<'_>) -> Option<u128> {
    match value {
        Value::Nothing | Value::Text(_) | Value::Place(_) => None,
        Value::Number(number) | Value::Ranked(number, _) => Some(*number),
    }
}

/// Whether a text contains a part that is in lower case. Case does not matter for ASCII letters.
fn has_part(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// A term as typed, and without its quotes: where those stood, no character has a meaning.
#[derive(Debug, Default)]
struct Token {
    typed: String,
    /// Each character, and whether it was in quotes.
    characters: Vec<(char, bool)>,
}

impl Token {
    fn is_empty(&self) -> bool {
        self.typed.is_empty()
    }
}

/// The terms of a text. Quotes keep spaces together; a backslash in them takes the next character as it is. A quote that is not closed yet
/// reaches to the end.
fn split(text: &str) -> Vec<Token> {
    let mut tokens = vec![Token::default()];
    let (mut in_quotes, mut escaped) = (false, false);
    for character in text.chars() {
        if !in_quotes && character.is_whitespace() {
            tokens.push(Token::default());
            continue;
        }
        let Some(token) = tokens.last_mut() else { continue };
        token.typed.push(character);
        match character {
            '\\' if in_quotes && !escaped => escaped = true,
            '"' if !escaped => in_quotes = !in_quotes,
            _ => {
                token.characters.push((character, in_quotes));
                escaped = false;
            }
        }
    }
    tokens
}

/// A text as a term of a filter that means just this text.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn term<C: Column>(token: &Token) -> Result<Term<C>, Mistake> {
    let mistake = |reason: String| Mistake { term: token.typed.clone(), reason };
    let mut characters = token.characters.as_slice();
    let is_inverse = matches!(characters, [('-' | '!', false), ..]) && token.characters.len() > 1;
    if is_inverse {
        characters = &characters[1..];
    }
    let text = |part: &[(char, bool)]| part.iter().map(|(it, _)| *it).collect::<String>();
    let test = match characters.iter().position(|(it, quoted)| !quoted && matches!(it, ':' | '=' | '<' | '>')) {
        Some(at) if names_a_column(&characters[..at], &characters[at + 1..]) => {
            let name = text(&characters[..at]);
            let spec = C::SPECS.iter().find(|spec| spec.term == name);
            let spec = spec.ok_or_else(|| mistake(unknown::<C>(&name)))?;
            if token.typed.ends_with("\"\"") && at + 1 == characters.len() {
                Test::IsEmpty(spec.id)
            } else {
                typed(spec, characters[at].0, &text(&characters[at + 1..])).map_err(mistake)?
            }
        }
        _ => Test::Anywhere(text(characters).to_ascii_lowercase()),
    };
    Ok(Term { is_inverse, test })
}

/// Whether what stands before an operator is meant as a term: `Mutex::lock`, `src/bank.rs:41` and `http://x` are words.
fn names_a_column(name: &[(char, bool)], rest: &[(char, bool)]) -> bool {
    let is_name = !name.is_empty() && name.iter().all(|(it, quoted)| !quoted && it.is_ascii_lowercase());
    is_name && !matches!(rest, [(':' | '/', false), ..])
}

fn unknown<C: Column>(name: &str) -> String {
    let known: Vec<&str> = C::SPECS.iter().map(|spec| spec.term).collect();
    format!("no column is called {name:?} here; there are {}", known.join(", "))
}

fn typed<C: Column>(spec: &Spec<C>, operator: char, value: &str) -> Result<Test<C>, String> {
    let (term, example) = (spec.term, example(spec.kind));
    if value.is_empty() {
        return Err(format!("a value is missing, such as {term}{example}"));
    }
    match (spec.kind, operator) {
        (Kind::Text, ':' | '=') => Ok(Test::Contains(spec.id, value.to_ascii_lowercase())),
        (Kind::Id, ':' | '=') => match value.parse() {
            Ok(number) => Ok(Test::Is(spec.id, number)),
            Err(_) => Err(format!("not a number, such as {term}{example}")),
        },
        (Kind::Text, _) => Err(format!("{term} is text, which is neither more nor less: write {term}:{value}")),
        (Kind::Id, _) => Err(format!("{term} is a name, which is neither more nor less: write {term}:{value}")),
        (kind, operator) => {
            let number = parse_number(kind, value);
            let number = number.ok_or_else(|| format!("not a {}, such as {term}{example}", noun(kind)))?;
            match operator {
                '>' => Ok(Test::Above(spec.id, number)),
                '<' => Ok(Test::Below(spec.id, number)),
                _ if kind == Kind::Count => Ok(Test::Is(spec.id, number)),
                _ => Err(format!("{term} is a {}: write {term}>{value} or {term}<{value}", noun(kind))),
            }
        }
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Id | Kind::Count => "number",
        Kind::Time => "duration",
        Kind::Bytes => "size",
        Kind::Share => "share",
        Kind::Rate => "rate",
    }
}

/// What may follow a term of this kind.
pub fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => ":text",
        Kind::Id => ":7",
        Kind::Count => ">1k",
        Kind::Time => ">30s",
        Kind::Bytes => ">4k",
        Kind::Share => ">50%",
        Kind::Rate => ">2.5",
    }
}

fn parse_number(kind: Kind, text: &str) -> Option<u128> {
    let scaled = |factor: f64, text: &str| scale(text.parse().ok()?, factor);
    match kind {
        Kind::Text | Kind::Id => None,
        Kind::Time => parse_time(text),
        Kind::Share => scaled(1e4, text.strip_suffix('%').unwrap_or(text).trim_end()),
        Kind::Count | Kind::Bytes | Kind::Rate => {
            let text = text.strip_suffix('B').filter(|_| kind == Kind::Bytes).unwrap_or(text);
            let thousandths = if kind == Kind::Rate { 1e3 } else { 1.0 };
            let units = [('k', 1e3), ('M', 1e6), ('G', 1e9)];
            let unit = units.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
            let (number, factor) = unit.unwrap_or((text, 1.0));
            scaled(factor * thousandths, number)
        }
    }
}

/// A duration such as `30s`, `1.5ms` or `4m10s`; a number alone is in seconds.
fn parse_time(text: &str) -> Option<u128> {
    let mut rest = text;
    let mut sum: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let unit = &after[..after.find(|it: char| it.is_ascii_digit()).unwrap_or(after.len())];
        let factor = match unit.trim() {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "" if number.len() == text.len() => 1e9,
            "m" | "min" => 60e9,
            "h" => 3_600e9,
            "d" => 86_400e9,
            _ => return None,
        };
        sum = sum.checked_add(scale(number.parse().ok()?, factor)?)?;
        rest = &after[unit.len()..];
    }
    Some(sum)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be finite and not negative")]
fn scale(number: f64, factor: f64) -> Option<u128> {
    let scaled = number * factor;
    (scaled.is_finite() && scaled >= 0.0).then(|| scaled.round() as u128)
}

#[cfg(test)]
mod tests {
    use super::super::columns::column;
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Of {
        State,
        Id,
        Name,
        Age,
        Polls,
        Size,
        Busy,
        Rate,
    }

    impl Column for Of {
        const SPECS: &'static [Spec<Self>] = &[
            column(Self::State, "state", "state", Kind::Text, "what it does"),
            column(Self::Id, "id", "id", Kind::Id, "its number"),
            column(Self::Name, "name", "name", Kind::Text, "its name"),
            column(Self::Age, "age", "age", Kind::Time, "its age"),
            column(Self::Polls, "polls", "polls", Kind::Count, "its polls"),
            column(Self::Size, "size", "size", Kind::Bytes, "its size"),
            column(Self::Busy, "busy", "busy", Kind::Share, "its share"),
            column(Self::Rate, "rate", "rate", Kind::Rate, "its rate"),
        ];
    }

    fn value(column: Of) -> Value<'static> {
        match column {
            Of::State => Value::Ranked(2, "idle".into()),
            Of::Id => Value::Number(41),
            Of::Name => Value::text("Transfer money (src/bank.rs:41:9)"),
            Of::Age => Value::Number(70_000_000_000),
            Of::Polls => Value::Number(1_500),
            Of::Size => Value::Number(2_048),
            Of::Busy => Value::share(0.25),
            Of::Rate => Value::rate(2.5),
        }
    }

    fn accepts(text: &str) -> bool {
        Query::<Of>::parse(text).unwrap_or_else(|mistake| panic!("{mistake}")).accepts(value)
    }

    #[test]
    fn every_term_has_to_match() {
        for text in [
            "",
            "  ",
            "transfer",
            "MONEY idle",
            "bank.rs:41",
            "state:idle",
            "state:IDL name:\"transfer money\"",
            "\"money (src\"",
            "-resize",
            "!state:running",
            "-\"transfer audit\"",
            "id:41",
            "age>30s age<2m",
            "age>1m5s",
            "age>60",
            "polls>1k polls<1.6k polls:1500",
            "size>2k size<2.1kB",
            "busy>20% busy<26",
            "rate>2 rate<2.51",
            "1m",
            "2.5",
            "name:src/bank.rs:41",
            "-name:\"\"",
        ] {
            assert!(accepts(text), "{text}");
        }
        for text in [
            "transfer resize",
            "state:running",
            "-transfer",
            "!state:idle",
            "id:4",
            "age<30s",
            "age>4m10s",
            "polls>1.5k",
            "size>1M",
            "busy>50%",
            "rate>3",
            "\"money  (src\"",
            "name:idle",
            "Vec<u8>",
            "Mutex::lock",
            "http://x",
            "src/main.rs:41",
            "name:\"\"",
        ] {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn letters_alone_are_not_looked_for_in_numbers() {
        assert!(!accepts("kB") && accepts("\"2 kB\""));
    }

    #[test]
    fn what_is_quoted_means_itself() {
        let hostile = "a \"b\\c\" -d:e";
        let query = Query::<Of>::parse(&format!("name:{}", quoted(hostile))).expect("it is quoted");
        let named = |column| if column == Of::Name { Value::text(hostile) } else { value(column) };
        assert!(query.accepts(named) && !query.accepts(value));
        assert!(accepts("-\"state:running\"") && !accepts("\"state:idle\""));
    }

    #[test]
    fn a_mistake_says_what_to_write_instead() {
        for (text, reason) in [
            ("stat:idle", "no column is called \"stat\" here; there are state, id, name, age, polls, size, busy, rate"),
            ("idle state:", "a value is missing, such as state:text"),
            ("age>soon", "not a duration, such as age>30s"),
            ("age>3x", "not a duration, such as age>30s"),
            ("age>1..2s", "not a duration, such as age>30s"),
            ("age:30s", "age is a duration: write age>30s or age<30s"),
            ("name>x", "name is text, which is neither more nor less: write name:x"),
            ("id>3", "id is a name, which is neither more nor less: write id:3"),
            ("id:x", "not a number, such as id:7"),
            ("polls>many", "not a number, such as polls>1k"),
            ("polls>-3", "not a number, such as polls>1k"),
            ("size>inf", "not a size, such as size>4k"),
        ] {
            let mistake = Query::<Of>::parse(text).expect_err(text);
            assert_eq!(mistake.reason, reason, "{text}");
            assert!(text.ends_with(&mistake.term), "{text}");
        }
    }

    #[test]
    fn every_example_is_understood() {
        for spec in Of::SPECS {
            let text = format!("{}{}", spec.term, example(spec.kind));
            assert!(Query::<Of>::parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn no_text_is_too_strange() {
        for text in
            ["\"", "\\", "-", "!", "--", "-\"", "\"\\", ":", ">", "a:\"", "age>\"", "ä:ö", "\u{1b}[2J", "!!state:x"]
        {
            drop(Query::<Of>::parse(text));
        }
    }
}
