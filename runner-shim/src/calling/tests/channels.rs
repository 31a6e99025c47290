//! Channels, with and without a link between their ends.

use std::{future::poll_fn, task::Poll, time::Duration};

use super::*;
use crate::calling::{
    ChannelEnd, ChannelError, InboundMessages, OutboundMessages, Receiver, Sender, channel, codec,
};

remote!(
    fn sum(channel_ends: (Receiver<u32>, Sender<u32>)) -> u32 {
        let (mut numbers, sums) = channel_ends;
        let mut sum = 0;
        while let Ok(Some(number)) = numbers.recv().await {
            sum += number;
            if sums.send(sum).await.is_err() {
                break;
            }
        }
        sum
    }
);

remote!(
    fn gives_an_end(_nothing: ()) -> Sender<u32> {
        channel(1).0
    }
);

/// Moves messages as a link's driver does, without the link.
async fn pump(mut from: OutboundMessages, to: InboundMessages) {
    loop {
        tokio::select! {
            message = from.recv() => match message {
                Ok(Some(message)) => if to.send(message).await.is_err() { return },
                Ok(None) => return to.finish(),
                Err(error) => return to.fail(error),
            },
            () = to.closed() => return,
        }
    }
}

fn join(
    channel_ends: Vec<ChannelEnd>,
    theirs: Vec<Option<ChannelEnd>>,
) -> Vec<tokio::task::AbortHandle> {
    assert_eq!(channel_ends.len(), theirs.len());
    let pairs = channel_ends.into_iter().zip(theirs);
    pairs
        .map(|pair| match pair {
            (ChannelEnd::Send(from), Some(ChannelEnd::Recv(to)))
            | (ChannelEnd::Recv(to), Some(ChannelEnd::Send(from))) => {
                tokio::spawn(pump(from, to)).abort_handle()
            }
            pair => panic!("{pair:?}"),
        })
        .collect()
}

struct Placed {
    child: tokio::task::JoinHandle<Result<u32, CodecError>>,
    pumps: Vec<tokio::task::AbortHandle>,
    numbers: Sender<u32>,
    sums: Receiver<u32>,
}

/// The function, placed across a "link" of two pumps.
fn place(capacity: usize) -> Placed {
    let (numbers, theirs) = channel(capacity);
    let (sender, sums) = channel(capacity);
    let (mut encoded, reply) = sum::work((theirs, sender)).encode().unwrap();
    let runner = Arc::default();
    let invocation = serve(&runner, &sum::ENTRY, &mut encoded).unwrap();
    let pumps = join(encoded.channel_ends, invocation.channel_ends);
    let execution = invocation.execution;
    let child =
        tokio::spawn(async move { answer(&runner, reply, future_execution(execution).await?) });
    Placed { child, pumps, numbers, sums }
}

#[tokio::test]
async fn messages_go_both_ways_and_the_end_of_one_ends_the_other() {
    let Placed { child, numbers, mut sums, .. } = place(2);
    for (number, sum) in [(1, 1), (2, 3), (3, 6)] {
        numbers.send(number).await.unwrap();
        assert_eq!(sums.recv().await.unwrap(), Some(sum));
    }
    drop(numbers);
    assert_eq!(child.await.unwrap().unwrap(), 6);
    assert_eq!(sums.recv().await.unwrap(), None);
    assert_eq!(sums.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_lost_link_does_not_look_like_the_end() {
    let Placed { pumps, numbers, mut sums, .. } = place(2);
    numbers.send(1).await.unwrap();
    assert_eq!(sums.recv().await.unwrap(), Some(1));
    pumps.iter().for_each(tokio::task::AbortHandle::abort);
    let lost = sums.recv().await.unwrap_err();
    assert!(matches!(lost, ChannelError::Lost { .. }), "{lost:?}");
    assert_eq!(sums.recv().await.unwrap(), None, "the loss is reported once");
    numbers.closed().await;
    let closed = numbers.send(2).await.unwrap_err();
    assert!(matches!(closed, ChannelError::Closed), "{closed:?}");
}

#[tokio::test]
async fn a_drivers_reason_for_a_loss_reaches_both_ends() {
    let (numbers, theirs) = channel::<u32>(2);
    let (sender, mut sums) = channel::<u32>(2);
    let (encoded, _) = sum::work((theirs, sender)).encode().unwrap();
    let reason = || ChannelError::Lost { reason: "the runner was killed".into() };
    for end in encoded.channel_ends {
        match end {
            ChannelEnd::Send(outbound) => outbound.fail(reason()),
            ChannelEnd::Recv(inbound) => {
                inbound.send(codec::encode(&5_u32).unwrap()).await.unwrap();
                inbound.fail(reason());
            }
        }
    }
    let error = numbers.send(1).await.unwrap_err();
    assert!(error.to_string().ends_with("the runner was killed"), "{error}");
    assert_eq!(sums.recv().await.unwrap(), Some(5), "earlier messages are received first");
    let error = sums.recv().await.unwrap_err();
    assert!(error.to_string().ends_with("the runner was killed"), "{error}");
}

#[tokio::test]
async fn a_message_of_another_type_is_an_error_and_not_the_end() {
    let (sender, mut numbers) = channel::<u32>(4);
    let (mut encoded, _) = sum::work((channel(1).1, sender)).encode().unwrap();
    let Some(ChannelEnd::Recv(inbound)) = encoded.channel_ends.pop() else { panic!("{encoded:?}") };
    inbound.send(codec::encode(&"text".to_owned()).unwrap()).await.unwrap();
    inbound.send(codec::encode(&8_u32).unwrap()).await.unwrap();
    inbound.finish();
    let error = numbers.recv().await.unwrap_err();
    assert!(matches!(error, ChannelError::Decode(_)), "{error:?}");
    assert_eq!(numbers.recv().await.unwrap(), Some(8));
    assert_eq!(numbers.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_full_channel_makes_its_sender_wait() {
    let (sender, mut receiver) = channel::<u32>(1);
    sender.send(1).await.unwrap();
    let mut second = Box::pin(sender.send(2));
    assert!(poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx))).await.is_pending());
    assert_eq!(receiver.recv().await.unwrap(), Some(1));
    second.await.unwrap();
    assert_eq!(receiver.recv().await.unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_keep_up_slows_the_sender_across_the_link() {
    let Placed { child, numbers, sums: _unread, .. } = place(1);
    // One in each queue and pump of both directions, and one that the function has taken; but not
    // ten.
    let mut sent = 0;
    while let Ok(result) = tokio::time::timeout(Duration::from_secs(1), numbers.send(1)).await {
        result.unwrap();
        sent += 1;
        assert!(sent < 10);
    }
    assert!(sent >= 3, "{sent}");
    child.abort();
}

#[tokio::test]
async fn senders_learn_that_the_receiver_was_dropped() {
    let (sender, receiver) = channel::<u32>(1);
    assert!(!sender.is_closed());
    drop(receiver);
    sender.closed().await;
    assert!(matches!(sender.send(1).await.unwrap_err(), ChannelError::Closed));
}

#[tokio::test]
async fn a_closed_receiver_still_returns_queued_messages() {
    let (sender, mut receiver) = channel::<u32>(2);
    sender.send(1).await.unwrap();
    receiver.close();
    assert!(sender.is_closed());
    assert_eq!(receiver.recv().await.unwrap(), Some(1));
    assert_eq!(receiver.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_receiver_is_a_stream() {
    let (sender, receiver) = channel::<u32>(3);
    for number in 0..3 {
        sender.send(number).await.unwrap();
    }
    drop(sender);
    let all: Vec<_> = receiver.map(Result::unwrap).collect().await;
    assert_eq!(all, [0, 1, 2]);
}

#[tokio::test]
async fn clones_of_a_sender_share_the_channel_across_the_link_too() {
    let (sender, mut receiver) = channel::<u32>(4);
    let (mut encoded, _) = sum::work((channel(1).1, sender.clone())).encode().unwrap();
    let Some(ChannelEnd::Recv(inbound)) = encoded.channel_ends.pop() else { panic!("{encoded:?}") };
    inbound.send(codec::encode(&1_u32).unwrap()).await.unwrap();
    inbound.finish();
    sender.send(2).await.unwrap();
    drop(sender);
    assert_eq!(receiver.recv().await.unwrap(), Some(1));
    assert_eq!(receiver.recv().await.unwrap(), Some(2));
    assert_eq!(receiver.recv().await.unwrap(), None);
}

#[test]
fn an_end_outside_of_an_argument_is_rejected() {
    let (sender, receiver) = channel::<u32>(1);
    for error in [codec::encode(&sender).unwrap_err(), codec::encode(&receiver).unwrap_err()] {
        assert!(error.to_string().contains("only as an argument of a remote function"), "{error}");
    }
}

#[tokio::test]
async fn an_end_in_a_result_is_rejected() {
    let error =
        call(&Arc::default(), gives_an_end::work(()), &gives_an_end::ENTRY).await.unwrap_err();
    assert!(matches!(error, CodecError::Encode { part: codec::Part::Result, .. }), "{error:?}");
}

#[tokio::test]
async fn a_receiver_can_be_given_away_once() {
    let (sender, receiver) = channel::<u32>(1);
    let receiver = Arc::new(receiver);
    let away = |receiver: &Receiver<u32>| {
        let mut tables = crate::calling::side_tables::SideTables {
            channel_ends: crate::calling::channel::ChannelTable::Out(Vec::new()),
            ..Default::default()
        };
        tables.scope(|| codec::encode(receiver)).map(|_| tables.channel_ends.into_collected())
    };
    let channel_ends = away(&receiver).unwrap();
    assert_eq!(channel_ends.len(), 1);
    assert!(away(&receiver).is_err());
    let mut receiver = Arc::into_inner(receiver).unwrap();
    assert!(matches!(receiver.recv().await.unwrap_err(), ChannelError::SentAway));
    drop(channel_ends);
    assert!(sender.is_closed(), "an end that no driver takes closes the channel");
}

#[test]
fn ends_that_the_call_does_not_declare_are_rejected() {
    let (encoded, _) = sum::work((channel(1).1, channel(1).0)).encode().unwrap();
    let value = cross(encoded.body);
    for declared in [0, 1] {
        let mut arguments = Arguments::new(value.clone());
        arguments.channels = declared;
        let error = sum::ENTRY.invoke(arguments).unwrap_err();
        assert!(error.to_string().contains("declares no such channel end"), "{error}");
    }
}

#[test]
fn an_end_that_no_argument_claims_is_left_over() {
    let (encoded, _) = sum::work((channel(1).1, channel(1).0)).encode().unwrap();
    let mut arguments = Arguments::new(cross(encoded.body));
    arguments.channels = 3;
    let channel_ends = sum::ENTRY.invoke(arguments).unwrap().channel_ends;
    assert!(matches!(
        channel_ends[..],
        [Some(ChannelEnd::Recv(_)), Some(ChannelEnd::Send(_)), None]
    ));
}

#[test]
fn a_false_capacity_takes_no_memory() {
    let capacity = u32::MAX as usize;
    let (encoded, _) = sum::work((channel(capacity).1, channel(0).0)).encode().unwrap();
    let mut arguments = Arguments::new(cross(encoded.body));
    arguments.channels = 2;
    assert!(sum::ENTRY.invoke(arguments).is_ok());
}
