//! Callers that make calls of every kind without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flame_aws::{CallError, Pool, channel};
use flame_tests::demo;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::context::StormContext;
use crate::functions::{adds, answer, counts, echoes, naps, panics, works};
use crate::ledger::{Executed, claim_of};

/// How many callers there are: more than slots, so that some calls are queued.
const CALLERS: usize = 32;

/// The errors that a call may get although it has enough time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpectedErrors {
    /// Errors of a lost runner and of failed boots.
    RunnerLoss,
    /// None: every call gets its result.
    None,
}

/// The kinds of calls.
#[derive(Debug, Clone, Copy)]
enum CallKind {
    Call,
    Plain,
    Large,
    Stream,
    Child,
    Cast,
    Panic,
    /// A call whose timeout is about as long as the call takes.
    ShortTimeout,
    /// A call that its caller drops.
    Dropped,
}

/// All callers of one pool.
pub(crate) struct Callers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Callers {
    /// Starts callers that make calls until they are stopped.
    pub(crate) fn start(
        context: &Arc<StormContext>,
        pool: &Pool,
        expected: ExpectedErrors,
    ) -> Self {
        Self::start_with(context, pool, expected, CALLERS, u64::MAX)
    }

    /// Starts `callers` callers that make `calls` calls together.
    pub(crate) fn start_with(
        context: &Arc<StormContext>,
        pool: &Pool,
        expected: ExpectedErrors,
        callers: usize,
        calls: u64,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let left = Arc::new(AtomicU64::new(calls));
        let caller = |number| {
            let random = context.random(&format!("caller {number}"));
            let mut caller =
                Caller { context: context.clone(), pool: pool.clone(), random, expected };
            let (stopped, left) = (stopped.clone(), left.clone());
            let take = |left: u64| left.checked_sub(1);
            tokio::spawn(async move {
                while !*stopped.borrow()
                    && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
                {
                    caller.make_a_call().await;
                }
            })
        };
        Self { stop, tasks: (0..callers).map(caller).collect() }
    }

    /// Returns whether all calls that the callers are to make have their answers.
    pub(crate) fn have_finished(&self) -> bool {
        self.tasks.iter().all(JoinHandle::is_finished)
    }

    /// Stops making calls, and waits until every call has its answer.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        for caller in join_all(self.tasks).await {
            caller.expect("a caller does not panic");
        }
    }
}

struct Caller {
    context: Arc<StormContext>,
    pool: Pool,
    random: StdRng,
    expected: ExpectedErrors,
}

impl Caller {
    async fn make_a_call(&mut self) {
        // A pause now and then lets runners idle out.
        if self.random.random_ratio(1, 200) {
            tokio::time::sleep(Duration::from_millis(self.random.random_range(0..500))).await;
        }
        let kind = match self.random.random_range(0..100) {
            0..40 => CallKind::Call,
            40..50 => CallKind::Plain,
            50..60 => CallKind::Large,
            60..70 => CallKind::Stream,
            70..78 => CallKind::Child,
            78..84 => CallKind::Cast,
            84..87 => CallKind::Panic,
            87..94 => CallKind::ShortTimeout,
            _ => CallKind::Dropped,
        };
        let context = self.context.clone();
        let call = context.ledger.begin();
        let name = format!("call {call}, made as {kind:?}");
        let answered = context.watchdog.wait_for(name, self.make(kind, call)).await;
        let unexpected = |details: String| {
            context.ledger.violation(
                "unexpected error",
                &format!("call {call}, made as {kind:?}: {details}"),
            );
        };
        match answered {
            Ok(Outcome::Right) => context.ledger.answered(call, Executed::Once, "the result"),
            Ok(Outcome::Accepted) if self.expected == ExpectedErrors::None => {
                context.ledger.answered(call, Executed::Once, "accepted, as a cast");
            }
            Ok(Outcome::Accepted) => {
                context.ledger.answered(call, Executed::AtMostOnce, "accepted, as a cast")
            }
            Ok(Outcome::Dropped) => {
                context.ledger.answered(call, Executed::AtMostOnce, "dropped by its caller");
            }
            Ok(Outcome::Wrong(details)) => {
                context.ledger.answered(call, Executed::Once, "a wrong result");
                context
                    .ledger
                    .violation("wrong result", &format!("call {call}, {kind:?}: {details}"));
            }
            Err(error) => match claim_of(&error) {
                Some((claim, name)) => {
                    context.ledger.answered(call, claim, name);
                    if !self.expects(kind, &error) {
                        unexpected(error.to_string());
                    }
                }
                None => {
                    context.ledger.answered(call, Executed::AtMostOnce, "another error");
                    unexpected(error.to_string());
                }
            },
        }
    }

    fn expects(&self, kind: CallKind, error: &CallError) -> bool {
        match error {
            CallError::Panicked { .. } => matches!(kind, CallKind::Panic),
            CallError::Timeout { .. } if matches!(kind, CallKind::ShortTimeout) => true,
            _ => self.expected == ExpectedErrors::RunnerLoss,
        }
    }

    async fn make(&mut self, kind: CallKind, call: u64) -> Result<Outcome, CallError> {
        let (pool, random) = (&self.pool, &mut self.random);
        let mut millis = |range| Duration::from_millis(random.random_range(range));
        let check = |is_right: bool, details: &dyn Fn() -> String| {
            if is_right { Outcome::Right } else { Outcome::Wrong(details()) }
        };
        Ok(match kind {
            CallKind::Call => {
                let (value, runner) = pool.call(naps(call, millis(0..20))).await?;
                self.context.has_served(runner);
                check(value == answer(call), &|| value.to_string())
            }
            CallKind::Plain => {
                let value = pool.call(works(call, random.random_range(0..50_000))).await?;
                check(value == answer(call), &|| value.to_string())
            }
            CallKind::Large => {
                // Sizes around those of frames, windows and socket buffers.
                let size = random.random_range(1..600_000) >> random.random_range(0..12);
                let bytes = demo::bytes(size);
                let (value, echo) = pool.call(echoes(call, bytes.clone())).await?;
                check(value == answer(call) && echo == bytes, &|| format!("{value}, {size} bytes"))
            }
            CallKind::Stream => {
                let items = random.random_range(0..2_000);
                let got: Vec<u64> = pool.stream(counts(call, items)).try_collect().await?;
                let all = (0..items).map(|item| answer(call).wrapping_add(item));
                check(got.iter().copied().eq(all), &|| format!("{} of {items} items", got.len()))
            }
            CallKind::Child => {
                let (numbers, receiver) = channel(8);
                let child = pool.place_child(adds(call, receiver)).await?;
                let mut sum = answer(call);
                for _ in 0..random.random_range(0..50) {
                    let number = random.next_u64();
                    sum = sum.wrapping_add(number);
                    if numbers.send(number).await.is_err() {
                        // Joining the child gives the reason.
                        break;
                    }
                }
                drop(numbers);
                let value = child.join().await?;
                check(value.as_ref().is_ok_and(|value| *value == sum), &|| format!("{value:?}"))
            }
            CallKind::Cast => {
                pool.cast(naps(call, millis(0..20))).await?;
                Outcome::Accepted
            }
            CallKind::Panic => {
                let error = pool.call(panics(call)).await.expect_err("the function panics");
                match &error {
                    CallError::Panicked { message, .. } if *message != format!("call {call}") => {
                        Outcome::Wrong(message.clone())
                    }
                    _ => return Err(error),
                }
            }
            CallKind::ShortTimeout => {
                let (time, deadline) = (millis(0..40), millis(1..40));
                let (value, _) = pool.call(naps(call, time).timeout(deadline)).await?;
                check(value == answer(call), &|| value.to_string())
            }
            CallKind::Dropped => {
                let (time, patience) = (millis(0..40), millis(0..20));
                tokio::select! {
                    answered = pool.call(naps(call, time)) => {
                        let (value, _) = answered?;
                        check(value == answer(call), &|| value.to_string())
                    }
                    () = tokio::time::sleep(patience) => Outcome::Dropped,
                }
            }
        })
    }
}

/// The outcome of a call without an error.
enum Outcome {
    Right,
    Wrong(String),
    /// A runner has accepted the cast. Its result is never reported.
    Accepted,
    Dropped,
}
