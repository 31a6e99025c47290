//! The results of one pass over the work: one for each photograph in each look.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::develop::{Developed, Worker};
use crate::looks::Look;
use crate::photos::Photo;

/// The results of one pass over the work, with runners or without.
pub(crate) struct Outcome {
    names: Vec<String>,
    pub(crate) results: Vec<anyhow::Result<Developed>>,
    /// The processes that have developed photographs, in the order of their first results.
    pub(crate) workers: Vec<Worker>,
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn new(photos: &[Photo]) -> Self {
        let names = photos.iter().map(|photo| photo.name.clone()).collect();
        Self { names, results: Vec::new(), workers: Vec::new(), took: Duration::ZERO }
    }

    /// The number of results that are expected.
    pub(crate) fn total(&self) -> usize {
        self.names.len() * Look::ALL.len()
    }

    /// Adds the next result. Results arrive in the order of the calls.
    pub(crate) fn push(&mut self, result: anyhow::Result<Developed>) {
        if let Ok(developed) = &result
            && !self.workers.contains(&developed.worker)
        {
            self.workers.push(developed.worker.clone());
        }
        self.results.push(result);
    }

    /// The name and the results of each photograph, in the order of [`Look::ALL`].
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &[anyhow::Result<Developed>])> {
        self.names.iter().map(String::as_str).zip(self.results.chunks(Look::ALL.len()))
    }

    /// The results that are not errors.
    pub(crate) fn developed(&self) -> impl Iterator<Item = &Developed> {
        self.results.iter().flatten()
    }

    /// The index of the process that made a result.
    pub(crate) fn worker_index(&self, developed: &Developed) -> usize {
        self.workers.iter().position(|worker| *worker == developed.worker).unwrap_or(0)
    }

    /// Writes each picture to `OUT/PHOTO/LOOK-SIZE.jpg`, and returns the number of pictures.
    pub(crate) fn save(&self, out: &Path) -> anyhow::Result<usize> {
        let mut saved = 0;
        for (name, looks) in self.rows() {
            let folder = out.join(name);
            for (look, developed) in Look::ALL.iter().zip(looks) {
                let Ok(developed) = developed else { continue };
                std::fs::create_dir_all(&folder)
                    .with_context(|| format!("can't create {}", folder.display()))?;
                for picture in &developed.pictures {
                    let path = folder.join(format!("{}-{}.jpg", look.name(), picture.size));
                    std::fs::write(&path, &*picture.jpeg)
                        .with_context(|| format!("can't write {}", path.display()))?;
                    saved += 1;
                }
            }
        }
        Ok(saved)
    }

    /// Prints which photographs were not developed, and why. Returns whether there were any.
    pub(crate) fn print_failures(&self) -> bool {
        let mut any = false;
        for (name, looks) in self.rows() {
            let mut reasons: Vec<String> = looks
                .iter()
                .filter_map(|look| Some(format!("{:#}", look.as_ref().err()?)))
                .collect();
            any |= !reasons.is_empty();
            // On a damaged file every look fails with the same error: print it once.
            reasons.dedup();
            for reason in reasons {
                eprintln!("{name} could not be developed: {}", reason.trim_end());
            }
        }
        any
    }
}
