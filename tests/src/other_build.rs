//! A copy of the suite with another build id.

use std::path::{Path, PathBuf};
use std::process::Command;

use flame_runner_shim::build_id;

/// Copies this executable into a folder, and changes one bit of the linker's build id. The copy
/// behaves the same, but is another build.
///
/// # Panics
/// Panics if this executable has no GNU build id.
#[must_use]
pub fn other_build(folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read("/proc/self/exe").expect("this executable can be read");
    let id = build_id::parse(&bytes).expect("the linker writes a build id");
    let note = from_hex(id.as_str().strip_prefix("gnu-").expect("the id is a GNU build id"));
    let at = bytes
        .windows(note.len())
        .position(|window| window == note)
        .expect("the executable contains its id");
    bytes[at] ^= 1;
    assert_ne!(build_id::parse(&bytes), Some(id), "the changed bytes have to be the note itself");
    let (draft, copy) = (folder.join("bytes"), folder.join("other-build"));
    std::fs::write(&draft, bytes).expect("the disk has room for the copy");
    // Another process writes the copy. A child that this process is just starting would inherit a
    // descriptor that is open for writing, and then the copy could not be executed.
    let copied = Command::new("cp").arg(&draft).arg(&copy).status().expect("cp is installed");
    assert!(copied.success());
    std::fs::remove_file(draft).expect("the draft exists");
    std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("the copy belongs to this user");
    copy
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    let pair = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    digits.map(pair).collect()
}
