//! Whether a JPEG is all there: a decoder draws what it has, and the rest grey.

/// Begins what matters here, with one of the codes that follow (ITU T.81, annex B).
const MARKER: u8 = 0xff;
const END_OF_IMAGE: u8 = 0xd9;

/// Whether the file has the marker that ends its image. A preview in one of its segments has such a
/// marker, too, so segments are passed over; so is whatever a camera has put behind the end.
pub(crate) fn has_its_end(jpeg: &[u8]) -> bool {
    let mut rest = jpeg;
    while let Some((code, behind)) = next_marker(rest) {
        if code == END_OF_IMAGE {
            return true;
        }
        // A segment begins with its length. A scan's data follow its segment, up to the next marker.
        let length = behind.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
        rest = behind.get(usize::from(length)..).unwrap_or_default();
    }
    false
}

/// The next marker that has a segment, or ends the image; and what is behind it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    // An escaped byte of a scan, markers that stand by themselves, and what fills gaps.
    let passed = |code| matches!(code, 0x00 | 0x01 | 0xd0..=0xd8 | 0xff);
    let at = bytes.windows(2).position(|pair| pair[0] == MARKER && !passed(pair[1]))?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_has_its_end_until_it_is_cut() {
        let folder = crate::options::Options::default().input;
        for photo in crate::photos::find(&folder).unwrap().photos {
            let bytes: &[u8] = &photo.bytes;
            assert!(has_its_end(bytes), "{}", photo.name);
            for cut in (1..bytes.len()).step_by(997) {
                assert!(!has_its_end(&bytes[..bytes.len() - cut]), "{} but {cut}", photo.name);
            }
        }
    }

    #[test]
    fn the_end_of_a_preview_is_not_the_photographs() {
        let preview = b"\xff\xd8 \xff\xe1\0\x06\xff\xd8\xff\xd9";
        let scan = b"\xff\xda\0\x02 \xff\0 \xff\xd0 ";
        let cut = [preview.as_slice(), scan].concat();
        assert!(!has_its_end(&cut));
        assert!(has_its_end(&[&cut, b"\xff\xff\xd9 and more".as_slice()].concat()));
    }

    #[test]
    fn lengths_that_can_not_be_are_no_end() {
        for bytes in [b"\xff\xda".as_slice(), b"\xff\xda\xff", b"\xff\xe0\xff\xff\xff\xd9", b""] {
            assert!(!has_its_end(bytes), "{bytes:x?}");
        }
    }
}
