//! What a target is called on the command line.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::pod_target::PodTarget;

/// The port console-subscriber serves on unless configured otherwise.
pub const DEFAULT_PORT: u16 = 6669;

/// The port of `https://`, where proxies serve.
const HTTPS_PORT: u16 = 443;

/// The target when none is named, as text.
pub const DEFAULT_TARGET: &str = "http://127.0.0.1:6669";

/// The error for a pod in a build without the client of Kubernetes.
pub const WITHOUT_KUBERNETES: &str = "this build has no support for Kubernetes (feature `k8s`); run `kubectl port-forward POD 6669` and \
                                      attach to http://127.0.0.1:6669";

/// Whether this build reaches pods. What reaches them, and what stands in for it, hold at compile time that it says so.
pub(super) const REACHES_PODS: bool = cfg!(feature = "k8s");

/// How a recording's name ends.
pub const RECORDING_EXTENSION: &str = "mcap";

/// A service that runs now, or the recording of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A service to connect to.
    Live(Address),
    /// A file to play back.
    Recording(PathBuf),
}

/// Where a running service serves its console feed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// Plaintext HTTP/2 over TCP.
    Tcp {
        /// A host name, or an IP address without brackets.
        host: String,
        /// Never 0 when it comes from a text.
        port: u16,
    },
    /// HTTP/2 over TLS, behind a proxy that ends it: console-subscriber itself speaks plaintext.
    Tls {
        /// A host name, or an IP address without brackets.
        host: String,
        /// Never 0 when it comes from a text.
        port: u16,
    },
    /// Plaintext HTTP/2 over a Unix domain socket.
    Unix(PathBuf),
    /// Plaintext HTTP/2 to a port of a pod, through the API server of its cluster.
    Pod(Box<PodTarget>),
}

/// A text that is not a target; its message shows every form of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a target: {problem}.\n\
     A target is one of\n  \
       127.0.0.1:6669, [::1]:6669, localhost:6669   host and port\n  \
       http://localhost:6669                        the same; the port may be left out when it is 6669\n  \
       https://canary.example                       behind TLS; the port may be left out when it is 443\n  \
       unix:/run/app.sock, file:///run/app.sock     a Unix domain socket\n  \
       k8s://NAMESPACE/POD, k8s://NAMESPACE/deploy/NAME:6669\n  \
       deploy/NAME -n NAMESPACE, -l app=web          a pod of Kubernetes\n  \
       incident.mcap                                a recording"
)]
pub struct ParseTargetError {
    given: String,
    problem: String,
}

impl Default for Target {
    fn default() -> Self {
        Self::Live(Address::default())
    }
}

impl Default for Address {
    fn default() -> Self {
        Self::Tcp { host: "127.0.0.1".to_owned(), port: DEFAULT_PORT }
    }
}

impl Address {
    /// Whether what is sent there leaves this machine in the clear.
    pub fn is_in_the_clear(&self) -> bool {
        let Self::Tcp { host, .. } = self else { return false };
        let is_loopback = |ip: IpAddr| ip.is_loopback();
        !(host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(address) => address.fmt(f),
            // The folder distinguishes a file whose name looks like an address.
            Self::Recording(path) if scheme_of(&path.to_string_lossy()).is_some() => {
                write!(f, "./{}", path.display())
            }
            Self::Recording(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Tls { host, port } if host.contains(':') => write!(f, "https://[{host}]:{port}"),
            Self::Tls { host, port } => write!(f, "https://{host}:{port}"),
            Self::Unix(path) if path.to_string_lossy().starts_with("//") => {
                write!(f, "unix://{}", path.display())
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Pod(pod) => pod.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = ParseTargetError;

    /// Looks at the file system only to tell an existing file (a recording) from everything else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, REACHES_PODS)
            .map_err(|problem| ParseTargetError { given: text.escape_debug().to_string(), problem })
    }
}

fn parse(text: &str, reaches_pods: bool) -> Result<Target, String> {
    let pod = |target: Result<PodTarget, String>| match target {
        _ if !reaches_pods => Err(WITHOUT_KUBERNETES.to_owned()),
        target => target.map(|target| Target::Live(Address::Pod(Box::new(target)))),
    };
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if let Some((scheme, rest)) = scheme_of(text) {
        return match scheme.as_str() {
            "http" => of_url(rest, DEFAULT_PORT).map(|(host, port)| Target::Live(Address::Tcp { host, port })),
            "https" => of_url(rest, HTTPS_PORT).map(|(host, port)| Target::Live(Address::Tls { host, port })),
            "unix" => unix_of(rest).map(Target::Live),
            "file" => file_of(rest),
            "k8s" => pod(PodTarget::of_url(rest)),
            other => Err(format!("the scheme `{other}` is unknown")),
        };
    }
    let path = Path::new(text);
    if is_recording(path) {
        return Ok(Target::Recording(without_current_folder(path)));
    }
    if let Some(target) = PodTarget::of_kubectl(text) {
        return pod(target);
    }
    if text.contains('/') {
        return Err("there is no such file".to_owned());
    }
    authority(text, None).map(|(host, port)| Target::Live(Address::Tcp { host, port }))
}

/// The scheme in lower case and what follows its `://`; `unix:` needs no slashes. Any other `a:b` is a host with its port.
fn scheme_of(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let scheme = scheme.to_ascii_lowercase();
    match rest.strip_prefix("//") {
        Some(_) if is_scheme && scheme == "unix" => Some((scheme, rest)),
        Some(rest) if is_scheme => Some((scheme, rest)),
        None if scheme == "unix" => Some((scheme, rest)),
        _ => None,
    }
}

fn of_url(rest: &str, default_port: u16) -> Result<(String, u16), String> {
    let host_and_port = rest.strip_suffix('/').unwrap_or(rest);
    if host_and_port.contains(['/', '?', '#']) {
        return Err("nothing may follow the port: the console feed is served at the root".to_owned());
    }
    authority(host_and_port, Some(default_port))
}

fn unix_of(rest: &str) -> Result<Address, String> {
    let path = match rest.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some("") => "",
        Some(_) => {
            return Err("`unix://` is followed by an absolute path, as in unix:///run/app.sock".to_owned());
        }
        None => rest,
    };
    if path.is_empty() || path.contains('\0') {
        return Err("the path of the socket is missing".to_owned());
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

/// `file://` names a socket, as tokio-console's users know it, unless a recording is there.
fn file_of(rest: &str) -> Result<Target, String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("`file://` is followed by an absolute path, as in file:///run/app.sock".to_owned());
    }
    if is_recording(Path::new(path)) {
        return Ok(Target::Recording(PathBuf::from(path)));
    }
    unix_of(path).map(Target::Live)
}

fn authority(text: &str, default_port: Option<u16>) -> Result<(String, u16), String> {
    if text.contains('@') {
        return Err("user names and passwords are not supported".to_owned());
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or("the bracket of the IPv6 address is not closed")?;
            let host: Ipv6Addr = host.parse().map_err(|_| "the brackets do not contain an IPv6 address")?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(port),
                None if rest.is_empty() => None,
                None => return Err("only a colon and the port may follow the bracket".to_owned()),
            };
            (host.to_string(), port)
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address is written in brackets, as in [::1]:6669".to_owned());
            }
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    check_host(&host)?;
    let port = match (port, default_port) {
        (Some(port), _) => port_of(port)?,
        (None, Some(port)) => port,
        (None, None) if host.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(format!("a port needs its host, as in 127.0.0.1:{host}"));
        }
        (None, None) => {
            return Err(format!("there is no such file, and a host needs its port, as in {host}:{DEFAULT_PORT}"));
        }
    };
    Ok((host, port))
}

fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    // Colons are only left in an IPv6 address that has been parsed.
    match host.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.:".contains(*c))) {
        Some(c) => Err(format!("a host name cannot contain `{}`", c.escape_debug())),
        None => Ok(()),
    }
}

fn port_of(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(format!("`{}` is not a port (1 to 65535)", text.escape_debug())),
    }
}

fn is_recording(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case(RECORDING_EXTENSION)) || path.is_file()
}

fn without_current_folder(path: &Path) -> PathBuf {
    path.strip_prefix(".").unwrap_or(path).to_path_buf()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: &str, port: u16) -> Target {
        Target::Live(Address::Tcp { host: host.to_owned(), port })
    }

    fn tls(host: &str, port: u16) -> Target {
        Target::Live(Address::Tls { host: host.to_owned(), port })
    }

    fn unix(path: &str) -> Target {
        Target::Live(Address::Unix(PathBuf::from(path)))
    }

    #[test]
    fn every_documented_form_is_understood() {
        for (text, target) in [
            ("127.0.0.1:6669", tcp("127.0.0.1", 6669)),
            ("localhost:6669", tcp("localhost", 6669)),
            ("[::1]:6669", tcp("::1", 6669)),
            ("http://[::1]", tcp("::1", 6669)),
            ("http://localhost", tcp("localhost", 6669)),
            ("http://localhost/", tcp("localhost", 6669)),
            ("HTTP://my-host.example:80", tcp("my-host.example", 80)),
            ("https://canary.example", tls("canary.example", 443)),
            ("https://[::1]:6669/", tls("::1", 6669)),
            ("unix:/run/app.sock", unix("/run/app.sock")),
            ("unix:///run/app.sock", unix("/run/app.sock")),
            ("unix:app.sock", unix("app.sock")),
            ("file:///run/app.sock", unix("/run/app.sock")),
            ("file://localhost/run/app.sock", unix("/run/app.sock")),
            ("incident.mcap", Target::Recording("incident.mcap".into())),
            ("/tmp/INCIDENT.MCAP", Target::Recording("/tmp/INCIDENT.MCAP".into())),
            ("file:///tmp/incident.mcap", Target::Recording("/tmp/incident.mcap".into())),
            (DEFAULT_TARGET, Target::default()),
        ] {
            assert_eq!(text.parse::<Target>(), Ok(target), "{text}");
        }
    }

    #[test]
    fn a_build_without_kubernetes_says_what_to_do_instead() {
        for text in ["k8s://default/deploy/web", "deploy/web", "k8s://default/cronjob/web"] {
            assert_eq!(parse(text, false), Err(WITHOUT_KUBERNETES.to_owned()), "{text}");
        }
        assert!(WITHOUT_KUBERNETES.contains("feature `k8s`") && WITHOUT_KUBERNETES.contains("kubectl port-forward"));
        assert!(parse("localhost:6669", false).is_ok());
    }

    #[test]
    fn pods_are_named_by_url_and_as_kubectl_does() {
        for (text, shown) in [
            ("k8s://shop/web-1:6669", "k8s://shop/web-1:6669"),
            ("K8S://shop/deployments/web", "k8s://shop/deploy/web"),
            ("deploy/web", "k8s:///deploy/web"),
            ("pods/web-1:6669", "k8s:///web-1:6669"),
        ] {
            let target = parse(text, true).unwrap();
            assert!(matches!(target, Target::Live(Address::Pod(_))), "{text}");
            assert_eq!(target.to_string(), shown);
        }
    }

    #[test]
    fn an_existing_file_wins_over_a_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deploy/web");
        std::fs::create_dir(folder.path().join("deploy")).unwrap();
        std::fs::write(&path, "").unwrap();
        // A relative path would depend on the current folder, which all tests share.
        assert_eq!(path.to_str().unwrap().parse(), Ok(Target::Recording(path)));
    }

    #[test]
    fn an_existing_file_is_a_recording_whatever_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = file.path().to_str().unwrap();
        assert_eq!(text.parse(), Ok(Target::Recording(file.path().to_path_buf())));
    }

    #[test]
    fn the_error_for_a_wrong_form_says_what_is_wrong_and_shows_every_right_form() {
        for (text, problem) in [
            ("6669", "a port needs its host, as in 127.0.0.1:6669"),
            ("localhost", "as in localhost:6669"),
            ("", "it is empty"),
            ("https://localhost/console", "nothing may follow the port"),
            ("k8s://default/cronjob/web", "`cronjob` has no pods"),
            ("vsock://2:6669", "the scheme `vsock` is unknown"),
            ("localhost:0", "`0` is not a port"),
            ("localhost:+80", "`+80` is not a port"),
            ("localhost:65536", "`65536` is not a port"),
            (":6669", "the host is missing"),
            ("::1:6669", "in brackets"),
            ("[::1:6669", "not closed"),
            ("[::1]6669", "a colon and the port"),
            ("[localhost]:6669", "do not contain an IPv6 address"),
            ("http://localhost:6669/metrics", "nothing may follow the port"),
            ("http://me:secret@localhost", "user names"),
            ("http://me@localhost", "user names"),
            ("two words:6669", "a host name cannot contain ` `"),
            ("unix:", "the path of the socket is missing"),
            ("unix://run/app.sock", "an absolute path"),
            ("file://elsewhere/run/app.sock", "an absolute path"),
            ("no/such/file", "there is no such file"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
            for form in ["127.0.0.1:6669", "http://localhost:6669", "unix:/run/app.sock", "incident.mcap"] {
                assert!(error.contains(form), "{text}: {error}");
            }
        }
    }

    #[test]
    fn a_hostile_text_is_escaped_in_its_error() {
        let error = "\u{1b}[2Jevil".parse::<Target>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }

    fn any_target() -> impl Strategy<Value = Target> {
        prop_oneof![
            ("[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}", 1..=u16::MAX).prop_map(|(host, port)| tcp(&host, port)),
            (any::<u128>(), 1..=u16::MAX).prop_map(|(bits, port)| tcp(&Ipv6Addr::from(bits).to_string(), port)),
            "[^\0]{1,30}".prop_map(|path| unix(&path)),
            "[^\0]{0,20}[a-z]\\.mcap".prop_map(|path| Target::Recording(without_current_folder(Path::new(&path)))),
        ]
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_typed(target in any_target()) {
            prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
        }

        #[test]
        fn no_text_panics(text in "(http|https|unix|file|k8s)?:?/{0,3}\\PC{0,20}") {
            let _ = text.parse::<Target>();
        }
    }
}
