//! Identifies the build of the running executable.
//!
//! ```text
//!   FLAME_BUILD_ID set? ──no──▶ GNU build id in the ELF file? ──no──▶ hash of the loaded parts
//!          │ as it is                 │ gnu-<hex>                     │ file-<hex>
//!          └──────────────────────────┴───────────────────────────────┴──▶ kept for the process
//! ```
//!
//! The parent compares the runner's build id with its own in the hello, so that two builds with
//! different types never talk to each other. The override is for images of one build for several
//! architectures.
//!
//! # Invariants
//!
//! * The id is that of the *running* file, even if a rebuild has replaced the file on disk.
//! * There is no default: an id that can't be found is an error, because two unknown builds would
//!   match.
//! * Whatever the file contains, reading it neither panics nor takes unbounded memory.
//!
//! # Cost
//!
//! Each process pays once, at its start; `content.rs` has figures. Reading the GNU note takes some
//! microseconds. Linkers on `linux-gnu` write one by default (gcc asks for it); others do with
//! `-C link-arg=-Wl,--build-id`. Otherwise the hash takes 3 to 4 ms for 15 to 20 MB.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::OnceLock;

use flame_wire::hex::Hex;
use flame_wire::ids::BuildId;

mod content;
pub(crate) mod elf;
#[cfg(test)]
mod tests;

/// The variable that overrides the build id. An empty value has no effect.
pub const ENV: &str = "FLAME_BUILD_ID";

/// Why the build id can't be determined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildIdError {
    /// The override is not text.
    #[error("FLAME_BUILD_ID is not UTF-8 text; set it to a name of this build, or unset it")]
    OverrideNotText,
    /// The executable can't be read.
    #[error(
        "the running executable can't be read to identify its build: {0}; \
         set FLAME_BUILD_ID to the same name for parent and runners of this build"
    )]
    Unreadable(#[source] io::Error),
}

/// The build id of the running executable, determined at the first call and kept. Blocks while it
/// reads the file.
///
/// # Errors
///
/// [`BuildIdError`], which says what to set.
pub fn build_id() -> Result<&'static BuildId, &'static BuildIdError> {
    static FOUND: OnceLock<Result<BuildId, BuildIdError>> = OnceLock::new();
    FOUND.get_or_init(|| find(std::env::var_os(ENV), running_executable)).as_ref()
}

/// The build id in the GNU note of an executable's bytes, as text.
///
/// `None` for anything but a 64-bit little-endian ELF file with such a note.
#[must_use]
pub fn parse(executable: &[u8]) -> Option<BuildId> {
    from_gnu_note(&mut io::Cursor::new(executable))
}

/// The path of the dynamic loader that an executable's bytes name. `None` if it is linked
/// statically.
#[must_use]
pub fn dynamic_loader(executable: &[u8]) -> Option<String> {
    elf::dynamic_loader(&mut io::Cursor::new(executable))
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
    Ok(BuildId::new(format!("file-{}", Hex(&hash))))
}

fn from_gnu_note<R: Read + Seek>(file: &mut R) -> Option<BuildId> {
    elf::build_id_note(file).map(|id| BuildId::new(format!("gnu-{}", Hex(&id))))
}

/// The running file. Its path may now lead to another file, or to none.
fn running_executable() -> io::Result<File> {
    File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?))
}
