use std::io::Cursor;

use proptest::prelude::*;

use super::*;

/// One program header: kind, offset, length, alignment.
type Header = (u32, u64, u64, u64);

/// An ELF file with these program headers, then zeros up to 512 bytes, then `content`.
fn elf(headers: &[Header], content: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    file[32..40].copy_from_slice(&64_u64.to_le_bytes());
    file[54..56].copy_from_slice(&56_u16.to_le_bytes());
    file[56..58].copy_from_slice(&u16::try_from(headers.len()).unwrap().to_le_bytes());
    for (kind, offset, len, align) in headers {
        let mut header = [0; 56];
        header[0..4].copy_from_slice(&kind.to_le_bytes());
        header[8..16].copy_from_slice(&offset.to_le_bytes());
        header[32..40].copy_from_slice(&len.to_le_bytes());
        header[48..56].copy_from_slice(&align.to_le_bytes());
        file.extend(header);
    }
    file.resize(512, 0);
    file.extend(content);
    file
}

fn note(kind: u32, name: &[u8], content: &[u8], align: usize) -> Vec<u8> {
    let mut note = Vec::new();
    note.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
    note.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    note.extend(kind.to_le_bytes());
    note.extend(name);
    note.resize(note.len().next_multiple_of(align), 0);
    note.extend(content);
    note.resize(note.len().next_multiple_of(align), 0);
    note
}

fn with_notes(notes: &[u8], align: u64) -> Vec<u8> {
    elf(&[(4, 512, notes.len() as u64, align)], notes)
}

fn file_id(bytes: &[u8]) -> String {
    find(None, || Ok(Cursor::new(bytes))).unwrap().as_str().to_owned()
}

#[test]
fn the_override_comes_first() {
    let id = find(Some("build 7".into()), || Ok(Cursor::new(Vec::new()))).unwrap();
    assert_eq!(id.as_str(), "build 7");
}

#[test]
fn an_empty_override_has_no_effect() {
    let notes = note(3, b"GNU\0", &[0xab; 20], 4);
    let id = find(Some("".into()), || Ok(Cursor::new(with_notes(&notes, 4)))).unwrap();
    assert_eq!(id.as_str(), format!("gnu-{}", "ab".repeat(20)));
}

#[cfg(unix)]
#[test]
fn an_override_that_is_not_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let name_override = OsString::from_vec(vec![0xff]);
    let error = find(Some(name_override), || Ok(Cursor::new(Vec::new()))).unwrap_err();
    assert!(matches!(error, BuildIdError::OverrideNotText));
}

#[test]
fn an_unreadable_executable_is_an_error_that_says_what_to_set() {
    let open = || Err::<File, _>(io::Error::from(io::ErrorKind::NotFound));
    let error = find(None, open).unwrap_err();
    assert!(matches!(error, BuildIdError::Unreadable(_)));
    assert!(error.to_string().contains("FLAME_BUILD_ID"), "{error}");
}

#[test]
fn the_gnu_note_is_found_among_others() {
    for align in [4, 8] {
        let notes = [
            note(1, b"GNU\0", &[1; 16], align),
            note(3, b"Other\0", &[2; 20], align),
            note(3, b"GNU\0", &[3; 20], align),
        ];
        let id = parse(&with_notes(&notes.concat(), align as u64)).unwrap();
        assert_eq!(id.as_str(), format!("gnu-{}", "03".repeat(20)), "aligned to {align}");
    }
}

#[test]
fn a_note_that_identifies_no_build_is_ignored() {
    for id in [[0_u8; 20].as_slice(), &[], &[7; 61]] {
        assert_eq!(parse(&with_notes(&note(3, b"GNU\0", id, 4), 4)), None, "{id:?}");
    }
}

#[test]
fn a_malformed_file_has_no_note_and_is_hashed_whole() {
    let huge = u64::MAX;
    let lying_note = [4, 0, 0, 0, 255, 255, 255, 255, 3, 0, 0, 0, b'G', b'N', b'U', 0];
    let files = [
        Vec::new(),
        b"#!/bin/sh".to_vec(),
        b"\x7fELF\x02\x01".to_vec(),
        elf(&[(4, huge, 20, 4)], &[]),
        elf(&[(4, 512, huge, 4)], &[]),
        elf(&[(4, 512, 8, 4)], &[0; 8]),
        elf(&[(1, 512, huge, 1), (1, huge, huge, 1)], &[]),
        with_notes(&lying_note, 4),
    ];
    let mut ids: Vec<_> = files.iter().map(|file| file_id(file)).collect();
    assert!(ids.iter().all(|id| id.starts_with("file-") && id.len() == 69), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), files.len(), "each file has its own id");
}

#[test]
fn the_hash_covers_exactly_the_loaded_bytes() {
    let content = vec![7; 600_000];
    let original = elf(&[(1, 512, 300_000, 1), (1, 400_000, 100_000, 1)], &content);
    let changed = |at: usize| {
        let mut file = original.clone();
        file[at] ^= 1;
        file_id(&file)
    };
    let id = file_id(&original);
    for loaded in [512, 262_144 + 512, 300_511, 400_000, 499_999] {
        assert_ne!(changed(loaded), id, "byte {loaded}");
    }
    for debug_information in [300_512, 399_999, 500_000, 600_511] {
        assert_eq!(changed(debug_information), id, "byte {debug_information}");
    }
}

#[test]
fn the_hash_depends_on_the_boundaries_of_parts_and_the_order_of_chunks() {
    let content: Vec<u8> = (0..1000).map(|_| 7).collect();
    let split = |at: u64| file_id(&elf(&[(1, 512, at, 1), (1, 512 + at, 1000 - at, 1)], &content));
    assert_ne!(split(300), split(400));
    let halves = |a: u8, b: u8| [vec![a; 256 * 1024], vec![b; 256 * 1024]].concat();
    assert_ne!(file_id(&halves(1, 2)), file_id(&halves(2, 1)));
    assert_ne!(file_id(&halves(1, 1)), file_id(&halves(1, 1)[1..]));
}

#[test]
fn the_hash_is_the_same_on_every_machine() {
    // Computed with another implementation of AES-GCM. A change of the scheme changes it.
    assert_eq!(file_id(b"an executable"), GOLDEN);
}

const GOLDEN: &str = "file-cc379fb6a5f2488abf8b0641640366897085d83c4865c6d7a8d4849033d743fe";

#[test]
fn the_running_executable_has_one_id() {
    let id = build_id().unwrap();
    assert!(std::ptr::eq(id, build_id().unwrap()), "computed once");
    if cfg!(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")) {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let expected = parse(&bytes).unwrap_or_else(|| BuildId::new(file_id(&bytes)));
        assert_eq!(*id, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = parse(&bytes);
        file_id(&bytes);
    }

    #[test]
    fn arbitrary_headers_never_panic(
        headers in prop::collection::vec((0_u32..6, near(), near(), near()), 0..8),
        content in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let file = elf(&headers, &content);
        let _ = parse(&file);
        prop_assert!(file_id(&file).len() > 4);
    }

    #[test]
    fn arbitrary_notes_never_panic(
        notes in prop::collection::vec(prop_oneof![Just(0), Just(3), Just(4), any::<u8>()], 0..200),
    ) {
        let _ = parse(&with_notes(&notes, 4));
        let _ = parse(&with_notes(&notes, 8));
    }

    #[test]
    fn every_build_id_is_read_back(
        id in prop::collection::vec(1..=255_u8, 1..=60),
        before in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let notes = [note(5, b"GNU\0", &before, 4), note(3, b"GNU\0", &id, 4)].concat();
        let expected = BuildId::new(format!("gnu-{}", Hex(&id)));
        prop_assert_eq!(parse(&with_notes(&notes, 4)), Some(expected));
    }
}

/// Offsets and lengths within the file, at its edges, and far beyond it.
fn near() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0_u64..3000, 1 => Just(u64::MAX), 1 => any::<u64>()]
}
