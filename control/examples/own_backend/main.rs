//! A call that runs on a backend of the app's own.
//!
//! ```text
//! cargo run --example own_backend
//! ```

use flame_aws::{App, Pool, remote};

#[expect(unreachable_pub, reason = "written as it would be in a crate of its own")]
mod backend;

use backend::OwnBackend;

/// The process that it runs in.
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
    // The file to start copies of can be given, to see what a backend says that can't be used.
    if let Some(program) = std::env::args_os().nth(1) {
        backend = backend.program(program);
    }
    let pool = Pool::builder("own").max(1).backend(backend).start().await?;
    println!("here:  process {}", whereabouts().await);
    println!("there: process {}", pool.call(whereabouts()).await?);
    pool.drain().await;
    Ok(())
}
