//! The format that [`ser`](super::ser) writes and [`de`](super::de) reads.
//!
//! It is MessagePack, and keeps everything that serde's own in-memory buffer keeps. Values are
//! written in their human-readable form (`is_human_readable`), because that buffer asks for it. The
//! extension types are our own:
//!
//! | in Rust | on the wire |
//! |---|---|
//! | `None`, `()`, a unit struct | nil |
//! | `Some(x)` | as `x`; if that is nil: [`SOME`], one byte that counts the `Some`s around it |
//! | numbers of up to 64 bits | in the shortest form |
//! | `u128`, `i128` | [`U128`], [`I128`]: 16 bytes, big-endian |
//! | `char`, text | str |
//! | bytes (`serialize_bytes`) | bin |
//! | a list, a tuple | array; for [`MIN_BYTE_LIST`] or more elements that are all `u8`: [`BYTE_LIST`], the bytes |
//! | a map, a struct | map; the names of fields are str |
//! | a variant | its name as str; with content: a map of one |
//! | a newtype struct | as its content |
//! | `serde_json`'s `RawValue` | [`RAW`], its text as str |
//! | an extension of `rmp-serde` | [`EXTENSION`], an array of its type and its bytes |

use std::fmt;

/// `Some`s around nil; one byte that counts them.
pub(super) const SOME: i8 = 1;
/// A `u128`.
pub(super) const U128: i8 = 2;
/// An `i128`.
pub(super) const I128: i8 = 3;
/// A list of `u8`s, as bytes.
pub(super) const BYTE_LIST: i8 = 4;
/// The text of a `RawValue`.
pub(super) const RAW: i8 = 5;
/// The content of an [`EXTENSION_NAME`].
pub(super) const EXTENSION: i8 = 6;

/// A shorter list of `u8`s would gain nothing as a [`BYTE_LIST`].
pub(super) const MIN_BYTE_LIST: usize = 16;

/// The struct that `serde_json` writes for a `RawValue`, also the name of its field, and the
/// newtype struct that it reads.
pub(super) const RAW_NAME: &str = "$serde_json::private::RawValue";
/// The newtype struct that `rmp-serde` and `rmpv` write and read for extension types.
pub(super) const EXTENSION_NAME: &str = "_ExtStruct";

/// How deeply a value may nest: lists, maps and structs in one another, and separately variants and
/// `Some`s. Encoding and decoding recurse, and a thread's stack is 2 MiB. Neither a deeply nested
/// value nor bytes from an untrusted peer may overflow it, not even in a build without
/// optimization.
pub(super) const MAX_DEPTH: u16 = 256;

/// The depth of the current value. There are three counts, because an enum in a struct in an
/// `Option` is one level to the author of the type.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Depth {
    pub(super) lists: DepthCounter,
    pub(super) variants: DepthCounter,
    pub(super) somes: DepthCounter,
}

/// One of the counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DepthCounter(u16);

impl DepthCounter {
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), ValueError> {
        if self.0 == MAX_DEPTH {
            return Err(ValueError::too_deep());
        }
        self.0 += 1;
        Ok(())
    }

    #[inline]
    pub(super) fn leave(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }
}

/// Why a value cannot be written or read.
#[derive(Debug)]
#[doc(hidden)]
pub struct ValueError(Box<str>);

impl ValueError {
    #[cold]
    pub(super) fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string().into())
    }

    pub(super) fn into_text(self) -> std::sync::Arc<str> {
        self.0.into()
    }

    #[cold]
    pub(super) fn too_deep() -> Self {
        Self::new(format_args!("it is nested more than {MAX_DEPTH} levels deep"))
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValueError {}

impl serde::ser::Error for ValueError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::new(what)
    }
}

impl serde::de::Error for ValueError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::new(what)
    }
}
