//! Any sequence of operations: messages arrive whole and in order, and every stream can be closed.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Open(usize),
    Send(usize, usize, usize, bool),
    Receive(usize, usize),
    Release(usize, usize),
    Carry(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let side = 0..2usize;
    let pick = 0..6usize;
    prop_oneof![
        1 => (0..3usize).prop_map(Op::Open),
        4 => (side.clone(), pick.clone(), prop_oneof![Just(0), 1..100usize, 30_000..400_000usize], any::<bool>())
            .prop_map(|(side, pick, len, end)| Op::Send(side, pick, len, end)),
        4 => (side.clone(), pick.clone()).prop_map(|(side, pick)| Op::Receive(side, pick)),
        1 => (side.clone(), pick).prop_map(|(side, pick)| Op::Release(side, pick)),
        6 => (side, 1..20usize).prop_map(|(side, n)| Op::Carry(side, n)),
    ]
}

/// The two muxes, and what each side has sent and received on each stream.
struct World {
    sides: [Mux; 2],
    wires: [VecDeque<Frame>; 2],
    handles: [Vec<StreamId>; 2],
    sent: [HashMap<StreamId, Vec<(u8, usize)>>; 2],
    got: [HashMap<StreamId, Vec<(u8, usize)>>; 2],
    tag: u8,
}

impl World {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Open(beside) if self.handles[0].len() < 6 => {
                let (id, others) = self.sides[0].open(beside).unwrap();
                self.handles[0].push(id);
                self.handles[0].extend(others);
            }
            Op::Open(_) => {}
            Op::Send(side, pick, len, end) => {
                if let Some(&id) = self.handles[side].get(pick) {
                    self.tag = self.tag.wrapping_add(1);
                    if self.sides[side].send(id, self.tag, payload(len), end).is_ok() {
                        self.sent[side].entry(id).or_default().push((self.tag, len));
                    }
                }
            }
            Op::Receive(side, pick) => {
                if let Some(&id) = self.handles[side].get(pick) {
                    self.receive(side, id);
                }
            }
            Op::Release(side, pick) => {
                if pick < self.handles[side].len() {
                    let id = self.handles[side].remove(pick);
                    self.sides[side].release(id);
                }
            }
            Op::Carry(from, n) => {
                while let Some(frame) = self.sides[from].poll_frame() {
                    self.wires[from].push_back(frame);
                }
                for _ in 0..n {
                    let Some(frame) = self.wires[from].pop_front() else { break };
                    self.sides[1 - from].handle_frame(frame).unwrap();
                }
                while let Some(event) = self.sides[1 - from].poll_event() {
                    if let MuxEvent::Opened(id) = event
                        && self.sides[1 - from].claim(id)
                    {
                        self.handles[1 - from].push(id);
                    }
                }
            }
        }
    }

    fn receive(&mut self, side: usize, id: StreamId) -> bool {
        let message = self.sides[side].receive(id);
        if let Some(message) = &message {
            self.got[side].entry(id).or_default().push((message.tag, message.body.len()));
        }
        message.is_some()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn messages_arrive_whole_and_in_order_and_every_stream_can_be_closed(
        ops in prop::collection::vec(op(), 0..80),
    ) {
        let config = MuxConfig { max_streams: 10_000, ..CONFIG };
        let mut world = World {
            sides: [Mux::new(Side::Parent, config), Mux::new(Side::Runner, config)],
            wires: Default::default(),
            handles: Default::default(),
            sent: Default::default(),
            got: Default::default(),
            tag: 0,
        };
        for op in ops {
            world.apply(op);
        }
        for side in 0..2 {
            for (id, got) in &world.got[side] {
                let sent = &world.sent[1 - side][id];
                prop_assert_eq!(&sent[..got.len()], &got[..], "a prefix of what was sent");
            }
        }
        // Everything arrives as long as it is read ...
        for _ in 0..40 {
            for side in 0..2 {
                world.apply(Op::Carry(side, usize::MAX));
                for id in world.handles[side].clone() {
                    while world.receive(side, id) {}
                }
            }
        }
        for side in 0..2 {
            for id in &world.handles[side] {
                if world.handles[1 - side].contains(id) {
                    let sent = world.sent[1 - side].get(id);
                    prop_assert_eq!(sent, world.got[side].get(id), "stream {:?}", id);
                }
            }
        }
        // ... and once the handles are dropped, no stream is left.
        for side in 0..2 {
            for id in std::mem::take(&mut world.handles[side]) {
                world.sides[side].release(id);
            }
        }
        for _ in 0..3 {
            world.apply(Op::Carry(0, usize::MAX));
            world.apply(Op::Carry(1, usize::MAX));
            for side in 0..2 {
                for id in std::mem::take(&mut world.handles[side]) {
                    world.sides[side].release(id);
                }
            }
        }
        prop_assert!(world.sides[0].is_idle(), "{:?}", world.sides[0].streams.keys());
        prop_assert!(world.sides[1].is_idle(), "{:?}", world.sides[1].streams.keys());
    }
}
