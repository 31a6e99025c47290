//! The part of the driver that sends the log.

use flame_link::{Handler, LinkConfig, Stream, in_memory};
use flame_wire::mux::Message;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::log::RunnerLog;

/// A parent that records how many log records each message on the control stream stands for.
struct CountsRecords(mpsc::UnboundedSender<usize>);

impl Handler for CountsRecords {
    fn on_stream_opened(&mut self, _: Stream, _: Message) {}

    fn on_control(&mut self, message: Message) {
        let Ok(RunnerToParent::Log(record)) = RunnerToParent::decode(&message.body) else {
            panic!("only records are sent")
        };
        let notice =
            record.text.strip_suffix(" log records were dropped: the link did not keep up");
        let _ = self.0.send(notice.map_or(1, |dropped| dropped.parse().unwrap()));
    }
}

/// Receives nothing.
struct IgnoresAll;

impl Handler for IgnoresAll {
    fn on_stream_opened(&mut self, _: Stream, _: Message) {}
    fn on_control(&mut self, _: Message) {}
}

#[tokio::test]
async fn records_that_the_link_has_no_room_for_are_counted() {
    let ((a, b), config) = (in_memory(), LinkConfig::default());
    let (counts, mut counted) = mpsc::unbounded_channel();
    let (_, parent) = Driver::new(Side::Parent, config, |_| CountsRecords(counts));
    let (link, runner) = Driver::new(Side::Runner, config, |_| IgnoresAll);
    let (records, logs) = mpsc::channel(4);
    tokio::spawn(forward_logs(link, logs));
    let log = tracing_subscriber::registry().with(RunnerLog::new(records));
    let _log = tracing::subscriber::set_default(log);
    let text = "x".repeat(1000);
    // The link is not driven yet, and has room for 256 KiB.
    for _ in 0..1000 {
        tracing::info!("{text}");
        tokio::task::yield_now().await;
    }
    let (_sockets, none) = mpsc::channel(1);
    tokio::spawn(parent.run(a, SocketSource::Accepted(none)));
    let dial: flame_link::Dial = Box::new(|| Box::pin(std::future::pending()));
    tokio::spawn(runner.run(b, SocketSource::Dialled(dial)));
    let (mut logged, mut told) = (1000, 0);
    let all = async {
        while told < logged {
            tracing::info!("one more, so that the log reports its loss");
            logged += 1;
            told += counted.recv().await.unwrap();
            while let Ok(more) = counted.try_recv() {
                told += more;
            }
            tokio::task::yield_now().await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(10), all).await;
    assert!(all.is_ok() && told == logged, "{told} of {logged}");
}
