//! The attributes of a resource or of an operation.

use smallvec::SmallVec;

use crate::encode;
use crate::fields::{Change, StateFields, Value};
use crate::wire;

/// The most that one entity may have. Those of tokio have up to four.
const MOST: usize = 32;

/// Attributes, in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Attributes(SmallVec<[Attribute; 2]>);

#[derive(Debug)]
struct Attribute {
    /// The span whose attribute it is: an entity may also have those of its children.
    owner: u64,
    /// The callsite that reported it first.
    metadata: u64,
    name: &'static str,
    value: Value,
    unit: Option<Box<str>>,
}

impl Attributes {
    /// Applies what `owner` reported.
    pub(crate) fn update(&mut self, owner: u64, metadata: u64, state: &StateFields) {
        let Some((name, value)) = &state.attribute else { return };
        if let Some(known) = self.0.iter_mut().find(|known| known.owner == owner && known.name == *name) {
            known.value.change(value, state.change);
        } else if self.0.len() < MOST {
            self.0.push(Attribute { owner, metadata, name, value: value.clone(), unit: state.unit.clone() });
        }
    }

    /// The number of that name, whoever owns it.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|known| known.name == name).and_then(|known| match known.value {
            Value::U64(number) => Some(number),
            _ => None,
        })
    }

    /// Appends them as messages.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, field: u32) {
        for known in &self.0 {
            wire::nested(out, field, |out| {
                encode::field(out, 1, known.name, known.metadata, |out| encode::value(out, &known.value));
                if let Some(unit) = &known.unit {
                    wire::bytes(out, 2, unit.as_bytes());
                }
            });
        }
    }
}

impl Value {
    /// Changes to or by `other`. A value of another type, or a number that does not say how it changes, is left out, as the stock feed does.
    fn change(&mut self, other: &Self, change: Option<Change>) {
        match (self, other) {
            (Self::U64(known), Self::U64(by)) => match change {
                Some(Change::Add) => *known = known.saturating_add(*by),
                Some(Change::Subtract) => *known = known.saturating_sub(*by),
                Some(Change::Replace) => *known = *by,
                None => {}
            },
            (Self::I64(known), Self::I64(by)) => match change {
                Some(Change::Add) => *known = known.saturating_add(*by),
                Some(Change::Subtract) => *known = known.saturating_sub(*by),
                Some(Change::Replace) => *known = *by,
                None => {}
            },
            (Self::Bool(known), Self::Bool(to)) => *known = *to,
            (Self::Str(known), Self::Str(to)) | (Self::Debug(known), Self::Debug(to)) => known.clone_from(to),
            _ => {}
        }
    }
}
