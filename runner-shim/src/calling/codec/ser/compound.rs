//! Writes lists, maps and structs as serde passes their elements.

use rmp::{Marker, encode};
use serde::{
    Serialize,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::{
    super::format::{BYTE_LIST, MIN_BYTE_LIST, RAW, ValueError},
    Serializer, byte, length,
};

/// The bytes before the elements, which say how many there are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Head {
    Array,
    Map,
    ByteList,
}

impl Head {
    /// The head for `len` elements, and its length in bytes.
    #[inline]
    fn of(self, len: usize) -> Result<([u8; 6], usize), ValueError> {
        let len = length(len)?;
        let mut bytes = [0; 6];
        let mut left = &mut bytes[..];
        match self {
            Self::Array => encode::write_array_len(&mut left, len),
            Self::Map => encode::write_map_len(&mut left, len),
            Self::ByteList => encode::write_ext_meta(&mut left, len, BYTE_LIST),
        }
        .map_err(ValueError::new)?;
        let free = left.len();
        Ok((bytes, 6 - free))
    }

    #[inline]
    fn append(self, out: &mut Vec<u8>, len: usize) -> Result<(), ValueError> {
        let (bytes, size) = self.of(len)?;
        out.extend_from_slice(&bytes[..size]);
        Ok(())
    }
}

/// Elements after a [`Head`], of which a number may have been announced.
struct ElementWriter<'a, 'o> {
    to: &'a mut Serializer<'o>,
    /// The positions at which the head and the elements begin.
    start: usize,
    body: usize,
    announced: Option<usize>,
    count: usize,
    /// The elements are the content of a variant.
    variant: bool,
}

impl<'a, 'o> ElementWriter<'a, 'o> {
    #[inline]
    fn begin(
        to: &'a mut Serializer<'o>,
        announced: Option<usize>,
        variant: bool,
    ) -> Result<Self, ValueError> {
        to.depth.lists.enter()?;
        let start = to.out.len();
        Ok(Self { to, start, body: start, announced, count: 0, variant })
    }

    /// Writes the head for the announced number of elements.
    #[inline]
    fn head(&mut self, head: Head) -> Result<(), ValueError> {
        head.append(self.to.out, self.announced.unwrap_or(0))?;
        self.body = self.to.out.len();
        Ok(())
    }

    #[inline]
    fn end(self, head: Head) -> Result<(), ValueError> {
        if self.announced.unwrap_or(0) != self.count {
            let (bytes, size) = head.of(self.count)?;
            self.to.out.splice(self.start..self.body, bytes.into_iter().take(size));
        }
        self.to.depth.lists.leave();
        if self.variant {
            self.to.depth.variants.leave();
        }
        Ok(())
    }
}

/// A list or a tuple.
pub(crate) struct ListSerializer<'a, 'o> {
    elements: ElementWriter<'a, 'o>,
    /// `None` until the first element.
    head: Option<Head>,
}

impl<'a, 'o> ListSerializer<'a, 'o> {
    #[inline]
    pub(super) fn begin(
        to: &'a mut Serializer<'o>,
        announced: Option<usize>,
        variant: bool,
    ) -> Result<Self, ValueError> {
        let mut elements = ElementWriter::begin(to, announced, variant)?;
        let may_be_byte_list = announced.is_none_or(|len| len >= MIN_BYTE_LIST);
        let head = if may_be_byte_list { None } else { Some(Head::Array) };
        if let Some(head) = head {
            elements.head(head)?;
        }
        Ok(Self { elements, head })
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        if self.head != Some(Head::Array) && self.is_in_byte_list::<T>()? {
            self.elements.to.out.push(byte::of(value)?);
        } else {
            value.serialize(&mut *self.elements.to)?;
        }
        self.elements.count += 1;
        Ok(())
    }

    /// Decides how the list is written: at the first element, and again when an element of a byte
    /// list is not a `u8`.
    fn is_in_byte_list<T: ?Sized>(&mut self) -> Result<bool, ValueError> {
        let head = if byte::is::<T>() { Head::ByteList } else { Head::Array };
        match self.head {
            None => self.elements.head(head)?,
            Some(Head::ByteList) if head == Head::Array => {
                let out = &mut *self.elements.to.out;
                let bytes = out.split_off(self.elements.body);
                out.truncate(self.elements.start);
                self.elements.head(Head::Array)?;
                for byte in bytes {
                    encode::write_uint8(self.elements.to.out, byte).map_err(ValueError::new)?;
                }
            }
            Some(_) => return Ok(head == Head::ByteList),
        }
        self.head = Some(head);
        Ok(head == Head::ByteList)
    }

    #[inline]
    fn finish(mut self) -> Result<(), ValueError> {
        let head = match self.head {
            Some(head) => head,
            // There are no elements.
            None => {
                self.elements.head(Head::Array)?;
                Head::Array
            }
        };
        self.elements.end(head)
    }
}

/// Writes `len` elements, for whose type [`byte::is`] is true, as a byte list.
pub(super) fn byte_list<I>(out: &mut Vec<u8>, len: usize, elements: I) -> Result<(), ValueError>
where
    I: Iterator<Item: Serialize>,
{
    Head::ByteList.append(out, len)?;
    let body = out.len();
    // For a slice this becomes a copy: the compiler sees that both lengths are known, and that no
    // element fails.
    out.resize(body + len, 0);
    let mut written = 0;
    let mut failed = None;
    for (place, element) in out[body..].iter_mut().zip(elements) {
        match byte::of(&element) {
            Ok(byte) => *place = byte,
            Err(error) => failed = Some(error),
        }
        written += 1;
    }
    match failed {
        Some(error) => Err(error),
        None if written == len => Ok(()),
        None => Err(ValueError::new(format_args!("{len} elements were announced, {written} came"))),
    }
}

/// A map or a struct.
pub(crate) struct MapSerializer<'a, 'o> {
    elements: ElementWriter<'a, 'o>,
    /// A key has been written, but not its value.
    key_pending: bool,
    /// Set for a `RawValue`, of which only the text is written.
    raw: Option<ExtensionWriter>,
}

impl<'a, 'o> MapSerializer<'a, 'o> {
    #[inline]
    pub(super) fn begin(
        to: &'a mut Serializer<'o>,
        announced: Option<usize>,
        variant: bool,
    ) -> Result<Self, ValueError> {
        let mut elements = ElementWriter::begin(to, announced, variant)?;
        elements.head(Head::Map)?;
        Ok(Self { elements, key_pending: false, raw: None })
    }

    pub(super) fn raw(to: &'a mut Serializer<'o>) -> Result<Self, ValueError> {
        let elements = ElementWriter::begin(to, Some(1), false)?;
        let raw = Some(ExtensionWriter::begin(elements.to.out, RAW));
        Ok(Self { elements, key_pending: false, raw })
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        if self.raw.is_none() {
            self.elements.to.text(name)?;
        }
        value.serialize(&mut *self.elements.to)?;
        self.elements.count += 1;
        Ok(())
    }

    #[inline]
    fn finish(self) -> Result<(), ValueError> {
        if self.key_pending {
            return Err(ValueError::new("a map ends with a key that has no value"));
        }
        match self.raw {
            None => self.elements.end(Head::Map),
            Some(raw) if self.elements.count == 1 => {
                raw.end(self.elements.to.out)?;
                self.elements.end(Head::Map)
            }
            Some(_) => Err(ValueError::new("a `RawValue` must have one text")),
        }
    }
}

/// An extension whose length is known only after it was written.
#[must_use]
pub(super) struct ExtensionWriter {
    body: usize,
}

impl ExtensionWriter {
    pub(super) fn begin(out: &mut Vec<u8>, kind: i8) -> Self {
        out.extend_from_slice(&[Marker::Ext32.to_u8(), 0, 0, 0, 0, kind.to_be_bytes()[0]]);
        Self { body: out.len() }
    }

    pub(super) fn end(self, out: &mut [u8]) -> Result<(), ValueError> {
        let len = length(out.len() - self.body)?;
        if let Some(place) = out.get_mut(self.body - 5..self.body - 1) {
            place.copy_from_slice(&len.to_be_bytes());
        }
        Ok(())
    }
}

macro_rules! lists {
    ($($which:ident $element:ident;)+) => { $(
        impl $which for ListSerializer<'_, '_> {
            type Ok = ();
            type Error = ValueError;

            #[inline]
            fn $element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.element(value)
            }

            #[inline]
            fn end(self) -> Result<(), ValueError> {
                self.finish()
            }
        }
    )+ };
}

lists! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

macro_rules! structs {
    ($($which:ident)+) => { $(
        impl $which for MapSerializer<'_, '_> {
            type Ok = ();
            type Error = ValueError;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), ValueError> {
                self.field(name, value)
            }

            #[inline]
            fn end(self) -> Result<(), ValueError> {
                self.finish()
            }
        }
    )+ };
}

structs! { SerializeStruct SerializeStructVariant }

impl SerializeMap for MapSerializer<'_, '_> {
    type Ok = ();
    type Error = ValueError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        if std::mem::replace(&mut self.key_pending, true) {
            return Err(ValueError::new("a map has a key without a value"));
        }
        key.serialize(&mut *self.elements.to)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        if !std::mem::replace(&mut self.key_pending, false) {
            return Err(ValueError::new("a map has a value without a key"));
        }
        value.serialize(&mut *self.elements.to)?;
        self.elements.count += 1;
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), ValueError> {
        self.finish()
    }
}
