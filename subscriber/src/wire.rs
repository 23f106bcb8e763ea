//! Protocol Buffers, written straight into a buffer: an entity is encoded once and never built as a message.
//!
//! The field numbers of the messages are in `encode`, beside what they hold.

use std::fmt;

/// The wire type of what follows a key: <https://protobuf.dev/programming-guides/encoding/#structure>.
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// The most bytes that a length takes in front of a message.
const LONGEST_VARINT: usize = 10;

/// Appends a number in base 128.
#[inline]
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[inline]
fn key(out: &mut Vec<u8>, field: u32, wire_type: u64) {
    varint(out, u64::from(field) << 3 | wire_type);
}

/// Appends an unsigned number, zero as well: where zero is the default, ask [`count`].
#[inline]
pub(crate) fn uint(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, VARINT);
    varint(out, value);
}

/// Appends an unsigned number unless it is the default, zero.
#[inline]
pub(crate) fn count(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        uint(out, field, value);
    }
}

/// Appends a signed number in the encoding of `sint64`.
pub(crate) fn sint(out: &mut Vec<u8>, field: u32, value: i64) {
    uint(out, field, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends bytes or a string.
#[inline]
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(out, field, LENGTH_DELIMITED);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a message of which the parts are encoded already.
pub(crate) fn joined(out: &mut Vec<u8>, field: u32, parts: &[&[u8]]) {
    key(out, field, LENGTH_DELIMITED);
    varint(out, parts.iter().map(|part| part.len() as u64).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Appends what `value` displays as a string.
pub(crate) fn formatted(out: &mut Vec<u8>, field: u32, value: fmt::Arguments<'_>) {
    nested(out, field, |out| {
        // Only the value's own formatting can fail; what it wrote until then is kept.
        let _incomplete = fmt::write(&mut Text(out), value);
    });
}

/// Appends a message, most likely one shorter than 128 bytes, of which the length is known once `write` has written it.
#[inline]
pub(crate) fn nested(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    reserved(out, field, 1, write);
}

/// Appends a message, most likely one of 128 bytes or more, of which the length is known once `write` has written it.
#[inline]
pub(crate) fn long(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    reserved(out, field, 2, write);
}

/// Reserves so many bytes for the length, and moves the message where that is wrong.
#[inline]
fn reserved(out: &mut Vec<u8>, field: u32, reserved: usize, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, field, LENGTH_DELIMITED);
    let at = out.len();
    out.resize(at + reserved, 0);
    write(out);
    let length = out.len() - at - reserved;
    let needed = varint_length(length);
    if needed != reserved {
        out.resize(out.len().max(at + needed + length), 0);
        out.copy_within(at + reserved..at + reserved + length, at + needed);
        out.truncate(at + needed + length);
    }
    let mut rest = length;
    for byte in &mut out[at..at + needed] {
        *byte = rest.to_le_bytes()[0] | 0x80;
        rest >>= 7;
    }
    out[at + needed - 1] &= 0x7f;
}

fn varint_length(mut value: usize) -> usize {
    let mut length = 1;
    while value >= 0x80 {
        value >>= 7;
        length += 1;
    }
    length
}

/// A string that is written to the end of a buffer.
struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The length of the field at the start of `frames`, key included. All that is written here is length-delimited at the outermost level.
pub(crate) fn frame_length(frames: &[u8]) -> Option<usize> {
    let (_key, after_key) = read_varint(frames)?;
    let (length, after_length) = read_varint(&frames[after_key..])?;
    let end = usize::try_from(length).ok()?.checked_add(after_key)?.checked_add(after_length)?;
    (end <= frames.len()).then_some(end)
}

/// The number of the field that the frame at the start of `frames` is.
pub(crate) fn frame_field(frames: &[u8]) -> Option<u32> {
    let (key, _) = read_varint(frames)?;
    u32::try_from(key >> 3).ok()
}

fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(LONGEST_VARINT).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of so many bytes, written both ways.
    fn written(length: usize) -> [Vec<u8>; 2] {
        let content = vec![7; length];
        let (mut short, mut longer) = (vec![1], vec![1]);
        nested(&mut short, 3, |out| out.extend_from_slice(&content));
        long(&mut longer, 3, |out| out.extend_from_slice(&content));
        [short, longer]
    }

    #[test]
    fn a_length_is_right_however_long_it_was_thought_to_be() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 3_000_000] {
            let mut expected = vec![1];
            bytes(&mut expected, 3, &vec![7; length]);
            for written in written(length) {
                assert_eq!(written, expected, "{length} bytes");
                assert_eq!(frame_length(&written[1..]), Some(written.len() - 1));
            }
        }
    }

    #[test]
    fn a_frame_that_is_cut_has_no_length() {
        let mut whole = Vec::new();
        bytes(&mut whole, 1, b"content");
        for end in 0..whole.len() {
            assert_eq!(frame_length(&whole[..end]), None, "{end} bytes");
        }
    }

    #[test]
    fn signed_numbers_are_folded() {
        for (value, folded) in [(0, 0), (-1, 1), (1, 2), (i64::MAX, u64::MAX - 1), (i64::MIN, u64::MAX)] {
            let (mut signed, mut unsigned) = (Vec::new(), Vec::new());
            sint(&mut signed, 6, value);
            uint(&mut unsigned, 6, folded);
            assert_eq!(signed, unsigned, "{value}");
        }
    }
}
