//! The progress line: the number of completed calls, and the state of the pool. Without a terminal,
//! nothing is printed.

use std::time::Duration;

use flame_aws::Snapshot;
use indicatif::{ProgressBar, ProgressStyle};

/// How often the line is redrawn.
pub(crate) const REDRAW_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(total: usize, what: &'static str) -> Self {
        let template = "{prefix:10} [{bar:16}] {pos}/{len} {elapsed:>3}  {msg}";
        let bar = ProgressBar::new(total as u64).with_prefix(what);
        // The template is a constant and valid. If it were not, the default style would do.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(REDRAW_EVERY);
        Self(bar)
    }

    pub(crate) fn one_done(&self) {
        self.0.inc(1);
    }

    /// Shows the numbers of runners, queued calls and calls in flight.
    pub(crate) fn show(&self, pool: &Snapshot) {
        let booting = match pool.booting {
            0 => String::new(),
            booting => format!(" + {booting} booting"),
        };
        let (runners, queued, calls) = (pool.up, pool.queued, pool.leased);
        self.0.set_message(format!(
            "{runners} runners{booting}, {queued} calls queued, {calls} running"
        ));
    }

    /// Removes the line; the report follows.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
