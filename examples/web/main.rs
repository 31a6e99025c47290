//! A web app whose expensive work runs in copies of the app.
//!
//! ```text
//! cargo run --release --example web -- [--port N]      then open http://127.0.0.1:3000
//! ```
//!
//! Two handlers draw the Mandelbrot set, and neither slows down the server. `/picture` makes one
//! `pool.call`. `/rows` streams the same picture row by row, as server-sent events that
//! `pool.stream` feeds. The functions that they call (`fractal.rs`) run in copies of this program.
//! Each copy has its own database handle (`db.rs`), which the functions receive as a `#[state]`
//! parameter.
//!
//! ```text
//! browser --http--> handler (pages.rs) --pool--> picture, rows (fractal.rs), on a runner
//! ```
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` in the environment, `traces.rs` sends the spans of all
//! processes to that collector.

mod db;
mod fractal;
mod pages;
mod traces;

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
use crate::traces::Traces;

const USAGE: &str = "usage: web [--port N]; default: 3000";

/// The parent and every runner execute `main` up to `App::run`. There a runner serves calls until
/// it exits, and only the parent continues to the web server.
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
    // A runner serves a few calls at a time, so it needs fewer connections.
    let connections = if flame_aws::is_runner() { 2 } else { 10 };
    let db = Db::connect(connections).await?;
    let traces = Traces::start()?;
    // A runner never returns from `run`, so it sends its last spans here.
    let (of_runner, of_server) = (traces.clone(), traces);
    let app = App::new().state(db.clone()).on_runner_end(move || of_runner.flush());
    let served = app.run(async || serve(db).await).await;
    tokio::task::spawn_blocking(move || of_server.flush()).await?;
    served
}

/// The web server, which runs only in the parent.
async fn serve(db: Db) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port()?));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}; choose another port with --port"))?;

    // With `min(0)` no runner is up before the first request, nor a minute after the last one.
    let pool = Pool::builder("fractals")
        .min(0)
        .max(4)
        .max_concurrency(2)
        .idle_shutdown_after(Duration::from_secs(60))
        .start()
        .await
        .context("can't start the pool")?;

    println!("http://{} (stop with Ctrl-C)", listener.local_addr()?);
    // At the first signal the server accepts no more requests and finishes those in progress. Then
    // the pool drains, which ends its runners. A browser can keep a request open for as long as it
    // likes, so a second signal stops the server at once.
    let stop = Arc::new(Notify::new());
    let serving = async {
        axum::serve(listener, pages::router(Site { pool: pool.clone(), db }))
            .with_graceful_shutdown(stop.clone().notified_owned())
            .await?;
        println!("stopping; runners to drain: {}", pool.snapshot().up);
        pool.drain().await;
        Ok(())
    };
    let second_signal = async {
        stop_signal().await;
        stop.notify_one();
        stop_signal().await;
    };
    tokio::select! {
        served = serving => served,
        () = second_signal => {
            bail!("stopped by a second signal, before all requests and runners had ended")
        }
    }
}

fn port() -> anyhow::Result<u16> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(3000),
        ["--port", port] => {
            port.parse().with_context(|| format!("{port:?} is not a port number; {USAGE}"))
        }
        _ => bail!(USAGE),
    }
}

/// Returns at Ctrl-C, and at SIGTERM, which orchestrators send to stop a service.
async fn stop_signal() {
    #[cfg(unix)]
    let sigterm = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let sigterm = std::future::pending::<Option<()>>();
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => {
            if let Err(error) = interrupted {
                eprintln!("stopping, because Ctrl-C can't be handled: {error}");
            }
        }
        _ = sigterm => {}
    }
}
