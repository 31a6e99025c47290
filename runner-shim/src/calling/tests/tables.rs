//! The check of the table at the start.

use super::*;
use crate::calling::{
    StateNeed, TableError,
    table::{check_names, check_states, crate_of},
};

fn entry(name: &'static str, line: u32, states: &'static [StateNeed]) -> &'static FunctionEntry {
    let at = Location { file: "app.rs", line, column: 4 };
    Box::leak(Box::new(FunctionEntry::new((name, "1.2.3", "()"), Kind::Async, at, states, |_| {
        panic!("not called")
    })))
}

#[test]
fn two_functions_with_one_name_are_rejected_with_both_locations() {
    let error =
        check_names(&[entry("app::a", 1, &[]), entry("app::b", 2, &[]), entry("app::b", 9, &[])]);
    let error = error.unwrap_err();
    assert!(matches!(error, TableError::Duplicate { name: "app::b", .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("app.rs:2:4") && text.contains("app.rs:9:4"), "{text}");
    assert!(text.contains("rename one of them"), "{text}");
}

#[test]
fn two_functions_with_one_id_are_rejected() {
    let mut twin =
        FunctionEntry::new(("app::twin", "1.2.3", "()"), Kind::Async, HERE, &[], |_| panic!());
    let first = entry("app::first", 1, &[]);
    twin.id = first.id;
    let error = check_names(&[first, Box::leak(Box::new(twin))]).unwrap_err();
    assert!(matches!(error, TableError::SameId { second_name: "app::twin", .. }), "{error:?}");
}

#[test]
fn a_missing_state_is_reported_with_every_function_that_needs_it() {
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
    let error = check_states(&entries, Some("app")).unwrap_err();
    let TableError::MissingState { function, ref others, .. } = error else { panic!("{error:?}") };
    assert_eq!((function, &others[..]), ("app::b", &["app::d"][..]));
    let text = error.to_string();
    assert!(text.contains("app.rs:2:4") && text.contains("Missing"), "{text}");
    assert!(text.contains("add `.state(..)`"), "{text}");
    assert!(check_states(&entries[..1], Some("app")).is_ok());
}

#[test]
fn a_state_that_a_dependency_lacks_does_not_stop_the_app() {
    #[derive(Clone)]
    struct Missing;
    const NEEDS: &[StateNeed] = &[StateNeed::new::<Missing>()];
    let entries = [entry("app_core::a", 1, NEEDS), entry("app", 2, &[]), entry("dep::b", 3, NEEDS)];
    assert_eq!(check_states(&entries, Some("app")), Ok(()));
    assert_eq!(check_states(&entries, None), Ok(()));
    let error = check_states(&entries, Some("dep")).unwrap_err();
    assert!(matches!(error, TableError::MissingState { function: "dep::b", .. }), "{error:?}");
}

#[test]
fn the_crate_of_an_apps_main_is_taken_from_its_type() {
    struct Server;
    impl Server {
        async fn serve() {}
        fn closure(self) -> impl FnOnce() {
            move || {
                let _server = self;
            }
        }
    }
    impl Clone for Server {
        fn clone(&self) -> Self {
            let of_a_trait = || {};
            assert_eq!(crate_of(&of_a_trait), Some("flame_runner_shim"));
            Self
        }
    }
    async fn main() {}
    let here = Some("flame_runner_shim");
    assert_eq!(crate_of(&main), here);
    assert_eq!(crate_of(&&main), here);
    assert_eq!(crate_of(&Server::serve), here);
    assert_eq!(crate_of(&Server.clone().closure()), here);
    assert_eq!(crate_of(&|| main()), here);
    assert_eq!(crate_of(&async || main().await), here);
    assert_eq!(crate_of(&std::thread::yield_now), Some("std"));
    // Their crate is unknown, or wrong: then each call reports its missing state.
    let pointer: fn() = std::thread::yield_now;
    assert_eq!(crate_of(&pointer), None);
    let boxed: Box<dyn FnOnce()> = Box::new(|| {});
    assert_ne!(crate_of(&boxed), here);
}
