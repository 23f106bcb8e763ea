//! What gets a client past the guards of a running service: whom it trusts, and the headers it shows.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tonic::codegen::http::HeaderName;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};

use crate::secret::Secret;

/// How a header is written. What was given is never repeated: it may be the secret itself.
const FORM: &str = "a header is written NAME=@FILE or NAME=env:VARIABLE";

/// Headers that the connection sets itself.
const TAKEN: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// How to get past what guards a running service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// File of the certificate authorities (PEM) that are trusted instead of those of the system.
    pub ca: Option<PathBuf>,
    /// What is sent with every call.
    pub headers: Vec<Header>,
}

/// A header whose value is a secret, known by its place only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: Secret,
}

impl Access {
    /// The headers with their values, which are read anew: they may have been replaced.
    ///
    /// # Errors
    /// A sentence about a value that is not there or cannot be sent. No value is in it.
    pub(super) fn metadata(&self) -> Result<Vec<(AsciiMetadataKey, AsciiMetadataValue)>, String> {
        self.headers.iter().map(Header::read).collect()
    }

    /// Looks whether every header has a value that can be sent.
    ///
    /// # Errors
    /// As above. A pipe can be read only once, and is left alone.
    pub fn check(&self) -> Result<(), String> {
        let is_pipe = |header: &&Header| match &header.value {
            Secret::File(path) => path.metadata().is_ok_and(|it| !it.is_file()),
            Secret::Variable(_) => false,
        };
        self.headers.iter().filter(|header| !is_pipe(header)).try_for_each(|header| header.read().map(drop))
    }
}

impl Header {
    fn read(&self) -> Result<(AsciiMetadataKey, AsciiMetadataValue), String> {
        let unsendable = |why: &str| {
            format!("The header `{}` cannot be sent: {why}. Correct that, or leave the header out.", self.name)
        };
        let name = AsciiMetadataKey::from_bytes(self.name.as_bytes()).map_err(|_| unsendable("its name is invalid"))?;
        let value = self.value.read().map_err(|why| unsendable(&why))?;
        let mut value = AsciiMetadataValue::try_from(value)
            .map_err(|_| unsendable(&format!("{} holds line breaks or non-ASCII characters", self.value)))?;
        // No log shows it, and no proxy on the way may keep it for compression.
        value.set_sensitive(true);
        Ok((name, value))
    }
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, place) = text.split_once('=').ok_or(FORM)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| FORM)?;
        let value = match (place.trim().strip_prefix('@'), place.trim().strip_prefix("env:")) {
            (Some(path), _) if !path.is_empty() => Secret::File(path.into()),
            (_, Some(variable)) if !variable.is_empty() => Secret::Variable(variable.to_owned()),
            _ => return Err(format!("the value itself does not belong here, where others can read it; {FORM}")),
        };
        let name = name.as_str();
        if TAKEN.contains(&name) || name.starts_with("grpc-") {
            return Err(format!("the connection sets the header `{name}` itself"));
        }
        if name.ends_with("-bin") {
            return Err(format!("`{name}` is a binary header of gRPC, and only text can be sent"));
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Secret::File(path) => write!(f, "{}=@{}", self.name, path.display()),
            Secret::Variable(variable) => write!(f, "{}=env:{variable}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_the_place_of_its_value() {
        for text in ["authorization=@/run/secrets/token", "x-api-key=env:API_KEY"] {
            assert_eq!(text.parse::<Header>().map(|header| header.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("X-Key = @key ".parse::<Header>().map(|it| it.to_string()), Ok("x-key=@key".to_owned()));
    }

    #[test]
    fn a_value_in_its_place_is_refused_and_never_repeated() {
        for text in [
            "authorization=Bearer hunter2",
            "Authorization: Bearer hunter2",
            "hunter2=",
            "hunter2",
            "a b=@hunter2",
            "x=@",
        ] {
            let error = text.parse::<Header>().expect_err("a literal");
            assert!(!error.contains("hunter2") && error.contains("NAME=@FILE"), "{error}");
        }
        for (text, says) in [("grpc-timeout=@a", "itself"), ("TE=@a", "itself"), ("x-bin=@a", "only text")] {
            assert!(text.parse::<Header>().is_err_and(|error| error.contains(says)), "{text}");
        }
    }

    #[test]
    fn a_value_is_read_when_it_is_needed_and_is_in_no_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let header: Header = format!("authorization=@{}", path.display()).parse().expect("right");
        let access = Access { ca: None, headers: vec![header] };
        assert!(
            access.check().is_err_and(|error| error.starts_with("The header `authorization` cannot be sent: the file"))
        );
        for token in ["Bearer one\n", "Bearer two\n"] {
            std::fs::write(&path, token).expect("it can be written");
            let metadata = access.metadata().expect("a value");
            assert_eq!(metadata[0].1.as_bytes(), token.trim_end().as_bytes());
            assert!(!format!("{metadata:?}").contains("Bearer"), "{metadata:?}");
        }
        std::fs::write(&path, "hunter2\nx").expect("it can be written");
        assert!(access.check().is_err_and(|error| !error.contains("hunter2") && error.contains("line breaks")));
    }
}
