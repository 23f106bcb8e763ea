//! An encoded protobuf message as a tree of fields, to be changed in every way that its sender could, and written again, rightly or not.
//!
//! It needs no schema: what reads as text is text, what reads as fields is a message, and all numbers are alike. A number that takes the
//! value of another one is an id that collides, a parent that is its own child, or a time before its beginning.

use fastrand::Rng;

/// How deep messages are looked into.
const DEEPEST: usize = 8;

/// A field of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) number: u64,
    pub(crate) value: Value,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Text(String),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// Reads a message; nothing if it is none.
pub(crate) fn parse(bytes: &[u8]) -> Option<Vec<Field>> {
    parse_to(bytes, DEEPEST)
}

fn parse_to(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let (number, wire_type) = (key >> 3, key & 7);
        let value = match wire_type {
            0 => Value::Number(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes, 8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                delimited(take(&mut bytes, length)?, depth)
            }
            5 => Value::Fixed32(take(&mut bytes, 4)?.try_into().ok()?),
            _ => return None,
        };
        if number == 0 {
            return None;
        }
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn delimited(bytes: &[u8], depth: usize) -> Value {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !bytes.is_empty()
        && !text.chars().any(char::is_control)
    {
        return Value::Text(text.to_owned());
    }
    match if depth == 0 { None } else { parse_to(bytes, depth - 1) } {
        Some(fields) => Value::Message(fields),
        None => Value::Bytes(bytes.to_vec()),
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}

/// Writes a message.
pub(crate) fn encode(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    fields.iter().for_each(|field| write(field, &mut bytes, &mut None));
    bytes
}

/// Writes a message with one fault somewhere: a length or a wire type that is not true, or an end that comes too early.
pub(crate) fn encode_wrongly(fields: &[Field], rng: &mut Rng) -> Vec<u8> {
    let mut fault = Some((rng.usize(0..count(fields).max(1)), rng.u64(..)));
    let mut bytes = Vec::new();
    fields.iter().for_each(|field| write(field, &mut bytes, &mut fault));
    if fault.is_some() && !bytes.is_empty() {
        bytes.truncate(rng.usize(0..bytes.len()));
    }
    bytes
}

/// Writes a field; the fault comes after so many more fields.
fn write(field: &Field, bytes: &mut Vec<u8>, fault: &mut Option<(usize, u64)>) {
    let is_wrong = match fault {
        Some((0, _)) => true,
        Some((left, _)) => {
            *left -= 1;
            false
        }
        None => false,
    };
    let wrong = if is_wrong { fault.take().map(|(_, how)| how) } else { None };
    let (wire_type, payload) = match &field.value {
        Value::Number(_) => (0, Vec::new()),
        Value::Fixed64(fixed) => (1, fixed.to_vec()),
        Value::Fixed32(fixed) => (5, fixed.to_vec()),
        Value::Text(text) => (2, text.clone().into_bytes()),
        Value::Bytes(payload) => (2, payload.clone()),
        Value::Message(fields) => {
            let mut payload = Vec::new();
            fields.iter().for_each(|field| write(field, &mut payload, fault));
            (2, payload)
        }
    };
    let written_type = wrong.filter(|how| how % 2 == 0).map_or(wire_type, |how| how / 2 % 8);
    put_varint(field.number << 3 | written_type, bytes);
    match &field.value {
        Value::Number(number) => put_varint(*number, bytes),
        _ if wire_type == 2 => {
            let length = u64::try_from(payload.len()).unwrap_or(u64::MAX);
            let claimed = wrong.filter(|how| how % 2 == 1).map_or(length, |how| match how / 2 % 4 {
                0 => length.wrapping_sub(1),
                1 => length + 1,
                2 => u64::from(u32::MAX),
                _ => how,
            });
            put_varint(claimed, bytes);
        }
        _ => {}
    }
    bytes.extend(payload);
}

fn put_varint(number: u64, bytes: &mut Vec<u8>) {
    prost::encoding::encode_varint(number, bytes);
}

/// How many fields there are, on all levels.
pub(crate) fn count(fields: &[Field]) -> usize {
    fields.iter().map(|field| 1 + if let Value::Message(inner) = &field.value { count(inner) } else { 0 }).sum()
}

/// The numbers that stand in a message, on all levels.
pub(crate) fn numbers(fields: &[Field], found: &mut Vec<u64>) {
    for field in fields {
        match &field.value {
            Value::Number(number) => found.push(*number),
            Value::Message(inner) => numbers(inner, found),
            _ => {}
        }
    }
}

/// Calls with the message that holds a field, and its place there; fields are counted as [`count`] does.
pub(crate) fn at(fields: &mut Vec<Field>, index: usize, act: &mut dyn FnMut(&mut Vec<Field>, usize)) {
    let mut left = index;
    for place in 0..fields.len() {
        if left == 0 {
            return act(fields, place);
        }
        left -= 1;
        if let Value::Message(inner) = &mut fields[place].value {
            let inside = count(inner);
            if left < inside {
                return at(inner, left, act);
            }
            left -= inside;
        }
    }
}
