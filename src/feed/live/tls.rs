//! TLS to a target, and what is wrong with it as sentences for the user.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::feed::endpoint::Address;
use crate::words;

use super::probe::{Plain, speaks_without_tls};
use super::reason::{quote, shown};
use super::socket::within;
use super::tls_error::cause;

/// The protocol over TLS: HTTP/2.
const ALPN: &[u8] = b"h2";

/// What a handshake is made for.
pub(super) struct Peer<'a> {
    pub(super) address: &'a Address,
    pub(super) host: &'a str,
    /// File of the authorities that are trusted.
    pub(super) ca: Option<&'a Path>,
}

/// Makes the handshake over a connection.
///
/// # Errors
/// A sentence for the user.
pub(super) async fn secure(stream: TcpStream, peer: Peer<'_>, limit: Duration) -> Result<TlsStream<TcpStream>, String> {
    let at = shown(peer.address);
    let name = ServerName::try_from(peer.host.to_owned()).map_err(|_| {
        format!("`{}` is not a name that a certificate can be for. Use the full host name.", quote(peer.host))
    })?;
    let end = stream.peer_addr();
    let ca = peer.ca.map(Path::to_owned);
    // The store of the system is many files.
    let config = spawn_blocking(move || config(ca.as_deref()));
    let config = config.await.map_err(|_| format!("The certificate authorities for {at} could not be read."))??;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    match within(limit, handshake).await {
        Ok(stream) => Ok(stream),
        Err(error) => {
            let plain = match end {
                Ok(end) if may_be_plain(&error) => speaks_without_tls(end).await,
                _ => None,
            };
            Err(plain.map_or_else(|| failed(&peer, &error, limit), |plain| is_plain(&peer, plain)))
        }
    }
}

/// How many of the names in a certificate are listed.
const LISTED: usize = 4;

/// The version of TLS, in words.
pub(super) fn version(stream: &TlsStream<TcpStream>) -> &'static str {
    match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    }
}

/// What is trusted: these authorities, or those of the system.
///
/// # Errors
/// A sentence for the user.
pub(super) fn config(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => of_file(path)?.into_iter().try_for_each(|certificate| {
            let invalid = |error| format!("The file {} holds an invalid certificate ({error}).", path.display());
            roots.add(certificate).map_err(invalid)
        })?,
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() {
        return Err(
            "This system has no certificate authorities to trust. Install its package of them, usually called \
                    `ca-certificates`, or pass that of the service with --ca FILE."
                .to_owned(),
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS is not available ({error})."))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = std::fs::read(path)
        .map_err(|error| format!("The certificate authorities in {} cannot be read: {error}.", path.display()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(format!("The file {} holds no certificate in PEM (-----BEGIN CERTIFICATE-----).", path.display())),
    }
}

/// Whether a handshake may have failed because the other end expects none.
fn may_be_plain(error: &io::Error) -> bool {
    match cause(error) {
        Some(rustls::Error::InvalidMessage(_)) => true,
        Some(_) => false,
        None => matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::TimedOut),
    }
}

fn is_plain(peer: &Peer<'_>, plain: Plain) -> String {
    let at = shown(peer.address);
    match (plain, peer.address) {
        (Plain::Http2, Address::Tls { host, port }) => {
            let without = Address::Tcp { host: host.clone(), port: *port };
            format!("{at} speaks HTTP/2 without TLS, as console-subscriber does. Use {}.", shown(&without))
        }
        (Plain::Http2 | Plain::Http1, _) => format!(
            "A web server (HTTP/1) answers at {at} without TLS. Attach to the port at which the console feed is served behind TLS, or to \
             that of console-subscriber itself with http://."
        ),
    }
}

/// Why a handshake has failed.
fn failed(peer: &Peer<'_>, error: &io::Error, limit: Duration) -> String {
    let at = shown(peer.address);
    match cause(error) {
        Some(rustls::Error::InvalidCertificate(fault)) => untrusted(peer, fault),
        Some(rustls::Error::AlertReceived(alert)) => refused(&at, *alert),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("{at} does not answer in TLS. If the console feed is served there as it is, use http://.")
        }
        Some(rustls::Error::PeerIncompatible(why)) => {
            format!(
                "{at} and tokio-canary have no version or cipher of TLS in common ({why:?}). TLS 1.2 or 1.3 is needed."
            )
        }
        _ if error.kind() == ErrorKind::TimedOut => format!(
            "{at} accepted the connection and did not answer the TLS handshake within {}. Check that TLS is served there, and that the \
             process is not stopped.",
            words::limit(limit)
        ),
        _ if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => format!(
            "{at} closed the connection during the TLS handshake. Check that TLS is served there under the name `{}`.",
            quote(peer.host)
        ),
        _ => format!(
            "The TLS handshake with {at} failed ({}). Check the network to it, and the log of that server.",
            quote(&error.to_string())
        ),
    }
}

fn untrusted(peer: &Peer<'_>, fault: &CertificateError) -> String {
    let certificate = format!("The certificate of {}", shown(peer.address));
    match fault {
        // An authority that was made anew under its old name has another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => match peer.ca {
            Some(path) => format!(
                "{certificate} is not signed by an authority in {}. Check that the file holds the one that has signed it, or signed an \
                 intermediate that the server leaves out.",
                quote(&path.display().to_string())
            ),
            None => format!(
                "{certificate} is signed by an authority that this system does not trust. Pass that authority's certificate with --ca FILE."
            ),
        },
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "{certificate} expired at {}. Renew it on the server, or check the clock of this machine.",
            moment(*not_after)
        ),
        CertificateError::Expired => {
            format!("{certificate} has expired. Renew it on the server, or check the clock of this machine.")
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "{certificate} is valid only from {} on. Check the clock of this machine, and of the one that issued it.",
            moment(*not_before)
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = presented.iter().take(LISTED).map(|name| quote(bare(name))).collect::<Vec<_>>();
            let for_whom = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!(
                "{certificate} is for {for_whom}, not for `{}`. Attach by a name that it is for, or have it issued for this one too.",
                quote(peer.host)
            )
        }
        CertificateError::NotValidForName => format!(
            "{certificate} is not for `{}`. Attach by a name that it is for, or have it issued for this one too.",
            quote(peer.host)
        ),
        other => {
            let why = format!("{other:?}");
            let hint = if why.contains("CaUsedAsEndEntity") {
                "It is that of an authority itself (CA:TRUE); the server needs one of its own, signed by that authority."
            } else {
                "Have a new one issued for the server."
            };
            format!("{certificate} is not valid ({}). {hint}", quote(&why))
        }
    }
}

pub(super) fn refused(at: &str, alert: AlertDescription) -> String {
    let (why, remedy) = match alert {
        AlertDescription::NoApplicationProtocol => (
            "it does not offer HTTP/2 (ALPN h2)",
            "gRPC needs it from end to end: turn it on in the proxy, or attach to console-subscriber by a tunnel",
        ),
        AlertDescription::CertificateRequired | AlertDescription::BadCertificate => (
            "it demands a certificate of the client",
            "tokio-canary has none: attach by a tunnel that does, or from inside with http://",
        ),
        AlertDescription::UnrecognisedName => ("it does not know this name", "Attach by a name that it serves"),
        AlertDescription::ProtocolVersion => ("it speaks neither TLS 1.2 nor 1.3", "Update it, or attach by a tunnel"),
        _ => ("it refuses the handshake", "Check the log of that server"),
    };
    let begins = remedy.chars().next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let rest = remedy.chars().skip(1).collect::<String>();
    format!("The TLS handshake with {at} failed: {why} (alert {alert:?}). {begins}{rest}.")
}

fn moment(time: UnixTime) -> String {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    at.map_or_else(|| "an impossible time".to_owned(), |at| humantime::format_rfc3339_seconds(at).to_string())
}

/// A name without the kind that rustls writes around it, as in `DnsName("canary.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}
