//! Reads values in the [format](super::format).
//!
//! Invariants:
//! - Any bytes result in a value or an error. A length is not trusted before the bytes are there,
//!   and no input nests deeper than a value that can be written.
//! - If a type does not ask for a specific kind (serde's own buffer does not), it gets the kind
//!   that was written. Values that this buffer can't keep are an error while it is filled: later, a
//!   flattened `Option` would turn the error into `None`.

mod access;
mod token;

use rmp::Marker;
use serde::de::{Error as _, Unexpected, Visitor, value::BorrowedStrDeserializer};

use super::format::{Depth, EXTENSION_NAME, RAW_NAME, SOME, ValueError};
use access::{ByteListAccess, ElementAccess, RawValueAccess, VariantReader};
use token::ValueToken;

/// The first bytes of a [`SOME`].
const SOME_0: u8 = Marker::FixExt1.to_u8();
const SOME_1: u8 = SOME.to_be_bytes()[0];
const NIL: u8 = Marker::Null.to_u8();

/// Reads values from the front of a slice.
pub(super) struct Deserializer<'de> {
    input: &'de [u8],
    /// How many of the `Some`s at the front of `input` have been read.
    somes: u8,
    depth: Depth,
}

impl<'de> Deserializer<'de> {
    pub(super) fn new(input: &'de [u8]) -> Self {
        Self { input, somes: 0, depth: Depth::default() }
    }

    /// Whether everything has been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.input.is_empty()
    }

    #[inline(always)]
    fn take(&mut self) -> Result<ValueToken<'de>, ValueError> {
        token::take(&mut self.input)
    }

    /// Reads the next value, of any kind.
    #[inline]
    fn any<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, ValueError> {
        let before = self.input;
        match self.take()? {
            ValueToken::Nil => visitor.visit_unit(),
            ValueToken::Bool(yes) => visitor.visit_bool(yes),
            ValueToken::Unsigned(number) => visitor.visit_u64(number),
            ValueToken::Signed(number) => visitor.visit_i64(number),
            ValueToken::F32(number) => visitor.visit_f32(number),
            ValueToken::F64(number) => visitor.visit_f64(number),
            ValueToken::Text(text) => visitor.visit_borrowed_str(text),
            ValueToken::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            ValueToken::List(len) => self.list(len, visitor),
            ValueToken::Map(len) => self.map(len, visitor),
            ValueToken::ByteList(bytes) => byte_list(bytes, visitor),
            ValueToken::Somes(somes) if somes > self.somes => {
                self.input = before;
                self.somes += 1;
                self.some(visitor)
            }
            ValueToken::Somes(_) => {
                self.somes = 0;
                visitor.visit_unit()
            }
            ValueToken::U128(number) => {
                visitor.visit_u128::<ValueError>(number).map_err(unbuffered)
            }
            ValueToken::I128(number) => {
                visitor.visit_i128::<ValueError>(number).map_err(unbuffered)
            }
            ValueToken::Raw(_) => Err(unbuffered("a `RawValue` of serde_json")),
            ValueToken::Extension(content) => self.extension(content, visitor),
        }
    }

    /// Reads a number of 128 bits, or a shorter one that another library wrote.
    fn wide<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, ValueError> {
        let before = self.input;
        match self.take()? {
            ValueToken::U128(number) => visitor.visit_u128(number),
            ValueToken::I128(number) => visitor.visit_i128(number),
            _ => {
                self.input = before;
                self.any(visitor)
            }
        }
    }

    #[inline]
    fn list<V: Visitor<'de>>(&mut self, len: u32, visitor: V) -> Result<V::Value, ValueError> {
        self.depth.lists.enter()?;
        let mut elements = ElementAccess { from: self, left: len };
        let value = visitor.visit_seq(&mut elements)?;
        let left = elements.left;
        self.depth.lists.leave();
        all_taken(left as usize, len as usize)?;
        Ok(value)
    }

    #[inline]
    fn map<V: Visitor<'de>>(&mut self, len: u32, visitor: V) -> Result<V::Value, ValueError> {
        self.depth.lists.enter()?;
        let mut elements = ElementAccess { from: self, left: len };
        let value = visitor.visit_map(&mut elements)?;
        let left = elements.left;
        self.depth.lists.leave();
        all_taken(left as usize, len as usize)?;
        Ok(value)
    }

    #[inline]
    fn some<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, ValueError> {
        self.depth.somes.enter()?;
        let value = visitor.visit_some(&mut *self)?;
        self.depth.somes.leave();
        Ok(value)
    }

    fn extension<V: Visitor<'de>>(
        &mut self,
        content: &'de [u8],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let mut inner = Self { input: content, somes: 0, depth: self.depth };
        inner.depth.lists.enter()?;
        visitor.visit_newtype_struct(&mut inner)
    }

    /// Skips the next value, without recursion.
    fn skip(&mut self) -> Result<(), ValueError> {
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            left += match self.take()? {
                ValueToken::List(len) => len.into(),
                ValueToken::Map(len) => 2 * u64::from(len),
                _ => 0,
            };
        }
        self.somes = 0;
        Ok(())
    }
}

fn byte_list<'de, V: Visitor<'de>>(bytes: &'de [u8], visitor: V) -> Result<V::Value, ValueError> {
    let mut elements = ByteListAccess(bytes.iter());
    let value = visitor.visit_seq(&mut elements)?;
    all_taken(elements.0.len(), bytes.len())?;
    Ok(value)
}

/// `left` of `len` elements were not read: a type that reads fewer elements is a different type.
#[inline]
fn all_taken(left: usize, len: usize) -> Result<(), ValueError> {
    if left == 0 { Ok(()) } else { Err(too_many(len - left, len)) }
}

#[cold]
fn too_many(taken: usize, len: usize) -> ValueError {
    ValueError::new(format_args!("there are {len} elements where {taken} were expected"))
}

/// serde's own buffer, or a type that takes any value, can't keep `what`.
#[cold]
fn unbuffered(what: impl std::fmt::Display) -> ValueError {
    ValueError::new(format_args!(
        "{what}: serde cannot keep it behind `flatten`, `tag` or `untagged`"
    ))
}

/// Reads the kind that was written.
macro_rules! any {
    ($($method:ident($($argument:ty),*))+) => { $(
        #[inline]
        fn $method<V: Visitor<'de>>(
            self $(, _: $argument)*, visitor: V
        ) -> Result<V::Value, ValueError> {
            self.any(visitor)
        }
    )+ };
}

/// Reads a list, including one that was written as bytes.
macro_rules! list {
    ($($method:ident($($argument:ty),*))+) => { $(
        #[inline]
        fn $method<V: Visitor<'de>>(
            self $(, _: $argument)*, visitor: V
        ) -> Result<V::Value, ValueError> {
            let before = self.input;
            match self.take()? {
                ValueToken::List(len) => self.list(len, visitor),
                ValueToken::ByteList(bytes) | ValueToken::Bytes(bytes) => byte_list(bytes, visitor),
                _ => {
                    self.input = before;
                    self.any(visitor)
                }
            }
        }
    )+ };
}

/// Reads bytes, including bytes that were written as a list.
macro_rules! bytes {
    ($($method:ident)+) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            let before = self.input;
            if let ValueToken::ByteList(bytes) = self.take()? {
                return visitor.visit_borrowed_bytes(bytes);
            }
            self.input = before;
            self.any(visitor)
        }
    )+ };
}

impl<'de> serde::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = ValueError;

    /// serde's own buffer returns `true`, and passes on values that were written for that.
    #[inline]
    fn is_human_readable(&self) -> bool {
        true
    }

    any! {
        deserialize_any() deserialize_bool() deserialize_char() deserialize_str()
        deserialize_string() deserialize_identifier() deserialize_map()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64()
        deserialize_f32() deserialize_f64()
        deserialize_struct(&'static str, &'static [&'static str])
    }

    list! {
        deserialize_seq() deserialize_tuple(usize) deserialize_tuple_struct(&'static str, usize)
    }

    bytes! { deserialize_bytes deserialize_byte_buf }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.wide(visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.wide(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match *self.input {
            [NIL, ref rest @ ..] => {
                self.input = rest;
                visitor.visit_none()
            }
            [SOME_0, SOME_1, somes, ref rest @ ..] => {
                if somes > self.somes {
                    self.somes += 1;
                    return self.some(visitor);
                }
                self.somes = 0;
                self.input = rest;
                visitor.visit_none()
            }
            _ => self.some(visitor),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match *self.input {
            [NIL, ref rest @ ..] | [SOME_0, SOME_1, _, ref rest @ ..] => {
                self.input = rest;
                self.somes = 0;
                visitor.visit_unit()
            }
            _ => self.any(visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        if name == RAW_NAME || name == EXTENSION_NAME {
            let before = self.input;
            match self.take()? {
                ValueToken::Raw(content) if name == RAW_NAME => {
                    let mut inner = Deserializer::new(content);
                    return visitor.visit_map(RawValueAccess { from: &mut inner, named: false });
                }
                ValueToken::Extension(content) => return self.extension(content, visitor),
                _ => self.input = before,
            }
        }
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match self.take()? {
            ValueToken::Text(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            ValueToken::Map(1) => {
                self.depth.variants.enter()?;
                let value = visitor.visit_enum(VariantReader(&mut *self))?;
                self.depth.variants.leave();
                Ok(value)
            }
            _ => Err(ValueError::invalid_type(Unexpected::Other("not a variant"), &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.skip()?;
        visitor.visit_unit()
    }
}
