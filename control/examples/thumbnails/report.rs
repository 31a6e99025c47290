//! What came of the work, and the summary at the end: who did what, and how much faster.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use image::Rgb;

use crate::SIZES;
use crate::develop::{Developed, Maker};
use crate::looks::Look;
use crate::output::say;
use crate::photos::Photo;
use crate::sheet;

/// The runners' colours on the contact sheet, in the order in which they are met.
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

/// The results of one way of doing the work: for each photograph, one for each look.
pub(crate) struct Outcome {
    names: Vec<String>,
    results: Vec<anyhow::Result<Developed>>,
    makers: Vec<Maker>,
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn new(photos: &[Photo]) -> Self {
        let names = photos.iter().map(|photo| photo.name.clone()).collect();
        Self { names, results: Vec::new(), makers: Vec::new(), took: Duration::ZERO }
    }

    /// How many results there will be.
    pub(crate) fn total(&self) -> usize {
        self.names.len() * Look::ALL.len()
    }

    /// Takes the next result; they come in the order of the jobs.
    pub(crate) fn push(&mut self, result: anyhow::Result<Developed>) {
        if let Ok(developed) = &result
            && !self.makers.contains(&developed.maker)
        {
            self.makers.push(developed.maker.clone());
        }
        self.results.push(result);
    }

    /// Each photograph's name with its results, in the order of [`Look::ALL`].
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &[anyhow::Result<Developed>])> {
        self.names.iter().map(String::as_str).zip(self.results.chunks(Look::ALL.len()))
    }

    /// All that could be developed.
    pub(crate) fn developed(&self) -> impl Iterator<Item = &Developed> {
        self.results.iter().flatten()
    }

    /// The place of a result's maker among all makers.
    pub(crate) fn maker_index(&self, developed: &Developed) -> usize {
        self.makers.iter().position(|maker| *maker == developed.maker).unwrap_or(0)
    }

    /// Writes every picture to `OUT/PHOTO/LOOK-SIZE.jpg`; gives their number.
    pub(crate) fn save(&self, out: &Path) -> anyhow::Result<usize> {
        let mut saved = 0;
        for (name, looks) in self.rows() {
            let folder = out.join(name);
            for (look, developed) in Look::ALL.iter().zip(looks) {
                let Ok(developed) = developed else { continue };
                std::fs::create_dir_all(&folder)
                    .with_context(|| format!("can't make {}", folder.display()))?;
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

    /// Names the photographs that could not be developed, and why; whether there were any.
    pub(crate) fn announce_failures(&self) -> bool {
        let mut any = false;
        for (name, looks) in self.rows() {
            let mut reasons: Vec<String> = looks
                .iter()
                .filter_map(|look| Some(format!("{:#}", look.as_ref().err()?)))
                .collect();
            any |= !reasons.is_empty();
            // Every look fails alike on a damaged file: once is enough.
            reasons.dedup();
            for reason in reasons {
                eprintln!("{name} could not be developed: {}", reason.trim_end());
            }
        }
        any
    }
}

/// The summary of both ways.
pub(crate) struct Report<'a> {
    pub(crate) there: &'a Outcome,
    /// `None` when there was no comparison.
    pub(crate) here: Option<&'a Outcome>,
}

impl Report<'_> {
    /// Prints it; an error when a runner's pictures are not those made here.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        say(format_args!("\n{}", self.text().trim_end()))?;
        if let Some(here) = self.here {
            let same = |a: &Developed, b: &Developed| {
                a.pictures.iter().map(|p| &*p.jpeg).eq(b.pictures.iter().map(|p| &*p.jpeg))
            };
            let pairs = self.there.results.iter().zip(&here.results);
            let mut both = pairs.filter_map(|(a, b)| Some((a.as_ref().ok()?, b.as_ref().ok()?)));
            ensure!(
                both.all(|(a, b)| same(a, b)),
                "a runner's picture differs from the one made here"
            );
            say("the pictures are the same, byte for byte")?;
        }
        Ok(())
    }

    fn text(&self) -> String {
        let there = self.there;
        let mut text = String::new();
        // Writing to a string can't fail.
        let mut line = |args: std::fmt::Arguments<'_>| {
            let _ = text.write_fmt(args);
            text.push('\n');
        };
        line(format_args!(
            "{} calls, each a photograph in one look and {} sizes",
            there.total(),
            SIZES.len()
        ));
        line(format_args!(
            "in runners  {:>5.2} s, from nothing: {} copies of this program were started for it",
            there.took.as_secs_f64(),
            there.makers.len()
        ));
        for (index, maker) in there.makers.iter().enumerate() {
            let done = || there.developed().filter(|developed| developed.maker == *maker);
            let work: Duration = done().map(|developed| developed.took).sum();
            let colour = COLOURS.iter().cycle().nth(index).map_or("", |(name, _)| *name);
            line(format_args!(
                "  {:<6}  {}  process {}  {} calls, {:.2} s of work",
                colour,
                maker.runner.as_deref().unwrap_or("no runner"),
                maker.pid,
                done().count(),
                work.as_secs_f64()
            ));
        }
        if there.rows().count() > sheet::MOST_ROWS {
            line(format_args!("the sheet shows the first {} photographs", sheet::MOST_ROWS));
        }
        if let Some(here) = self.here {
            line(format_args!(
                "here        {:>5.2} s, one call after another",
                here.took.as_secs_f64()
            ));
            line(format_args!(
                "speed-up    {:>5.2} x",
                here.took.as_secs_f64() / there.took.as_secs_f64().max(f64::EPSILON)
            ));
        }
        text
    }
}
