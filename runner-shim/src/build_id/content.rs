//! The hash of an executable that has no build id of its own.
//!
//! It is paid at the start of every such runner, so it has to be fast: of an ELF file only what is
//! loaded counts (debug information is most of a debug build), each 256 KiB of that become an
//! AES-GCM tag, and the tags a SHA-256. File in the page cache and all of it loaded, on a two-core
//! EPYC that others kept busy, ms (this: the least of 80 processes' first calls; the others: the
//! least of 60 in one process):
//!
//! | file | read alone | this | SHA-256 of it all |
//! |---|---|---|---|
//! | 15.4 MB | 0.9 | 2.9 | 10.0 |
//! | 20.4 MB | 1.4 | 4.1 | 18.2 |
//! | 100.4 MB | 9.7 | 26.2 | 99.2 |
//!
//! The key is fixed and known. That is enough here: a peer states its build id itself, after it has
//! proved itself by its token, so the id has to tell builds apart by accident, not withstand an
//! attacker. By accident two differing chunks get the same tag in one of 2^114 cases or fewer.

use std::io::{self, Read, Seek, SeekFrom};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use super::elf;

const KEY: &[u8; 16] = b"flame build id 1";
/// Large enough that a tag costs little, small enough for the second-level cache.
const CHUNK: u64 = 256 * 1024;

/// The hash of what `file` loads, or of the whole file where that can't be told.
pub(super) fn hash<R: Read + Seek>(file: &mut R) -> io::Result<[u8; SHA256_OUTPUT_LEN]> {
    let len = file.seek(SeekFrom::End(0))?;
    let parts = elf::loaded(file, len).unwrap_or_else(|| vec![(0, len)]);
    let mut tags = ChunkHasher::new()?;
    for (offset, len) in parts {
        file.seek(SeekFrom::Start(offset))?;
        tags.add(&mut file.take(len))?;
    }
    tags.finish()
}

struct ChunkHasher {
    key: LessSafeKey,
    tags: Context,
    chunks: u64,
    chunk: Vec<u8>,
}

impl ChunkHasher {
    fn new() -> io::Result<Self> {
        let key = UnboundKey::new(&AES_128_GCM, KEY).map_err(io::Error::other)?;
        let (tags, chunk) = (Context::new(&SHA256), Vec::new());
        Ok(Self { key: LessSafeKey::new(key), tags, chunks: 0, chunk })
    }

    /// Adds a part of the file. Its length goes in with it, so that bytes can't move from one part
    /// to the next unseen.
    fn add(&mut self, part: &mut impl Read) -> io::Result<()> {
        let mut len = 0_u64;
        loop {
            self.chunk.clear();
            let read = part.take(CHUNK).read_to_end(&mut self.chunk)?;
            if read == 0 {
                break;
            }
            // `usize` is at most 64 bits wide.
            len = len.saturating_add(read as u64);
            // Each chunk has its own nonce, so equal chunks in other places count.
            let [.., a, b, c, d, e, f, g, h] = self.chunks.to_be_bytes();
            let nonce = Nonce::assume_unique_for_key([0, 0, 0, 0, a, b, c, d, e, f, g, h]);
            let tag = self
                .key
                .seal_in_place_separate_tag(nonce, Aad::from(&self.chunk), &mut [])
                .map_err(io::Error::other)?;
            self.tags.update(tag.as_ref());
            self.chunks = self.chunks.saturating_add(1);
        }
        self.tags.update(&len.to_be_bytes());
        Ok(())
    }

    fn finish(self) -> io::Result<[u8; SHA256_OUTPUT_LEN]> {
        let digest = self.tags.finish();
        digest.as_ref().try_into().map_err(io::Error::other)
    }
}
