//! Where an HTTP endpoint is. A URL holds no password, and of one that is a secret itself only the host is ever shown.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::secret::Secret;

/// An `http` or `https` URL without a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(Uri);

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Known to everybody.
    Plain(Url),
    /// A URL that lets in whoever knows it.
    Hidden(Secret),
}

impl Address {
    /// The URL.
    ///
    /// # Errors
    /// A sentence about where it should be.
    pub fn url(&self) -> Result<Url, String> {
        match self {
            Self::Plain(url) => Ok(url.clone()),
            // What is wrong with it could show it.
            Self::Hidden(secret) => secret.read()?.parse().map_err(|_| format!("{secret} does not hold a URL")),
        }
    }
}

impl Url {
    /// The host, and the port if there is one: all that messages say of it.
    pub fn host(&self) -> &str {
        self.0.authority().map_or("", |it| it.as_str())
    }

    /// The URL of something below this one.
    #[must_use]
    pub fn below(&self, path: &str) -> String {
        format!("{}/{path}", self.to_string().trim_end_matches('/'))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // Checked first: no message may repeat what stands before the `@`.
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("a URL here has no user or password; put them into a file or a variable, with \
                        `username` and `password-file`, or `bearer-token-file`"
                .to_owned());
        }
        let uri = text.parse::<Uri>().ok().filter(|uri| uri.authority().is_some());
        let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
        uri.filter(is_http)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a URL; write it like http://localhost:9093 or https://host/path"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_and_has_no_user() {
        let url: Url = "http://am:9093/prefix/".parse().expect("right");
        assert_eq!((url.host(), url.below("api/v2/alerts")), ("am:9093", "http://am:9093/prefix/api/v2/alerts".into()));
        for wrong in ["am:9093", "am", "", "ftp://am", "unix:/a", "http://", "http:///a", "http://a b"] {
            assert!(wrong.parse::<Url>().is_err_and(|error| error.contains("is not a URL")), "{wrong}");
        }
        for wrong in ["http://me:hunter2@am:9093", "https://hunter2@am/", "me:hunter2@am"] {
            assert!(wrong.parse::<Url>().is_err_and(|it| !it.contains("hunter2") && it.contains("-file")), "{wrong}");
        }
        assert!("https://am/@a".parse::<Url>().is_ok());
    }
}
