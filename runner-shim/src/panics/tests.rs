use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::task::Poll;

use flame_wire::failure::CallFailure;

use super::frames::trim;
use super::*;

/// Panics that reached the previous hook.
static CHAINED: AtomicU32 = AtomicU32::new(0);

fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            CHAINED.fetch_add(1, Ordering::SeqCst);
            previous(info);
        }));
        install();
    });
    install();
}

#[derive(Debug)]
struct Parts {
    message: String,
    location: Option<String>,
    backtrace: Option<String>,
}

fn parts<T: std::fmt::Debug>(result: Result<T, CallFailure>) -> Parts {
    match result {
        Err(CallFailure::Panicked { message, location, backtrace }) => {
            Parts { message, location, backtrace }
        }
        other => panic!("not a panic: {other:?}"),
    }
}

#[inline(never)]
fn a_function_of_the_app(text: &str) {
    panic!("it said {text}");
}

#[tokio::test]
async fn a_panic_is_caught_with_message_location_and_backtrace() {
    set_up();
    let caught = parts(catch(async { a_function_of_the_app("no") }).await);
    assert_eq!(caught.message, "it said no");
    let location = caught.location.unwrap();
    assert!(location.contains("panics/tests.rs:"), "{location}");
    let backtrace = caught.backtrace.unwrap();
    assert!(backtrace.contains("a_function_of_the_app"), "{backtrace}");
}

#[tokio::test]
async fn the_backtrace_contains_neither_the_panic_machinery_nor_the_runner() {
    set_up();
    let caught = parts(catch(async { a_function_of_the_app("no") }).await);
    let backtrace = caught.backtrace.unwrap();
    let first = backtrace.lines().next().unwrap_or_default();
    assert!(first.contains("a_function_of_the_app"), "{backtrace}");
    for foreign in ["begin_unwind", "panic_fmt", "begin_short_backtrace", "catch_unwind"] {
        assert!(!backtrace.contains(foreign), "{foreign} in\n{backtrace}");
    }
}

#[tokio::test]
async fn a_result_passes_through() {
    set_up();
    assert_eq!(catch(async { 7 }).await, Ok(7));
    assert_eq!(catch_blocking(|| 7), Ok(7));
}

#[test]
fn every_kind_of_payload_becomes_text() {
    set_up();
    let text = |work: fn()| parts(catch_blocking(work)).message;
    assert_eq!(text(|| panic!("a literal")), "a literal");
    assert_eq!(text(|| panic!("a string {}", 1)), "a string 1");
    assert_eq!(text(|| panic_any(String::from("owned"))), "owned");
    assert_eq!(text(|| panic_any(Box::<dyn Error + Send + Sync>::from("an error"))), "an error");
    assert_eq!(text(|| panic_any(42)), "panicked with a value that is not text");
    assert!(parts(catch_blocking(|| panic_any(42))).location.is_some());
}

#[test]
fn a_panic_after_a_switch_of_threads_is_caught() {
    set_up();
    let mut first = true;
    let mut call = Box::pin(catch(poll_fn(move |_| {
        if std::mem::take(&mut first) {
            return Poll::Pending;
        }
        a_function_of_the_app("later");
        Poll::Ready(())
    })));
    let context = || std::task::Context::from_waker(std::task::Waker::noop());
    assert_eq!(call.as_mut().poll(&mut context()), Poll::Pending);
    let there = std::thread::spawn(move || match call.as_mut().poll(&mut context()) {
        Poll::Ready(result) => parts(result),
        Poll::Pending => panic!("still pending"),
    });
    let caught = there.join().unwrap();
    assert_eq!(caught.message, "it said later");
    assert!(caught.location.is_some());
}

#[tokio::test]
async fn a_panic_on_a_blocking_thread_reaches_the_call_with_its_location() {
    set_up();
    let scope = Arc::new(PanicScope::default());
    let there = Arc::clone(&scope);
    let call = async move {
        let joined = tokio::task::spawn_blocking(move || {
            there.enter(|| a_function_of_the_app("there"));
        });
        match joined.await {
            Ok(()) => {}
            Err(error) => panic::resume_unwind(error.into_panic()),
        }
    };
    let caught = parts(scope.catch(call).await);
    assert_eq!(caught.message, "it said there");
    assert!(caught.location.unwrap().contains("panics/tests.rs:"));
    assert!(caught.backtrace.unwrap().contains("a_function_of_the_app"));
}

#[test]
fn a_payload_goes_through_a_scope_unchanged() {
    set_up();
    let scope = PanicScope::default();
    let payload = panic::catch_unwind(|| scope.enter(|| panic_any(42_u64))).unwrap_err();
    assert_eq!(payload.downcast_ref::<u64>(), Some(&42));
}

#[test]
fn a_panic_outside_a_call_is_left_alone() {
    set_up();
    let before = CHAINED.load(Ordering::SeqCst);
    let payload = panic::catch_unwind(|| a_function_of_the_app("outside")).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some("it said outside"));
    assert!(CHAINED.load(Ordering::SeqCst) > before, "the app's hook must see it");
    assert!(DETAILS.take().is_none(), "no details may be captured");
}

#[test]
fn a_panic_inside_a_call_reaches_the_apps_hook_too() {
    set_up();
    let before = CHAINED.load(Ordering::SeqCst);
    let _ = catch_blocking(|| a_function_of_the_app("inside"));
    assert!(CHAINED.load(Ordering::SeqCst) > before);
}

#[test]
fn a_panic_that_the_app_caught_is_not_blamed_for_a_later_one() {
    set_up();
    let caught = parts(catch_blocking(|| {
        let _ = panic::catch_unwind(|| a_function_of_the_app("first"));
        // Resumed without the hook, as a joined thread's panic is.
        panic::resume_unwind(Box::new("second"));
    }));
    assert_eq!(caught.message, "second");
    assert_eq!(caught.location, None);
    assert_eq!(caught.backtrace, None);
}

#[test]
fn the_details_of_one_call_are_not_attached_to_the_next() {
    set_up();
    let recovered = catch_blocking(|| {
        let _ = panic::catch_unwind(|| a_function_of_the_app("same"));
    });
    assert_eq!(recovered, Ok(()));
    let caught = parts(catch_blocking(|| {
        panic::resume_unwind(Box::new(String::from("it said same")));
    }));
    assert_eq!(caught.location, None);
}

#[tokio::test]
async fn a_destructor_that_panics_is_caught() {
    set_up();
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    // The future itself owns it, so it is dropped with the future and not in a poll.
    struct Call {
        _held: Bomb,
    }
    impl Future for Call {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    let caught = parts(catch(Call { _held: Bomb }).await);
    assert_eq!(caught.message, "in a destructor");
}

#[tokio::test]
async fn a_call_within_a_call_has_its_own_panic() {
    set_up();
    let outer = catch(async {
        let inner = parts(catch(async { a_function_of_the_app("inner") }).await);
        assert_eq!(inner.message, "it said inner");
        assert!(in_call());
        a_function_of_the_app("outer");
    });
    assert_eq!(parts(outer.await).message, "it said outer");
    assert!(!in_call());
}

#[tokio::test]
async fn dropping_the_future_drops_the_call() {
    set_up();
    struct Seen(Arc<AtomicBool>);
    impl Drop for Seen {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let seen = Seen(Arc::clone(&dropped));
    let call = catch(async move {
        std::future::pending::<()>().await;
        drop(seen);
    });
    drop(call);
    assert!(dropped.load(Ordering::SeqCst));
}

#[test]
fn a_trace_is_cut_at_its_marker_frames() {
    let trace = "   0: flame_runner_shim::panics::keep\n             at panics.rs:1\n   \
                 1: std::sys::backtrace::__rust_end_short_backtrace\n   \
                 2: __rustc::rust_begin_unwind\n   3: core::panicking::panic_fmt\n   \
                 4: app::thumbnails\n             at src/main.rs:7:9\n   \
                 5: core::panicking::not_machinery_down_here\n   \
                 6: flame_runner_shim::panics::frames::flame_begin_short_backtrace\n   7: main";
    assert_eq!(
        trim(trace),
        "   4: app::thumbnails\n             at src/main.rs:7:9\n   \
         5: core::panicking::not_machinery_down_here"
    );
}

#[test]
fn a_trace_without_marker_frames_is_kept() {
    for trace in ["   0: <unknown>\n   1: <unknown>", "no trace at all", ""] {
        assert_eq!(trim(trace), trace);
    }
}
