//! HTTP to receivers: one request at a time, with a limit for everything, and no redirects.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine};
use ureq::http::header::RETRY_AFTER;
use ureq::http::{HeaderMap, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};

use super::attempt::{Attempt, Ending};
use crate::config::receiver::{Credentials, Endpoint};
use crate::words;

/// How long a request may take, with everything that belongs to it.
const LIMIT: Duration = Duration::from_secs(5);
/// The most bytes that the head of an answer may have. Its body is not read.
const MOST_HEAD: usize = 16 * 1024;

/// Sends requests to an endpoint.
pub(super) struct Client {
    agent: Agent,
    endpoint: Endpoint,
    path: Option<&'static str>,
    ending: Ending,
}

impl Client {
    /// Prepares what does not change, and looks whether the secrets are there; `path` is below the URL of the endpoint.
    ///
    /// # Errors
    /// A sentence about what is missing.
    pub(super) fn open(endpoint: &Endpoint, path: Option<&'static str>, ending: Ending) -> Result<Self, String> {
        let url = endpoint.address.url()?;
        authorization(endpoint)?;
        let is_encrypted = url.to_string().starts_with("https:");
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // What is meant for one host goes to no other.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MOST_HEAD)
            .user_agent(concat!("tokio-canary/", env!("CARGO_PKG_VERSION")));
        if is_encrypted {
            config = config.tls_config(tls(endpoint.ca_file.as_deref())?);
        }
        Ok(Self { agent: config.build().into(), endpoint: endpoint.clone(), path, ending })
    }

    /// Sends JSON; `lost` is how many alerts are lost if it is refused.
    pub(super) fn post(&self, body: &[u8], headers: &[(&str, String)], lost: u64) -> Attempt {
        let (url, authorization) =
            match self.endpoint.address.url().and_then(|url| Ok((url, authorization(&self.endpoint)?))) {
                Ok(known) => known,
                Err(why) => return Attempt::Retry { why: format!("cannot be called: {why}"), after: None },
            };
        let url = self.path.map_or_else(|| url.to_string(), |path| url.below(path));
        let limit = self.ending.within(LIMIT);
        let request = self.agent.post(url).config().timeout_global(Some(limit)).build();
        let request = request.content_type("application/json");
        let request = authorization.iter().fold(request, |it, value| it.header("Authorization", value));
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, value));
        match request.send(body) {
            Ok(answer) => judge(answer.status(), answer.headers(), lost),
            Err(error) => Attempt::Retry { why: failure(error, limit), after: None },
        }
    }
}

/// What an answer means. Its body is not shown: it could repeat what we sent.
fn judge(status: StatusCode, headers: &HeaderMap, lost: u64) -> Attempt {
    let is_busy = matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error();
    if status.is_success() {
        Attempt::Delivered
    } else if is_busy {
        Attempt::Retry { why: format!("answered {status}"), after: retry_after(headers) }
    } else if status.is_redirection() {
        let why = format!("answered {status}, and redirects are not followed; configure the URL that it leads to");
        Attempt::Refused { why, lost }
    } else {
        Attempt::Refused { why: format!("refused alerts with {status}"), lost }
    }
}

/// The pause that an answer asks for, as seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let date = || httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok();
    text.parse().map(Duration::from_secs).ok().or_else(date)
}

/// Why a request has failed, without the URL, which may be a secret.
fn failure(error: Error, limit: Duration) -> String {
    match error {
        Error::Timeout(_) => format!("did not answer within {}", words::limit(limit)),
        Error::HostNotFound => "could not be resolved".to_owned(),
        Error::Io(error) if error.get_ref().is_some_and(|it| it.is::<rustls::Error>()) => {
            format!("is not trusted: {error}")
        }
        Error::Rustls(error) => format!("is not trusted: {error}"),
        Error::Io(error) if is_cut(error.kind()) => format!("broke off: {error}"),
        Error::Io(error) => format!("could not be reached: {error}"),
        Error::BadUri(_) | Error::Http(_) => "could not be called: invalid URL or header".to_owned(),
        Error::ConnectionFailed => "could not be reached".to_owned(),
        error => format!("broke off: {error}"),
    }
}

/// Whether somebody was there, but left.
fn is_cut(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn authorization(endpoint: &Endpoint) -> Result<Option<String>, String> {
    let value = match &endpoint.credentials {
        None => return Ok(None),
        Some(Credentials::Bearer(token)) => format!("Bearer {}", visible(&token.read()?).ok_or_else(|| unfit(token))?),
        Some(Credentials::Basic { username, password }) => {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{}", password.read()?)))
        }
    };
    Ok(Some(value))
}

fn visible(token: &str) -> Option<&str> {
    token.bytes().all(|byte| byte.is_ascii_graphic()).then_some(token)
}

fn unfit(place: &impl std::fmt::Display) -> String {
    format!("{place} does not hold a token: it contains spaces, line breaks or non-ASCII characters")
}

/// Trusts these authorities, or those of the system.
fn tls(ca_file: Option<&Path>) -> Result<TlsConfig, String> {
    let certificates = match ca_file {
        Some(path) => of_file(path)?,
        None => rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned())
            .collect(),
    };
    if certificates.is_empty() {
        let place = ca_file.map_or_else(|| "the system's store".to_owned(), |path| path.display().to_string());
        return Err(format!(
            "there is no certificate in {place}, so no `https` receiver can be trusted; give a `ca-file`"
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    Ok(config.root_certs(RootCerts::new_with_certs(&certificates)).build())
}

fn of_file(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("the file {} cannot be read: {error}", path.display());
    let text = fs::read(path).map_err(|error| wrong(&error))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(&error))? {
            certificates.push(certificate);
        }
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_tried_again_or_lost() {
        let judged = |status: u16, after: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().expect("a header"));
            judge(StatusCode::from_u16(status).expect("a status"), &headers, 3)
        };
        assert_eq!(judged(202, "9"), Attempt::Delivered);
        for busy in [408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(judged(busy, "9"), Attempt::Retry { after: Some(it), .. } if it.as_secs() == 9), "{busy}");
        }
        for no in [301, 302, 307, 308, 400, 401, 403, 404, 413] {
            assert!(matches!(judged(no, "9"), Attempt::Refused { lost: 3, .. }), "{no}");
        }
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60 * 60));
        assert!(matches!(judged(503, &date), Attempt::Retry { after: Some(it), .. } if it > LIMIT));
        for nothing in ["soon", "-1", "Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert!(matches!(judged(503, nothing), Attempt::Retry { after: None, .. }), "{nothing}");
        }
    }
}
