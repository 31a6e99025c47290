//! A middlebox between a runner and its parent: it sees, alters and repeats their bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::{Io, ServerKey, tls};

/// Forwards bytes between two sockets, until the first one is closed. Returns what the first one
/// sent. While `altering` is set, inverts a bit of what the first one sends.
async fn middlebox(
    mut from: DuplexStream,
    mut to: DuplexStream,
    altering: Arc<AtomicBool>,
) -> Vec<u8> {
    let mut recorded = Vec::new();
    let (mut sent, mut answer) = (vec![0; 4096], vec![0; 4096]);
    loop {
        tokio::select! {
            len = from.read(&mut sent) => match len {
                Ok(len @ 1..) => {
                    recorded.extend_from_slice(&sent[..len]);
                    if altering.load(Ordering::Relaxed) {
                        sent[len - 1] ^= 1;
                    }
                    to.write_all(&sent[..len]).await.unwrap();
                }
                _ => return recorded,
            },
            len = to.read(&mut answer) => {
                let len = len.unwrap();
                // The first one may have closed its end in the meantime.
                if from.write_all(&answer[..len]).await.is_err() {
                    return recorded;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_middlebox_can_neither_read_nor_alter_nor_replay() {
    const SECRET: &[u8] = b"the arguments of a call";
    let key = ServerKey::generate().unwrap();
    let altering = Arc::new(AtomicBool::new(false));
    let ((runner, near), (far, parent)) = (tokio::io::duplex(4096), tokio::io::duplex(4096));
    let middlebox = tokio::spawn(middlebox(near, far, altering.clone()));
    let (runner, parent) =
        tokio::join!(tls::connect(Io::new(runner), key.fingerprint()), key.accept(Io::new(parent)));
    let (mut runner, mut parent) = (runner.unwrap(), parent.unwrap());
    runner.write_all(SECRET).await.unwrap();
    runner.flush().await.unwrap();
    let mut arrived = vec![0; SECRET.len()];
    parent.read_exact(&mut arrived).await.unwrap();
    assert_eq!(arrived, SECRET);

    altering.store(true, Ordering::Relaxed);
    runner.write_all(SECRET).await.unwrap();
    runner.flush().await.unwrap();
    let altered = parent.read_exact(&mut arrived).await.unwrap_err();
    assert_eq!(altered.kind(), std::io::ErrorKind::InvalidData, "{altered}");

    drop(runner);
    let recorded = middlebox.await.unwrap();
    assert!(!recorded.windows(SECRET.len()).any(|window| window == SECRET));
    let (mut replaying, parent) = tokio::io::duplex(64 * 1024);
    replaying.write_all(&recorded).await.unwrap();
    let replayed = key.accept(Io::new(parent)).await.unwrap_err();
    assert_eq!(replayed.kind(), std::io::ErrorKind::InvalidData, "{replayed}");
}
