//! The calls of a simulation: the functions, the callers, and the record of what has happened to
//! each call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use flame_aws::{Blob, CallError, Pool, Receiver, Sender, TimeoutPhase, channel, remote};
use futures_util::{Stream, TryStreamExt, stream};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::timeout;

use crate::network::{HostNetwork, Time};

/// How often each call was executed. All runners are in this process.
static EXECUTIONS: Mutex<BTreeMap<u64, u32>> = Mutex::new(BTreeMap::new());

/// How much longer than its time limit a call may take.
const SLACK: Duration = Duration::from_secs(1);
/// How long a channel may stay open after the answer of its call: until a lost runner is given up.
const CHANNEL_LIMIT: Duration = Duration::from_secs(4 * 60);

fn record(call: u64) {
    *EXECUTIONS.lock().expect("nothing panics with the lock").entry(call).or_default() += 1;
}

fn answer(call: u64) -> u64 {
    call.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

#[remote]
async fn naps(call: u64, time: Duration) -> u64 {
    record(call);
    tokio::time::sleep(time).await;
    answer(call)
}

#[remote]
async fn echoes(call: u64, bytes: Blob) -> (u64, Blob) {
    record(call);
    (answer(call), bytes)
}

#[remote]
fn counts(call: u64, items: u64, pause: Duration) -> impl Stream<Item = u64> {
    record(call);
    stream::unfold(0, move |item| async move {
        tokio::time::sleep(pause).await;
        (item < items).then_some((answer(call).wrapping_add(item), item + 1))
    })
}

/// Doubles the numbers of a channel into another one. Returns how many there were.
#[remote]
async fn doubles(
    call: u64,
    mut numbers: Receiver<u64>,
    doubled: Sender<u64>,
) -> anyhow::Result<(u64, u64)> {
    record(call);
    let mut count = 0;
    while let Some(number) = numbers.recv().await? {
        doubled.send(number.wrapping_mul(2)).await?;
        count += 1;
    }
    Ok((answer(call), count))
}

/// The claim of an answer about the executions of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Executed {
    Once,
    AtMostOnce,
    Never,
}

/// Returns what an error claims, and a name for it.
fn claim_of(error: &CallError) -> (Executed, &'static str) {
    let name = match error {
        CallError::Timeout { phase: TimeoutPhase::Queue, .. } => "timeout in the queue",
        CallError::Timeout { phase: TimeoutPhase::Boot, .. } => "timeout of the boot",
        CallError::Timeout { phase: TimeoutPhase::Run, .. } => "timeout of the run",
        CallError::Timeout { phase: TimeoutPhase::Reply, .. } => "timeout of the reply",
        CallError::RunnerLost { started: false, .. } => "runner lost, not started",
        CallError::RunnerLost { started: true, .. } => "runner lost, started",
        CallError::BootFailed(_) => "boot failed",
        CallError::Cancelled => "cancelled",
        CallError::QueueFull { .. } => "queue full",
        CallError::RunnerFull { .. } => "runner full",
        CallError::Draining => "draining",
        _ => "another error",
    };
    let executed = match error {
        CallError::Timeout { phase: TimeoutPhase::Reply, .. } => Executed::Once,
        error if error.may_have_run() => Executed::AtMostOnce,
        _ => Executed::Never,
    };
    (executed, name)
}

/// Every call, and what must not have happened.
#[derive(Default)]
pub(crate) struct CallLedger(Mutex<Records>);

#[derive(Default)]
struct Records {
    /// The claim of each call's answer, once there is an answer.
    claims: Vec<Option<(Executed, &'static str)>>,
    violations: Vec<String>,
}

impl CallLedger {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().expect("nothing panics with the lock")
    }

    fn begin(&self) -> u64 {
        let mut records = self.lock();
        records.claims.push(None);
        records.claims.len() as u64 - 1
    }

    fn answered(&self, call: u64, claim: Executed, name: &'static str) {
        let index = usize::try_from(call).expect("fewer calls than addresses");
        if self.lock().claims[index].replace((claim, name)).is_some() {
            self.violation(format!("call {call} has a second answer: {name}"));
        }
    }

    pub(crate) fn violation(&self, violation: String) {
        self.lock().violations.push(violation);
    }

    /// Compares the answers with the executions. Returns what is wrong, and the number of answers
    /// of each kind. Calls of a parent that has died need no answer.
    pub(crate) fn verify(
        &self,
        parent_has_died: bool,
    ) -> (Vec<String>, BTreeMap<&'static str, u32>) {
        let executions = EXECUTIONS.lock().expect("nothing panics with the lock").clone();
        let mut records = self.lock();
        let (mut answers, mut wrong) = (BTreeMap::new(), Vec::new());
        for (call, claim) in (0_u64..).zip(&records.claims) {
            let times = executions.get(&call).copied().unwrap_or(0);
            let is_true = match claim {
                None => parent_has_died && times <= 1,
                Some((Executed::Once, _)) => times == 1,
                Some((Executed::AtMostOnce, _)) => times <= 1,
                Some((Executed::Never, _)) => times == 0,
            };
            let name = claim.map_or("no answer", |(_, name)| name);
            *answers.entry(name).or_default() += 1;
            if !is_true {
                wrong.push(format!("call {call} was executed {times} times: {name}"));
            }
        }
        records.violations.extend(wrong);
        (records.violations.clone(), answers)
    }
}

/// A caller that makes one call after the other.
pub(crate) struct Caller {
    pub(crate) pool: Pool,
    pub(crate) random: StdRng,
    pub(crate) ledger: Arc<CallLedger>,
    pub(crate) network: HostNetwork,
    /// No call may fail.
    pub(crate) expects_results: bool,
}

impl Caller {
    /// Makes calls until this time of the simulation.
    pub(crate) async fn make_calls(mut self, end: Time) {
        while self.network.clock.now() < end {
            let pause = Duration::from_millis(self.random.random_range(0..8_000));
            tokio::time::sleep(pause).await;
            self.make_a_call().await;
        }
    }

    async fn make_a_call(&mut self) {
        let call = self.ledger.begin();
        let limit = match self.random.random_range(0..10) {
            _ if self.expects_results => Duration::from_secs(1_800),
            0 => Duration::from_millis(self.random.random_range(100..10_000)),
            1..4 => Duration::from_secs(self.random.random_range(10..60)),
            _ => Duration::from_secs(300),
        };
        let Ok(answered) = timeout(limit + SLACK, self.make(call, limit)).await else {
            self.ledger.violation(format!("call {call} was not answered within {limit:?}"));
            return;
        };
        let (claim, name) = match &answered {
            Ok(Some(true)) => (Executed::Once, "the result"),
            Ok(Some(false)) => {
                self.ledger.violation(format!("call {call} has a wrong result"));
                (Executed::Once, "a wrong result")
            }
            Ok(None) => (Executed::AtMostOnce, "dropped by its caller"),
            Err(error) => claim_of(error),
        };
        self.ledger.answered(call, claim, name);
        if let Err(error) = answered
            && (self.expects_results || name == "another error")
        {
            self.ledger.violation(format!("call {call} failed: {error}"));
        }
        let now = self.network.clock.now();
        self.network.lock().trace.line(now, format_args!("call {call}: {name}"));
    }

    /// Returns whether the result is right; `None` if the call was dropped.
    async fn make(&mut self, call: u64, limit: Duration) -> Result<Option<bool>, CallError> {
        let (pool, random) = (&self.pool, &mut self.random);
        match random.random_range(0..12) {
            0..5 => {
                let longest = [200, 5_000, 30_000][random.random_range(0..3)];
                let nap = Duration::from_millis(random.random_range(0..longest));
                let value = pool.call(naps(call, nap).timeout(limit)).await?;
                Ok(Some(value == answer(call)))
            }
            5..7 => {
                let len = random.random_range(1..1_000_000_usize) >> random.random_range(0..10);
                let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
                let echo = pool.call(echoes(call, bytes.clone().into()).timeout(limit)).await?;
                Ok(Some(echo.0 == answer(call) && *echo.1 == *bytes))
            }
            7..9 => {
                let items = random.random_range(0..200);
                let pause = Duration::from_millis(random.random_range(0..100));
                let work = counts(call, items, pause).timeout(limit);
                let got: Vec<u64> = pool.stream(work).try_collect().await?;
                let all = (0..items).map(|item| answer(call).wrapping_add(item));
                Ok(Some(got.into_iter().eq(all)))
            }
            9..11 => self.make_with_channels(call, limit).await,
            _ => {
                let nap = Duration::from_millis(random.random_range(0..10_000));
                let patience = Duration::from_millis(random.random_range(0..10_000));
                let value = pool.call(naps(call, nap).timeout(limit));
                match timeout(patience, value).await {
                    Ok(value) => Ok(Some(value? == answer(call))),
                    Err(_) => Ok(None),
                }
            }
        }
    }
}

impl Caller {
    /// A call with a channel in each direction.
    async fn make_with_channels(
        &mut self,
        call: u64,
        limit: Duration,
    ) -> Result<Option<bool>, CallError> {
        let random = &mut self.random;
        let messages = random.random_range(0..100_u64);
        let pause = Duration::from_millis(random.random_range(0..200));
        let (numbers, receiver) = channel(random.random_range(1..32));
        let (sender, mut doubled) = channel(random.random_range(1..32));
        let called = self.pool.call(doubles(call, receiver, sender).timeout(limit));
        let sending = tokio::spawn(async move {
            for number in 0..messages {
                tokio::time::sleep(pause).await;
                // The answer says why nobody receives it.
                if numbers.send(number).await.is_err() {
                    return;
                }
            }
        });
        let receiving = tokio::spawn(async move {
            let mut received = Vec::new();
            loop {
                match doubled.recv().await {
                    Ok(Some(number)) => received.push(number),
                    Ok(None) => return (received, true),
                    Err(_) => return (received, false),
                }
            }
        });
        let answered = called.await;
        sending.abort();
        // The messages may arrive after the answer, or be lost with their runner after it.
        let (ledger, must_arrive) = (self.ledger.clone(), self.expects_results);
        let has_result = answered.is_ok();
        tokio::spawn(async move {
            let Ok(Ok((received, ended))) = timeout(CHANNEL_LIMIT, receiving).await else {
                return ledger.violation(format!("the channel of call {call} does not end"));
            };
            let in_order = received.iter().copied().eq((0..received.len() as u64).map(|n| n * 2));
            let is_complete = received.len() as u64 == messages;
            let must_be_complete = has_result && (ended || must_arrive);
            if !in_order || must_be_complete && !is_complete {
                let received = received.len();
                ledger.violation(format!(
                    "{received} of {messages} messages arrived for call {call}, in order: {in_order}"
                ));
            }
        });
        // A function that misses a message has lost its call as well.
        Ok(Some(answered?.ok() == Some((answer(call), messages))))
    }
}

/// Calls until a call has its result. The pool may have paused its boots after many failures.
pub(crate) async fn call_until_answered(pool: &Pool) {
    while pool.call(naps(u64::MAX, Duration::ZERO)).await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
