//! What can be wrong with options that `Docker` and `Fly` have in common: pure.

use flame_runner_shim::host;
use flame_wire::parent::FlameParent;

use crate::size::Size;

/// What is wrong with a command that replaces that of the image.
pub(super) fn command_problem(command: Option<&[String]>) -> Option<String> {
    let has_no_words = command.is_some_and(<[_]>::is_empty);
    has_no_words.then(|| "`command` has no words: leave it out for the image's command".to_owned())
}

/// What is wrong with the environment variables of the runners.
pub(super) fn env_problems(env: &[(String, String)]) -> impl Iterator<Item = String> {
    env.iter().filter_map(|(name, _)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Some(format!("`env` has the name `{name}`, which no variable can have"));
        }
        let is_own = name == FlameParent::ENV || name == host::STOP_TIMEOUT_ENV;
        is_own.then(|| format!("`env` sets {name}, which the pool sets itself: leave it out"))
    })
}

/// The options that are set although the pool's size has them as well. The flags say which of the
/// backend's own options are set.
pub(super) fn set_twice(
    size: &Size,
    cpus: bool,
    memory: bool,
    gpus: bool,
) -> impl Iterator<Item = String> {
    let twice = [
        ("cpus", cpus && size.vcpus.is_some()),
        ("memory", memory && size.memory_mib.is_some()),
        ("gpus", gpus && size.gpus.is_some()),
    ];
    let twice = twice.into_iter().filter(|(_, is_twice)| *is_twice);
    twice.map(|(name, _)| format!("the pool's `size` and `{name}` are both set: set one"))
}
