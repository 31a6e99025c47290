//! The table's check at start.

use super::*;
use crate::calling::{
    StateNeed, TableError,
    table::{check_names, check_states},
};

fn entry(name: &'static str, line: u32, states: &'static [StateNeed]) -> &'static Entry {
    let at = Location { file: "app.rs", line, column: 4 };
    Box::leak(Box::new(Entry::new((name, "1.2.3", "()"), Kind::Async, at, states, |_| {
        panic!("not called")
    })))
}

#[test]
fn two_functions_of_one_name_are_refused_with_both_places() {
    let error =
        check_names(&[entry("app::a", 1, &[]), entry("app::b", 2, &[]), entry("app::b", 9, &[])]);
    let error = error.unwrap_err();
    assert!(matches!(error, TableError::Duplicate { name: "app::b", .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("app.rs:2:4") && text.contains("app.rs:9:4"), "{text}");
    assert!(text.contains("rename one of them"), "{text}");
}

#[test]
fn two_functions_of_one_id_are_refused() {
    let mut twin = Entry::new(("app::twin", "1.2.3", "()"), Kind::Async, HERE, &[], |_| panic!());
    let first = entry("app::first", 1, &[]);
    twin.id = first.id;
    let error = check_names(&[first, Box::leak(Box::new(twin))]).unwrap_err();
    assert!(matches!(error, TableError::SameId { second_name: "app::twin", .. }), "{error:?}");
}

#[test]
fn a_missing_state_is_named_with_every_function_that_needs_it() {
    #[derive(Clone)]
    struct Missing;
    #[derive(Clone)]
    struct There;
    crate::calling::state::register(There);
    const NEEDS: &[StateNeed] = &[StateNeed::new::<There>(), StateNeed::new::<Missing>()];
    let entries = [
        entry("app::a", 1, &[]),
        entry("app::b", 2, NEEDS),
        entry("app::c", 3, const { &[StateNeed::new::<There>()] }),
        entry("app::d", 4, NEEDS),
    ];
    let error = check_states(&entries).unwrap_err();
    let TableError::MissingState { function, ref others, .. } = error else { panic!("{error:?}") };
    assert_eq!((function, &others[..]), ("app::b", &["app::d"][..]));
    let text = error.to_string();
    assert!(text.contains("app.rs:2:4") && text.contains("Missing"), "{text}");
    assert!(text.contains("add `.state(..)`"), "{text}");
    assert!(check_states(&entries[..1]).is_ok());
}
