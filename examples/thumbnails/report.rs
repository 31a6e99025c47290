//! The summary at the end: the work of each runner, and the speed-up.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::ensure;

use crate::contact_sheet::{self, COLOURS};
use crate::develop::{Developed, SIZES};
use crate::outcome::Outcome;
use crate::output::print_line;

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
