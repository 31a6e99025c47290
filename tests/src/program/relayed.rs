//! A parent whose relay comes from its environment.

use flame_aws::{Pool, Relay};

use crate::demo;

/// Prints everything that it can find out about the key of its relay without reading the variable:
/// the arguments of itself and of its runner, `Debug` of a pool and of a relay, and errors.
pub(super) async fn relay_secret() {
    let pool = Pool::builder("secret").max(1);
    println!("{pool:?}");
    let pool = pool.start().await.unwrap();
    let runner = pool.call(demo::pid()).await.unwrap();
    for pid in [std::process::id(), runner] {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        println!("{}", String::from_utf8_lossy(&arguments));
    }
    println!("{pool:?} {:?}", pool.snapshot());
    pool.drain().await;
    let key = std::env::var("FLAME_RELAY_KEY").unwrap();
    let nobody = Relay::new("ws://127.0.0.1:1").key(format!("{key}\n"));
    println!("{nobody:?}");
    let error = Pool::builder("secret").relay(nobody).start().await.unwrap_err();
    println!("{error:?} {error}");
}
