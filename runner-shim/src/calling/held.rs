//! [`Held`]: a value that stays on its runner.
//!
//! ```text
//!   runner                                  parent
//!   Held::new(model)
//!     encode result: the value is added     decode result: Held is an id (HeldId) and a
//!     to the call's held values             guard that keeps the call's stream open
//!                                             | pool.at(&held).call(ask(held.clone(), 1))
//!     decode argument: HeldStore finds  <---  encode argument: the id is sent, and the guard
//!     the value by its id                     lets the pool check the runner
//! ```
//!
//! Invariants:
//! - The value itself is never sent. It is dropped on its runner when the last handle is dropped.
//! - An id is resolved only by the runner that issued it, and only to a value of the same type.

use std::{
    any::{Any, type_name},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::side_tables::SideTables;

/// A value kept on a runner, type-erased.
pub type HeldValue = Arc<dyn Any + Send + Sync>;

/// Keeps a runner, and a slot on it, until it is dropped. The link's driver makes one for each
/// reply; all [`Held`] values of that reply share it.
pub trait HeldGuard: Send + Sync + 'static {
    /// The runner that holds the value, as a key that the pool compares.
    fn runner(&self) -> u64;

    /// The guard as its own type, for the driver that made it.
    fn as_any(&self) -> &dyn Any;
}

/// Finds the values that a runner holds.
pub trait HeldStore: Send + Sync + 'static {
    /// The value with this id, if this runner still holds it.
    fn find(&self, id: HeldId) -> Option<HeldValue>;
}

/// The id of a held value on its runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldId {
    /// The stream of the call that returned it.
    pub stream: u64,
    /// Its index among the values that the call returned.
    pub index: u32,
}

/// The origin of the held values in a reply.
#[derive(Clone)]
pub struct HeldSource {
    /// The stream of the call that is being answered.
    pub stream: u64,
    /// Keeps that stream, and its runner, until it is dropped.
    pub guard: Arc<dyn HeldGuard>,
}

impl fmt::Debug for HeldSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldSource")
            .field("stream", &self.stream)
            .field("runner", &self.guard.runner())
            .finish()
    }
}

/// A value that stays on the runner that made it, while handles of it are passed around.
///
/// A remote function makes one with [`Held::new`] and returns it, alone or inside its result. The
/// parent gets a handle: the runner, and one slot on it, are kept until the last clone of the
/// handle is dropped, and then the value is dropped as well. A function called by `pool.at(&held)`
/// that takes the handle as an argument gets the value itself.
///
/// Use it for values that are expensive to make and cannot be serialized: a loaded model, an open
/// file, a connection.
///
/// ```text
/// #[remote]
/// async fn load(path: String) -> Held<Model> {
///     Held::new(Model::load(&path))
/// }
///
/// #[remote]
/// async fn ask(model: Held<Model>, question: String) -> anyhow::Result<String> {
///     Ok(model.get()?.ask(&question))
/// }
///
/// let model = pool.call(load("llm.bin".into())).await?;
/// let answer = pool.at(&model).try_call(ask(model.clone(), "Why?".into())).await?;
/// ```
///
/// It may be in the result of a call, but not in the items of a stream.
///
/// A function that is awaited here, instead of being given to a pool, makes a held value in this
/// process. The handles of such a value share it directly, and it can't be sent to a runner.
pub struct Held<T>(HeldState<T>);

enum HeldState<T> {
    Local(Arc<T>),
    Remote { id: HeldId, guard: Arc<dyn HeldGuard> },
}

/// A held value was accessed in a process where it does not live.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the held `{value}` lives on its runner: access it inside a remote function that takes it as \
     an argument and is called by `pool.at(&held)`"
)]
pub struct NotHere {
    /// The value's type.
    pub value: &'static str,
}

impl<T: Send + Sync + 'static> Held<T> {
    /// Keeps `value` in this process.
    pub fn new(value: T) -> Self {
        Self(HeldState::Local(Arc::new(value)))
    }

    /// The value, in the process where it lives.
    ///
    /// # Errors
    /// [`NotHere`] for a handle of a value on a runner. An argument of a function that runs on a
    /// runner is always here.
    pub fn get(&self) -> Result<&T, NotHere> {
        match &self.0 {
            HeldState::Local(value) => Ok(value),
            HeldState::Remote { .. } => Err(NotHere { value: type_name::<T>() }),
        }
    }

    /// Whether the value lives in this process.
    pub fn is_here(&self) -> bool {
        matches!(self.0, HeldState::Local(_))
    }

    /// Keeps the value's runner; `None` if the value lives here.
    #[doc(hidden)]
    pub fn guard(&self) -> Option<&Arc<dyn HeldGuard>> {
        match &self.0 {
            HeldState::Local(_) => None,
            HeldState::Remote { guard, .. } => Some(guard),
        }
    }
}

impl<T> Clone for Held<T> {
    /// Another handle of the same value.
    fn clone(&self) -> Self {
        Self(match &self.0 {
            HeldState::Local(value) => HeldState::Local(Arc::clone(value)),
            HeldState::Remote { id, guard } => {
                HeldState::Remote { id: *id, guard: Arc::clone(guard) }
            }
        })
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            HeldState::Local(_) => write!(f, "Held<{}>(here)", type_name::<T>()),
            HeldState::Remote { id, guard } => write!(
                f,
                "Held<{}>(runner {}, {}/{})",
                type_name::<T>(),
                guard.runner(),
                id.stream,
                id.index
            ),
        }
    }
}

/// The held values of one value that is encoded or decoded.
#[derive(Default)]
pub(crate) enum HeldTable {
    /// The value is neither an argument nor a result, so it can't contain a held value.
    #[default]
    None,
    /// Arguments are being encoded: the guards of the held values in them.
    ArgumentsOut(Vec<Arc<dyn HeldGuard>>),
    /// Arguments are being decoded, on a runner.
    ArgumentsIn(Option<Arc<dyn HeldStore>>),
    /// A result is being encoded: the values to keep.
    ResultOut(Vec<HeldValue>),
    /// An item of a stream is being encoded.
    ItemOut,
    /// A result is being decoded.
    ResultIn(Option<HeldSource>),
}

impl HeldTable {
    /// The guards that were collected.
    pub(crate) fn into_guards(self) -> Vec<Arc<dyn HeldGuard>> {
        match self {
            Self::ArgumentsOut(guards) => guards,
            _ => Vec::new(),
        }
    }

    /// The values that were collected.
    pub(crate) fn into_values(self) -> Vec<HeldValue> {
        match self {
            Self::ResultOut(values) => values,
            _ => Vec::new(),
        }
    }
}

const NOT_IN_A_CALL: &str =
    "a held value can be sent only in an argument or in the result of a remote function";

impl<T: Send + Sync + 'static> Held<T> {
    fn add_to<E: ser::Error>(&self, helds: &mut HeldTable) -> Result<HeldId, E> {
        let name = type_name::<T>();
        match (helds, &self.0) {
            (HeldTable::ArgumentsOut(guards), HeldState::Remote { id, guard }) => {
                guards.push(Arc::clone(guard));
                Ok(*id)
            }
            (HeldTable::ArgumentsOut(_), HeldState::Local(_)) => Err(E::custom(format_args!(
                "the held `{name}` lives in this process: await the function here, or make the \
                 value in a remote function so that it lives on a runner"
            ))),
            (HeldTable::ResultOut(values), HeldState::Local(value)) => {
                let index = u32::try_from(values.len());
                let index = index.map_err(|_| E::custom("too many held values in one call"))?;
                values.push(Arc::clone(value) as HeldValue);
                // The runner knows the stream; the parent adds it when it decodes.
                Ok(HeldId { stream: 0, index })
            }
            (HeldTable::ItemOut, _) => Err(E::custom(format_args!(
                "the held `{name}` is in an item of a stream, but a runner keeps only values in the \
                 result of a call: return a `Vec` of them"
            ))),
            (HeldTable::ResultOut(_), HeldState::Remote { .. }) => Err(E::custom(format_args!(
                "the held `{name}` lives on a runner of this runner's own pool, which the parent \
                 cannot reach: return the data that the parent needs from it instead"
            ))),
            _ => Err(E::custom(NOT_IN_A_CALL)),
        }
    }
}

impl<T: Send + Sync + 'static> Serialize for Held<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let id = SideTables::with(|tables| self.add_to(&mut tables.held))
            .unwrap_or_else(|| Err(ser::Error::custom(NOT_IN_A_CALL)))?;
        id.serialize(serializer)
    }
}

impl<'de, T: Send + Sync + 'static> Deserialize<'de> for Held<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        enum Origin {
            Source(HeldSource),
            Store(Arc<dyn HeldStore>),
        }
        let id = HeldId::deserialize(deserializer)?;
        // The store is the driver's code, so it is called after the side tables have been released.
        let from = SideTables::with(|tables| match &tables.held {
            HeldTable::ResultIn(source) => source.clone().map(Origin::Source),
            HeldTable::ArgumentsIn(store) => store.clone().map(Origin::Store),
            _ => None,
        });
        match from.flatten() {
            None => Err(de::Error::custom(NOT_IN_A_CALL)),
            Some(Origin::Source(HeldSource { stream, guard })) => {
                Ok(Self(HeldState::Remote { id: HeldId { stream, index: id.index }, guard }))
            }
            Some(Origin::Store(store)) => {
                let name = type_name::<T>();
                let value = store.find(id).ok_or_else(|| {
                    de::Error::custom(format_args!(
                        "this runner does not hold this `{name}`: call it by `pool.at(&held)`"
                    ))
                })?;
                let value = value.downcast::<T>().map_err(|_| {
                    de::Error::custom(format_args!(
                        "the value held under this id is not a `{name}`"
                    ))
                })?;
                Ok(Self(HeldState::Local(value)))
            }
        }
    }
}
