//! The results, and the summary at the end: which runner did how much, and how much faster it was.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use image::Rgb;

use crate::SIZES;
use crate::contact_sheet;
use crate::develop::{Developed, Worker};
use crate::looks::Look;
use crate::output::print_line;
use crate::photos::Photo;

/// The runners' colours on the contact sheet, in the order of the runners' first results.
pub(crate) const COLOURS: [(&str, Rgb<u8>); 8] = [
    ("amber", Rgb([245, 176, 65])),
    ("blue", Rgb([82, 152, 219])),
    ("green", Rgb([88, 190, 110])),
    ("red", Rgb([224, 92, 80])),
    ("violet", Rgb([165, 120, 210])),
    ("teal", Rgb([60, 190, 185])),
    ("pink", Rgb([235, 130, 175])),
    ("grey", Rgb([170, 170, 170])),
];

/// The results of doing the work once, with runners or without: one for each photograph and look.
pub(crate) struct Outcome {
    names: Vec<String>,
    results: Vec<anyhow::Result<Developed>>,
    workers: Vec<Worker>,
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

/// The summary of the work with runners and without.
pub(crate) struct Report<'a> {
    pub(crate) with_runners: &'a Outcome,
    /// `None` with `--no-compare`.
    pub(crate) without: Option<&'a Outcome>,
}

impl Report<'_> {
    /// Prints the summary.
    ///
    /// # Errors
    /// A picture that a runner made differs from the one that this process made.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        print_line(format_args!("\n{}", self.text().trim_end()))?;
        if let Some(without) = self.without {
            let same = |a: &Developed, b: &Developed| {
                a.pictures.iter().map(|p| &*p.jpeg).eq(b.pictures.iter().map(|p| &*p.jpeg))
            };
            let pairs = self.with_runners.results.iter().zip(&without.results);
            let mut both = pairs.filter_map(|(a, b)| Some((a.as_ref().ok()?, b.as_ref().ok()?)));
            ensure!(
                both.all(|(a, b)| same(a, b)),
                "a picture made by a runner differs from the one made by this process"
            );
            print_line("the pictures are identical, byte for byte")?;
        }
        Ok(())
    }

    fn text(&self) -> String {
        let with_runners = self.with_runners;
        let mut text = String::new();
        // Writing to a string can't fail.
        let mut line = |args: std::fmt::Arguments<'_>| {
            let _ = text.write_fmt(args);
            text.push('\n');
        };
        line(format_args!(
            "{} calls, each for one photograph in one look and {} sizes",
            with_runners.total(),
            SIZES.len()
        ));
        line(format_args!(
            "with runners {:>6.2} s, including the boot of {} copies of this program",
            with_runners.took.as_secs_f64(),
            with_runners.workers.len()
        ));
        for (index, worker) in with_runners.workers.iter().enumerate() {
            let done = || with_runners.developed().filter(|developed| developed.worker == *worker);
            let work: Duration = done().map(|developed| developed.took).sum();
            let colour = COLOURS.iter().cycle().nth(index).map_or("", |(name, _)| *name);
            line(format_args!(
                "  {:<6} runner {}, process {}: {} calls, {:.2} s of work",
                colour,
                worker.runner.as_deref().unwrap_or("no runner"),
                worker.pid,
                done().count(),
                work.as_secs_f64()
            ));
        }
        if with_runners.rows().count() > contact_sheet::MAX_ROWS {
            line(format_args!(
                "the contact sheet shows the first {} photographs",
                contact_sheet::MAX_ROWS
            ));
        }
        if let Some(without) = self.without {
            line(format_args!(
                "without      {:>6.2} s, one call after another in this process",
                without.took.as_secs_f64()
            ));
            line(format_args!(
                "speed-up     {:>6.2} x",
                without.took.as_secs_f64() / with_runners.took.as_secs_f64().max(f64::EPSILON)
            ));
        }
        text
    }
}
