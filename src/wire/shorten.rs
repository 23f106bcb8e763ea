//! Takes the folders of the machine that built a service out of a message, so that a recording does not tell them.

use std::borrow::Cow;

use prost::bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::Message;
use super::fields::fields;
use crate::paths;

/// What is done with a field.
enum Step {
    /// Descend into the fields in it.
    Inside(&'static [(u32, Step)]),
    /// Replace the text that it is.
    Text(fn(&str) -> Cow<'_, str>),
}

/// `Location.file` of the protocol.
const PLACE: Step = Step::Inside(&[(1, Step::Text(paths::short))]);
/// Name and location of `Metadata`.
const METADATA: Step = Step::Inside(&[(1, Step::Text(paths::short_callsite)), (4, PLACE)]);

/// The places of new tasks, of new resources and of metadata in an `Update`.
const UPDATE: &[(u32, Step)] = &[
    (2, Step::Inside(&[(1, Step::Inside(&[(6, PLACE)]))])),
    (3, Step::Inside(&[(1, Step::Inside(&[(5, PLACE)]))])),
    (5, Step::Inside(&[(1, Step::Inside(&[(2, METADATA)]))])),
];

impl Message {
    /// The message with every place shortened as it is shown; itself where that changes nothing. Names that the service gave to something
    /// stay.
    #[must_use]
    pub fn with_short_places(&self) -> Self {
        rewritten(&self.0, UPDATE).map_or_else(|| self.clone(), |bytes| Self(Bytes::from(bytes)))
    }
}

/// A message after the steps; `None` where they change nothing.
fn rewritten(bytes: &[u8], steps: &[(u32, Step)]) -> Option<Vec<u8>> {
    // What is rewritten so far, and where in the message it ends.
    let mut new: Option<Vec<u8>> = None;
    let mut at = 0;
    for field in fields(bytes) {
        let from = at;
        at += field.whole.len();
        let step = steps.iter().find(|(number, _)| *number == field.number);
        let changed = step.zip(field.bytes()).and_then(|((_, step), part)| match step {
            Step::Inside(steps) => rewritten(part, steps),
            Step::Text(short) => {
                let text = std::str::from_utf8(part).ok()?;
                let short = short(text);
                (short != text).then(|| short.into_owned().into_bytes())
            }
        });
        match (changed, &mut new) {
            (None, None) => {}
            (None, Some(new)) => new.extend_from_slice(field.whole),
            (Some(part), new) => {
                let new = new.get_or_insert_with(|| bytes[..from].to_vec());
                encode_key(field.number, WireType::LengthDelimited, new);
                encode_varint(u64::try_from(part.len()).unwrap_or(u64::MAX), new);
                new.extend_from_slice(&part);
            }
        }
    }
    new
}
