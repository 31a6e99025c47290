//! The states that an app is given, held until `App::run` installs them.

use std::any::{TypeId, type_name};
use std::fmt;

use flame_runner_shim::calling::state;

use crate::error::AppError;

/// The states of one app, in the order in which it was given them.
#[derive(Debug, Default)]
pub(super) struct States(Vec<GivenState>);

struct GivenState {
    id: TypeId,
    type_name: &'static str,
    install: Box<dyn FnOnce() + Send + Sync>,
}

impl States {
    pub(super) fn add<T: state::State>(&mut self, value: T) {
        self.0.push(GivenState {
            id: TypeId::of::<T>(),
            type_name: type_name::<T>(),
            install: Box::new(move || state::register(value)),
        });
    }

    /// Rejects two states of one type: a `#[state]` parameter could mean either.
    pub(super) fn check(&self) -> Result<(), AppError> {
        for (at, given) in self.0.iter().enumerate() {
            if self.0.iter().take(at).any(|earlier| earlier.id == given.id) {
                return Err(AppError::DuplicateState { state: given.type_name });
            }
        }
        Ok(())
    }

    /// Makes the states those of this process, in place of earlier ones of the same types.
    pub(super) fn install(self) {
        self.0.into_iter().for_each(|given| (given.install)());
    }
}

impl fmt::Debug for GivenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name)
    }
}
