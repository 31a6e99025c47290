//! Reads three things from an ELF file: its GNU build id, which parts of it are loaded, and the
//! dynamic loader that it names.
//!
//! Supports 64-bit little-endian files. For all others, and for files that contradict themselves,
//! the result is `None`.

use std::io::{Read, Seek, SeekFrom};

/// The longest program header table and the longest note segment that are read.
const MAX_READ: u64 = 64 * 1024;
/// The longest build id taken from a note; linkers write 8 to 32 bytes.
const MAX_ID: usize = 60;

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;

/// One entry of the program header table.
struct Segment {
    kind: u32,
    offset: u64,
    len: u64,
    align: u64,
}

/// The file's GNU build id. `None` also for an id of zeros, because it identifies no build.
pub(super) fn build_id_note<R: Read + Seek>(file: &mut R) -> Option<Vec<u8>> {
    segments(file)?.iter().filter(|segment| segment.kind == PT_NOTE).find_map(|segment| {
        let notes = read_at(file, segment.offset, segment.len)?;
        let id = find_note(&notes, if segment.align == 8 { 8 } else { 4 })?;
        id.iter().any(|byte| *byte != 0).then(|| id.to_vec())
    })
}

/// The path of the dynamic loader, which the kernel starts in the file's place. `None` for a file
/// that is linked statically.
pub(crate) fn dynamic_loader<R: Read + Seek>(file: &mut R) -> Option<String> {
    let segments = segments(file)?;
    let named = segments.iter().find(|segment| segment.kind == PT_INTERP)?;
    let path = read_at(file, named.offset, named.len)?;
    let path = path.split(|byte| *byte == 0).next()?;
    String::from_utf8(path.to_vec()).ok().filter(|path| path.starts_with('/'))
}

/// Offset and length of each loaded part of the file, in the table's order. `None` if there is
/// none, or if they do not fit into a file of `len` bytes.
pub(super) fn loaded<R: Read + Seek>(file: &mut R, len: u64) -> Option<Vec<(u64, u64)>> {
    let loaded: Vec<_> = segments(file)?
        .iter()
        .filter(|segment| segment.kind == PT_LOAD && segment.len > 0)
        .map(|segment| (segment.offset, segment.len))
        .collect();
    let fits =
        |&(offset, size): &(u64, u64)| offset.checked_add(size).is_some_and(|end| end <= len);
    // Adjacent segments may share a page, but the sum of all lengths is hardly more than the file.
    let total = loaded.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    (total > 0 && total <= len.saturating_mul(2) && loaded.iter().all(fits)).then_some(loaded)
}

fn segments<R: Read + Seek>(file: &mut R) -> Option<Vec<Segment>> {
    let header = read_at(file, 0, 64)?;
    // Magic, 64 bits, little-endian.
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let size = u16_at(&header, 54)?;
    let count = u16_at(&header, 56)?;
    if size < 56 {
        return None;
    }
    let table = read_at(file, u64_at(&header, 32)?, u64::from(size) * u64::from(count))?;
    table
        .chunks_exact(usize::from(size))
        .map(|entry| {
            Some(Segment {
                kind: u32_at(entry, 0)?,
                offset: u64_at(entry, 8)?,
                len: u64_at(entry, 32)?,
                align: u64_at(entry, 48)?,
            })
        })
        .collect()
}

/// The content of the GNU build id among notes. A note is a 12-byte head (length of the name,
/// length of the content, kind), a name and a content, the last two padded to `align`.
fn find_note(mut notes: &[u8], align: usize) -> Option<&[u8]> {
    loop {
        let name_len = usize::try_from(u32_at(notes, 0)?).ok()?;
        let len = usize::try_from(u32_at(notes, 4)?).ok()?;
        let kind = u32_at(notes, 8)?;
        let name_end = 12_usize.checked_add(name_len)?;
        let start = name_end.checked_next_multiple_of(align)?;
        let end = start.checked_add(len)?;
        let content = notes.get(start..end)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..name_end)? == b"GNU\0" {
            return (1..=MAX_ID).contains(&len).then_some(content);
        }
        notes = notes.get(end.checked_next_multiple_of(align)?..)?;
    }
}

fn read_at<R: Read + Seek>(file: &mut R, offset: u64, len: u64) -> Option<Vec<u8>> {
    if len > MAX_READ {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.seek(SeekFrom::Start(offset)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
