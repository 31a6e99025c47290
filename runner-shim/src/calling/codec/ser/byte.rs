//! Distinguishes lists of `u8` from other lists, which serde does not.

use serde::{
    Serialize,
    ser::{Impossible, Serializer},
};

use super::super::format::ValueError;

/// Whether values of type `T` are `u8`s.
///
/// Compares the type's name, because `T` may borrow. The compiler removes the comparison. If type
/// names ever changed, lists of bytes would be slow, but still correct.
#[inline]
pub(super) fn is<T: ?Sized>() -> bool {
    let name = std::any::type_name::<T>();
    name == "u8" || name == "&u8"
}

/// The byte in `value`, if [`is`] is true for its type.
#[inline]
pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Result<u8, ValueError> {
    value.serialize(ByteSerializer)
}

/// Returns the `u8` that is serialized.
struct ByteSerializer;

macro_rules! rejected {
    ($($method:ident($($argument:ty),*) $(-> $compound:ident)?;)+) => { $(
        fn $method(self $(, _: $argument)*) -> Result<rejected!(@ $($compound)?), ValueError> {
            Err(no_byte())
        }
    )+ };
    (@) => { u8 };
    (@ $compound:ident) => { Self::$compound };
}

#[cold]
fn no_byte() -> ValueError {
    ValueError::new("a type named `u8` did not serialize as a `u8`")
}

impl Serializer for ByteSerializer {
    type Ok = u8;
    type Error = ValueError;
    type SerializeSeq = Impossible<u8, ValueError>;
    type SerializeTuple = Impossible<u8, ValueError>;
    type SerializeTupleStruct = Impossible<u8, ValueError>;
    type SerializeTupleVariant = Impossible<u8, ValueError>;
    type SerializeMap = Impossible<u8, ValueError>;
    type SerializeStruct = Impossible<u8, ValueError>;
    type SerializeStructVariant = Impossible<u8, ValueError>;

    #[inline]
    fn serialize_u8(self, byte: u8) -> Result<u8, ValueError> {
        Ok(byte)
    }

    rejected! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<u8, ValueError> {
        Err(no_byte())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<u8, ValueError> {
        Err(no_byte())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<u8, ValueError> {
        Err(no_byte())
    }
}
