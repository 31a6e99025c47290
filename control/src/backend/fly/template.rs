//! What all machines of a pool have in common, and the machine of one runner: pure.

use std::collections::HashSet;
use std::time::Duration;

use flame_runner_shim::host;
use flame_runner_shim::host::fly::machine_name;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::FlameParent;
use serde_json::{Map, Value, json};

use super::builder::FlyBuilder;
use super::guest;
use crate::backend::options::{command_problem, env_problems};
use crate::backend::owner::Owner;
use crate::backend::times::stop_seconds;

/// Keys that begin with these are the backend's own, or Fly's.
const OWN_KEYS: [&str; 2] = ["flame_", "fly_"];
/// Fly waits no longer than this between the two signals.
/// Source: <https://fly.io/docs/blueprints/long-running-tasks/>.
const LONGEST_STOP: u64 = 300;

/// The metadata key for a tag: keys are parts of Fly's DNS names, which have no colon.
pub(super) fn key(tag: &str) -> String {
    tag.replace([':', '-'], "_")
}

/// See the [module](self).
#[derive(Clone)]
pub(super) struct Template {
    image: String,
    region: Option<String>,
    /// The time from SIGTERM to SIGKILL if somebody stops a machine, in seconds.
    stop_timeout: u64,
    options: FlyBuilder,
}

impl Template {
    pub(super) fn new(
        options: &FlyBuilder,
        image: String,
        region: Option<String>,
        shutdown_timeout: Duration,
    ) -> Self {
        let stop_timeout = stop_seconds(shutdown_timeout).min(LONGEST_STOP);
        Self { image, region, stop_timeout, options: options.clone() }
    }

    /// The request that creates the machine of one runner. FLAME_PARENT is in its environment.
    pub(super) fn machine(
        &self,
        owner: &Owner,
        runner: RunnerRef,
        ends_by: Option<i64>,
        flame_parent: &str,
    ) -> Value {
        let options = &self.options;
        let texts = |pairs: &[(String, String)]| -> Map<String, Value> {
            pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
        };
        let mut env = texts(&options.env);
        env.insert(FlameParent::ENV.to_owned(), json!(flame_parent));
        env.insert(host::STOP_TIMEOUT_ENV.to_owned(), json!(self.stop_timeout.to_string()));
        let mut metadata = texts(&options.metadata);
        metadata.extend(owner.tags(runner, ends_by).map(|(tag, value)| (key(tag), json!(value))));
        let mut config = json!({
            "image": self.image,
            "env": env,
            "metadata": metadata,
            "auto_destroy": true,
            "restart": { "policy": "no" },
            "services": [],
            "stop_config": { "signal": "SIGTERM", "timeout": format!("{}s", self.stop_timeout) },
        });
        let mut request = json!({ "name": machine_name(runner) });
        let set = |to: &mut Value, name: &str, value: Option<Value>| {
            if let (Some(to), Some(value)) = (to.as_object_mut(), value) {
                to.insert(name.to_owned(), value);
            }
        };
        set(&mut config, "guest", guest::guest(options));
        set(&mut config, "init", options.command.as_ref().map(|cmd| json!({ "cmd": cmd })));
        set(&mut request, "region", self.region.as_ref().map(|region| json!(region)));
        set(&mut request, "config", Some(config));
        request
    }
}

/// What is wrong with the options, beside the size.
pub(super) fn problems(options: &FlyBuilder) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(command_problem(options.command.as_deref()));
    problems.extend(env_problems(&options.env));
    let mut keys = HashSet::new();
    for (key, _) in &options.metadata {
        if key.is_empty() || OWN_KEYS.iter().any(|own| key.starts_with(own)) {
            problems.push(format!(
                "`metadata` has the key `{key}`: a key is not empty, and begins with neither \
                 `flame_` nor `fly_`"
            ));
        } else if !keys.insert(key) {
            problems.push(format!("`metadata` sets `{key}` twice: leave one out"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNER: RunnerRef = RunnerRef::from_bytes([7; 16]);

    fn owner() -> Owner {
        let (pool, parent) = ("thumbs".to_owned(), "p-1".to_owned());
        Owner { pool, parent, place: Some("app:148ed1/".to_owned()) }
    }

    fn machine(options: &FlyBuilder, shutdown: Duration, ends_by: Option<i64>) -> Value {
        let template = Template::new(options, "image:1".to_owned(), None, shutdown);
        template.machine(&owner(), RUNNER, ends_by, "flame1.x")
    }

    #[test]
    fn a_machine_is_destroyed_when_its_runner_exits_and_nobody_routes_to_it() {
        let request = machine(&FlyBuilder::default(), Duration::from_secs(30), None);
        assert_eq!(request["name"], format!("flame-f-{}", "07".repeat(16)));
        assert_eq!(request.get("region"), None, "Fly chooses");
        let config = &request["config"];
        assert_eq!(config["auto_destroy"], true);
        assert_eq!(config["restart"]["policy"], "no");
        assert_eq!(config["services"], json!([]));
        assert_eq!(config["image"], "image:1");
        assert_eq!((config.get("guest"), config.get("init")), (None, None));
        assert_eq!(config["env"]["FLAME_PARENT"], "flame1.x");
    }

    #[test]
    fn a_machine_tells_whose_it_is() {
        let options = FlyBuilder::default().metadata("team", "a").env("ROLE", "runner");
        let request = machine(&options, Duration::ZERO, Some(99));
        let metadata = json!({
            "flame_pool": "thumbs", "flame_runner": RUNNER.to_string(), "flame_parent": "p-1",
            "flame_parent_place": "app:148ed1/", "flame_ends_by": "99", "team": "a",
        });
        assert_eq!(request["config"]["metadata"], metadata);
        assert_eq!(request["config"]["env"]["ROLE"], "runner");
    }

    #[test]
    fn a_runner_has_its_shutdown_window_between_the_signals() {
        for (shutdown, seconds) in [(30_000, 35), (100, 6), (600_000, 300)] {
            let request = machine(&FlyBuilder::default(), Duration::from_millis(shutdown), None);
            let stop = json!({ "signal": "SIGTERM", "timeout": format!("{seconds}s") });
            assert_eq!(request["config"]["stop_config"], stop);
            assert_eq!(request["config"]["env"]["FLAME_STOP_TIMEOUT"], seconds.to_string());
        }
    }

    #[test]
    fn options_that_no_machine_can_have_are_problems() {
        assert_eq!(problems(&FlyBuilder::default().env("A", "").metadata("a", "")), [""; 0]);
        for (options, text) in [
            (FlyBuilder::default().env("", "x"), "no variable can have"),
            (FlyBuilder::default().env("FLAME_PARENT", "x"), "the pool sets itself"),
            (FlyBuilder::default().command([""; 0]), "no words"),
            (FlyBuilder::default().metadata("flame_pool", "x"), "flame_"),
            (FlyBuilder::default().metadata("a", "1").metadata("a", "2"), "twice"),
        ] {
            assert!(problems(&options).join(" ").contains(text), "{text}");
        }
    }
}
