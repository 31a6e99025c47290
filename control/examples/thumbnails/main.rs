//! Thumbnails and a contact sheet of real photographs, made by child copies of this very program.
//!
//! ```text
//! cargo run --release --example thumbnails -- [FOLDER] [--out DIR] [--runners N] [--no-compare]
//!     [--backend process|ecs|lambda|burst] [--emulated]
//! ```
//!
//! Every photograph is developed in six looks, each a call of its own: `develop` (in `develop.rs`)
//! is an ordinary function with `#[remote]` on it. `pool.map` sends the calls to runners, which are
//! copies of this program started for the purpose, and yields the results in order. Afterwards the
//! very same calls are awaited here, one after another: the same function, no runner, and the same
//! pictures to the byte.
//!
//! ```text
//! options -> photos -> jobs --pool.map--> develop (in a runner) --> sheet -> report
//!                      jobs -----await--> develop (right here)  ----------->
//! ```

#[cfg(all(feature = "ecs", feature = "lambda"))]
mod aws;
mod develop;
#[cfg(all(feature = "ecs", feature = "lambda"))]
mod emulated;
mod jpeg;
mod looks;
#[cfg(not(all(feature = "ecs", feature = "lambda")))]
mod no_aws;
mod options;
mod output;
mod photos;
mod place;
mod progress;
mod report;
mod sheet;

#[cfg(not(all(feature = "ecs", feature = "lambda")))]
use no_aws as aws;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use flame_aws::{App, Work};
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::aws::Aws;
use crate::develop::{Developed, SIZES, develop};
use crate::looks::Look;
use crate::options::{Options, Request};
use crate::output::say;
use crate::photos::Photo;
use crate::place::Place;
use crate::progress::Progress;
use crate::report::{Outcome, Report};

/// Calls that a runner takes at a time: while it works on one, the next is on its way.
const CALLS_PER_RUNNER: u32 = 2;

/// From the moment a call is made until its result is here; developing the largest photograph on
/// a slow machine takes a few seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// In a runner, `run` serves the calls and the process ends there. `parent` runs in the parent
/// only, so a runner neither reads the command line nor opens the output.
#[tokio::main]
async fn main() -> ExitCode {
    match App::new().run(parent).await {
        Ok(code) => code,
        Err(error) if output::is_unread(&error) => ExitCode::from(output::NOBODY_READS),
        Err(error) => {
            eprintln!("thumbnails: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn parent() -> anyhow::Result<ExitCode> {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(Request::Make(options)) => options,
        Ok(Request::Help) => {
            say(options::HELP.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            eprintln!("thumbnails: {error}\n\n{}", options::HELP);
            return Ok(ExitCode::from(2));
        }
    };
    if options.place != Place::Process && !aws::IS_BUILT {
        return build_and_run();
    }
    let found = photos::find(&options.input)?;
    found.announce(&options.input)?;
    let sheet_path = prepare_output(&options.out)?;

    let there = {
        let aws = Aws::start(&options).await?;
        in_runners(&found.photos, &options, &aws).await?
    };
    if there.developed().next().is_none() {
        there.announce_failures();
        bail!("no photograph could be developed");
    }
    let here = if options.compare { Some(in_this_process(&found.photos).await) } else { None };

    let pictures = there.save(&options.out)?;
    let sheet = sheet::draw(&there);
    sheet.save(&sheet_path).with_context(|| format!("can't write {}", sheet_path.display()))?;
    say(format_args!("{pictures} pictures in {}", options.out.display()))?;
    say(format_args!("open {}", sheet_path.display()))?;

    Report { there: &there, here: here.as_ref() }.print()?;
    Ok(if there.announce_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One call for every photograph and look. A `Work` does nothing until it is given to a pool, or
/// awaited; the photographs' bytes are shared, not copied.
fn jobs(photos: &[Photo]) -> impl Iterator<Item = Work<'static, anyhow::Result<Developed>>> {
    photos.iter().flat_map(|photo| {
        Look::ALL.map(|look| develop(photo.bytes.clone(), look).timeout(CALL_TIMEOUT))
    })
}

/// Develops everything in runners, with a live line of what they are doing.
async fn in_runners(photos: &[Photo], options: &Options, aws: &Aws) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let pool = aws
        .pool(options)
        .max(options.runners)
        .max_concurrency(CALLS_PER_RUNNER)
        .start()
        .await
        .context("the pool could not start")?;

    let mut outcome = Outcome::new(photos);
    let progress = Progress::new(outcome.total(), "in runners");
    let mut results = pool.map(jobs(photos).collect::<Vec<_>>());
    let mut tick = tokio::time::interval(progress::REDRAW_EVERY);
    loop {
        tokio::select! {
            next = results.next() => match next {
                // Two errors may stand in the way of a picture: the pool's (a runner was lost, the
                // time ran out) and the function's own (the file is no photograph).
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

/// The same calls without a pool: awaited, a `Work` runs in this process.
async fn in_this_process(photos: &[Photo]) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome::new(photos);
    let progress = Progress::new(outcome.total(), "here");
    for job in jobs(photos) {
        outcome.push(job.await);
        progress.one_done();
    }
    outcome.took = started.elapsed();
    progress.finish();
    outcome
}

/// Builds the example once more, with the AWS backends, and runs that with the same arguments.
fn build_and_run() -> anyhow::Result<ExitCode> {
    eprintln!("building the example with the AWS backends: some minutes the first time");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.args(["run", "--quiet", "--features", "ecs,lambda", "--example", "thumbnails"]);
    command.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let ended = command.arg("--").args(std::env::args_os().skip(1)).status();
    let ended = ended.context("cargo, which is to build it, can't be started")?;
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Makes sure that the output can be written before any work is done; gives the sheet's path.
fn prepare_output(out: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(out)
        .with_context(|| format!("can't make the output folder {}", out.display()))?;
    let sheet = out.join("contact-sheet.png");
    // Opened without truncating: an old sheet stays until the new one is drawn.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&sheet)
        .with_context(|| format!("can't write {}", sheet.display()))?;
    Ok(sheet)
}
