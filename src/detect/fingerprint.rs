//! A short name for a class of findings that is the same in every run.

use super::detector::Detector;
use super::symptom::Symptom;

/// The detector's id and 16 hexadecimal digits of what the symptom is about: names and places, never ids.
pub(super) fn of(detector: &Detector, symptom: &Symptom) -> String {
    let mut class = symptom.class.clone();
    class.sort();
    class.dedup();
    named(detector.id, &class)
}

/// A name of what these texts identify, in this order, among what has this prefix.
pub fn named(prefix: &str, parts: &[String]) -> String {
    format!("{prefix}:{:016x}", fnv1a(parts))
}

/// FNV-1a over length-separated strings: unlike the standard library's hasher, it is the same in every version.
/// Source: Fowler, Noll, Vo; the 64-bit offset basis and prime.
fn fnv1a(parts: &[String]) -> u64 {
    let separated = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    separated.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // Test vector of the authors for "foobar", here with the separator that follows each part.
        let separated = fnv1a(&["foobar".to_owned()]);
        assert_eq!(separated, (0x8594_4171_f739_67e8_u64 ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3));
        assert_ne!(fnv1a(&["a".to_owned(), "b".to_owned()]), fnv1a(&["ab".to_owned()]));
    }
}
