//! The fields of an encoded message, one after the other, as slices of it.

use prost::encoding::{DecodeContext, MIN_TAG, WireType, decode_varint, skip_field};

/// Bytes that are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a protobuf message of this kind")]
pub struct Malformed;

/// A field of an encoded message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) value: Value<'a>,
    /// The whole field, key included.
    pub(super) whole: &'a [u8],
}

/// What is in a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Nothing that this protocol uses.
    Other,
}

impl<'a> Field<'a> {
    /// What is in a field of bytes; `None` for a number.
    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Varint(_) | Value::Other => None,
        }
    }
}

/// The fields of a message, up to where it is malformed.
pub(super) fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields(bytes)
}

/// The fields of a message that are left.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let all = self.0;
        let field = (!all.is_empty()).then(|| self.field()).flatten();
        if field.is_none() {
            // What cannot be read is left, so that it can be seen that something is.
            self.0 = all;
        }
        field
    }
}

impl<'a> Fields<'a> {
    /// Whether all of the message was read, so that none of it is malformed.
    pub(super) fn are_all(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn field(&mut self) -> Option<Field<'a>> {
        let from = self.0;
        let key = self.varint()?;
        let number = Some(u32::try_from(key).ok()? >> 3).filter(|number| *number >= MIN_TAG)?;
        let value = match WireType::try_from(key & 7).ok()? {
            WireType::Varint => Value::Varint(self.varint()?),
            WireType::LengthDelimited => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            wire_type => {
                self.skip(wire_type, number)?;
                Value::Other
            }
        };
        Some(Field { number, value, whole: &from[..from.len() - self.0.len()] })
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        match self.0 {
            // Nearly every key and most lengths: a message is walked several times, so that this is worth a line.
            [byte @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Some(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    // What follows is kept out of the loops above, which are worth being put where they are called.

    #[inline(never)]
    fn long_varint(&mut self) -> Option<u64> {
        decode_varint(&mut self.0).ok()
    }

    #[inline(never)]
    fn skip(&mut self, wire_type: WireType, number: u32) -> Option<()> {
        skip_field(wire_type, number, &mut self.0, DecodeContext::default()).ok()
    }
}

/// Reads a message as every encoder writes it: its fields in the order of their numbers, and each once, but for those that repeat.
/// `None` for any other message, and where `read` makes nothing of a field.
#[inline]
pub(super) fn in_order<'a>(
    bytes: &'a [u8],
    repeats: &[u32],
    mut read: impl FnMut(u32, Value<'a>) -> Option<()>,
) -> Option<()> {
    let mut left = fields(bytes);
    let mut last = 0;
    for field in left.by_ref() {
        if field.number < last || (field.number == last && !repeats.contains(&last)) {
            return None;
        }
        last = field.number;
        read(field.number, field.value)?;
    }
    left.are_all().then_some(())
}

/// The fields of an update that have fields of their own whose number a hostile message can choose.
const PARTS: std::ops::RangeInclusive<u32> = 2..=5;

/// Whether the frame of an update is sound: its fields, and those of its parts.
pub(super) fn check(bytes: &[u8]) -> Result<(), Malformed> {
    let is_sound = |bytes| {
        let mut left = Fields(bytes);
        while left.next().is_some() {}
        left.are_all()
    };
    let parts = fields(bytes).filter(|field| PARTS.contains(&field.number));
    let is_sound = is_sound(bytes) && parts.filter_map(|part| part.bytes()).all(is_sound);
    is_sound.then_some(()).ok_or(Malformed)
}
