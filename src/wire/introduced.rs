//! Tasks, resources and async ops as a message introduces them, with their texts where they are in it.

use std::borrow::Cow;

use console_api::{async_ops, field, resources, tasks};

use super::direct::{Direct, id, text};
use super::fields::{Value, in_order};

/// A task. Ids are span ids, here as in everything that is introduced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Task<'a> {
    /// Its id.
    pub id: Option<u64>,
    /// The metadata of its span.
    pub metadata: Option<u64>,
    /// The fields of its span.
    pub fields: Vec<Field<'a>>,
    /// The task that spawned it, where the target says so.
    pub parent: Option<u64>,
    /// Where it was spawned.
    pub location: Option<Location<'a>>,
}

/// A resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Its id.
    pub id: Option<u64>,
    /// The metadata of its span.
    pub metadata: Option<u64>,
    /// Its type.
    pub concrete_type: Cow<'a, str>,
    /// Where it was made.
    pub location: Option<Location<'a>>,
    /// The resource that it is part of.
    pub parent: Option<u64>,
    /// Whether it is an internal part of another.
    pub is_internal: bool,
}

/// An async op.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsyncOp<'a> {
    /// Its id.
    pub id: Option<u64>,
    /// What made it.
    pub source: Cow<'a, str>,
    /// The op that it is part of.
    pub parent: Option<u64>,
    /// What it waits for.
    pub resource: Option<u64>,
}

/// A place in the source of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location<'a> {
    /// Its file.
    pub file: Option<Cow<'a, str>>,
    /// Its module.
    pub module: Option<Cow<'a, str>>,
    /// Its line.
    pub line: Option<u32>,
    /// Its column.
    pub column: Option<u32>,
}

/// A field of a span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Option<FieldName<'a>>,
    /// Its value.
    pub value: Option<FieldValue<'a>>,
    /// The metadata in which its name is, if it is not here.
    pub metadata: Option<u64>,
}

/// What a field is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldName<'a> {
    /// So.
    Text(Cow<'a, str>),
    /// As the field with this number in its metadata.
    Index(u64),
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// A text, or something that was written as one.
    Text(Cow<'a, str>),
    /// A count.
    Number(u64),
    /// A number that may be negative.
    Signed(i64),
    /// Yes or no.
    Bool(bool),
}

/// Something that a resource or an async op says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its name and value.
    pub field: Option<Field<'a>>,
    /// The unit of its value.
    pub unit: Option<Cow<'a, str>>,
}

impl<'a> Direct<'a> for Task<'a> {
    type Decoded = tasks::Task;

    fn usual(bytes: &'a [u8]) -> Option<Self> {
        const FIELDS: u32 = 4;
        let mut task = Self::default();
        in_order(bytes, &[FIELDS], |number, value| {
            match (number, value) {
                (1, Value::Bytes(own)) => task.id = Some(id(own)?),
                (2, Value::Bytes(metadata)) => task.metadata = Some(id(metadata)?),
                (3, Value::Varint(_)) => {}
                (FIELDS, Value::Bytes(field)) => task.fields.push(Field::usual(field)?),
                (5, Value::Bytes(parent)) => task.parent = Some(id(parent)?),
                (6, Value::Bytes(location)) => task.location = Some(Location::usual(location)?),
                _ => return None,
            }
            Some(())
        })?;
        Some(task)
    }
}

impl<'a> Direct<'a> for Resource<'a> {
    type Decoded = resources::Resource;

    fn usual(bytes: &'a [u8]) -> Option<Self> {
        let mut resource = Self::default();
        in_order(bytes, &[], |number, value| {
            match (number, value) {
                (1, Value::Bytes(own)) => resource.id = Some(id(own)?),
                (2, Value::Bytes(metadata)) => resource.metadata = Some(id(metadata)?),
                (3, Value::Bytes(name)) => resource.concrete_type = text(name)?,
                (4, Value::Bytes(kind)) => known_kind(kind)?,
                (5, Value::Bytes(location)) => resource.location = Some(Location::usual(location)?),
                (6, Value::Bytes(parent)) => resource.parent = Some(id(parent)?),
                (7, Value::Varint(is_internal)) => resource.is_internal = is_internal != 0,
                _ => return None,
            }
            Some(())
        })?;
        Some(resource)
    }
}

/// Reads a `resource::Kind`, of which nothing is kept.
fn known_kind(bytes: &[u8]) -> Option<()> {
    in_order(bytes, &[], |number, value| match (number, value) {
        (1, Value::Varint(_)) => Some(()),
        (2, Value::Bytes(other)) => text(other).map(drop),
        _ => None,
    })
}

impl<'a> Direct<'a> for AsyncOp<'a> {
    type Decoded = async_ops::AsyncOp;

    fn usual(bytes: &'a [u8]) -> Option<Self> {
        let mut op = Self::default();
        in_order(bytes, &[], |number, value| {
            match (number, value) {
                (1, Value::Bytes(own)) => op.id = Some(id(own)?),
                (2, Value::Bytes(metadata)) => drop(id(metadata)?),
                (3, Value::Bytes(source)) => op.source = text(source)?,
                (4, Value::Bytes(parent)) => op.parent = Some(id(parent)?),
                (5, Value::Bytes(resource)) => op.resource = Some(id(resource)?),
                _ => return None,
            }
            Some(())
        })?;
        Some(op)
    }
}

impl<'a> Location<'a> {
    fn usual(bytes: &'a [u8]) -> Option<Self> {
        let mut location = Self::default();
        in_order(bytes, &[], |number, value| {
            match (number, value) {
                (1, Value::Bytes(file)) => location.file = Some(text(file)?),
                (2, Value::Bytes(module)) => location.module = Some(text(module)?),
                (3, Value::Varint(line)) => location.line = Some(u32::try_from(line).ok()?),
                (4, Value::Varint(column)) => location.column = Some(u32::try_from(column).ok()?),
                _ => return None,
            }
            Some(())
        })?;
        Some(location)
    }
}

impl<'a> Field<'a> {
    pub(super) fn usual(bytes: &'a [u8]) -> Option<Self> {
        let mut field = Self::default();
        in_order(bytes, &[], |number, value| {
            // A name of both kinds or a second value is none that anybody writes.
            let is_new = if number < 3 { field.name.is_none() } else { field.value.is_none() || number == 8 };
            match (number, value) {
                _ if !is_new => return None,
                (1, Value::Bytes(name)) => field.name = Some(FieldName::Text(text(name)?)),
                (2, Value::Varint(index)) => field.name = Some(FieldName::Index(index)),
                (3 | 4, Value::Bytes(value)) => field.value = Some(FieldValue::Text(text(value)?)),
                (5, Value::Varint(count)) => field.value = Some(FieldValue::Number(count)),
                (6, Value::Varint(zigzag)) => {
                    let signed = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
                    field.value = Some(FieldValue::Signed(signed));
                }
                (7, Value::Varint(yes)) => field.value = Some(FieldValue::Bool(yes != 0)),
                (8, Value::Bytes(metadata)) => field.metadata = Some(id(metadata)?),
                _ => return None,
            }
            Some(())
        })?;
        Some(field)
    }
}

impl<'a> Attribute<'a> {
    pub(super) fn usual(bytes: &'a [u8]) -> Option<Self> {
        let mut attribute = Self::default();
        in_order(bytes, &[], |number, value| {
            match (number, value) {
                (1, Value::Bytes(field)) => attribute.field = Some(Field::usual(field)?),
                (2, Value::Bytes(unit)) => attribute.unit = Some(text(unit)?),
                _ => return None,
            }
            Some(())
        })?;
        Some(attribute)
    }
}

impl From<tasks::Task> for Task<'_> {
    fn from(wire: tasks::Task) -> Self {
        Self {
            id: wire.id.map(|id| id.id),
            metadata: wire.metadata.map(|id| id.id),
            fields: wire.fields.into_iter().map(Field::from).collect(),
            parent: wire.parents.last().map(|parent| parent.id),
            location: wire.location.map(Location::from),
        }
    }
}

impl From<resources::Resource> for Resource<'_> {
    fn from(wire: resources::Resource) -> Self {
        Self {
            id: wire.id.map(|id| id.id),
            metadata: wire.metadata.map(|id| id.id),
            concrete_type: wire.concrete_type.into(),
            location: wire.location.map(Location::from),
            parent: wire.parent_resource_id.map(|id| id.id),
            is_internal: wire.is_internal,
        }
    }
}

impl From<async_ops::AsyncOp> for AsyncOp<'_> {
    fn from(wire: async_ops::AsyncOp) -> Self {
        Self {
            id: wire.id.map(|id| id.id),
            source: wire.source.into(),
            parent: wire.parent_async_op_id.map(|id| id.id),
            resource: wire.resource_id.map(|id| id.id),
        }
    }
}

impl From<console_api::Location> for Location<'_> {
    fn from(wire: console_api::Location) -> Self {
        Self {
            file: wire.file.map(Cow::Owned),
            module: wire.module_path.map(Cow::Owned),
            line: wire.line,
            column: wire.column,
        }
    }
}

impl From<console_api::Field> for Field<'_> {
    fn from(wire: console_api::Field) -> Self {
        Self {
            name: wire.name.map(|name| match name {
                field::Name::StrName(name) => FieldName::Text(name.into()),
                field::Name::NameIdx(index) => FieldName::Index(index),
            }),
            value: wire.value.map(|value| match value {
                field::Value::DebugVal(text) | field::Value::StrVal(text) => FieldValue::Text(text.into()),
                field::Value::U64Val(number) => FieldValue::Number(number),
                field::Value::I64Val(number) => FieldValue::Signed(number),
                field::Value::BoolVal(yes) => FieldValue::Bool(yes),
            }),
            metadata: wire.metadata_id.map(|id| id.id),
        }
    }
}

impl From<console_api::Attribute> for Attribute<'_> {
    fn from(wire: console_api::Attribute) -> Self {
        Self { field: wire.field.map(Field::from), unit: wire.unit.map(Cow::Owned) }
    }
}
