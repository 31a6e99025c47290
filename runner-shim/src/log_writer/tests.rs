use std::io::{PipeReader, Read, pipe};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::queue::{FULL, HIGH};
use super::*;

/// A log that writes to a pipe, and the pipe's other end.
fn piped() -> (LogWriter, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    (LogWriter::new(Box::new(writer), notice), reader)
}

fn notice(dropped: u64, text: &mut Vec<u8>) {
    text.extend_from_slice(format!("dropped {dropped}\n").as_bytes());
}

fn push(lines: &LogWriter, text: impl Into<String>) {
    let text = text.into() + "\n";
    lines.push(text.len(), move |to| to.extend_from_slice(text.as_bytes()));
}

/// This many bytes of text.
fn read(reader: &mut PipeReader, len: usize) -> String {
    let mut text = vec![0; len];
    reader.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Reads lines up to and including this one.
fn read_to(reader: &mut PipeReader, last: &str) -> Vec<String> {
    let mut text = String::new();
    let mut chunk = [0; 64 * 1024];
    while !text.ends_with(&format!("{last}\n")) {
        let len = reader.read(&mut chunk).unwrap();
        text.push_str(std::str::from_utf8(&chunk[..len]).unwrap());
    }
    text.lines().map(str::to_owned).collect()
}

/// The bytes that a destination received, one entry for each call of `write`.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<Vec<u8>>>>);

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn lines_are_written_in_order_and_each_in_one_write() {
    let writes = Writes::default();
    let lines = LogWriter::new(Box::new(writes.clone()), notice);
    let all: Vec<_> = (0..1000).map(|n| format!("{n}{}", "x".repeat(n % 300))).collect();
    for line in &all {
        push(&lines, line.as_str());
    }
    lines.flush().await;
    let writes = writes.0.lock();
    assert_eq!(writes.concat(), (all.join("\n") + "\n").as_bytes());
    assert!(writes.iter().all(|write| write.ends_with(b"\n") && write.len() <= MAX_WRITE));
}

#[tokio::test]
async fn a_line_longer_than_a_write_is_written_alone() {
    let writes = Writes::default();
    let lines = LogWriter::new(Box::new(writes.clone()), notice);
    let long = "x".repeat(3 * MAX_WRITE);
    for line in ["short", &long, "short"] {
        push(&lines, line);
    }
    lines.flush().await;
    let writes = writes.0.lock();
    assert!(writes.contains(&format!("{long}\n").into_bytes()), "{:?}", writes.len());
}

#[test]
fn a_push_never_waits_and_dropped_lines_are_reported_in_their_place() {
    let (lines, mut reader) = piped();
    let text = "x".repeat(1000);
    let pushed = 2 * FULL / 1000;
    for number in 0..pushed {
        push(&lines, format!("{number} {text}"));
    }
    // Nothing has been read yet, and every line was queued or dropped.
    std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let mut all = Vec::new();
            while !all.last().is_some_and(|line: &String| line.starts_with("dropped ")) {
                let mut chunk = vec![0; 1024 * 1024];
                let len = reader.read(&mut chunk).unwrap();
                let text = String::from_utf8(chunk[..len].to_vec()).unwrap();
                // Chunks may end within lines, which are joined below.
                match all.pop() {
                    Some(last) if !last.ends_with('\n') => {
                        let joined: String = last + &text;
                        all.extend(joined.split_inclusive('\n').map(str::to_owned));
                    }
                    last => {
                        all.extend(last);
                        all.extend(text.split_inclusive('\n').map(str::to_owned));
                    }
                }
            }
            all
        });
        let all = read.join().unwrap();
        let (notice, lines) = all.split_last().unwrap();
        let dropped: usize = notice.trim().strip_prefix("dropped ").unwrap().parse().unwrap();
        assert!(dropped > 0);
        assert_eq!(lines.len() + dropped, pushed);
        for (number, line) in lines.iter().enumerate() {
            assert!(line.starts_with(&format!("{number} ")), "{line}");
        }
    });
}

#[tokio::test]
async fn a_flush_waits_while_the_reader_reads() {
    let (lines, mut reader) = piped();
    let text = "x".repeat(200_000);
    push(&lines, text.as_str());
    let reader = std::thread::spawn(move || read(&mut reader, 200_001));
    lines.flush().await;
    // The pipe holds 64 KiB: without a reader this text could not be written.
    assert_eq!(lines.shared.lock().queue.written(), 1);
    assert_eq!(reader.join().unwrap(), text + "\n");
}

#[tokio::test]
async fn a_flush_gives_up_on_a_stuck_destination_and_the_next_flush_does_not_wait() {
    let (lines, reader) = piped();
    push(&lines, "x".repeat(200_000));
    lines.flush().await;
    assert_eq!(lines.shared.lock().queue.written(), 0);
    // Nothing was written for longer than a flush waits.
    let progress = lines.shared.lock().progress;
    assert!(now().duration_since(progress) >= FLUSH_STALL_TIMEOUT);
    lines.flush().await;
    drop(reader);
}

#[test]
fn a_flush_without_lines_starts_no_thread_and_needs_no_runtime() {
    use futures_util::FutureExt;
    let (lines, _reader) = piped();
    assert_eq!(lines.flush().now_or_never(), Some(()));
    assert!(lines.shared.lock().destination.is_some());
}

#[tokio::test]
async fn a_line_that_panics_loses_only_itself() {
    let (lines, mut reader) = piped();
    push(&lines, "before");
    lines.push(0, |_| panic!("a subscriber of the app"));
    push(&lines, "after");
    lines.flush().await;
    assert_eq!(read(&mut reader, "before\nafter\n".len()), "before\nafter\n");
}

#[tokio::test]
async fn a_closed_destination_does_not_stop_the_log() {
    let (lines, reader) = piped();
    drop(reader);
    push(&lines, "to nobody");
    lines.flush().await;
    assert_eq!(lines.shared.lock().queue.written(), 1);
}

#[test]
fn a_destination_that_is_not_ready_is_tried_again() {
    struct Reluctant(usize);
    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += 1;
            match self.0 % 3 {
                0 => Ok(bytes.len().min(2)),
                1 => Err(ErrorKind::WouldBlock.into()),
                _ => Err(ErrorKind::Interrupted.into()),
            }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut destination = Reluctant(0);
    write_all(&mut destination, b"12345");
    assert_eq!(destination.0, 9);
}

/// Fills the queue until callers that can wait should wait.
fn fill(lines: &LogWriter) {
    let text = "x".repeat(1000);
    (0..HIGH / 1000 + 200).for_each(|_| push(lines, text.as_str()));
}

#[tokio::test]
async fn callers_that_can_wait_do_so_while_the_destination_is_read() {
    let (lines, mut reader) = piped();
    fill(&lines);
    let waited = AtomicUsize::new(0);
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let reader = std::thread::spawn(move || {
        begun.recv().unwrap();
        read_to(&mut reader, "last").len()
    });
    let wait = async {
        lines.room().await;
        waited.fetch_add(1, Ordering::SeqCst);
    };
    let read = async {
        assert_eq!(waited.load(Ordering::SeqCst), 0, "it waits as long as nothing is read");
        begin.send(()).unwrap();
    };
    // In this order, on one thread.
    tokio::join!(wait, read);
    assert!(!lines.shared.lock().queue.is_high());
    push(&lines, "last");
    assert_eq!(reader.join().unwrap(), HIGH / 1000 + 201);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_destination_delays_waiting_callers_for_one_second_in_all() {
    let (lines, reader) = piped();
    fill(&lines);
    let start = tokio::time::Instant::now();
    for _ in 0..100 {
        tokio::join!(lines.room(), lines.room());
    }
    assert_eq!(start.elapsed(), ROOM_TIMEOUT);
    drop(reader);
}
