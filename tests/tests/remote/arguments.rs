//! Parameters: borrowed, patterns, keywords, many, and blobs.

use std::path::{Path, PathBuf};

use flame_aws::{Blob, remote};

use super::methods::Scaler;
use super::{Video, pool, video};

#[remote]
async fn borrows(text: &str, list: &[u16], path: &Path, video: &Video, owned: String) -> String {
    tokio::task::yield_now().await;
    format!("{text} {list:?} {} {} {owned}", path.display(), video.name)
}

#[remote]
fn plain_borrows(bytes: &[u8], path: &Path, scaler: &Scaler) -> (usize, PathBuf, u32) {
    (bytes.iter().map(|byte| usize::from(*byte)).sum(), path.to_owned(), scaler.by)
}

#[tokio::test]
async fn arguments_are_borrowed_in_this_process_and_owned_on_a_runner() {
    let (path, scaler) = (Path::new("/tmp/x"), Scaler { by: 3 });
    let video = video();
    same_here_and_there!(
        borrows("a", &[1, 2], path, &video, "o".to_owned()),
        plain_borrows(&[200, 100], path, &scaler),
    );
}

#[remote]
async fn patterns((a, b): (u32, u32), mut c: u32, _: u32, Video { frames, .. }: Video) -> u32 {
    c += frames;
    a + b + c
}

#[remote]
async fn r#loop(r#type: u8) -> u8 {
    r#type
}

#[remote]
#[expect(clippy::too_many_arguments, reason = "serde's tuples end at sixteen")]
async fn many(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    e: u8,
    f: u8,
    g: u8,
    h: u8,
    i: u8,
    j: u8,
    k: u8,
    l: u8,
    m: u8,
    n: u8,
    o: u8,
    p: u8,
    q: u8,
    r: &str,
) -> String {
    format!("{:?}{r}", [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q])
}

#[tokio::test]
async fn parameters_may_be_patterns_keywords_and_many() {
    same_here_and_there!(
        patterns((1, 2), 3, 4, video()),
        r#loop(9),
        many(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, "r"),
    );
}

#[tokio::test]
async fn blobs_cross_at_any_depth() {
    #[remote]
    async fn reversed(blobs: Vec<Option<Blob>>) -> Vec<Option<Blob>> {
        blobs.into_iter().rev().collect()
    }
    let blobs = vec![Some(Blob::from(vec![7; 100_000])), None, Some(Blob::from(vec![1]))];
    same_here_and_there!(reversed(blobs.clone()));
}
