//! A web app that sends its heavy handlers elsewhere.
//!
//! ```text
//! cargo run --release --example web -- [--port N]      then open http://127.0.0.1:3000
//! ```
//!
//! Two handlers draw the Mandelbrot set, and neither holds up this server: `/picture` is one
//! `pool.call`, and `/rows` streams the same picture row by row, as server-sent events fed from
//! `pool.stream`. The functions they call (`fractal.rs`) run in copies of this program, with a
//! database handle of the copy's own (`db.rs`): `#[state]` is found where the function runs.
//!
//! ```text
//! browser --http--> handler (pages.rs) --pool--> picture, rows (fractal.rs), in a runner
//! ```

mod db;
mod fractal;
mod pages;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use flame_aws::{App, Pool};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::db::Db;
use crate::pages::Site;

const USAGE: &str = "usage: web [--port N]; default: 3000";

/// Runs in the parent and in every runner alike, up to `run`: there a runner serves calls until it
/// ends, and only the parent goes on to serve the web.
#[tokio::main]
async fn main() -> ExitCode {
    match app().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("web: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn app() -> anyhow::Result<()> {
    // A runner works for a few requests at a time, so it needs few connections.
    let connections = if flame_aws::is_runner() { 2 } else { 10 };
    let db = Db::connect(connections).await?;
    App::new().state(db.clone()).run(async || serve(db).await).await
}

/// The web server: the parent's side.
async fn serve(db: Db) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port()?));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}; --port chooses another port"))?;

    // With `min(0)` nothing runs until somebody asks for a picture, nor a minute after the last one.
    let pool = Pool::builder("fractals")
        .min(0)
        .max(4)
        .max_concurrency(2)
        .idle_shutdown_after(Duration::from_secs(60))
        .start()
        .await
        .context("the pool could not start")?;

    println!("http://{} (ctrl-c stops it)", listener.local_addr()?);
    // Asked to stop, the server takes no more requests and finishes those it has; then the pool is
    // drained, which ends its runners. A request may last as long as a browser likes, so whoever asks
    // again does not wait for it.
    let stop = Arc::new(Notify::new());
    let serving = async {
        axum::serve(listener, pages::router(Site { pool: pool.clone(), db }))
            .with_graceful_shutdown(stop.clone().notified_owned())
            .await?;
        println!("stopping: {} runners to drain", pool.snapshot().up);
        pool.drain().await;
        Ok(())
    };
    let asked_twice = async {
        asked_to_stop().await;
        stop.notify_one();
        asked_to_stop().await;
    };
    tokio::select! {
        served = serving => served,
        () = asked_twice => bail!("asked again: stopped before all requests and runners had ended"),
    }
}

fn port() -> anyhow::Result<u16> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(3000),
        ["--port", port] => port.parse().with_context(|| format!("no port: {port}; {USAGE}")),
        _ => bail!(USAGE),
    }
}

/// Returns on ctrl-c, and on SIGTERM, with which an orchestrator ends a service.
async fn asked_to_stop() {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => {
            if let Err(error) = interrupted {
                eprintln!("can't wait for ctrl-c, so the server stops now: {error}");
            }
        }
        _ = terminated => {}
    }
}
