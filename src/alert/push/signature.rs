//! The signature of a webhook: who has the key knows that the body is ours, and when it was sent.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac::{HMAC_SHA256, Key, sign};

/// The header with the time of the attempt, in seconds since 1970.
pub(super) const TIMESTAMP: &str = "X-Tokio-Canary-Timestamp";
/// The header with `sha256=` and the hexadecimal HMAC-SHA256 over the time, a full stop and the body.
pub(super) const SIGNATURE: &str = "X-Tokio-Canary-Signature-256";

/// Both headers.
pub(super) fn headers(key: &str, body: &[u8], now: SystemTime) -> [(&'static str, String); 2] {
    let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let signed = [time.as_bytes(), b".", body].concat();
    let tag = sign(&Key::new(HMAC_SHA256, key.as_bytes()), &signed);
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    [(TIMESTAMP, time), (SIGNATURE, format!("sha256={digits}"))]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_signature_is_over_time_and_body() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let expected = "sha256=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";
        assert_eq!(
            headers("key", b"{\"a\":1}", now),
            [(TIMESTAMP, "1700000000".to_owned()), (SIGNATURE, expected.to_owned())]
        );
    }
}
