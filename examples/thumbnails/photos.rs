//! Finds the photographs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use flame_aws::Blob;
use image::ImageFormat;

use crate::output::print_line;

/// The photographs stay in memory while the program runs, so their total size is limited.
const MAX_TOTAL_BYTES: usize = 1 << 30;

/// A photograph that was found. Whether it can be decoded is decided on the runner.
pub(crate) struct Photo {
    pub(crate) name: String,
    pub(crate) bytes: Blob,
}

/// The content of a folder.
pub(crate) struct Found {
    /// Sorted by name; never empty.
    pub(crate) photos: Vec<Photo>,
    /// The names of the files that are not photographs.
    pub(crate) skipped: Vec<String>,
}

impl Found {
    /// Prints what was found.
    pub(crate) fn print(&self, input: &Path) -> anyhow::Result<()> {
        let plural = if self.photos.len() == 1 { "" } else { "s" };
        print_line(format_args!(
            "{} photograph{plural} in {}",
            self.photos.len(),
            input.display()
        ))?;
        if !self.skipped.is_empty() {
            print_line(format_args!("skipped (not JPEG or PNG): {}", self.skipped.join(", ")))?;
        }
        Ok(())
    }
}

/// Finds the photographs in a folder, but not in its subfolders; or the one photograph `input`.
pub(crate) fn find(input: &Path) -> anyhow::Result<Found> {
    let context = || format!("can't read {}", input.display());
    let mut files = if fs::metadata(input).with_context(context)?.is_dir() {
        files_of(input).with_context(context)?
    } else {
        vec![input.to_owned()]
    };
    files.sort();

    let mut found = Found { photos: Vec::new(), skipped: Vec::new() };
    let mut total = 0;
    for path in files {
        let bytes = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        match image::guess_format(&bytes) {
            Ok(ImageFormat::Jpeg | ImageFormat::Png) => {
                total += bytes.len();
                ensure!(
                    total <= MAX_TOTAL_BYTES,
                    "{} has more than 1 GiB of photographs: use fewer at a time",
                    input.display()
                );
                found.photos.push(Photo { name, bytes: bytes.into() });
            }
            _ => found.skipped.push(name),
        }
    }
    if found.photos.is_empty() {
        match found.skipped.as_slice() {
            [] => bail!("no photographs in {}: the folder is empty", input.display()),
            skipped => bail!(
                "no photographs in {}: these files are not JPEG or PNG: {}",
                input.display(),
                skipped.join(", ")
            ),
        }
    }
    Ok(found)
}

fn files_of(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_file() && !hidden {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn included() -> PathBuf {
        crate::options::Options::default().input
    }

    #[test]
    fn the_included_photographs_are_found_and_their_licences_are_skipped() {
        let found = find(&included()).unwrap();
        let names: Vec<_> = found.photos.iter().map(|photo| photo.name.as_str()).collect();
        assert_eq!(names, ["chelsea.jpg", "coffee.jpg", "hubble.jpg", "rocket.jpg"]);
        assert_eq!(found.skipped, ["LICENSES.md"]);
    }

    #[test]
    fn a_single_photograph_can_be_given() {
        assert_eq!(find(&included().join("coffee.jpg")).unwrap().photos.len(), 1);
    }

    #[test]
    fn an_error_names_the_missing_folder_or_the_file_that_is_not_an_image() {
        let missing = find(Path::new("no/such/folder")).err().unwrap();
        assert!(format!("{missing:#}").contains("no/such/folder"));
        let text = find(&included().join("LICENSES.md")).err().unwrap();
        assert!(text.to_string().contains("not JPEG or PNG: LICENSES.md"));
    }
}
