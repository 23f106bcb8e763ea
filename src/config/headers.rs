//! Headers as an option: a list of names and of the places where their values are.

use crate::detect::settings::{Given, Type, Value};
use crate::feed::access::Header;

/// Headers that are sent to running services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers(pub Vec<Header>);

impl Headers {
    fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let headers: Vec<Header> =
            texts.map(str::trim).filter(|text| !text.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        if headers.is_empty() { Err("the list of headers is empty".to_owned()) } else { Ok(Self(headers)) }
    }

    fn texts(&self) -> Vec<String> {
        self.0.iter().map(Header::to_string).collect()
    }
}

impl Type for Headers {
    fn parse(text: &str) -> Result<Self, String> {
        Self::of(text.split(','))
    }

    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Text(text) => Self::parse(text),
            Given::Bare(_) => Err("takes a list of headers, like [\"authorization=@/run/secrets/token\"]".to_owned()),
            Given::List(texts) => Self::of(texts.iter().map(String::as_str)),
        }
    }

    fn written(&self) -> String {
        self.texts().join(",")
    }

    fn erase(self) -> Value {
        Value::Names(self.texts())
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Names(texts) => Self::of(texts.iter().map(String::as_str)).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_back_as_they_are_written_and_a_value_is_not_repeated() {
        let headers = Headers::parse("authorization=@/run/token, x-key=env:KEY").expect("right");
        assert_eq!(headers.written(), "authorization=@/run/token,x-key=env:KEY");
        assert_eq!(Headers::parse(&headers.written()), Ok(headers.clone()));
        assert_eq!(Headers::from_value(&headers.clone().erase()), Some(headers));
        for wrong in ["", "authorization=hunter2", "hunter2"] {
            assert!(Headers::parse(wrong).is_err_and(|error| !error.contains("hunter2")), "{wrong}");
        }
        let list = Given::List(vec!["a=@with,comma".to_owned()]);
        assert_eq!(Headers::read(&list).map(|it| it.0.len()), Ok(1));
    }
}
