//! The records of an MCAP file in its library's terms, after a look at the lengths that they claim, which the library believes.

use mcap::parse_record;
use mcap::records::{Record, op};

/// What a record is made of.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// A fixed number of bytes.
    Fixed(usize),
    /// A length in four bytes, and as many bytes.
    Long,
    /// The same, and in it pairs of texts of that form.
    Texts,
}

/// The parts of the records that are read here, up to the last one whose length is claimed in the record.
fn parts(opcode: u8) -> &'static [Part] {
    match opcode {
        op::HEADER => &[Part::Long, Part::Long],
        op::SCHEMA => &[Part::Fixed(2), Part::Long, Part::Long, Part::Long],
        op::CHANNEL => &[Part::Fixed(4), Part::Long, Part::Long, Part::Texts],
        op::CHUNK => &[Part::Fixed(28), Part::Long],
        op::MESSAGE_INDEX => &[Part::Fixed(2), Part::Long],
        op::METADATA => &[Part::Long, Part::Texts],
        _ => &[],
    }
}

/// Reads a record; fails with the reason why it cannot be read.
pub(super) fn parse(opcode: u8, body: &[u8]) -> Result<Record<'_>, String> {
    let mut rest = body;
    for part in parts(opcode) {
        let text = match part {
            Part::Fixed(bytes) => rest.split_off(..*bytes),
            Part::Long | Part::Texts => long(&mut rest),
        };
        let is_sound = text.is_some_and(|text| !matches!(part, Part::Texts) || all_texts(text));
        if !is_sound {
            return Err("a record is shorter than it claims".to_owned());
        }
    }
    parse_record(opcode, body).map_err(|error| explain(&error))
}

fn long<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length: [u8; 4] = rest.split_off(..4)?.try_into().ok()?;
    rest.split_off(..usize::try_from(u32::from_le_bytes(length)).ok()?)
}

fn all_texts(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        if long(&mut rest).is_none() {
            return false;
        }
    }
    true
}

/// What the library says of a file, without what only its developers understand.
pub(super) fn explain(error: &mcap::McapError) -> String {
    match error {
        mcap::McapError::Io(error) => error.to_string(),
        mcap::McapError::Parse(_) => "a record cannot be parsed".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat()
    }

    #[test]
    fn a_record_is_read_if_it_has_what_it_claims() {
        let header = [text("profile"), text("library")].concat();
        assert!(matches!(parse(op::HEADER, &header), Ok(Record::Header(it)) if it.profile == "profile"));
        for cut in 0..header.len() {
            assert!(parse(op::HEADER, &header[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_record_that_claims_gigabytes_is_refused() {
        let claim = u32::MAX.to_le_bytes();
        for (opcode, before) in [
            (op::HEADER, vec![]),
            (op::SCHEMA, [vec![0; 2], text("name")].concat()),
            (op::CHANNEL, [vec![0; 4], text("topic"), text("protobuf")].concat()),
            (op::CHANNEL, [vec![0; 4], text("topic"), text("protobuf"), 4_u32.to_le_bytes().to_vec()].concat()),
            (op::CHUNK, vec![0; 28]),
            (op::MESSAGE_INDEX, vec![0; 2]),
            (op::METADATA, text("name")),
        ] {
            assert!(parse(opcode, &[&*before, &claim].concat()).is_err(), "{opcode}");
        }
    }
}
