//! The `Host` header, which tells for whom a request was meant: a page in a browser can have its own name resolved to this machine and then read
//! what is served here (DNS rebinding).

use std::net::{IpAddr, SocketAddr};

/// Whether a request with this header is meant for somebody who listens at an address.
///
/// Who listens on loopback answers to the names of loopback only: no page can have these. Who listens elsewhere is reached by
/// names that are not known here, such as that of a Service, and by everybody else in the network anyway.
pub(super) fn is_meant(host: Option<&str>, listens: SocketAddr) -> bool {
    // Only HTTP/1.0 goes without, which no browser speaks.
    let Some(host) = host.filter(|_| listens.ip().is_loopback()) else { return true };
    let name = without_port(host);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback()) || name.trim_end_matches('.').eq_ignore_ascii_case("localhost")
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_to_its_own_names_only() {
        let (local, everywhere) = (SocketAddr::from(([127, 0, 0, 1], 9464)), SocketAddr::from(([0, 0, 0, 0], 9464)));
        for host in
            ["localhost", "localhost:9464", "LOCALHOST.:80", "127.0.0.1:9464", "127.8.8.8", "[::1]:9464", "[::1]"]
        {
            assert!(is_meant(Some(host), local), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "10.0.0.7:9464",
            "",
            ":9464",
            "127.0.0.1.evil",
        ] {
            assert!(!is_meant(Some(host), local), "{host}");
            assert!(is_meant(Some(host), everywhere), "{host}");
        }
        assert!(is_meant(None, local));
    }
}
