//! The plan of each command, as data. Nothing in this file runs anything.

use std::fmt;

use crate::tools::Tool;

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The name of the step in `cargo xtask test NAME`.
    pub(crate) name: &'static str,
    /// The fact that the step shows if it passes, for its heading.
    pub(crate) shows: &'static str,
    pub(crate) action: Action,
}

/// The action of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Runs cargo; the step fails when cargo does.
    Cargo(CargoCommand),
    /// Runs cargo several times; the step fails with the first failure.
    CargoEach(Vec<CargoCommand>),
    /// Runs tests with cargo. Counts the tests; the step fails if there are none.
    CargoTests(CargoCommand),
    /// The same, where there is a container engine. Elsewhere says how to get one, and passes.
    EngineTests(CargoCommand),
    /// Runs the tests of the AWS emulator, which are written in Python.
    EmulatorTests,
    /// Runs tests of the CDK constructs, by a script of `cdk/package.json`. They need what the
    /// command builds.
    NodeTests { script: &'static str, built: Option<CargoCommand> },
    /// Fails if the package is anywhere in the workspace's dependency tree.
    Forbid { package: &'static str },
}

/// One invocation of cargo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CargoCommand {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(&'static str, &'static str)>,
    /// A tool that the command needs and that a machine may lack.
    pub(crate) needs: Option<Tool>,
}

impl CargoCommand {
    fn new(args: &str) -> Self {
        Self { args: args.split_whitespace().map(str::to_owned).collect(), ..Self::default() }
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    fn needs(mut self, tool: Tool) -> Self {
        self.needs = Some(tool);
        self
    }
}

/// Arguments that are not a plan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PlanError {
    /// There is no step of that name.
    UnknownStep(String),
    /// An option that is a plan of its own was combined with other arguments.
    NotAlone(&'static str),
    /// The storm has no such option, or the option's value is not a number.
    StormOption(String),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownStep(name) => write!(f, "there is no test step `{name}`"),
            Self::NotAlone(name) => write!(f, "`--{name}` can't be combined with other arguments"),
            Self::StormOption(option) => {
                write!(
                    f,
                    "`storm` takes the name of a storm, and `--seconds N`, `--calls N` and \
                     `--seed S` with whole numbers, not `{option}`"
                )
            }
        }
    }
}

/// Returns the plan of `cargo xtask test`: quick and likely failures come first, the tests last.
///
/// With names of steps, the plan has only those steps, in the same order. `--containers` and
/// `--localstack` are plans of their own, since they need more than every machine can have.
pub(crate) fn test(only: &[String]) -> Result<Vec<Step>, PlanError> {
    let is_meant = |step: &Step| only.iter().any(|it| it.strip_prefix("--") == Some(step.name));
    if let Some(step) = plans_of_their_own().into_iter().find(is_meant) {
        return if only.len() == 1 { Ok(vec![step]) } else { Err(PlanError::NotAlone(step.name)) };
    }
    let all = all_steps();
    if let Some(name) = only.iter().find(|name| all.iter().all(|step| step.name != name.as_str())) {
        return Err(PlanError::UnknownStep(name.clone()));
    }
    let wanted = |step: &Step| only.is_empty() || only.iter().any(|name| name == step.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// Returns the names of the test's steps, for the usage.
pub(crate) fn names() -> String {
    all_steps().iter().map(|step| step.name).collect::<Vec<_>>().join(", ")
}

/// The groups of figures that need the harness of the tests. Each has a benchmark of its own.
const OF_THE_TESTS: [Group; 2] = [
    Group { name: "strangers", shows: "the time of calls while strangers connect" },
    Group { name: "aws", shows: "the cost of runners on emulated AWS, beside the emulator's own" },
];

/// Figures that are measured together.
struct Group {
    name: &'static str,
    shows: &'static str,
}

/// Returns the plan of `cargo xtask bench`, for the named groups or for all. Ignores a leading
/// `--`.
///
/// The groups of the tests come last: they add their figures to the file that the other benchmark
/// writes.
pub(crate) fn bench(arguments: &[String]) -> Vec<Step> {
    let arguments = match arguments.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => arguments,
    };
    let (options, groups): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    let of_the_tests = |name: &str| OF_THE_TESTS.iter().any(|group| group.name == name);
    let others: Vec<_> = groups.iter().copied().filter(|name| !of_the_tests(name)).collect();

    let mut steps = Vec::new();
    if groups.is_empty() || !others.is_empty() {
        let mut call = CargoCommand::new("bench --locked --package flame-aws --bench flame --");
        call.args.extend(others.iter().chain(&options).map(|argument| (*argument).clone()));
        let shows = "the cost of a call, beside its baseline";
        steps.push(Step { name: "bench", shows, action: Action::Cargo(call) });
    }
    for Group { name, shows } in OF_THE_TESTS {
        if groups.is_empty() || groups.iter().any(|group| *group == name) {
            let command = format!("bench --locked --package flame-tests --bench {name} --");
            let mut call = CargoCommand::new(&command);
            call.args.extend(options.iter().map(|argument| (*argument).clone()));
            steps.push(Step { name, shows, action: Action::Cargo(call) });
        }
    }
    steps
}

/// How long each storm lasts by default.
const STORM_SECONDS: &str = "60";
/// How many calls the storm around a relay makes by default, and how many strangers there are.
const STORM_CALLS: &str = "10000";

/// Returns the plan of `cargo xtask storm`: the suite `storm`, or one storm of it, for longer than
/// in the test.
pub(crate) fn storm(arguments: &[String]) -> Result<Step, PlanError> {
    let (name, pairs) = match arguments.split_first() {
        Some((name, rest)) if !name.starts_with('-') => (Some(name), rest),
        _ => (None, arguments),
    };
    let mut options = vec!["--seconds", STORM_SECONDS, "--calls", STORM_CALLS];
    for pair in pairs.chunks(2) {
        match pair {
            [name, number] if number.parse::<u64>().is_ok() => match name.as_str() {
                "--seconds" => options[1] = number,
                "--calls" => options[3] = number,
                "--seed" => options.extend(["--seed", number]),
                _ => return Err(PlanError::StormOption(pair.join(" "))),
            },
            _ => return Err(PlanError::StormOption(pair.join(" "))),
        }
    }
    // Selecting the whole workspace reuses the artifacts of the test.
    let mut call = CargoCommand::new("test --workspace --locked --test storm --");
    if let Some(name) = name {
        // Exactly: a name may be part of another one.
        call.args.extend(["--exact".to_owned(), name.clone()]);
    }
    call.args.extend(options.into_iter().map(str::to_owned));
    let shows = "under stress every call is answered once, and nothing is left over";
    // The step fails if there is no storm of that name.
    Ok(Step { name: "storm", shows, action: Action::CargoTests(call) })
}

/// The plans that are selected by `--` and the step's name.
fn plans_of_their_own() -> [Step; 2] {
    [containers(), localstack()]
}

/// The ECS suite, with tasks in podman containers, and the suite of the images in `cdk/images/`.
fn containers() -> Step {
    let suites = suites_in_images("--no-fail-fast --test ecs --test images");
    let suites = suites.env("FLAME_TEST_CONTAINERS", "1").env("FLAME_TEST_IMAGES", "1");
    Step {
        name: "containers",
        shows: "the ECS suite passes with tasks in real containers, and the images of the CDK work",
        action: Action::CargoTests(suites.needs(Tool::Podman)),
    }
}

/// Both AWS suites, against LocalStack. Cargo runs each suite through a script that starts
/// LocalStack.
fn localstack() -> Step {
    let suites = suites_in_images("--no-fail-fast --test ecs --test lambda").env(
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
        "python3 ../localstack/with_localstack.py run",
    );
    Step {
        name: "localstack",
        shows: "the AWS suites pass against LocalStack",
        action: Action::CargoTests(suites.needs(Tool::LocalStack)),
    }
}

/// Builds suites for images. The images have no libc, so the suites have to be static. `--target`
/// keeps the flag away from macros and build scripts, which can't be static. Another target
/// directory keeps the other steps' artifacts valid.
fn suites_in_images(suites: &str) -> CargoCommand {
    let call = CargoCommand::new(&format!(
        "test --locked --package flame-tests {suites} --target x86_64-unknown-linux-gnu \
         --target-dir target/containers"
    ));
    call.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
}

fn all_steps() -> Vec<Step> {
    let fmt = CargoCommand::new("fmt --all --check").needs(Tool::Rustfmt);
    let clippy = CargoCommand::new("clippy --workspace --all-targets --locked -- -D warnings")
        .needs(Tool::Clippy);
    // With --examples cargo resolves features as for clippy and the tests. Without it, the features
    // of dev-dependencies are off, and every crate that depends on tokio is checked once more.
    let doc = CargoCommand::new("doc --workspace --no-deps --locked --lib --bins --examples")
        .env("RUSTDOCFLAGS", "-D warnings");
    // Every other step builds with all features, since the workspace's tests enable them.
    let features =
        ["", "cloudwatch", "code-s3", "dashboard", "docker", "ecs", "fly", "lambda", "metrics"];
    let features = features.map(|features| {
        CargoCommand::new(&format!("check --package flame-aws --locked --features={features}"))
    });
    let examples = CargoCommand::new("build --workspace --examples --locked");
    // `--all-targets` would also run the benchmarks. The clippy step has already checked them.
    let deployed = CargoCommand::new("build --workspace --locked --bins --examples");
    let tests = CargoCommand::new(
        "test --workspace --locked --no-fail-fast --lib --bins --tests --examples",
    )
    .needs(Tool::Chromium);
    // The same suites as above, with containers in place of child processes.
    let docker = CargoCommand::new(
        "test --workspace --locked --no-fail-fast --test calls --test conformance --test docker",
    )
    .env("FLAME_TEST_DOCKER", "1");
    let doctests = CargoCommand::new("test --workspace --locked --no-fail-fast --doc");
    vec![
        Step { name: "fmt", shows: "the code is formatted", action: Action::Cargo(fmt) },
        Step { name: "clippy", shows: "clippy has no warning", action: Action::Cargo(clippy) },
        Step {
            name: "doc",
            shows: "the documentation builds without warnings",
            action: Action::Cargo(doc),
        },
        Step {
            name: "ring",
            shows: "`ring`, a second cryptography library, is not in the tree",
            action: Action::Forbid { package: "ring" },
        },
        Step {
            name: "features",
            shows: "flame-aws builds without features and with each feature alone",
            action: Action::CargoEach(features.into()),
        },
        Step { name: "examples", shows: "the examples build", action: Action::Cargo(examples) },
        Step {
            name: "emulator",
            shows: "the AWS emulator does what the suites rely on",
            action: Action::EmulatorTests,
        },
        Step {
            name: "cdk",
            shows: "the CDK constructs are checked and tested",
            action: Action::NodeTests { script: "test", built: None },
        },
        Step {
            name: "tests",
            shows: "unit, property, integration and compile-fail tests pass",
            action: Action::CargoTests(tests),
        },
        Step {
            name: "docker",
            shows: "calls, the conformance suite and faults pass on containers of an engine",
            action: Action::EngineTests(docker),
        },
        Step {
            name: "deploy",
            shows: "the CDK examples are deployed into the AWS emulator, and calls work there",
            action: Action::NodeTests { script: "test:emulator", built: Some(deployed) },
        },
        Step {
            name: "doctests",
            shows: "the examples in the documentation pass",
            action: Action::CargoTests(doctests),
        },
    ]
}

#[cfg(test)]
mod tests;
