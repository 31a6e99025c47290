//! Finding the photographs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use flame_aws::Blob;
use image::ImageFormat;

use crate::output::say;

/// The photographs are held in memory while they are worked on, so there is a limit to them.
const MOST_BYTES: usize = 1 << 30;

/// One photograph as it was found; whether it can be decoded is for the runner to say.
pub(crate) struct Photo {
    pub(crate) name: String,
    pub(crate) bytes: Blob,
}

/// What a folder held.
pub(crate) struct Found {
    /// In the order of their names; never empty.
    pub(crate) photos: Vec<Photo>,
    /// The files that are no photographs, by name.
    pub(crate) skipped: Vec<String>,
}

impl Found {
    /// Says what was found.
    pub(crate) fn announce(&self, input: &Path) -> anyhow::Result<()> {
        let plural = if self.photos.len() == 1 { "" } else { "s" };
        say(format_args!("{} photograph{plural} in {}", self.photos.len(), input.display()))?;
        if !self.skipped.is_empty() {
            say(format_args!("skipped, neither JPEG nor PNG: {}", self.skipped.join(", ")))?;
        }
        Ok(())
    }
}

/// The photographs of a folder (not of folders within it), or the one that `input` names.
pub(crate) fn find(input: &Path) -> anyhow::Result<Found> {
    let about = || format!("can't read {}", input.display());
    let mut files = if fs::metadata(input).with_context(about)?.is_dir() {
        files_of(input).with_context(about)?
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
                    total <= MOST_BYTES,
                    "more than 1 GiB of photographs in {}: take fewer at a time",
                    input.display()
                );
                found.photos.push(Photo { name, bytes: bytes.into() });
            }
            _ => found.skipped.push(name),
        }
    }
    if found.photos.is_empty() {
        match found.skipped.as_slice() {
            [] => bail!("no photograph in {}: the folder is empty", input.display()),
            skipped => bail!(
                "no photograph in {}: neither JPEG nor PNG: {}",
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

    fn shipped() -> PathBuf {
        crate::options::Options::default().input
    }

    #[test]
    fn the_shipped_photographs_are_found_and_their_licences_skipped() {
        let found = find(&shipped()).unwrap();
        let names: Vec<_> = found.photos.iter().map(|photo| photo.name.as_str()).collect();
        assert_eq!(names, ["chelsea.jpg", "coffee.jpg", "hubble.jpg", "rocket.jpg"]);
        assert_eq!(found.skipped, ["LICENSES.md"]);
    }

    #[test]
    fn one_photograph_may_be_named_by_itself() {
        assert_eq!(find(&shipped().join("coffee.jpg")).unwrap().photos.len(), 1);
    }

    #[test]
    fn a_folder_that_does_not_exist_and_a_file_that_is_no_image_are_named() {
        let missing = find(Path::new("no/such/folder")).err().unwrap();
        assert!(format!("{missing:#}").contains("no/such/folder"));
        let text = find(&shipped().join("LICENSES.md")).err().unwrap();
        assert!(text.to_string().contains("neither JPEG nor PNG: LICENSES.md"));
    }
}
