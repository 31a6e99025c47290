//! [`Held`]: a value that stays on its runner.
//!
//! ```text
//!   runner                                  parent
//!   Held::new(model)
//!     encode result: the value joins the    decode result: Held is a name (HeldId) and a
//!     call's held values, its index goes    guard that keeps the call's stream open
//!                                             | pool.at(&held).call(ask(held.clone(), 1))
//!     decode argument: HeldStore finds  <---  encode argument: the name goes, the guard is
//!     the value again by name                 recorded for the pool to check the runner
//! ```
//!
//! Invariants:
//! - The value itself never crosses; it is dropped on its runner when the last handle is dropped.
//! - A name is resolved only by the runner that gave it, and only to a value of the same type.

use std::{
    any::{Any, type_name},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::side_tables::SideTables;

/// A value kept on a runner, type-erased.
pub type HeldValue = Arc<dyn Any + Send + Sync>;

/// Keeps a runner, and a slot on it, for as long as it lives. The link's driver makes one for each
/// reply; all [`Held`] values of that reply share it.
pub trait HeldGuard: Send + Sync + 'static {
    /// Which runner holds the value: a key that the pool compares.
    fn runner(&self) -> u64;

    /// The guard as its own type, for the driver that made it.
    fn as_any(&self) -> &dyn Any;
}

/// Finds the values that a runner holds. The runner's driver is one.
pub trait HeldStore: Send + Sync + 'static {
    /// The value of that name, if this runner still holds it.
    fn find(&self, id: HeldId) -> Option<HeldValue>;
}

/// The name of a held value on its runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldId {
    /// Stream of the call that gave it.
    pub stream: u64,
    /// Its place among the values which that call gave.
    pub index: u32,
}

/// Where the held values of a reply come from.
#[derive(Clone)]
pub struct HeldSource {
    /// Stream of the call that is being answered.
    pub stream: u64,
    /// What keeps that stream, and its runner, until it is dropped.
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

/// A value that stays on the runner that made it, while its handle travels.
///
/// A remote function makes one with [`Held::new`] and returns it, alone or inside its result. The
/// parent gets a handle: the runner, and one slot on it, are kept until the last clone of the
/// handle is dropped, and the value is dropped with it. A handle given as an argument to
/// `pool.at(&held)` is the value again on its runner.
///
/// Use it for what is dear to make and cannot be serialized: a loaded model, an open file, a
/// connection.
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
/// It may be in the result of a call, not in the items of a stream.
///
/// A function which is awaited here, rather than given to a pool, makes a held value here: it is
/// then plainly shared, and cannot be sent to a runner.
pub struct Held<T>(HeldState<T>);

enum HeldState<T> {
    Local(Arc<T>),
    Remote { id: HeldId, guard: Arc<dyn HeldGuard> },
}

/// A held value was reached for where it does not live.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the held `{value}` lives on its runner: reach it inside a remote function that takes it as \
     an argument, called by `pool.at(&held)`"
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

    /// The value, where it lives.
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

    /// What keeps the value's runner; `None` if the value is here.
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

/// The held values of one crossing.
#[derive(Default)]
pub(crate) enum HeldTable {
    /// Not an argument and not a result: none can cross.
    #[default]
    None,
    /// Arguments being encoded: the guards of the values they name.
    ArgumentsOut(Vec<Arc<dyn HeldGuard>>),
    /// Arguments being decoded, on a runner.
    ArgumentsIn(Option<Arc<dyn HeldStore>>),
    /// A result being encoded: the values to keep.
    ResultOut(Vec<HeldValue>),
    /// An item of a stream being encoded.
    ItemOut,
    /// A result being decoded.
    ResultIn(Option<HeldSource>),
}

impl HeldTable {
    /// The guards collected.
    pub(crate) fn into_guards(self) -> Vec<Arc<dyn HeldGuard>> {
        match self {
            Self::ArgumentsOut(guards) => guards,
            _ => Vec::new(),
        }
    }

    /// The values collected.
    pub(crate) fn into_values(self) -> Vec<HeldValue> {
        match self {
            Self::ResultOut(values) => values,
            _ => Vec::new(),
        }
    }
}

const NOT_IN_A_CALL: &str =
    "a held value crosses only in an argument or in the result of a remote function";

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
                 value by a remote function so that it lives on a runner"
            ))),
            (HeldTable::ResultOut(values), HeldState::Local(value)) => {
                let index = u32::try_from(values.len());
                let index = index.map_err(|_| E::custom("too many held values in one call"))?;
                values.push(Arc::clone(value) as HeldValue);
                // The runner knows the stream; the parent adds it when it decodes.
                Ok(HeldId { stream: 0, index })
            }
            (HeldTable::ItemOut, _) => Err(E::custom(format_args!(
                "the held `{name}` is in an item of a stream, and a runner keeps only what a call \
                 gives as its result: return a `Vec` of them"
            ))),
            (HeldTable::ResultOut(_), HeldState::Remote { .. }) => Err(E::custom(format_args!(
                "the held `{name}` lives on a runner of this runner's own pool, which the parent \
                 cannot reach: return what it needs of the value instead"
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
        // The store is the driver's code: it runs after the crossing has been let go.
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
                        "this runner holds no such `{name}`: call it by `pool.at(&held)`"
                    ))
                })?;
                let value = value.downcast::<T>().map_err(|_| {
                    de::Error::custom(format_args!(
                        "the value held under this name is not a `{name}`"
                    ))
                })?;
                Ok(Self(HeldState::Local(value)))
            }
        }
    }
}
