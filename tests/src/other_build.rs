//! A copy of the suite that is of another build.

use std::path::{Path, PathBuf};
use std::process::Command;

use flame_runner_shim::build_id;

/// A copy of this executable in a folder, in which one bit of the linker's build id was changed:
/// what it does is the same, but it is another build.
///
/// # Panics
/// Where this executable has no GNU build id.
#[must_use]
pub fn other_build(folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read("/proc/self/exe").expect("this executable can be read");
    let id = build_id::parse(&bytes).expect("the linker writes a build id");
    let note = from_hex(id.as_str().strip_prefix("gnu-").expect("it is a GNU build id"));
    let at = bytes.windows(note.len()).position(|window| window == note).expect("it is in it");
    bytes[at] ^= 1;
    assert_ne!(build_id::parse(&bytes), Some(id), "the note was changed, not a copy of it");
    let (draft, copy) = (folder.join("bytes"), folder.join("other-build"));
    std::fs::write(&draft, bytes).expect("there is room for it");
    // Another process writes it: a child that this one is just starting would inherit the open
    // file, and what is open for writing can't be executed.
    let copied = Command::new("cp").arg(&draft).arg(&copy).status().expect("cp is there");
    assert!(copied.success());
    std::fs::remove_file(draft).expect("it is there");
    std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("it is ours");
    copy
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    let pair = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    digits.map(pair).collect()
}
