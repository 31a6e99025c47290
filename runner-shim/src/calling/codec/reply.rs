//! Results. There are three ways to send one, and the first that fits the type is used.
//!
//! 1. The type is [`Wire`]: it is sent as it is.
//! 2. It is `Result<T, E>` with a `Wire` `T`, and `E` is an error that can be made from a
//!    [`RemoteError`]: `anyhow::Error`, `Box<dyn Error + Send + Sync>`, or an app's own. The error is
//!    sent as its chain of messages.
//! 3. It cannot be sent, and the compiler says what to do.
//!
//! Method lookup makes the choice: it takes the method that needs the fewest references
//! ("autoref specialization"). The macro calls a method of `&&&ResultProbe<T>`.

use std::{error::Error, fmt, marker::PhantomData};

use flame_wire::failure::RemoteError;

use super::{CodecError, Part, Wire, decoder::Decoder, encoder::Encoder, format::ValueError};

/// How results of type `T` are encoded and decoded.
pub struct Codec<T> {
    encode: fn(T, &mut Encoder) -> Result<(), ValueError>,
    decode: fn(&mut Decoder<'_>) -> Result<T, ValueError>,
}

impl<T> Codec<T> {
    pub(crate) fn encode(&self, value: T, encoder: &mut Encoder) -> Result<(), CodecError> {
        (self.encode)(value, encoder)
            .map_err(|source| CodecError::encode::<T>(Part::Result, source))
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        let mut decoder = Decoder::new(bytes);
        let value = (self.decode)(&mut decoder)
            .map_err(|source| CodecError::decode::<T>(Part::Result, source))?;
        decoder.finish()?;
        Ok(value)
    }
}

impl<T> Clone for Codec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Codec<T> {}

impl<T> fmt::Debug for Codec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codec<{}>", std::any::type_name::<T>())
    }
}

/// Selects the way to send results of type `T`.
#[doc(hidden)]
#[derive(Debug)]
pub struct ResultProbe<T>(PhantomData<fn() -> T>);

impl<T> ResultProbe<T> {
    #[doc(hidden)]
    pub const NEW: Self = Self(PhantomData);
}

/// The first way: as it is.
#[doc(hidden)]
pub trait SerdeResult<T> {
    fn __flame_codec(&self) -> Codec<T>;
}

impl<T: Wire> SerdeResult<T> for &&ResultProbe<T> {
    fn __flame_codec(&self) -> Codec<T> {
        Codec { encode: |value, encoder| encoder.value(&value), decode: |decoder| decoder.value() }
    }
}

/// The second way: an error as its chain of messages.
#[doc(hidden)]
pub trait ErrorChainResult<T> {
    fn __flame_codec(&self) -> Codec<T>;
}

impl<T, E> ErrorChainResult<Result<T, E>> for &ResultProbe<Result<T, E>>
where
    T: Wire,
    E: Into<Box<dyn Error + Send + Sync>> + From<RemoteError>,
{
    fn __flame_codec(&self) -> Codec<Result<T, E>> {
        Codec {
            encode: |result, encoder| {
                encoder.value(&result.map_err(|error| RemoteError::of(&*error.into())))
            },
            decode: |decoder| Ok(decoder.result::<T, RemoteError>()?.map_err(E::from)),
        }
    }
}

/// The third way: no type satisfies its bound, whose diagnostic is the error message.
#[doc(hidden)]
pub trait UnsupportedResult<T> {
    fn __flame_codec(&self) -> Codec<T>
    where
        T: ResultType;
}

impl<T> UnsupportedResult<T> for ResultProbe<T> {
    fn __flame_codec(&self) -> Codec<T>
    where
        T: ResultType,
    {
        Codec { encode: |value, encoder| encoder.value(&value), decode: |decoder| decoder.value() }
    }
}

/// A type that can be the result of a remote function; every [`Wire`] type is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a remote function",
    label = "cannot be serialized, or borrows, or is not `Send`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it",
    note = "an error type that cannot be serialized crosses if it implements \
            `From<flame_aws::RemoteError>` and `std::error::Error`, as `anyhow::Error` does",
    note = "a value that is to stay on its runner is returned as `flame_aws::Held<T>`, and a \
            stream as `impl Stream<Item = T>`"
)]
#[doc(hidden)]
pub trait ResultType: Wire {}

#[diagnostic::do_not_recommend]
impl<T: Wire> ResultType for T {}
