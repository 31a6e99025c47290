//! The live line: how far the work is, and what the pool is doing. On no terminal it stays silent.

use std::time::Duration;

use flame_aws::Snapshot;
use indicatif::{ProgressBar, ProgressStyle};

/// How often the line is drawn anew.
pub(crate) const REDRAW_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(total: usize, what: &'static str) -> Self {
        let template = "{prefix:10} [{bar:16}] {pos}/{len} {elapsed:>3}  {msg}";
        let bar = ProgressBar::new(total as u64).with_prefix(what);
        // The template is ours and sound; were it not, the plain bar would do.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(REDRAW_EVERY);
        Self(bar)
    }

    pub(crate) fn one_done(&self) {
        self.0.inc(1);
    }

    /// Shows runners, queue and calls under way.
    pub(crate) fn show(&self, pool: &Snapshot) {
        let booting = match pool.booting {
            0 => String::new(),
            booting => format!(" + {booting} booting"),
        };
        let (runners, queued, calls) = (pool.up, pool.queued, pool.leased);
        self.0.set_message(format!("runners {runners}{booting}, queue {queued}, calls {calls}"));
    }

    /// Takes the line away: the report says what remains to be said.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
