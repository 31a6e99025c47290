//! The `flame-relay` binary: settings, logs, signals.

use std::process::ExitCode;

use clap::Parser;
use flame_relay::config::args::{Args, KEYS_ENV};
use flame_relay::config::{Config, LogConfig, LogFormat};
use flame_relay::ecs::{self, METADATA_URI_ENV};
use flame_relay::{Relay, Stopper, open_files};
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

/// The exit code for bad settings, as clap uses it.
const BAD_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let keys = std::env::var(KEYS_ENV).ok().filter(|keys| !keys.is_empty()).map(Zeroizing::new);
    let (config, log) = match Args::parse().check(keys) {
        Ok(checked) => checked,
        Err(bad) => {
            eprintln!("{bad}\nSee flame-relay --help.");
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    start_log(log);
    check_open_files(&config);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(log: LogConfig) {
    let builder = tracing_subscriber::fmt().with_max_level(log.level).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

fn check_open_files(config: &Config) {
    let needed = config.limits.connections.saturating_add(config.max_handshakes) as u64;
    if let Some(limit) = open_files::raise_limit().filter(|&limit| limit < needed) {
        tracing::warn!(
            limit,
            needed,
            "this process may not open as many files as --max-connections and --max-handshakes \
             allow; raise its limit (ulimit -n, or nofile in the task definition)"
        );
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(config))
}

async fn serve(mut config: Config) -> anyhow::Result<()> {
    // Before anything else: a signal that arrives early must not kill the process.
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    find_own_address(&mut config).await?;
    let tls = config.tls.is_some();
    let address = config.address.clone();
    let relay = Relay::bind(config).await?;
    let listen = relay.local_address()?;
    let metrics_listen = relay.metrics_address().transpose()?.map(tracing::field::display);
    tracing::info!(%listen, metrics_listen, tls, address, "the relay is listening");
    tokio::spawn(stop_on_signal(signals, relay.stopper()));
    relay.run().await;
    tracing::info!("the relay exits");
    Ok(())
}

/// On ECS, a node knows its own address: it needs no flag that differs between tasks.
async fn find_own_address(config: &mut Config) -> anyhow::Result<()> {
    let Some(uri) = std::env::var(METADATA_URI_ENV).ok().filter(|uri| !uri.is_empty()) else {
        return Ok(());
    };
    if config.address.is_some() {
        return Ok(());
    }
    if config.tls.is_some() {
        tracing::warn!(
            "runners will use the address that their parent uses: no certificate is valid for the \
             task's private address; set --address to a name of this task"
        );
        return Ok(());
    }
    let host = ecs::own_address(&uri).await?;
    config.address = Some(format!("ws://{host}:{}", config.listen.port()));
    Ok(())
}

async fn stop_on_signal((mut terminate, mut interrupt): (Signal, Signal), stopper: Stopper) {
    let next = async |terminate: &mut Signal, interrupt: &mut Signal| {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let signal = next(&mut terminate, &mut interrupt).await;
    tracing::info!(signal, "the relay is draining");
    stopper.drain();
    let signal = next(&mut terminate, &mut interrupt).await;
    tracing::warn!(signal, "the relay exits at once");
    std::process::exit(1);
}
