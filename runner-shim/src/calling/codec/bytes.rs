//! `Vec<u8>` and `&[u8]` by themselves go as bytes.
//!
//! To serde they are sequences of numbers like any other, two bytes each as often as not. rmp-serde
//! can be told to write every sequence of small numbers as bytes (`BytesMode`), but then an untagged
//! type takes them for a text, a flattened one does not find its sequence again, and a list that
//! begins with a small number and goes on with something else does not encode. So it is done only
//! where nothing but the value's own type reads it: where it is a whole argument, result or message.

use std::any::Any;

use super::Wire;

/// The bytes of `value`, if it is a `Vec<u8>`.
pub(super) fn of<T: Wire>(value: &T) -> Option<&serde_bytes::Bytes> {
    let bytes = (value as &dyn Any).downcast_ref::<Vec<u8>>()?;
    Some(serde_bytes::Bytes::new(bytes))
}

/// The bytes of `values`, if they are `u8`s.
pub(super) fn of_slice<T: Wire>(values: &[T]) -> Option<serde_bytes::ByteBuf> {
    let byte = |value: &T| (value as &dyn Any).downcast_ref::<u8>().copied();
    // The first says it for all; an empty slice is as well off as a sequence.
    byte(values.first()?)?;
    Some(serde_bytes::ByteBuf::from(values.iter().filter_map(byte).collect::<Vec<_>>()))
}

/// Whether `T` is `Vec<u8>`.
pub(super) fn is<T: Wire>() -> bool {
    std::any::TypeId::of::<T>() == std::any::TypeId::of::<Vec<u8>>()
}

/// `bytes` as a `T`, if that is `Vec<u8>`.
pub(super) fn into<T: Wire>(bytes: Vec<u8>) -> Option<T> {
    let mut bytes = Some(bytes);
    (&mut bytes as &mut dyn Any).downcast_mut::<Option<T>>()?.take()
}
