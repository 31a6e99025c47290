//! Works, and the calls made from them.

use std::{
    error::Error,
    panic::AssertUnwindSafe,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flame_wire::{failure::RemoteError, trace::TraceContext};
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::*;
use crate::calling::{
    CallScope, Timeout,
    codec::{ErrorChainResult as _, Part},
};

remote!(
    fn double(number: u32) -> u64 {
        u64::from(number) * 2
    }
);

type Boxed = Box<dyn Error + Send + Sync>;

#[tokio::test]
async fn an_awaited_work_runs_here_and_an_encoded_one_on_the_runner() {
    assert_eq!(double::work(4).await, 8);
    assert_eq!(call(&Arc::default(), double::work(4), &double::ENTRY).await.unwrap(), 8);
}

#[tokio::test]
async fn a_work_that_has_started_is_not_encoded() {
    let mut work = double::work(4);
    assert_eq!((&mut work).await, 8);
    let error = work.encode().unwrap_err();
    assert!(matches!(error, CodecError::Started { .. }), "{error:?}");
}

#[test]
fn options_are_part_of_the_encoded_work() {
    let trace: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let minute = Duration::from_secs(60);
    let work = double::work(4).timeout(minute).detached().trace(trace);
    let (encoded, _) = work.encode().unwrap();
    assert_eq!(encoded.options.timeout, Timeout::After(minute));
    assert!(encoded.options.detached);
    assert_eq!(encoded.options.trace, Some(trace));
    assert_eq!(encoded.name, double::ENTRY.name);

    let (encoded, _) = double::work(4).timeout(None).encode().unwrap();
    assert_eq!(encoded.options.timeout.or(Some(minute)), None);
    let (encoded, _) = double::work(4).encode().unwrap();
    assert_eq!(encoded.options.timeout.or(Some(minute)), Some(minute));
}

#[test]
fn arguments_of_another_function_are_a_typed_error() {
    let value = cross({
        let mut encoder = crate::calling::codec::encoder::Encoder::default();
        encoder.value(&"text".to_owned()).unwrap();
        encoder.finish(Vec::new()).unwrap()
    });
    let error = double::ENTRY.invoke(Arguments::new(value)).unwrap_err();
    let CodecError::Decode { part, .. } = error else { panic!("{error:?}") };
    assert_eq!(part, Part::Argument("argument"));
}

#[test]
fn a_body_without_arguments_is_a_typed_error() {
    let value = Value { bytes: Default::default(), blobs: Vec::new() };
    let error = double::ENTRY.invoke(Arguments::new(value)).unwrap_err();
    assert!(matches!(error, CodecError::Decode { .. }), "{error:?}");
}

/// The chain of an error that can't be serialized.
#[test]
fn an_error_made_from_a_remote_error_crosses_with_its_chain() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot save")]
    struct CannotSave(#[source] std::io::Error);

    let codec = (&&ResultProbe::<Result<u32, Boxed>>::NEW).__flame_codec();
    let error = CannotSave(std::io::Error::other("disk full"));
    let mut encoder = crate::calling::codec::encoder::Encoder::default();
    codec.encode(Err(error.into()), &mut encoder).unwrap();
    let value = cross(encoder.finish(Vec::new()).unwrap());
    let error = codec.decode(&value.bytes).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "cannot save");
    assert_eq!(error.source().unwrap().to_string(), "disk full");
    assert!(error.is::<RemoteError>());
}

#[test]
fn a_serializable_error_crosses_as_itself() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Rejection {
        TooLate { by: u32 },
    }
    let codec = (&&&ResultProbe::<Result<(), Rejection>>::NEW).__flame_codec();
    let mut encoder = crate::calling::codec::encoder::Encoder::default();
    codec.encode(Err(Rejection::TooLate { by: 3 }), &mut encoder).unwrap();
    let value = cross(encoder.finish(Vec::new()).unwrap());
    assert_eq!(codec.decode(&value.bytes).unwrap(), Err(Rejection::TooLate { by: 3 }));
}

/// An entry whose plain function is `function`.
fn plain(function: fn() -> u32) -> FunctionEntry {
    static FUNCTION: Mutex<Option<fn() -> u32>> = Mutex::new(None);
    *FUNCTION.lock().unwrap() = Some(function);
    FunctionEntry::new(("plain", "", ""), Kind::Plain, HERE, &[], |call| {
        private::invoke(
            call,
            |_| Ok(()),
            |(), scope| {
                let function = FUNCTION.lock().unwrap().unwrap();
                private::blocking_execution(
                    Box::new(function),
                    (&&&ResultProbe::<u32>::NEW).__flame_codec(),
                    scope,
                )
            },
        )
    })
}

fn nothing() -> Arguments {
    Arguments::new(Value { bytes: Default::default(), blobs: Vec::new() })
}

#[tokio::test]
async fn a_panic_on_a_blocking_thread_reaches_the_code_that_polls() {
    let invocation = plain(|| panic!("at the disco")).invoke(nothing()).unwrap();
    let panic =
        AssertUnwindSafe(future_execution(invocation.execution)).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"at the disco"));

    let here = private::blocking(Box::new(|| -> u32 { panic!("here") }));
    let panic = AssertUnwindSafe(here).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"here"));
}

struct Scope {
    entered: Arc<AtomicBool>,
    ended: Mutex<Option<oneshot::Sender<()>>>,
}

impl CallScope for Scope {
    fn enter(&self, function: &mut dyn FnMut()) {
        self.entered.store(true, Ordering::Relaxed);
        function();
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let _ = self.ended.lock().unwrap().take().unwrap().send(());
    }
}

fn scope() -> (Arc<Scope>, oneshot::Receiver<()>, Arc<AtomicBool>) {
    let (ended, wait) = oneshot::channel();
    let entered: Arc<AtomicBool> = Arc::default();
    let scope = Scope { entered: entered.clone(), ended: Mutex::new(Some(ended)) };
    (Arc::new(scope), wait, entered)
}

#[tokio::test]
async fn a_scope_outlives_a_dropped_call_whose_plain_function_is_still_running() {
    static GATE: Mutex<Option<std::sync::mpsc::Receiver<()>>> = Mutex::new(None);
    let (open, gate) = std::sync::mpsc::channel();
    *GATE.lock().unwrap() = Some(gate);
    let (began, begun) = oneshot::channel();
    static BEGAN: Mutex<Option<oneshot::Sender<()>>> = Mutex::new(None);
    *BEGAN.lock().unwrap() = Some(began);

    let (scope, mut ended, entered) = scope();
    let mut arguments = nothing();
    arguments.scope = Some(scope);
    let entry = FunctionEntry::new(("gated", "", ""), Kind::Plain, HERE, &[], |call| {
        private::invoke(
            call,
            |_| Ok(()),
            |(), scope| {
                let function = || {
                    BEGAN.lock().unwrap().take().unwrap().send(()).unwrap();
                    GATE.lock().unwrap().take().unwrap().recv().unwrap();
                };
                private::blocking_execution(
                    Box::new(function),
                    (&&&ResultProbe::<()>::NEW).__flame_codec(),
                    scope,
                )
            },
        )
    });
    let call = tokio::spawn(future_execution(entry.invoke(arguments).unwrap().execution));
    begun.await.unwrap();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert!(ended.try_recv().is_err(), "the function is still running");
    open.send(()).unwrap();
    ended.await.unwrap();
    assert!(entered.load(Ordering::Relaxed));
}

#[test]
fn a_plain_function_dropped_while_it_waits_for_a_thread_does_not_run() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.max_blocking_threads(1).build().unwrap().block_on(async {
        let (open, gate) = std::sync::mpsc::channel();
        let busy = tokio::task::spawn_blocking(move || gate.recv().unwrap());
        let (scope, mut ended, _) = scope();
        let ran: Arc<AtomicBool> = Arc::default();
        let function = {
            let ran = ran.clone();
            move || ran.store(true, Ordering::Relaxed)
        };
        let codec = (&&&ResultProbe::<()>::NEW).__flame_codec();
        let mut call = Box::pin(future_execution(private::blocking_execution(
            Box::new(function),
            codec,
            Some(scope),
        )));
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(call);
        ended.try_recv().expect("nothing of it is left");
        open.send(()).unwrap();
        busy.await.unwrap();
        // By then every function that waited for the thread has had its turn.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert!(!ran.load(Ordering::Relaxed));
    });
}

#[tokio::test]
async fn a_scope_ends_when_its_async_function_ends_or_is_dropped() {
    let work = |number| cross(double::work(number).encode().unwrap().0.body);
    for run in [true, false] {
        let (scope, mut ended, _) = scope();
        let mut arguments = Arguments::new(work(1));
        arguments.scope = Some(scope);
        let invocation = double::ENTRY.invoke(arguments).unwrap();
        assert!(ended.try_recv().is_err());
        if run {
            future_execution(invocation.execution).await.unwrap();
        } else {
            drop(invocation);
        }
        ended.try_recv().unwrap();
    }
}

#[tokio::test]
async fn a_panic_while_encoding_leaves_no_side_tables_open() {
    #[derive(serde::Deserialize)]
    struct Panics;
    impl serde::Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("while encoding")
        }
    }
    let work = private::work(
        &double::ENTRY,
        Panics,
        |panics, to| private::argument::<Panics>("panics").encode(panics, to),
        |_| private::boxed_future(async { 0_u32 }),
        (&&&ResultProbe::<u32>::NEW).__flame_codec(),
    );
    assert!(std::panic::catch_unwind(AssertUnwindSafe(|| work.encode())).is_err());
    assert!(!crate::calling::side_tables::SideTables::is_open());
}
