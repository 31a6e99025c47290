//! Channels over a link in memory. The clock only moves when nothing else can happen, so a `send`
//! that times out is waiting for the receiver, and for nothing else.

use std::time::Duration;

use flame_link::{Driver, Handler, Link, LinkConfig, SocketSource, in_memory};
use flame_wire::mux::{Message, MuxConfig, Side};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::calling::channel::ChannelTable;
use crate::calling::side_tables::SideTables;
use crate::calling::{Receiver, Sender, Wire, channel, codec};
use crate::runner::channel_drain::ChannelDrain;

const CALL: u8 = 1;
const SECOND: Duration = Duration::from_secs(1);

/// Passes on the streams that the parent opens.
struct Opened(mpsc::UnboundedSender<Stream>);

impl Handler for Opened {
    fn on_stream_opened(&mut self, stream: Stream, _: Message) {
        let _ = self.0.send(stream);
    }
    fn on_control(&mut self, _: Message) {}
}

/// A parent and a runner.
struct Connected {
    parent: Link,
    runner: Link,
    opened: mpsc::UnboundedReceiver<Stream>,
}

fn connect(max_streams: usize) -> Connected {
    let mux = MuxConfig { max_streams, ..MuxConfig::default() };
    let config = LinkConfig { mux, ..LinkConfig::default() };
    let (a, b) = in_memory();
    let (opened, streams) = mpsc::unbounded_channel();
    let (parent, driver) = Driver::new(Side::Parent, config, |_| Opened(opened.clone()));
    // Neither side gets another socket.
    let (_, none) = mpsc::channel(1);
    tokio::spawn(driver.run(a, SocketSource::Accepted(none)));
    let (runner, driver) = Driver::new(Side::Runner, config, |_| Opened(opened));
    let dial: flame_link::Dial = Box::new(|| Box::pin(std::future::pending()));
    tokio::spawn(driver.run(b, SocketSource::Dialled(dial)));
    Connected { parent, runner, opened: streams }
}

/// Gives an end of a channel away, and returns the byte sides and the end that arrives.
fn cross<T: Wire>(end: &T) -> (ChannelEnd, ChannelEnd, T) {
    let mut here =
        SideTables { channel_ends: ChannelTable::Out(Vec::new()), ..SideTables::default() };
    let bytes = here.scope(|| codec::encode(end)).unwrap();
    let mut there = SideTables { channel_ends: ChannelTable::expect(1), ..SideTables::default() };
    let arrived = there.scope(|| codec::decode(&bytes)).unwrap();
    let ours = here.channel_ends.into_collected().pop().unwrap();
    let theirs = there.channel_ends.into_slots().pop().unwrap().unwrap();
    (ours, theirs, arrived)
}

impl Connected {
    /// Gives an end to the runner, as an argument of a call that ends at once.
    async fn send_away<T: Wire>(&mut self, end: &T, drain: &ChannelDrain) -> T {
        let (ours, theirs, arrived) = cross(end);
        let message = |_, _: &[_]| Ok((CALL, Bytes::new().into(), true));
        let (call, mut beside) = self.parent.open(1, None, message).unwrap();
        let stream = beside.pop().unwrap();
        // Only the call ends here, not its channel.
        call.detach();
        let served = self.opened.recv().await.unwrap();
        let claimed = self.runner.claim(stream.id()).unwrap();
        served.send_now(CALL, Bytes::new().into(), true).unwrap();
        served.detach();
        tokio::spawn(pump_draining(theirs, claimed, drain.register()));
        tokio::spawn(pump(ours, stream));
        arrived
    }
}

/// Sends numbers, beginning with `from`, until one is not accepted. Returns that number.
async fn fill(sender: &Sender<u32>, from: u32) -> u32 {
    let mut number = from;
    while let Ok(sent) = timeout(SECOND, sender.send(number)).await {
        sent.unwrap();
        number += 1;
    }
    number
}

/// A channel to the runner, or back, and everything that keeps it open.
async fn channel_across(
    capacity: usize,
    back: bool,
) -> (Connected, ChannelDrain, Sender<u32>, Receiver<u32>) {
    let (mut ends, drain) = (connect(100), ChannelDrain::default());
    let (sender, receiver) = channel(capacity);
    if back {
        let sender = ends.send_away(&sender, &drain).await;
        (ends, drain, sender, receiver)
    } else {
        let receiver = ends.send_away(&receiver, &drain).await;
        (ends, drain, sender, receiver)
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_is_twice_the_capacity_ahead_of_a_receiver_that_does_not_read() {
    for back in [false, true] {
        for capacity in [1, 2, 3, 8, 100] {
            let (_ends, _tails, sender, mut receiver) = channel_across(capacity, back).await;
            let twice = 2 * u32::try_from(capacity).unwrap();
            let mut next = fill(&sender, 0).await;
            assert_eq!(next, twice, "{capacity}");
            // It continues as messages are read, and none is lost or repeated.
            let mut read = 0;
            while read < 5 * twice {
                for _ in 0..capacity {
                    assert_eq!(receiver.recv().await.unwrap(), Some(read));
                    read += 1;
                }
                next = fill(&sender, next).await;
                assert_eq!(next, read + twice, "{capacity}");
            }
            drop(sender);
            while let Some(number) = receiver.recv().await.unwrap() {
                assert_eq!(number, read);
                read += 1;
            }
            assert_eq!(read, next);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_gets_everything_that_several_runners_send() {
    const EACH: u32 = 100;
    let (mut ends, drain) = (connect(100), ChannelDrain::default());
    let (sender, mut receiver) = channel::<u32>(4);
    for runner in 0..5 {
        let sender = ends.send_away(&sender, &drain).await;
        tokio::spawn(async move {
            for number in 0..EACH {
                sender.send(runner * EACH + number).await.unwrap();
            }
        });
    }
    drop(sender);
    let mut got = Vec::new();
    while let Some(number) = timeout(SECOND, receiver.recv()).await.expect("stuck").unwrap() {
        got.push(number);
    }
    got.sort_unstable();
    assert_eq!(got, (0..5 * EACH).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_has_ended_leaves_no_stream_open() {
    // Room for one call with its channel, and for one that is about to close.
    let mut ends = connect(4);
    let drain = ChannelDrain::default();
    for number in 0..20 {
        let (sender, receiver) = channel::<u32>(2);
        let mut receiver = ends.send_away(&receiver, &drain).await;
        sender.send(number).await.unwrap();
        drop(sender);
        assert_eq!(receiver.recv().await.unwrap(), Some(number));
        assert_eq!(receiver.recv().await.unwrap(), None);
        // Everything on its way arrives.
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn accepted_messages_are_delivered_before_a_runner_ends() {
    let (_ends, drain, sender, mut receiver) = channel_across(8, true).await;
    let sent = fill(&sender, 0).await;
    drop(sender);
    assert!(timeout(SECOND, drain.drain()).await.is_err(), "nothing was read");
    let read = tokio::spawn(async move {
        let mut read = 0;
        while let Some(number) = receiver.recv().await.unwrap() {
            assert_eq!(number, read);
            read += 1;
        }
        read
    });
    timeout(SECOND, drain.drain()).await.expect("it is being read");
    assert_eq!(read.await.unwrap(), sent);
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_not_read_in_time_are_reported_as_lost() {
    let (_ends, drain, sender, mut receiver) = channel_across(8, true).await;
    let sent = fill(&sender, 0).await;
    drop(sender);
    drain.abort().await;
    let mut read = 0;
    let error = loop {
        match receiver.recv().await {
            Ok(Some(number)) => {
                assert_eq!(number, read);
                read += 1;
            }
            Ok(None) => panic!("a channel that was cut off does not end as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, ChannelError::Lost { reason } if reason == CUT_OFF), "{error}");
    assert!(read < sent, "{read} of {sent}");
    assert_eq!(receiver.recv().await.unwrap(), None, "the loss is reported once");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_never_polled_again_does_not_delay_the_runner() {
    let (_ends, drain, sender, mut receiver) = channel_across(1, true).await;
    fill(&sender, 0).await;
    let mut forgotten = Box::pin(sender.send(9));
    assert!(futures_util::poll!(&mut forgotten).is_pending());
    // It has a place in the channel now, and is not polled to use it.
    assert_eq!(receiver.recv().await.unwrap(), Some(0));
    assert_eq!(receiver.recv().await.unwrap(), Some(1));
    assert!(timeout(SECOND, drain.drain()).await.is_err());
    timeout(SECOND, drain.abort()).await.expect("the runner waits for it");
    assert!(matches!(receiver.recv().await, Err(ChannelError::Lost { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_outlives_its_function_is_closed_when_its_runner_ends() {
    let (_ends, drain, sender, mut receiver) = channel_across(8, true).await;
    for number in 0..5 {
        sender.send(number).await.unwrap();
    }
    drain.drain().await;
    assert!(matches!(sender.send(5).await, Err(ChannelError::Closed)));
    for number in 0..5 {
        assert_eq!(receiver.recv().await.unwrap(), Some(number));
    }
    let error = receiver.recv().await.unwrap_err();
    assert!(matches!(error, ChannelError::Lost { .. }), "its sender did not end it: {error}");
}
