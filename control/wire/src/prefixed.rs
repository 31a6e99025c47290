//! Messages with a length prefix, as both sides exchange them before the session starts:
//! `len u16, len bytes of MessagePack`.

use bytes::{Buf, BufMut, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{DecodeError, EncodeError};
use crate::pack;

/// The longest message, including its length prefix, in bytes.
pub(crate) const MAX: usize = 4 * 1024;
/// The length of the prefix, in bytes.
pub(crate) const PREFIX: usize = 2;

/// Appends a message to `out`.
pub(crate) fn encode(
    what: &'static str,
    value: &impl Serialize,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let message = pack::encode(what, value, MAX - PREFIX)?;
    let too_long = EncodeError::TooLong { what, len: message.len(), max: MAX - PREFIX };
    out.put_u16_le(u16::try_from(message.len()).map_err(|_| too_long)?);
    out.put_slice(&message);
    Ok(())
}

/// Takes one message off `input`. An excessive length is rejected before the message has arrived.
pub(crate) fn take(
    what: &'static str,
    input: &mut BytesMut,
) -> Result<Option<BytesMut>, DecodeError> {
    let Some(&prefix) = input.first_chunk::<PREFIX>() else { return Ok(None) };
    let len = usize::from(u16::from_le_bytes(prefix));
    match len {
        0 => return Err(DecodeError::BadLength { what, len }),
        len if len > MAX - PREFIX => {
            return Err(DecodeError::TooLong { what, len, max: MAX - PREFIX });
        }
        len if input.len() < PREFIX + len => return Ok(None),
        _ => {}
    }
    input.advance(PREFIX);
    Ok(Some(input.split_to(len)))
}

/// Decodes a message that [`take`] has returned.
pub(crate) fn decode<T: DeserializeOwned>(
    what: &'static str,
    message: &[u8],
) -> Result<T, DecodeError> {
    pack::decode(what, message, MAX - PREFIX)
}
