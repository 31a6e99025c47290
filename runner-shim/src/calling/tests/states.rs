//! The app's state.

use super::*;
use crate::calling::{
    StateNeed,
    state::{AppState, HasState, has, register, state},
};

#[test]
fn state_is_found_by_its_type_and_a_later_value_replaces_it() {
    #[derive(Clone, Debug, PartialEq)]
    struct Db(u32);
    assert!(!has::<Db>());
    assert_eq!(state::<Db>(), None);
    register(Db(1));
    register(Db(2));
    assert!(has::<Db>());
    assert_eq!(state(), Some(Db(2)));
    assert_eq!(<AppState as HasState<Db>>::STATE.get(), Db(2));
}

#[test]
fn state_may_access_state_while_it_is_cloned_and_dropped() {
    #[derive(Clone)]
    struct Inner;
    struct Outer;
    impl Clone for Outer {
        fn clone(&self) -> Self {
            assert!(state::<Inner>().is_some());
            Outer
        }
    }
    impl Drop for Outer {
        fn drop(&mut self) {
            register(Inner);
        }
    }
    register(Inner);
    register(Outer);
    register(Outer);
    assert!(state::<Outer>().is_some());
}

#[test]
fn a_call_whose_state_is_missing_is_rejected_before_it_runs() {
    #[derive(Clone)]
    struct Absent;
    const STATES: &[StateNeed] = &[StateNeed::new::<Absent>()];
    static ENTRY: FunctionEntry =
        FunctionEntry::new(("needs", "", ""), Kind::Async, HERE, STATES, |_| {
            panic!("the arguments are not looked at")
        });
    let value = Value { bytes: Default::default(), blobs: Vec::new() };
    let error = ENTRY.invoke(Arguments::new(value)).unwrap_err();
    assert!(matches!(error, CodecError::MissingState { function: "needs", .. }), "{error:?}");
    assert!(error.to_string().contains("add `.state(..)`"), "{error}");
}

#[test]
fn a_call_whose_state_is_missing_is_rejected_before_it_is_sent() {
    #[derive(Clone)]
    struct Absent;
    const STATES: &[StateNeed] = &[StateNeed::new::<Absent>()];
    static ENTRY: FunctionEntry =
        FunctionEntry::new(("needs", "", ""), Kind::Async, HERE, STATES, |_| panic!("not sent"));
    let codec = (&&&ResultProbe::<()>::NEW).__flame_codec();
    let work = private::work(
        &ENTRY,
        (),
        |(), _| panic!("the arguments are not looked at"),
        |()| private::boxed_future(async {}),
        codec,
    );
    let error = work.encode().unwrap_err();
    assert!(matches!(error, CodecError::MissingState { function: "needs", .. }), "{error:?}");
}

#[test]
#[should_panic(expected = "Missing`: add `.state(..)`")]
fn a_function_awaited_here_without_its_state_says_what_to_do() {
    #[derive(Clone)]
    struct Missing;
    let _ = <AppState as HasState<Missing>>::STATE.get();
}
