//! Makes thumbnails and a contact sheet of real photographs, in copies of this program.
//!
//! ```text
//! cargo run --release --example thumbnails -- [FOLDER] [--out DIR] [--runners N] [--no-compare]
//!     [--backend process|docker|ecs|lambda|burst] [--emulated] [--code-sync]
//!     [--relay] [--watch]
//! ```
//!
//! Each photograph is developed in six looks, and each look is a call of its own. `develop` (in
//! `develop.rs`) is an ordinary function marked `#[remote]`. `pool.map` sends the calls to runners,
//! which are copies of this program, and returns the results in order. Afterwards the same calls
//! are awaited in this process, one after another. They make the same pictures, byte for byte.
//!
//! ```text
//! options -> photos -> calls --pool.map--> develop (on a runner)      --> contact sheet -> report
//!                      calls -----await--> develop (in this process)  ------------------->
//! ```

mod backend_kind;
mod contact_sheet;
mod develop;
mod docker;
mod emulator;
mod jpeg;
mod looks;
mod options;
mod outcome;
mod output;
mod photos;
mod platform;
mod progress;
mod relay;
mod report;
mod watch;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use flame_aws::{App, Work};
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::develop::{Developed, develop};
use crate::looks::Look;
use crate::options::{Options, Request};
use crate::outcome::Outcome;
use crate::output::print_line;
use crate::photos::Photo;
use crate::platform::Platform;
use crate::progress::Progress;
use crate::report::Report;
use crate::watch::LivePage;

/// A runner gets two calls at a time: while it works on one, the next one arrives.
const CALLS_PER_RUNNER: u32 = 2;

/// The deadline of a call. Developing the largest photograph takes a few seconds on a slow machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// In a runner, `run` serves calls until the process exits. Only the parent calls `parent`, so a
/// runner neither parses the command line nor opens the output.
#[tokio::main]
async fn main() -> ExitCode {
    match App::new().run(parent).await {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::from(output::EXIT_BROKEN_PIPE),
        Err(error) => {
            eprintln!("thumbnails: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn parent() -> anyhow::Result<ExitCode> {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => {
            print_line(options::HELP.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            eprintln!("thumbnails: {error}\n\n{}", options::HELP);
            return Ok(ExitCode::from(2));
        }
    };
    let found = photos::find(&options.input)?;
    found.print(&options.input)?;
    let sheet_path = prepare_output(&options.out)?;

    let with_runners = {
        let platform = Platform::start(&options).await?;
        develop_with_runners(&found.photos, &options, &platform).await?
    };
    if with_runners.developed().next().is_none() {
        with_runners.print_failures();
        bail!("no photograph was developed");
    }
    let without =
        if options.compare { Some(develop_in_this_process(&found.photos).await) } else { None };

    let pictures = with_runners.save(&options.out)?;
    let sheet = contact_sheet::draw(&with_runners);
    sheet.save(&sheet_path).with_context(|| format!("can't write {}", sheet_path.display()))?;
    print_line(format_args!("{pictures} pictures in {}", options.out.display()))?;
    print_line(format_args!("contact sheet: {}", sheet_path.display()))?;

    Report { with_runners: &with_runners, without: without.as_ref() }.print()?;
    Ok(if with_runners.print_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One call for each photograph and look. A `Work` does nothing until it is awaited or given to a
/// pool. The bytes of the photographs are shared, not copied.
fn calls(photos: &[Photo]) -> impl Iterator<Item = Work<'static, anyhow::Result<Developed>>> {
    photos.iter().flat_map(|photo| {
        Look::ALL.map(|look| develop(photo.bytes.clone(), look).timeout(CALL_TIMEOUT))
    })
}

/// Develops all photographs on runners, and shows their progress.
async fn develop_with_runners(
    photos: &[Photo],
    options: &Options,
    platform: &Platform,
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let pool = platform
        .pool(options)
        .max(options.runners)
        .max_concurrency(CALLS_PER_RUNNER)
        .start()
        .await
        .context("can't start the pool")?;
    let _page = if options.watch { Some(LivePage::serve(&pool).await?) } else { None };

    let mut outcome = Outcome::new(photos);
    let progress = Progress::new(outcome.total(), "runners");
    let mut results = pool.map(calls(photos).collect::<Vec<_>>());
    let mut tick = tokio::time::interval(progress::REDRAW_EVERY);
    loop {
        tokio::select! {
            next = results.next() => match next {
                // There are two kinds of errors: the pool's (a lost runner, a timeout), and the
                // function's own (the file is not a photograph).
                Some(result) => {
                    outcome.push(result.map_err(anyhow::Error::from).flatten());
                    progress.one_done();
                }
                None => break,
            },
            _ = tick.tick() => progress.show(&pool.snapshot()),
        }
    }
    outcome.took = started.elapsed();
    progress.finish();
    pool.drain().await;
    Ok(outcome)
}

/// Makes the same calls without a pool: a `Work` that is awaited runs in this process.
async fn develop_in_this_process(photos: &[Photo]) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome::new(photos);
    let progress = Progress::new(outcome.total(), "locally");
    for call in calls(photos) {
        outcome.push(call.await);
        progress.one_done();
    }
    outcome.took = started.elapsed();
    progress.finish();
    outcome
}

/// Checks that the output can be written before any work is done. Returns the path of the contact
/// sheet.
fn prepare_output(out: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(out)
        .with_context(|| format!("can't create the output folder {}", out.display()))?;
    let sheet = out.join("contact-sheet.png");
    // The file is not truncated, so an old sheet stays until the new one is drawn.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&sheet)
        .with_context(|| format!("can't write {}", sheet.display()))?;
    Ok(sheet)
}
