//! Writes values in the [format](super::format).
//!
//! Invariants:
//! - Everything that is written can be read again: values that the format can't represent are
//!   rejected.
//! - A length that `Serialize` announces is a hint; the actual number of elements is written.

mod byte;
mod compound;

use rmp::{Marker, encode};
use serde::{Serialize, ser};

use super::format::{
    Depth, EXTENSION, EXTENSION_NAME, I128, MIN_BYTE_LIST, RAW_NAME, SOME, U128, ValueError,
};
use compound::{ExtensionWriter, ListSerializer, MapSerializer};

/// Appends values to a buffer.
pub(super) struct Serializer<'o> {
    out: &'o mut Vec<u8>,
    depth: Depth,
}

impl<'o> Serializer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, depth: Depth::default() }
    }

    /// Writes `name` as the only key of a map. The content of the variant follows.
    fn variant(&mut self, name: &'static str) -> Result<(), ValueError> {
        self.depth.variants.enter()?;
        self.out.push(Marker::FixMap(1).to_u8());
        self.text(name)
    }

    #[inline]
    fn text(&mut self, text: &str) -> Result<(), ValueError> {
        encode::write_str_len(self.out, length(text.len())?).map_err(ValueError::new)?;
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn wide(&mut self, kind: i8, bytes: [u8; 16]) {
        self.out.extend_from_slice(&[Marker::FixExt16.to_u8(), kind.to_be_bytes()[0]]);
        self.out.extend_from_slice(&bytes);
    }

    /// Adds one `Some` around the value that was written at `start`, if that value is nil or
    /// already consists of `Some`s around nil.
    #[inline]
    fn around_nil(&mut self, start: usize) -> Result<(), ValueError> {
        const NIL: u8 = Marker::Null.to_u8();
        const EXT: u8 = Marker::FixExt1.to_u8();
        const KIND: u8 = SOME.to_be_bytes()[0];
        match self.out.get_mut(start..) {
            Some([NIL]) => {
                self.out.truncate(start);
                self.out.extend_from_slice(&[EXT, KIND, 1]);
            }
            Some([EXT, KIND, somes]) => {
                *somes = somes.checked_add(1).ok_or_else(ValueError::too_deep)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// A length in the format's range.
fn length(len: usize) -> Result<u32, ValueError> {
    u32::try_from(len).map_err(|_| ValueError::new(format_args!("{len} is too long")))
}

macro_rules! numbers {
    ($($method:ident($number:ty) => $write:ident($wide:ty);)+) => { $(
        #[inline]
        fn $method(self, number: $number) -> Result<(), ValueError> {
            encode::$write(self.out, <$wide>::from(number)).map_err(ValueError::new)?;
            Ok(())
        }
    )+ };
}

impl<'a, 'o> ser::Serializer for &'a mut Serializer<'o> {
    type Ok = ();
    type Error = ValueError;
    type SerializeSeq = ListSerializer<'a, 'o>;
    type SerializeTuple = ListSerializer<'a, 'o>;
    type SerializeTupleStruct = ListSerializer<'a, 'o>;
    type SerializeTupleVariant = ListSerializer<'a, 'o>;
    type SerializeMap = MapSerializer<'a, 'o>;
    type SerializeStruct = MapSerializer<'a, 'o>;
    type SerializeStructVariant = MapSerializer<'a, 'o>;

    /// serde's own buffer returns `true`, and must be given the values that it asks for.
    #[inline]
    fn is_human_readable(&self) -> bool {
        true
    }

    numbers! {
        serialize_i8(i8) => write_sint(i64);
        serialize_i16(i16) => write_sint(i64);
        serialize_i32(i32) => write_sint(i64);
        serialize_i64(i64) => write_sint(i64);
        serialize_u8(u8) => write_uint(u64);
        serialize_u16(u16) => write_uint(u64);
        serialize_u32(u32) => write_uint(u64);
        serialize_u64(u64) => write_uint(u64);
        serialize_f32(f32) => write_f32(f32);
        serialize_f64(f64) => write_f64(f64);
    }

    fn serialize_i128(self, number: i128) -> Result<(), ValueError> {
        self.wide(I128, number.to_be_bytes());
        Ok(())
    }

    fn serialize_u128(self, number: u128) -> Result<(), ValueError> {
        self.wide(U128, number.to_be_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bool(self, yes: bool) -> Result<(), ValueError> {
        self.out.push(if yes { Marker::True } else { Marker::False }.to_u8());
        Ok(())
    }

    fn serialize_char(self, character: char) -> Result<(), ValueError> {
        self.text(character.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), ValueError> {
        self.text(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), ValueError> {
        encode::write_bin_len(self.out, length(bytes.len())?).map_err(ValueError::new)?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), ValueError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ValueError> {
        self.depth.somes.enter()?;
        let start = self.out.len();
        value.serialize(&mut *self)?;
        self.depth.somes.leave();
        self.around_nil(start)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), ValueError> {
        self.out.push(Marker::Null.to_u8());
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), ValueError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), ValueError> {
        self.text(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        if name == EXTENSION_NAME {
            let extension = ExtensionWriter::begin(self.out, EXTENSION);
            value.serialize(&mut *self)?;
            return extension.end(self.out);
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.depth.variants.leave();
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<ListSerializer<'a, 'o>, ValueError> {
        ListSerializer::begin(self, len, false)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<ListSerializer<'a, 'o>, ValueError> {
        ListSerializer::begin(self, Some(len), false)
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        len: usize,
    ) -> Result<ListSerializer<'a, 'o>, ValueError> {
        ListSerializer::begin(self, Some(len), false)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<ListSerializer<'a, 'o>, ValueError> {
        self.variant(variant)?;
        ListSerializer::begin(self, Some(len), true)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<MapSerializer<'a, 'o>, ValueError> {
        MapSerializer::begin(self, len, false)
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<MapSerializer<'a, 'o>, ValueError> {
        if name == RAW_NAME {
            return MapSerializer::raw(self);
        }
        MapSerializer::begin(self, Some(len), false)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<MapSerializer<'a, 'o>, ValueError> {
        self.variant(variant)?;
        MapSerializer::begin(self, Some(len), true)
    }

    /// Called by slices and most collections. A list of `u8` is written in one step.
    fn collect_seq<I>(self, elements: I) -> Result<(), ValueError>
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        let elements = elements.into_iter();
        let len = match elements.size_hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        };
        if let Some(len) = len.filter(|&len| len >= MIN_BYTE_LIST && byte::is::<I::Item>()) {
            return compound::byte_list(self.out, len, elements);
        }
        let mut list = self.serialize_seq(len)?;
        for element in elements {
            ser::SerializeSeq::serialize_element(&mut list, &element)?;
        }
        ser::SerializeSeq::end(list)
    }
}
