//! Which build of the app the running executable is.
//!
//! ```text
//!   FLAME_BUILD_ID set? ──no──▶ GNU build id in the ELF? ──no──▶ hash of what is loaded
//!          │ as it is                 │ gnu-<hex>                     │ file-<hex>
//!          └──────────────────────────┴───────────────────────────────┴──▶ kept for the process
//! ```
//!
//! Parent and runner compare it in the handshake, so that two builds whose types differ never talk
//! to each other. The override is for images of one build for several architectures.
//!
//! # Invariants
//!
//! * It is that of the *running* file, also when a rebuild has replaced it on disk meanwhile.
//! * There is no default: an id that can't be found is an error, since two unknowns would match.
//! * Whatever the file holds, reading it neither panics nor takes unbounded memory.
//!
//! # Cost
//!
//! A process start pays for this once, see `content.rs` for figures. The GNU note takes some
//! microseconds; linkers on `linux-gnu` write one by default (gcc asks for it), others can be told
//! to with `-C link-arg=-Wl,--build-id`. Otherwise the hash takes 3 to 4 ms for 15 to 20 MB.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::OnceLock;

use flame_wire::ids::BuildId;

mod content;
mod elf;
#[cfg(test)]
mod tests;

/// The variable that overrides the build id. Empty is as good as not set.
pub const ENV: &str = "FLAME_BUILD_ID";

/// Why the build id can't be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildIdError {
    /// The override is not text.
    #[error("FLAME_BUILD_ID is not UTF-8 text; set it to a name of this build, or unset it")]
    OverrideNotText,
    /// The executable can't be read.
    #[error(
        "the running executable can't be read to tell its build: {0}; \
         set FLAME_BUILD_ID to the same name on both ends of this build"
    )]
    Unreadable(#[source] io::Error),
}

/// The build id of the running executable, found at the first call and kept. Blocks for as long as
/// that takes.
///
/// # Errors
///
/// [`BuildIdError`], which says what to set.
pub fn build_id() -> Result<&'static BuildId, &'static BuildIdError> {
    static FOUND: OnceLock<Result<BuildId, BuildIdError>> = OnceLock::new();
    FOUND.get_or_init(|| find(std::env::var_os(ENV), running_executable)).as_ref()
}

/// The build id that an executable's bytes carry in their GNU note, as text.
///
/// `None` for anything but a 64-bit little-endian ELF file with such a note.
#[must_use]
pub fn parse(executable: &[u8]) -> Option<BuildId> {
    from_gnu_note(&mut io::Cursor::new(executable))
}

fn find<R: Read + Seek>(
    name_override: Option<OsString>,
    open: impl FnOnce() -> io::Result<R>,
) -> Result<BuildId, BuildIdError> {
    if let Some(name) = name_override.filter(|name| !name.is_empty()) {
        return name.into_string().map(BuildId::new).map_err(|_| BuildIdError::OverrideNotText);
    }
    let mut file = open().map_err(BuildIdError::Unreadable)?;
    if let Some(id) = from_gnu_note(&mut file) {
        return Ok(id);
    }
    let hash = content::hash(&mut file).map_err(BuildIdError::Unreadable)?;
    Ok(BuildId::new(format!("file-{}", hex(&hash))))
}

fn from_gnu_note<R: Read + Seek>(file: &mut R) -> Option<BuildId> {
    elf::build_id_note(file).map(|id| BuildId::new(format!("gnu-{}", hex(&id))))
}

/// The running inode. Its path may lead to another file by now, or to none.
fn running_executable() -> io::Result<File> {
    File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
