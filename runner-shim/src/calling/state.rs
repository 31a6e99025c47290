//! The app's own state, by type. `#[state]` parameters get their values from here.
//!
//! State is never sent. Each process registers its own (a database pool, a client, a
//! configuration), and a function gets the state of the process that runs it.
//!
//! Invariants:
//! - At most one value per type; registering another replaces it, for calls made from then on.
//! - The app's `Clone` runs with no lock held.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use flame_wire::sync::RwLock;

type Registry = RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::default);

/// Registers `value` as this process's state of type `T`, and replaces an earlier one.
pub fn register<T: State>(value: T) {
    let mut registry = REGISTRY.write();
    let replaced = registry.insert(TypeId::of::<T>(), Arc::new(value));
    drop(registry);
    // The app's `Drop` may be slow, or may ask for state.
    drop(replaced);
}

/// This process's state of type `T`, if it has been registered.
#[must_use]
pub fn state<T: State>() -> Option<T> {
    let registry = REGISTRY.read();
    let value = registry.get(&TypeId::of::<T>()).cloned();
    drop(registry);
    value.as_deref().and_then(|any| any.downcast_ref::<T>()).cloned()
}

/// Whether state of type `T` has been registered.
#[must_use]
pub fn has<T: 'static>() -> bool {
    REGISTRY.read().contains_key(&TypeId::of::<T>())
}

/// A type whose values can be an app's state.
///
/// Implemented for every type that can be cloned and shared between threads, and that borrows
/// nothing.
pub trait State: Clone + Send + Sync + 'static {}

impl<T: Clone + Send + Sync + 'static> State for T {}

/// One type of state that a function needs on the runner.
#[derive(Debug, Clone, Copy)]
pub struct StateNeed {
    name: fn() -> &'static str,
    is_met: fn() -> bool,
}

impl StateNeed {
    /// The need for a state of type `T`.
    #[must_use]
    pub const fn new<T: State>() -> Self {
        Self { name: type_name::<T>, is_met: has::<T> }
    }

    /// The type's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        (self.name)()
    }

    /// Whether the app has registered it.
    #[must_use]
    pub fn is_met(&self) -> bool {
        (self.is_met)()
    }
}

/// One `#[state]` parameter. It has no bounds: they were checked once, when it was made.
#[doc(hidden)]
#[derive(Debug)]
pub struct StateParameter<T> {
    get: fn() -> T,
    need: StateNeed,
}

/// Implemented by [`AppState`] for each `T` that is a [`State`].
///
/// The type is a parameter instead of `Self`, because the compiler would otherwise suggest a
/// reference.
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot be the state of an app",
    label = "is not `Clone`, or not `Send` and `Sync`, or borrows",
    note = "every call gets a clone: derive `Clone` for it, or take and register an `Arc<{T}>`"
)]
#[doc(hidden)]
pub trait HasState<T> {
    #[doc(hidden)]
    const STATE: StateParameter<T>;
}

/// Stands for the app in [`HasState`].
#[doc(hidden)]
#[derive(Debug)]
pub enum AppState {}

#[diagnostic::do_not_recommend]
impl<T: State> HasState<T> for AppState {
    const STATE: StateParameter<T> =
        StateParameter { get: required::<T>, need: StateNeed::new::<T>() };
}

impl<T> StateParameter<T> {
    #[doc(hidden)]
    #[must_use]
    pub fn get(&self) -> T {
        (self.get)()
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn need(&self) -> StateNeed {
        self.need
    }
}

/// The state of type `T`, for a function that is about to run.
///
/// # Panics
/// If there is none. `App::run` checks the states of the app's own functions at the start, and each
/// call by a pool is checked before it is sent and before it is served. So this panics only if an
/// app awaits a function in this process: before it has called `App::run`, or with a function of a
/// dependency whose state is not registered.
#[expect(clippy::panic, reason = "the function's own return type has no place for an error")]
fn required<T: State>() -> T {
    state().unwrap_or_else(|| {
        panic!(
            "there is no state of type `{}`: add `.state(..)` with a value of that type to \
             `App::new()`, and call remote functions inside `run`",
            type_name::<T>()
        )
    })
}
