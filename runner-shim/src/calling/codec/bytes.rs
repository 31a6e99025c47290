//! Values that are bytes and little else are copied in one go where they arrive.
//!
//! serde reads a `Vec<u8>` element by element, which takes some ten times as long as a copy. Only
//! where nothing but the value's own type reads it, can it be read otherwise.

use std::any::{Any, TypeId};

use serde::{Deserialize, Deserializer, de::Error};
use serde_bytes::ByteBuf;

use super::Wire;

/// A `T`. That it is a `Vec<u8>`, a `Box<[u8]>` or an `Option` of one makes it fast.
pub(super) struct FastBytes<T>(pub(super) T);

impl<'de, T: Wire> Deserialize<'de> for FastBytes<T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let boxed = |bytes: ByteBuf| bytes.into_vec().into_boxed_slice();
        // The compiler leaves one branch for each type.
        let value = if is::<T, Vec<u8>>() {
            into(ByteBuf::deserialize(from)?.into_vec())
        } else if is::<T, Box<[u8]>>() {
            into(boxed(ByteBuf::deserialize(from)?))
        } else if is::<T, Option<Vec<u8>>>() {
            into(Option::<ByteBuf>::deserialize(from)?.map(ByteBuf::into_vec))
        } else if is::<T, Option<Box<[u8]>>>() {
            into(Option::<ByteBuf>::deserialize(from)?.map(boxed))
        } else {
            return T::deserialize(from).map(Self);
        };
        value.map(Self).ok_or_else(|| D::Error::custom("bytes are not bytes"))
    }
}

fn is<A: 'static, B: 'static>() -> bool {
    TypeId::of::<A>() == TypeId::of::<B>()
}

/// `value` as a `T`, if that is what it is.
fn into<S: 'static, T: 'static>(value: S) -> Option<T> {
    let mut value = Some(value);
    (&mut value as &mut dyn Any).downcast_mut::<Option<T>>()?.take()
}
