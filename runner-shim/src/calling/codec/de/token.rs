//! Reads the next token of the [format](super::super::format) from a slice.

use rmp::Marker;

use super::super::format::{BYTE_LIST, EXTENSION, I128, RAW, SOME, U128, ValueError};

/// A value without content, or the head of a value with content.
pub(super) enum ValueToken<'de> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    U128(u128),
    I128(i128),
    Text(&'de str),
    Bytes(&'de [u8]),
    /// Its elements follow.
    List(u32),
    /// Its keys and values follow in turn.
    Map(u32),
    /// This many `Some`s around nil.
    Somes(u8),
    /// A list of `u8`s.
    ByteList(&'de [u8]),
    /// The content of a `RawValue`.
    Raw(&'de [u8]),
    /// The content of an extension of `rmp-serde`.
    Extension(&'de [u8]),
}

/// Reads one token from the front of `input`.
#[inline(always)]
pub(super) fn take<'de>(input: &mut &'de [u8]) -> Result<ValueToken<'de>, ValueError> {
    let marker = Marker::from_u8(u8::from_be_bytes(array(input)?));
    Ok(match marker {
        Marker::FixPos(number) => ValueToken::Unsigned(number.into()),
        Marker::FixNeg(number) => ValueToken::Signed(number.into()),
        Marker::FixStr(len) => ValueToken::Text(text(input, len.into())?),
        Marker::FixArray(len) => ValueToken::List(len.into()),
        Marker::FixMap(len) => ValueToken::Map(len.into()),
        Marker::Null => ValueToken::Nil,
        Marker::False => ValueToken::Bool(false),
        Marker::True => ValueToken::Bool(true),
        Marker::U8 => ValueToken::Unsigned(u8::from_be_bytes(array(input)?).into()),
        Marker::U16 => ValueToken::Unsigned(u16::from_be_bytes(array(input)?).into()),
        Marker::U32 => ValueToken::Unsigned(u32::from_be_bytes(array(input)?).into()),
        Marker::U64 => ValueToken::Unsigned(u64::from_be_bytes(array(input)?)),
        Marker::I8 => ValueToken::Signed(i8::from_be_bytes(array(input)?).into()),
        Marker::I16 => ValueToken::Signed(i16::from_be_bytes(array(input)?).into()),
        Marker::I32 => ValueToken::Signed(i32::from_be_bytes(array(input)?).into()),
        Marker::I64 => ValueToken::Signed(i64::from_be_bytes(array(input)?)),
        Marker::F32 => ValueToken::F32(f32::from_be_bytes(array(input)?)),
        Marker::F64 => ValueToken::F64(f64::from_be_bytes(array(input)?)),
        Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let len = len(input, marker)?;
            ValueToken::Text(text(input, len)?)
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let len = len(input, marker)?;
            ValueToken::Bytes(slice(input, len)?)
        }
        Marker::Array16 | Marker::Array32 => ValueToken::List(len(input, marker)?),
        Marker::Map16 | Marker::Map32 => ValueToken::Map(len(input, marker)?),
        _ => extension(input, marker)?,
    })
}

#[inline(never)]
fn extension<'de>(input: &mut &'de [u8], marker: Marker) -> Result<ValueToken<'de>, ValueError> {
    let len = len(input, marker)?;
    let kind = i8::from_be_bytes(array(input)?);
    let content = slice(input, len)?;
    let number = || {
        content
            .try_into()
            .map_err(|_| ValueError::new("a number of 128 bits does not have 16 bytes"))
    };
    Ok(match kind {
        SOME => match content {
            &[somes] => ValueToken::Somes(somes),
            _ => return Err(ValueError::new("a count of `Some`s does not have one byte")),
        },
        U128 => ValueToken::U128(u128::from_be_bytes(number()?)),
        I128 => ValueToken::I128(i128::from_be_bytes(number()?)),
        BYTE_LIST => ValueToken::ByteList(content),
        RAW => ValueToken::Raw(content),
        EXTENSION => ValueToken::Extension(content),
        _ => return Err(ValueError::new(format_args!("extension type {kind} is unknown"))),
    })
}

/// The length that follows `marker`, or is part of it.
#[inline]
fn len(input: &mut &[u8], marker: Marker) -> Result<u32, ValueError> {
    Ok(match marker {
        Marker::Str8 | Marker::Bin8 | Marker::Ext8 => u8::from_be_bytes(array(input)?).into(),
        Marker::Str16 | Marker::Bin16 | Marker::Array16 | Marker::Map16 | Marker::Ext16 => {
            u16::from_be_bytes(array(input)?).into()
        }
        Marker::Str32 | Marker::Bin32 | Marker::Array32 | Marker::Map32 | Marker::Ext32 => {
            u32::from_be_bytes(array(input)?)
        }
        Marker::FixExt1 => 1,
        Marker::FixExt2 => 2,
        Marker::FixExt4 => 4,
        Marker::FixExt8 => 8,
        Marker::FixExt16 => 16,
        _ => return Err(ValueError::new("a value begins with an invalid byte")),
    })
}

#[inline]
fn array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], ValueError> {
    let (array, rest) = input.split_first_chunk().ok_or_else(cut_short)?;
    *input = rest;
    Ok(*array)
}

#[inline]
fn slice<'de>(input: &mut &'de [u8], len: u32) -> Result<&'de [u8], ValueError> {
    let len = usize::try_from(len).map_err(|_| cut_short())?;
    let (slice, rest) = input.split_at_checked(len).ok_or_else(cut_short)?;
    *input = rest;
    Ok(slice)
}

#[inline]
fn text<'de>(input: &mut &'de [u8], len: u32) -> Result<&'de str, ValueError> {
    std::str::from_utf8(slice(input, len)?).map_err(ValueError::new)
}

#[cold]
fn cut_short() -> ValueError {
    ValueError::new("the bytes end in the middle of a value")
}
