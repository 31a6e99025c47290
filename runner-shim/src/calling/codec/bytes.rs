//! Copies values that are just bytes in one step when they are decoded.
//!
//! serde reads a `Vec<u8>` element by element, which takes about ten times as long as a copy.
//! Reading it in another way is possible only if nothing but the value's own type reads the bytes.

use std::any::{Any, TypeId};

use serde::{Deserialize, Deserializer, de::Error};
use serde_bytes::ByteBuf;

use super::Wire;

/// A `T`. It is fast if `T` is a `Vec<u8>`, a `Box<[u8]>` or an `Option` of one.
pub(super) struct FastBytes<T>(pub(super) T);

impl<'de, T: Wire> Deserialize<'de> for FastBytes<T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let boxed = |bytes: ByteBuf| bytes.into_vec().into_boxed_slice();
        // The compiler keeps one branch for each type.
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
        value.map(Self).ok_or_else(|| D::Error::custom("the value is not a byte string"))
    }
}

fn is<A: 'static, B: 'static>() -> bool {
    TypeId::of::<A>() == TypeId::of::<B>()
}

/// `value` as a `T`, if it is one.
fn into<S: 'static, T: 'static>(value: S) -> Option<T> {
    let mut value = Some(value);
    (&mut value as &mut dyn Any).downcast_mut::<Option<T>>()?.take()
}
