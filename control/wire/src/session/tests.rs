use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{ACK_BYTES, Session, SessionViolation, Weight};
use crate::packet::Packet;

#[derive(Debug, Clone, PartialEq)]
struct Numbered(u32, usize);

impl Weight for Numbered {
    fn weight(&self) -> usize {
        self.1
    }
}

const DELAY: Duration = Duration::from_millis(25);

fn session() -> Session<Numbered> {
    Session::new(100, DELAY)
}

#[expect(clippy::disallowed_methods, reason = "any instant will do as the start of a test's time")]
fn start() -> Instant {
    Instant::now()
}

/// Two sessions that have exchanged `Resume`.
fn pair(now: Instant) -> (Session<Numbered>, Session<Numbered>) {
    let (mut a, mut b) = (session(), session());
    a.connected();
    b.connected();
    let (Some(Packet::Resume { next: x }), Some(Packet::Resume { next: y })) =
        (a.poll_packet(now), b.poll_packet(now))
    else {
        panic!("both greet first")
    };
    b.resumed(x).unwrap();
    a.resumed(y).unwrap();
    (a, b)
}

#[test]
fn the_reply_carries_the_acknowledgement() {
    let now = start();
    let (mut a, mut b) = pair(now);
    a.send(Numbered(1, 10));
    let Some(Packet::Data { seq, ack, frame }) = a.poll_packet(now) else { panic!() };
    assert_eq!(b.receive(now, seq, ack, frame), Ok(Some(Numbered(1, 10))));
    assert_eq!(b.poll_packet(now), None, "nothing is sent for the acknowledgement alone");
    b.send(Numbered(2, 10));
    assert_eq!(b.poll_packet(now), Some(Packet::Data { seq: 0, ack: 1, frame: Numbered(2, 10) }));
    assert_eq!(b.poll_timeout(), None);
}

#[test]
fn without_a_reply_the_acknowledgement_is_sent_after_the_delay() {
    let now = start();
    let (_, mut b) = pair(now);
    b.receive(now, 0, 0, Numbered(1, 10)).unwrap();
    assert_eq!(b.poll_timeout(), Some(now + DELAY));
    assert_eq!(b.poll_packet(now + DELAY), Some(Packet::Ack { next: 1 }));
}

#[test]
fn many_bytes_are_acknowledged_at_once() {
    let now = start();
    let (_, mut b) = pair(now);
    b.receive(now, 0, 0, Numbered(1, ACK_BYTES)).unwrap();
    assert_eq!(b.poll_packet(now), Some(Packet::Ack { next: 1 }));
}

#[test]
fn a_full_replay_queue_has_no_room_until_an_acknowledgement_arrives() {
    let now = start();
    let (mut a, _) = pair(now);
    a.send(Numbered(1, 60));
    assert!(a.has_room());
    a.send(Numbered(2, 60));
    assert!(!a.has_room());
    a.acknowledged(1).unwrap();
    assert!(a.has_room());
}

#[test]
fn protocol_violations_are_detected() {
    let now = start();
    let (mut a, mut b) = pair(now);
    assert_eq!(a.acknowledged(1), Err(SessionViolation::Ack { got: 1, sent: 0 }));
    assert_eq!(a.resumed(0), Err(SessionViolation::NotResumed), "resumed twice");
    assert_eq!(
        b.receive(now, 1, 0, Numbered(1, 1)),
        Err(SessionViolation::Gap { want: 0, got: 1 })
    );
    a.send(Numbered(1, 1));
    a.acknowledged(1).unwrap();
    a.disconnected();
    assert_eq!(
        a.receive(now, 0, 0, Numbered(1, 1)),
        Err(SessionViolation::NotResumed),
        "no socket"
    );
    a.connected();
    assert_eq!(a.resumed(0), Err(SessionViolation::StateLost { want: 0 }));
}

#[derive(Debug, Clone)]
enum Op {
    Send(usize, usize),
    Deliver(usize, usize),
    Tick,
    Cut,
    Connect,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (0..2usize, 1usize..40).prop_map(|(side, len)| Op::Send(side, len)),
        6 => (0..2usize, 1usize..6).prop_map(|(side, n)| Op::Deliver(side, n)),
        1 => Just(Op::Tick),
        1 => Just(Op::Cut),
        2 => Just(Op::Connect),
    ]
}

/// Two sessions and the sockets between them.
struct World {
    now: Instant,
    sides: [Session<Numbered>; 2],
    wires: [VecDeque<Packet<Numbered>>; 2],
    sent: [Vec<Numbered>; 2],
    got: [Vec<Numbered>; 2],
    up: bool,
    count: u32,
}

impl World {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Send(side, len) => {
                if self.sides[side].has_room() {
                    self.count += 1;
                    let frame = Numbered(self.count, len);
                    self.sides[side].send(frame.clone());
                    self.sent[side].push(frame);
                }
            }
            Op::Deliver(side, n) if self.up => self.deliver(side, n),
            Op::Deliver(..) => {}
            Op::Tick => self.now += DELAY,
            Op::Cut => {
                self.up = false;
                self.sides.iter_mut().for_each(Session::disconnected);
                self.wires.iter_mut().for_each(VecDeque::clear);
            }
            Op::Connect => {
                if !self.up {
                    self.up = true;
                    self.sides.iter_mut().for_each(Session::connected);
                }
            }
        }
    }

    fn deliver(&mut self, from: usize, n: usize) {
        while let Some(packet) = self.sides[from].poll_packet(self.now) {
            self.wires[from].push_back(packet);
        }
        let to = &mut self.sides[1 - from];
        for packet in self.wires[from].drain(..n.min(self.wires[from].len())).collect::<Vec<_>>() {
            match packet {
                Packet::Resume { next } => to.resumed(next).unwrap(),
                Packet::Ack { next } => to.acknowledged(next).unwrap(),
                Packet::Data { seq, ack, frame } => {
                    if let Some(frame) = to.receive(self.now, seq, ack, frame).unwrap() {
                        self.got[1 - from].push(frame);
                    }
                }
                other => panic!("the session never sends {other:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn frames_arrive_once_and_in_order_however_the_sockets_break(
        ops in prop::collection::vec(op(), 0..120),
    ) {
        let mut world = World {
            now: start(),
            sides: [session(), session()],
            wires: Default::default(),
            sent: Default::default(),
            got: Default::default(),
            up: false,
            count: 0,
        };
        for op in ops.into_iter().chain([Op::Cut, Op::Connect]) {
            world.apply(op);
        }
        for _ in 0..6 {
            for side in 0..2 {
                world.apply(Op::Tick);
                world.apply(Op::Deliver(side, usize::MAX));
            }
        }
        for side in 0..2 {
            prop_assert_eq!(&world.sent[side], &world.got[1 - side]);
            prop_assert_eq!(world.sides[side].unacknowledged(), 0);
        }
    }
}
