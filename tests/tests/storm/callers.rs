//! Those who call without a pause, in every way there is.

use std::sync::Arc;
use std::time::Duration;

use flame_aws::{CallError, Pool, channel};
use flame_tests::demo;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::calls::{Ran, ran};
use crate::functions::{adds, answer, counts, echoes, naps, panics, works};
use crate::ground::Ground;

/// At a time; more than there are slots, so that some wait.
const CALLERS: usize = 32;

/// What may happen to a call that has time enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hardship {
    /// Its runner may die.
    Losses,
    /// Nothing: it has its result.
    None,
}

/// How a call is made.
#[derive(Debug, Clone, Copy)]
enum Way {
    Call,
    Plain,
    Large,
    Stream,
    Child,
    Cast,
    Panic,
    /// Its deadline is about as long as it takes.
    Hurried,
    /// Its caller drops it.
    Dropped,
}

/// All of them, on one pool.
pub(crate) struct Callers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Callers {
    pub(crate) fn start(ground: &Arc<Ground>, pool: &Pool, hardship: Hardship) -> Self {
        let (stop, stopped) = watch::channel(false);
        let caller = |number| {
            let random = ground.random(&format!("caller {number}"));
            let mut caller =
                Caller { ground: ground.clone(), pool: pool.clone(), random, hardship };
            let stopped = stopped.clone();
            tokio::spawn(async move {
                while !*stopped.borrow() {
                    caller.makes_a_call().await;
                }
            })
        };
        Self { stop, tasks: (0..CALLERS).map(caller).collect() }
    }

    /// No new calls; returns when all have their answers.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        for caller in join_all(self.tasks).await {
            caller.expect("a caller does not panic");
        }
    }
}

struct Caller {
    ground: Arc<Ground>,
    pool: Pool,
    random: StdRng,
    hardship: Hardship,
}

impl Caller {
    async fn makes_a_call(&mut self) {
        // Now and then all have nothing to do, and runners end.
        if self.random.random_ratio(1, 200) {
            tokio::time::sleep(Duration::from_millis(self.random.random_range(0..500))).await;
        }
        let way = match self.random.random_range(0..100) {
            0..40 => Way::Call,
            40..50 => Way::Plain,
            50..60 => Way::Large,
            60..70 => Way::Stream,
            70..78 => Way::Child,
            78..84 => Way::Cast,
            84..87 => Way::Panic,
            87..94 => Way::Hurried,
            _ => Way::Dropped,
        };
        let ground = self.ground.clone();
        let call = ground.calls.begin();
        let name = format!("call {call}, made as {way:?}");
        let answered = ground.watch.over(name, self.make(way, call)).await;
        let unexpected = |words: String| {
            ground
                .calls
                .wrong("unexpected error", &format!("call {call}, made as {way:?}: {words}"));
        };
        match answered {
            Ok(Answer::Right) => ground.calls.answered(call, Ran::Once, "the result"),
            Ok(Answer::Taken) if self.hardship == Hardship::None => {
                ground.calls.answered(call, Ran::Once, "taken, as a cast");
            }
            Ok(Answer::Taken) => ground.calls.answered(call, Ran::AtMostOnce, "taken, as a cast"),
            Ok(Answer::Dropped) => {
                ground.calls.answered(call, Ran::AtMostOnce, "dropped by its caller");
            }
            Ok(Answer::Wrong(words)) => {
                ground.calls.answered(call, Ran::Once, "a wrong result");
                ground.calls.wrong("wrong result", &format!("call {call}, {way:?}: {words}"));
            }
            Err(error) => match ran(&error) {
                Some((said, how)) => {
                    ground.calls.answered(call, said, how);
                    if !self.expects(way, &error) {
                        unexpected(error.to_string());
                    }
                }
                None => {
                    ground.calls.answered(call, Ran::AtMostOnce, "another error");
                    unexpected(error.to_string());
                }
            },
        }
    }

    fn expects(&self, way: Way, error: &CallError) -> bool {
        match error {
            CallError::Panicked { .. } => matches!(way, Way::Panic),
            CallError::Timeout { .. } if matches!(way, Way::Hurried) => true,
            _ => self.hardship == Hardship::Losses,
        }
    }

    async fn make(&mut self, way: Way, call: u64) -> Result<Answer, CallError> {
        let (pool, random) = (&self.pool, &mut self.random);
        let mut millis = |range| Duration::from_millis(random.random_range(range));
        let right = |is: bool, words: &dyn Fn() -> String| {
            if is { Answer::Right } else { Answer::Wrong(words()) }
        };
        Ok(match way {
            Way::Call => {
                let (value, runner) = pool.call(naps(call, millis(0..20))).await?;
                self.ground.has_served(runner);
                right(value == answer(call), &|| value.to_string())
            }
            Way::Plain => {
                let value = pool.call(works(call, random.random_range(0..50_000))).await?;
                right(value == answer(call), &|| value.to_string())
            }
            Way::Large => {
                // Around the sizes at which frames, windows and sockets are full.
                let size = random.random_range(1..600_000) >> random.random_range(0..12);
                let bytes = demo::bytes(size);
                let (value, echo) = pool.call(echoes(call, bytes.clone())).await?;
                right(value == answer(call) && echo == bytes, &|| format!("{value}, {size} bytes"))
            }
            Way::Stream => {
                let items = random.random_range(0..2_000);
                let got: Vec<u64> = pool.stream(counts(call, items)).try_collect().await?;
                let all = (0..items).map(|item| answer(call).wrapping_add(item));
                right(got.iter().copied().eq(all), &|| format!("{} of {items} items", got.len()))
            }
            Way::Child => {
                let (numbers, receiver) = channel(8);
                let child = pool.place_child(adds(call, receiver)).await?;
                let mut sum = answer(call);
                for _ in 0..random.random_range(0..50) {
                    let number = random.next_u64();
                    sum = sum.wrapping_add(number);
                    if numbers.send(number).await.is_err() {
                        // The child's end tells why.
                        break;
                    }
                }
                drop(numbers);
                let value = child.join().await?;
                right(value.as_ref().is_ok_and(|value| *value == sum), &|| format!("{value:?}"))
            }
            Way::Cast => {
                pool.cast(naps(call, millis(0..20))).await?;
                Answer::Taken
            }
            Way::Panic => {
                let error = pool.call(panics(call)).await.expect_err("it panics");
                match &error {
                    CallError::Panicked { message, .. } if *message != format!("call {call}") => {
                        Answer::Wrong(message.clone())
                    }
                    _ => return Err(error),
                }
            }
            Way::Hurried => {
                let (time, deadline) = (millis(0..40), millis(1..40));
                let (value, _) = pool.call(naps(call, time).timeout(deadline)).await?;
                right(value == answer(call), &|| value.to_string())
            }
            Way::Dropped => {
                let (time, patience) = (millis(0..40), millis(0..20));
                tokio::select! {
                    answered = pool.call(naps(call, time)) => {
                        let (value, _) = answered?;
                        right(value == answer(call), &|| value.to_string())
                    }
                    () = tokio::time::sleep(patience) => Answer::Dropped,
                }
            }
        })
    }
}

/// What comes of a call that has no error.
enum Answer {
    Right,
    Wrong(String),
    /// A runner has taken it; what comes of it is told to nobody.
    Taken,
    Dropped,
}
