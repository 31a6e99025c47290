//! A terminal view of pools, over the data of their live page.
//!
//! ```text
//! page's /events ──▶ source.rs (HTTP) ──▶ sse.rs (pure) ──▶ model.rs (pure) ──▶ draw.rs (pure)
//! keys ──────────────────────────────────────────────────────▶ screen.rs (pure) ──▶ terminal.rs
//! ```

mod bars;
mod draw;
mod model;
mod screen;
mod source;
mod sse;
mod terminal;
mod text;

use clap::Parser;

/// Shows the pools of a flame-aws live page in the terminal. Keys: q quits, Tab shows the next pool.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address of the page, such as <http://127.0.0.1:3000/pools>
    url: String,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.url) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flame-top: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(url: &str) -> anyhow::Result<()> {
    let source = source::Source::new(url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the terminal is changed, so that a wrong address is an ordinary error.
        let events = source.connect().await?;
        terminal::run(source, events).await
    })
}
