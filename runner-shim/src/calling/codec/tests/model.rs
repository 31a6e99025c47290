//! Every kind of value in serde's data model, in every place, compared with the value expected.
//!
//! A [`Value`] calls the method of `Serializer` that a type of its kind would call. The expected
//! value selects the method of `Deserializer`, as such a type would. So the value comes back as it
//! was, or there is an error; and no error may be taken for `None`.

use std::{cell::RefCell, fmt, rc::Rc};

use proptest::prelude::*;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor},
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::encode;
use crate::calling::codec::{CodecError, de::Deserializer as Reader};

const VARIANTS: &[&str] = &["A", "B", "C", "D"];
const FIELDS: &[&str] = &["value", "b", "c", "d"];

#[derive(Debug, Clone, PartialEq)]
enum Value {
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
    fn is_wide(&self) -> bool {
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

/// Reads as the type of the expected value would.
#[derive(Clone, Copy)]
struct Expected<'v>(&'v Value);

impl<'de> DeserializeSeed<'de> for Expected<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        match self.0 {
            Value::Bool(_) => from.deserialize_bool(self),
            Value::I8(_) => from.deserialize_i8(self),
            Value::I16(_) => from.deserialize_i16(self),
            Value::I32(_) => from.deserialize_i32(self),
            Value::I64(_) => from.deserialize_i64(self),
            Value::I128(_) => from.deserialize_i128(self),
            Value::U8(_) => from.deserialize_u8(self),
            Value::U16(_) => from.deserialize_u16(self),
            Value::U32(_) => from.deserialize_u32(self),
            Value::U64(_) => from.deserialize_u64(self),
            Value::U128(_) => from.deserialize_u128(self),
            Value::F32(_) => from.deserialize_f32(self),
            Value::F64(_) => from.deserialize_f64(self),
            Value::Char(_) => from.deserialize_char(self),
            Value::Text(_) => from.deserialize_string(self),
            Value::Bytes(_) => from.deserialize_byte_buf(self),
            Value::ListOfBytes(_) => Vec::deserialize(from).map(Value::ListOfBytes),
            Value::None | Value::Some(_) => from.deserialize_option(self),
            Value::Unit => from.deserialize_unit(self),
            Value::UnitStruct => from.deserialize_unit_struct("UnitStruct", self),
            Value::Newtype(_) => from.deserialize_newtype_struct("Newtype", self),
            Value::UnitVariant(_)
            | Value::NewtypeVariant(..)
            | Value::TupleVariant(..)
            | Value::StructVariant(..) => from.deserialize_enum("Enum", VARIANTS, self),
            Value::List(..) => from.deserialize_seq(self),
            Value::Tuple(values) => from.deserialize_tuple(values.len(), self),
            Value::TupleStruct(values) => {
                from.deserialize_tuple_struct("Tuple", values.len(), self)
            }
            Value::Map(..) => from.deserialize_map(self),
            Value::Struct(values) => {
                from.deserialize_struct("Struct", &FIELDS[..values.len()], self)
            }
        }
    }
}

/// An integer, converted as the expected type would.
macro_rules! integer {
    ($self:ident, $value:ident: $($kind:ident)+) => {
        match $self.0 {
            $(Value::$kind(_) => $value.try_into().map(Value::$kind).map_err(E::custom),)+
            _ => Err(E::custom("an integer")),
        }
    };
}

fn elements<'de, A: SeqAccess<'de>>(
    expected: &[Value],
    mut from: A,
) -> Result<Vec<Value>, A::Error> {
    let read = |expected| {
        from.next_element_seed(Expected(expected))?.ok_or_else(|| de::Error::custom("too few"))
    };
    expected.iter().map(read).collect()
}

fn fields<'de, A: MapAccess<'de>>(expected: &[Value], mut from: A) -> Result<Vec<Value>, A::Error> {
    let mut values = vec![None; expected.len()];
    while let Some(name) = from.next_key::<String>()? {
        let at = FIELDS.iter().position(|field| *field == name);
        let at = at.filter(|at| *at < expected.len());
        let at = at.ok_or_else(|| de::Error::custom("no such field"))?;
        values[at] = Some(from.next_value_seed(Expected(&expected[at]))?);
    }
    values.into_iter().map(|value| value.ok_or_else(|| de::Error::custom("too few"))).collect()
}

impl<'de> Visitor<'de> for Expected<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        integer!(self, value: I8 I16 I32 I64 I128)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        integer!(self, value: I8 I16 I32 I64 I128 U8 U16 U32 U64 U128)
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        integer!(self, value: I128)
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        integer!(self, value: U128)
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<Value, E> {
        Ok(Value::F32(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::F64(value))
    }

    fn visit_char<E: de::Error>(self, value: char) -> Result<Value, E> {
        Ok(Value::Char(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        match self.0 {
            Value::Char(_) => value.parse().map(Value::Char).map_err(E::custom),
            _ => Ok(Value::Text(value.to_owned())),
        }
    }

    fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.to_owned()))
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        match self.0 {
            Value::Some(value) => Ok(Value::Some(Expected(value).deserialize(from)?.into())),
            _ => Err(de::Error::custom("Some")),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        // As the visitors of `Option` and of unit structs do.
        Ok(match self.0 {
            Value::None | Value::Some(_) => Value::None,
            Value::UnitStruct => Value::UnitStruct,
            _ => Value::Unit,
        })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        match self.0 {
            Value::Newtype(value) => Ok(Value::Newtype(Expected(value).deserialize(from)?.into())),
            _ => Err(de::Error::custom("a newtype")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, from: A) -> Result<Value, A::Error> {
        Ok(match self.0 {
            Value::List(len, values) => Value::List(*len, elements(values, from)?),
            Value::Tuple(values) => Value::Tuple(elements(values, from)?),
            Value::TupleStruct(values) => Value::TupleStruct(elements(values, from)?),
            Value::TupleVariant(variant, values) => {
                Value::TupleVariant(*variant, elements(values, from)?)
            }
            _ => return Err(de::Error::custom("a list")),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        Ok(match self.0 {
            Value::Map(len, entries) => {
                let mut read = Vec::new();
                for (key, value) in entries {
                    let key = from.next_key_seed(Expected(key))?;
                    let key = key.ok_or_else(|| de::Error::custom("too few"))?;
                    read.push((key, from.next_value_seed(Expected(value))?));
                }
                if from.next_key::<de::IgnoredAny>()?.is_some() {
                    return Err(de::Error::custom("too many"));
                }
                Value::Map(*len, read)
            }
            Value::Struct(values) => Value::Struct(fields(values, from)?),
            Value::StructVariant(variant, values) => {
                Value::StructVariant(*variant, fields(values, from)?)
            }
            _ => return Err(de::Error::custom("a map")),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, from: A) -> Result<Value, A::Error> {
        let (name, content) = from.variant::<String>()?;
        let at = VARIANTS.iter().position(|variant| *variant == name);
        let at = at.ok_or_else(|| de::Error::custom("no such variant"))?;
        Ok(match self.0 {
            Value::UnitVariant(_) => {
                content.unit_variant()?;
                Value::UnitVariant(at)
            }
            Value::NewtypeVariant(_, value) => {
                Value::NewtypeVariant(at, content.newtype_variant_seed(Expected(value))?.into())
            }
            Value::TupleVariant(_, values) => content.tuple_variant(values.len(), self)?,
            Value::StructVariant(_, values) => {
                content.struct_variant(&FIELDS[..values.len()], self)?
            }
            _ => return Err(de::Error::custom("an enum")),
        })
    }
}

thread_local! {
    static EXPECTED: RefCell<Rc<Value>> = RefCell::new(Rc::new(Value::Unit));
}

/// A value that is read as the one expected on this thread, so that it can be part of derived
/// types.
#[derive(Debug, Clone, PartialEq)]
struct Typed(Value);

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected = EXPECTED.with_borrow(Rc::clone);
        Expected(&expected).deserialize(from).map(Self)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    value: Typed,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct FlattenedOption {
    id: u8,
    #[serde(flatten)]
    inner: Option<Inner>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Is { value: Typed },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Is(Inner),
}

fn through<T: crate::calling::Wire + PartialEq>(value: T) -> Result<T, CodecError> {
    super::decode(&encode(&value)?)
}

fn value() -> impl Strategy<Value = Value> {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_kind_of_value_comes_back_as_it_was(value in value()) {
        let bytes = encode(&Typed(value.clone())).unwrap();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(Expected(&value).deserialize(&mut reader).unwrap(), value);
        prop_assert!(reader.is_at_end());
    }

    #[test]
    fn a_value_of_an_unknown_field_is_skipped(value in value()) {
        let bytes = encode(&(Typed(value), 7_u8)).unwrap();
        let (_, seven) = super::decode::<(Ignored, u8)>(&bytes).unwrap();
        prop_assert_eq!(seven, 7);
    }

    #[test]
    fn serdes_own_buffer_changes_and_loses_nothing(value in value()) {
        EXPECTED.set(Rc::new(value.clone()));
        let inner = || Inner { value: Typed(value.clone()) };
        let flattened = through(FlattenedOption { id: 1, inner: Some(inner()) });
        let tagged = through(Tagged::Is { value: Typed(value.clone()) });
        let untagged = through(Untagged::Is(inner()));
        if value.is_wide() {
            prop_assert!(flattened.is_err() && tagged.is_err() && untagged.is_err());
        } else {
            prop_assert_eq!(flattened.unwrap().inner, Some(inner()));
            prop_assert_eq!(tagged.unwrap(), Tagged::Is { value: Typed(value.clone()) });
            prop_assert_eq!(untagged.unwrap(), Untagged::Is(inner()));
        }
    }

    #[test]
    fn damaged_bytes_of_every_kind_never_panic(
        value in value(), at in any::<prop::sample::Index>(), to in any::<u8>()
    ) {
        EXPECTED.set(Rc::new(value.clone()));
        let mut bytes = encode(&Untagged::Is(Inner { value: Typed(value) })).unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = super::decode::<Untagged>(&bytes);
        let _ = super::decode::<FlattenedOption>(&bytes);
        let _ = super::decode::<serde_json::Value>(&bytes);
        let _ = super::decode::<super::Everything>(&bytes);
    }
}

/// A field that the type does not know.
#[derive(Debug)]
struct Ignored;

impl Serialize for Ignored {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(from).map(|_| Self)
    }
}
