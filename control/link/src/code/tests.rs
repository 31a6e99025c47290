use flame_wire::code::CodeHash;
use flame_wire::ids::BuildId;

use super::*;
use crate::handshake::HelloError;
use crate::io::in_memory;

/// A source of zeros, which fails when `fails_at` bytes are left.
struct Zeros {
    left: u64,
    fails_at: Option<u64>,
}

impl ChunkSource for Zeros {
    async fn next_chunk(&mut self) -> std::io::Result<Option<Bytes>> {
        if self.fails_at.is_some_and(|at| self.left <= at) {
            return Err(std::io::Error::other("the disk has failed"));
        }
        let len = self.left.min(100_000);
        self.left -= len;
        Ok((len > 0).then(|| Bytes::from(vec![0; len as usize])))
    }
}

fn zeros(len: u64) -> Zeros {
    Zeros { left: len, fails_at: None }
}

fn transfer(len: u64) -> (CodeUpload, CodeDownload) {
    let (build, hash) = (BuildId::new("b"), CodeHash([0; 32]));
    let offer = Offer { build, len, hash, target: "here".to_owned(), in_store: true };
    let (ours, theirs) = in_memory();
    (CodeUpload::new(ours), CodeDownload::new(offer, theirs))
}

fn spawn_upload(
    upload: CodeUpload,
    chunks: Zeros,
) -> tokio::task::JoinHandle<Result<OfferReply, UploadError>> {
    tokio::spawn(async { Ok(upload.send(chunks).await?.reply) })
}

#[tokio::test]
async fn the_executable_arrives_whole_in_chunks() {
    for len in [0, 1, CHUNK as u64, 3_000_000] {
        let (upload, mut download) = transfer(len);
        let parent = spawn_upload(upload, zeros(len));
        download.request().await.unwrap();
        let mut received = 0;
        while let Some(chunk) = download.next_chunk().await.unwrap() {
            assert!((1..=CHUNK).contains(&chunk.len()));
            received += chunk.len() as u64;
        }
        assert_eq!(received, len);
        download.confirm().await.unwrap();
        drop(download);
        assert_eq!(parent.await.unwrap().unwrap(), OfferReply::Ready);
    }
}

#[tokio::test]
async fn the_parent_learns_that_a_runner_could_not_execute_what_it_had_confirmed() {
    for downloads in [false, true] {
        let (upload, mut download) = transfer(3);
        let parent = spawn_upload(upload, zeros(3));
        if downloads {
            download.request().await.unwrap();
            download.next_chunk().await.unwrap();
        }
        download.confirm().await.unwrap();
        download.fail("no such loader").await;
        let outcome = parent.await.unwrap().unwrap();
        assert_eq!(outcome, OfferReply::Failed("no such loader".to_owned()));
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_runner_that_has_the_executable_already() {
    let (upload, mut download) = transfer(3_000_000);
    let parent = spawn_upload(upload, Zeros { left: 1, fails_at: Some(1) });
    download.confirm().await.unwrap();
    drop(download);
    assert_eq!(parent.await.unwrap().unwrap(), OfferReply::Ready);
}

#[tokio::test]
async fn the_parent_learns_why_a_runner_fails_in_the_middle_although_it_stops_reading() {
    let (upload, mut download) = transfer(30_000_000);
    let parent = spawn_upload(upload, zeros(30_000_000));
    download.request().await.unwrap();
    download.next_chunk().await.unwrap();
    download.fail("the disk is full").await;
    let outcome = parent.await.unwrap().unwrap();
    assert_eq!(outcome, OfferReply::Failed("the disk is full".to_owned()));
}

#[tokio::test]
async fn a_socket_that_breaks_in_the_middle_is_an_error_on_both_sides() {
    let (upload, mut download) = transfer(3_000_000);
    let parent = spawn_upload(upload, zeros(3_000_000));
    download.request().await.unwrap();
    download.next_chunk().await.unwrap();
    drop(download);
    assert!(matches!(parent.await.unwrap(), Err(UploadError::Runner(_))));

    let (upload, mut download) = transfer(3_000_000);
    let parent = spawn_upload(upload, zeros(1_000_000));
    download.request().await.unwrap();
    for _ in 0..3 {
        download.next_chunk().await.unwrap();
    }
    parent.abort();
    let _ = parent.await;
    assert!(matches!(download.next_chunk().await, Err(HelloError::Io(_))));
}

#[tokio::test]
async fn a_failure_to_read_the_executable_is_reported_as_the_parents_error() {
    let (upload, mut download) = transfer(3_000_000);
    let broken = Zeros { left: 3_000_000, fails_at: Some(1_000_000) };
    let parent = spawn_upload(upload, broken);
    download.request().await.unwrap();
    while download.next_chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
    assert!(matches!(parent.await.unwrap(), Err(UploadError::Source(_))));
}

#[tokio::test(start_paused = true)]
async fn a_download_times_out_when_the_parent_sends_nothing() {
    let (_upload, mut download) = transfer(1);
    download.request().await.unwrap();
    assert!(matches!(download.next_chunk().await, Err(HelloError::Timeout)));
}

/// Has a URL after a while, or none.
struct Urls {
    after: Duration,
    url: Option<&'static str>,
    failures: std::sync::mpsc::Sender<String>,
}

impl UrlSource for Urls {
    async fn url(&mut self) -> Option<PresignedUrl> {
        tokio::time::sleep(self.after).await;
        self.url.map(|url| url.to_owned().try_into().unwrap())
    }

    fn failed(&mut self, why: &str) {
        self.failures.send(why.to_owned()).unwrap();
    }
}

type Upload = tokio::task::JoinHandle<Result<(OfferReply, CodeOrigin), UploadError>>;

/// Starts an upload of three bytes, and returns the reported failures as well.
fn spawn_upload_with(
    upload: CodeUpload,
    after: Duration,
    url: Option<&'static str>,
) -> (Upload, std::sync::mpsc::Receiver<String>) {
    let (failures, reported) = std::sync::mpsc::channel();
    let mut urls = Urls { after, url, failures };
    let parent = tokio::spawn(async move {
        let outcome = upload.send_with(&mut urls, zeros(3)).await?;
        Ok((outcome.reply, outcome.origin))
    });
    (parent, reported)
}

const URL: &str = "https://bucket/key?secret";

#[tokio::test(start_paused = true)]
async fn a_runner_waits_for_the_url_for_as_long_as_the_parent_uploads() {
    for after in [Duration::ZERO, Duration::from_secs(100)] {
        let (upload, mut download) = transfer(3);
        let (parent, _) = spawn_upload_with(upload, after, Some(URL));
        assert_eq!(download.request_url().await.unwrap().unwrap().as_str(), URL);
        download.confirm().await.unwrap();
        drop(download);
        assert_eq!(parent.await.unwrap().unwrap(), (OfferReply::Ready, CodeOrigin::Store));
    }
}

#[tokio::test]
async fn a_runner_whose_download_failed_gets_the_bytes_and_the_parent_the_reason() {
    let (upload, mut download) = transfer(3);
    let (parent, reported) = spawn_upload_with(upload, Duration::ZERO, Some(URL));
    download.request_url().await.unwrap().unwrap();
    download.request_after_store_failure("403 AccessDenied").await.unwrap();
    assert_eq!(download.next_chunk().await.unwrap().unwrap().len(), 3);
    download.confirm().await.unwrap();
    drop(download);
    assert_eq!(parent.await.unwrap().unwrap(), (OfferReply::Ready, CodeOrigin::Parent));
    assert_eq!(reported.try_iter().collect::<Vec<_>>(), ["403 AccessDenied"]);
}

#[tokio::test]
async fn without_a_url_the_runner_fetches_the_bytes_from_its_parent() {
    let (upload, mut download) = transfer(3);
    let (parent, reported) = spawn_upload_with(upload, Duration::ZERO, None);
    assert_eq!(download.request_url().await.unwrap(), None);
    download.request().await.unwrap();
    assert_eq!(download.next_chunk().await.unwrap().unwrap().len(), 3);
    download.confirm().await.unwrap();
    drop(download);
    assert_eq!(parent.await.unwrap().unwrap(), (OfferReply::Ready, CodeOrigin::Parent));
    assert_eq!(reported.try_iter().count(), 0);
}

#[tokio::test]
async fn a_runner_that_asks_for_a_url_again_is_rejected() {
    let (upload, mut download) = transfer(3);
    let (parent, _) = spawn_upload_with(upload, Duration::ZERO, Some(URL));
    download.request_url().await.unwrap();
    let _ = download.request_url().await;
    let error = parent.await.unwrap().unwrap_err();
    assert!(matches!(error, UploadError::Runner(HelloError::Malformed(_))), "{error}");
}
