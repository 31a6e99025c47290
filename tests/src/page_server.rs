//! An HTTP server for a router, which ends with all of its connections.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running server. When it is dropped, it closes its port and all of its connections.
#[derive(Debug)]
pub struct PageServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl PageServer {
    /// Serves the router on that port of this machine, or on any free port with 0.
    pub async fn start(router: axum::Router, port: u16) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = oneshot::channel();
        // The connections are tasks of this runtime, and end with it.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
                let listener = listener.expect("the port is free");
                let address = listener.local_addr().expect("the listener has an address");
                bound.send(address).expect("the test waits for the address");
                tokio::select! {
                    served = axum::serve(listener, router) => served.expect("it serves"),
                    _ = stopped => {}
                }
            });
        });
        let address = address.await.expect("the server listens");
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address with `path` appended, which begins with a slash.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has panicked if the test has failed already.
            let _ = thread.join();
        }
    }
}
