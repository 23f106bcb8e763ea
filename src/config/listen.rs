//! Where HTTP is served.

use std::net::{Ipv4Addr, SocketAddr};

use crate::detect::settings::Type;

/// The address and port at which HTTP is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

/// How an address is written.
const EXAMPLES: &str = "write a port for this machine only, like 9464, or an address and a port, like 0.0.0.0:9464 for every machine that can reach this one";

impl Listen {
    /// Whether nobody but this machine can reach it.
    pub fn is_loopback(self) -> bool {
        self.0.ip().is_loopback()
    }
}

impl Type for Listen {
    fn parse(text: &str) -> Result<Self, String> {
        let local = |port: &str| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse::<u16>().ok()?)));
        let address = text.parse().ok().or_else(|| local(text)).or_else(|| local(text.strip_prefix("localhost:")?));
        address.map(Self).ok_or_else(|| format!("`{text}` is not an address to listen on; {EXAMPLES}"))
    }

    fn written(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_explicit_address_is_this_machine_only() {
        for (text, address) in [
            ("9464", "127.0.0.1:9464"),
            ("localhost:9464", "127.0.0.1:9464"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            let listen = Listen::parse(text).expect(text);
            assert_eq!((listen.written().as_str(), listen.is_loopback()), (address, true), "{text}");
            assert_eq!(Listen::from_value(&listen.erase()), Some(listen));
        }
        assert!(!Listen::parse("0.0.0.0:9464").expect("every address").is_loopback());
        assert!(!Listen::parse("[::]:9464").expect("every address").is_loopback());
        // In other tools this is every address.
        for wrong in [":9464", "", "host:9464", "127.0.0.1", "99999", "http://127.0.0.1:1"] {
            let error = Listen::parse(wrong).expect_err(wrong);
            assert!(error.contains("is not an address to listen on; write a port"), "{error}");
        }
    }
}
