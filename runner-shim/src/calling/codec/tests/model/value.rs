//! A value of every kind in serde's data model.

use proptest::prelude::*;
use serde::{
    Serialize, Serializer,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

pub(super) const VARIANTS: &[&str] = &["A", "B", "C", "D"];
pub(super) const FIELDS: &[&str] = &["value", "b", "c", "d"];

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Text(String),
    Bytes(Vec<u8>),
    ListOfBytes(Vec<u8>),
    None,
    Some(Box<Value>),
    Unit,
    UnitStruct,
    UnitVariant(usize),
    Newtype(Box<Value>),
    NewtypeVariant(usize, Box<Value>),
    /// With the length that it announces.
    List(Option<usize>, Vec<Value>),
    Tuple(Vec<Value>),
    TupleStruct(Vec<Value>),
    TupleVariant(usize, Vec<Value>),
    /// With the length that it announces.
    Map(Option<usize>, Vec<(Value, Value)>),
    Struct(Vec<Value>),
    StructVariant(usize, Vec<Value>),
}

impl Value {
    /// Whether it contains a value that serde's own buffer can't keep.
    pub(super) fn is_wide(&self) -> bool {
        match self {
            Self::I128(_) | Self::U128(_) => true,
            Self::Some(value) | Self::Newtype(value) | Self::NewtypeVariant(_, value) => {
                value.is_wide()
            }
            Self::List(_, values)
            | Self::Tuple(values)
            | Self::TupleStruct(values)
            | Self::TupleVariant(_, values)
            | Self::Struct(values)
            | Self::StructVariant(_, values) => values.iter().any(Self::is_wide),
            Self::Map(_, entries) => {
                entries.iter().any(|(key, value)| key.is_wide() || value.is_wide())
            }
            _ => false,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let index = |variant: &usize| u32::try_from(*variant).unwrap();
        match self {
            Self::Bool(value) => to.serialize_bool(*value),
            Self::I8(value) => to.serialize_i8(*value),
            Self::I16(value) => to.serialize_i16(*value),
            Self::I32(value) => to.serialize_i32(*value),
            Self::I64(value) => to.serialize_i64(*value),
            Self::I128(value) => to.serialize_i128(*value),
            Self::U8(value) => to.serialize_u8(*value),
            Self::U16(value) => to.serialize_u16(*value),
            Self::U32(value) => to.serialize_u32(*value),
            Self::U64(value) => to.serialize_u64(*value),
            Self::U128(value) => to.serialize_u128(*value),
            Self::F32(value) => to.serialize_f32(*value),
            Self::F64(value) => to.serialize_f64(*value),
            Self::Char(value) => to.serialize_char(*value),
            Self::Text(value) => to.serialize_str(value),
            Self::Bytes(value) => to.serialize_bytes(value),
            Self::ListOfBytes(value) => value.serialize(to),
            Self::None => to.serialize_none(),
            Self::Some(value) => to.serialize_some(value),
            Self::Unit => to.serialize_unit(),
            Self::UnitStruct => to.serialize_unit_struct("UnitStruct"),
            Self::UnitVariant(variant) => {
                to.serialize_unit_variant("Enum", index(variant), VARIANTS[*variant])
            }
            Self::Newtype(value) => to.serialize_newtype_struct("Newtype", value),
            Self::NewtypeVariant(variant, value) => {
                to.serialize_newtype_variant("Enum", index(variant), VARIANTS[*variant], value)
            }
            Self::List(len, values) => {
                let mut list = to.serialize_seq(*len)?;
                values.iter().try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
            Self::Tuple(values) => {
                let mut list = to.serialize_tuple(values.len())?;
                values.iter().try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
            Self::TupleStruct(values) => {
                let mut list = to.serialize_tuple_struct("Tuple", values.len())?;
                values.iter().try_for_each(|value| list.serialize_field(value))?;
                list.end()
            }
            Self::TupleVariant(variant, values) => {
                let name = VARIANTS[*variant];
                let len = values.len();
                let mut list = to.serialize_tuple_variant("Enum", index(variant), name, len)?;
                values.iter().try_for_each(|value| list.serialize_field(value))?;
                list.end()
            }
            Self::Map(len, entries) => {
                let mut map = to.serialize_map(*len)?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
            Self::Struct(values) => {
                let mut fields = to.serialize_struct("Struct", values.len())?;
                let mut named = FIELDS.iter().zip(values);
                named.try_for_each(|(name, value)| fields.serialize_field(name, value))?;
                fields.end()
            }
            Self::StructVariant(variant, values) => {
                let name = VARIANTS[*variant];
                let len = values.len();
                let mut fields = to.serialize_struct_variant("Enum", index(variant), name, len)?;
                let mut named = FIELDS.iter().zip(values);
                named.try_for_each(|(name, value)| fields.serialize_field(name, value))?;
                fields.end()
            }
        }
    }
}

pub(super) fn value() -> impl Strategy<Value = Value> {
    let variant = || 0..VARIANTS.len();
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<i16>().prop_map(Value::I16),
        any::<i32>().prop_map(Value::I32),
        any::<i64>().prop_map(Value::I64),
        any::<i128>().prop_map(Value::I128),
        any::<u8>().prop_map(Value::U8),
        any::<u16>().prop_map(Value::U16),
        any::<u32>().prop_map(Value::U32),
        any::<u64>().prop_map(Value::U64),
        any::<u128>().prop_map(Value::U128),
        any::<f32>().prop_map(Value::F32),
        any::<f64>().prop_map(Value::F64),
        any::<char>().prop_map(Value::Char),
        ".{0,40}".prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::ListOfBytes),
        Just(Value::None),
        Just(Value::None),
        Just(Value::Unit),
        Just(Value::UnitStruct),
        variant().prop_map(Value::UnitVariant),
    ];
    leaf.prop_recursive(6, 40, 4, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let values = prop::collection::vec(inner.clone(), 0..20);
        let few = prop::collection::vec(inner.clone(), 0..=FIELDS.len());
        let entries = prop::collection::vec((inner.clone(), inner), 0..20);
        let announced = |len: usize| {
            prop_oneof![3 => Just(Some(len)), 2 => Just(None), 1 => (0..40_usize).prop_map(Some)]
        };
        prop_oneof![
            boxed.clone().prop_map(Value::Some),
            boxed.clone().prop_map(|value| Value::Some(Box::new(Value::Some(value)))),
            boxed.clone().prop_map(Value::Newtype),
            (variant(), boxed).prop_map(|(at, value)| Value::NewtypeVariant(at, value)),
            values
                .clone()
                .prop_flat_map(move |values| (announced(values.len()), Just(values)))
                .prop_map(|(len, values)| Value::List(len, values)),
            values.clone().prop_map(Value::Tuple),
            values.clone().prop_map(Value::TupleStruct),
            (variant(), values).prop_map(|(at, values)| Value::TupleVariant(at, values)),
            entries
                .prop_flat_map(move |entries| (announced(entries.len()), Just(entries)))
                .prop_map(|(len, entries)| Value::Map(len, entries)),
            few.clone().prop_map(Value::Struct),
            (variant(), few).prop_map(|(at, values)| Value::StructVariant(at, values)),
        ]
    })
}
