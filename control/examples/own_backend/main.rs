//! A call that runs on a backend which the app implements itself.
//!
//! ```text
//! cargo run --example own_backend
//! ```

use flame_aws::{App, Pool, remote};

#[expect(unreachable_pub, reason = "written as in a crate of its own")]
mod backend;

use backend::OwnBackend;

/// The id of the process that the function runs in.
#[remote]
async fn whereabouts() -> u32 {
    std::process::id()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    App::new().run(parent).await
}

async fn parent() -> anyhow::Result<()> {
    let mut backend = OwnBackend::new();
    // Name a file that does not exist to see how a pool reports a backend that can't start.
    if let Some(program) = std::env::args_os().nth(1) {
        backend = backend.program(program);
    }
    let pool = Pool::builder("own").max(1).backend(backend).start().await?;
    println!("here:  process {}", whereabouts().await);
    println!("there: process {}", pool.call(whereabouts()).await?);
    pool.drain().await;
    Ok(())
}
