//! Reads a value as the type of the expected value would.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor},
};

use super::value::{FIELDS, VARIANTS, Value};

/// Reads as the type of the expected value would.
#[derive(Clone, Copy)]
pub(super) struct Expected<'v>(pub(super) &'v Value);

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
