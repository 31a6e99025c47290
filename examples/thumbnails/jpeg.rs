//! Detects truncated JPEG files, which the decoder would accept and fill up with grey.

/// The first byte of every marker (ITU T.81, annex B). The second byte says which marker it is.
const MARKER: u8 = 0xff;
const END_OF_IMAGE: u8 = 0xd9;

/// Whether the file has the marker that ends its image. A preview inside a segment has such a
/// marker as well, so segments are skipped. Bytes that a camera has written after the end are
/// ignored.
pub(crate) fn is_complete(jpeg: &[u8]) -> bool {
    let mut rest = jpeg;
    while let Some((code, behind)) = next_marker(rest) {
        if code == END_OF_IMAGE {
            return true;
        }
        // A segment begins with its length. The data of a scan follow its segment, up to the next
        // marker.
        let length = behind.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
        rest = behind.get(usize::from(length)..).unwrap_or_default();
    }
    false
}

/// The code of the next marker that has a segment or ends the image, and the bytes after it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    // Skips escaped bytes of a scan, markers without a segment, and fill bytes.
    let is_skipped = |code| matches!(code, 0x00 | 0x01 | 0xd0..=0xd8 | 0xff);
    let at = bytes.windows(2).position(|pair| pair[0] == MARKER && !is_skipped(pair[1]))?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_is_complete_until_it_is_truncated() {
        let folder = crate::options::Options::default().input;
        for photo in crate::photos::find(&folder).unwrap().photos {
            let bytes: &[u8] = &photo.bytes;
            assert!(is_complete(bytes), "{}", photo.name);
            for cut in (1..bytes.len()).step_by(997) {
                assert!(
                    !is_complete(&bytes[..bytes.len() - cut]),
                    "{} without its last {cut} bytes",
                    photo.name
                );
            }
        }
    }

    #[test]
    fn the_end_of_a_preview_is_not_the_end_of_the_photograph() {
        let preview = b"\xff\xd8 \xff\xe1\0\x06\xff\xd8\xff\xd9";
        let scan = b"\xff\xda\0\x02 \xff\0 \xff\xd0 ";
        let truncated = [preview.as_slice(), scan].concat();
        assert!(!is_complete(&truncated));
        assert!(is_complete(&[&truncated, b"\xff\xff\xd9 and more".as_slice()].concat()));
    }

    #[test]
    fn a_file_with_impossible_segment_lengths_is_incomplete() {
        for bytes in [b"\xff\xda".as_slice(), b"\xff\xda\xff", b"\xff\xe0\xff\xff\xff\xd9", b""] {
            assert!(!is_complete(bytes), "{bytes:x?}");
        }
    }
}
