//! Arguments: borrowed by the caller, owned on the runner.

use std::{
    borrow::Borrow,
    ffi::{CStr, CString, OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{CodecError, Part, Wire, decoder::Decoder, encoder::Encoder, format::ValueError};

/// A type that can be an argument of a remote function, by value or by shared reference.
///
/// Implemented for every [`Wire`] type, and for the unsized types `str`, `[T]`, [`Path`],
/// [`OsStr`] and [`CStr`], which are borrowed by the caller and owned on the runner.
pub trait Argument {
    /// The type that the runner decodes.
    type Owned: Borrow<Self> + Wire;

    #[doc(hidden)]
    fn encode(&self, encoder: &mut Encoder) -> Result<(), ValueError>;
}

/// A [`Wire`] type as an argument. Its diagnostic says what to do about a type that is not one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a remote function",
    label = "cannot be serialized, or borrows, or is not `Send`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, and for the types inside it, \
            such as the messages of a channel",
    note = "or mark the argument `#[state]` if each process has its own, and give it to \
            `App::new().state(..)`"
)]
#[doc(hidden)]
pub trait ArgumentType: Wire {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> ArgumentType for T {}

#[diagnostic::do_not_recommend]
impl<T: ArgumentType> Argument for T {
    type Owned = T;

    fn encode(&self, encoder: &mut Encoder) -> Result<(), ValueError> {
        encoder.value(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Wire> Argument for [T] {
    type Owned = Vec<T>;

    fn encode(&self, encoder: &mut Encoder) -> Result<(), ValueError> {
        encoder.value(self)
    }
}

macro_rules! borrowed {
    ($($borrowed:ty => $owned:ty;)+) => { $(
        #[diagnostic::do_not_recommend]
        impl Argument for $borrowed {
            type Owned = $owned;

            fn encode(&self, encoder: &mut Encoder) -> Result<(), ValueError> {
                encoder.value(self)
            }
        }
    )+ };
}

borrowed! {
    str => String;
    Path => PathBuf;
    OsStr => OsString;
    CStr => CString;
}

/// How one argument is encoded and decoded. It has no bounds: they were checked once, when it was
/// made, so that a type that cannot be sent is reported once.
#[doc(hidden)]
pub struct ArgumentCodec<B: ?Sized, O> {
    name: &'static str,
    encode: fn(&B, &mut Encoder) -> Result<(), ValueError>,
    decode: fn(&mut Decoder<'_>) -> Result<O, ValueError>,
    borrow: fn(&O) -> &B,
}

/// How the argument `name` of type `B` or `&B` is encoded and decoded.
#[doc(hidden)]
#[must_use]
pub const fn argument<B: Argument + ?Sized>(name: &'static str) -> ArgumentCodec<B, B::Owned> {
    ArgumentCodec {
        name,
        encode: B::encode,
        decode: |decoder| decoder.value(),
        borrow: <B::Owned as Borrow<B>>::borrow,
    }
}

impl<B: ?Sized, O> ArgumentCodec<B, O> {
    #[doc(hidden)]
    pub fn encode(&self, value: &B, encoder: &mut Encoder) -> Result<(), CodecError> {
        (self.encode)(value, encoder)
            .map_err(|source| CodecError::encode::<B>(Part::Argument(self.name), source))
    }

    #[doc(hidden)]
    pub fn decode(&self, decoder: &mut Decoder<'_>) -> Result<O, CodecError> {
        (self.decode)(decoder)
            .map_err(|source| CodecError::decode::<O>(Part::Argument(self.name), source))
    }

    #[doc(hidden)]
    pub fn borrow<'o>(&self, owned: &'o O) -> &'o B {
        (self.borrow)(owned)
    }
}

impl<B: ?Sized, O> fmt::Debug for ArgumentCodec<B, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArgumentCodec").field("name", &self.name).finish_non_exhaustive()
    }
}
