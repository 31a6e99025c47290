//! `--watch`: the live page of the pool, on a port of this machine.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::Context;
use flame_aws::Pool;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::output::print_line;

/// A live page. It is served until this value is dropped.
pub(crate) struct LivePage(JoinHandle<()>);

impl Drop for LivePage {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl LivePage {
    /// Serves the page, prints its address, and opens it if there is a display.
    pub(crate) async fn serve(pool: &Pool) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("can't listen for the live page")?;
        let address = format!("http://{}/", listener.local_addr()?);
        print_line(format_args!("live page: {address}"))?;
        let router = pool.dashboard().into_router();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("thumbnails: the live page is no longer served: {error}");
            }
        });
        open(&address);
        Ok(Self(server))
    }
}

/// Opens an address in the user's browser, if there is a display. If that fails, the user still has
/// the printed address.
fn open(address: &str) {
    let has_display =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else if has_display {
        "xdg-open"
    } else {
        return;
    };
    let quiet = Stdio::null;
    let _ =
        Command::new(opener).arg(address).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
}
