//! What each command does, as data: nothing here runs anything.

use std::fmt;

use crate::tools::Tool;

/// One step of a plan: a name to call it by, a sentence for its heading, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// What `cargo xtask test NAME` runs.
    pub(crate) name: &'static str,
    /// What the step shows, in words.
    pub(crate) shows: &'static str,
    pub(crate) action: Action,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Runs cargo; the step fails when cargo does.
    Cargo(CargoCall),
    /// Runs cargo several times; the step fails with the first that does.
    CargoEach(Vec<CargoCall>),
    /// Runs cargo on tests: the `test result:` lines are counted, and no test at all is a failure.
    CargoTests(CargoCall),
    /// Runs the tests of the emulator of AWS, which are Python's.
    EmulatorTests,
    /// Fails when the package is anywhere in the workspace's dependency tree.
    Forbid { package: &'static str },
}

/// One call of cargo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CargoCall {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(&'static str, &'static str)>,
    /// What the call needs, and a machine may lack.
    pub(crate) needs: Option<Tool>,
}

impl CargoCall {
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

/// Arguments of the test that make no plan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlan {
    /// A step was asked for that no plan has.
    UnknownStep(String),
    /// A step that is a plan of its own was asked for beside something else.
    NotAlone(&'static str),
    /// The storm has no such option, or it has no number.
    NoStorm(String),
}

impl fmt::Display for NoPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownStep(name) => write!(f, "the test has no step `{name}`"),
            Self::NotAlone(name) => write!(f, "`--{name}` takes no steps: it is one by itself"),
            Self::NoStorm(wrong) => {
                write!(f, "storm takes `--seconds N` and `--seed S`, whole numbers, not `{wrong}`")
            }
        }
    }
}

/// The plan of `cargo xtask test`: the quick and likely failures first, the tests last.
///
/// With names, only the steps named, still in the plan's order. With `--containers` or
/// `--localstack` another plan, which nothing else has a part of: it needs more than a machine
/// should have to have.
pub(crate) fn test(only: &[String]) -> Result<Vec<Step>, NoPlan> {
    let is_meant = |step: &Step| only.iter().any(|it| it.strip_prefix("--") == Some(step.name));
    if let Some(step) = plans_of_their_own().into_iter().find(is_meant) {
        return if only.len() == 1 { Ok(vec![step]) } else { Err(NoPlan::NotAlone(step.name)) };
    }
    let all = all_steps();
    if let Some(name) = only.iter().find(|name| all.iter().all(|step| step.name != name.as_str())) {
        return Err(NoPlan::UnknownStep(name.clone()));
    }
    let wanted = |step: &Step| only.is_empty() || only.iter().any(|name| name == step.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// The names of the test's steps, in order, for the help.
pub(crate) fn names() -> String {
    all_steps().iter().map(|step| step.name).collect::<Vec<_>>().join(", ")
}

/// The group of figures that needs the emulator of AWS, and has a benchmark of its own.
const AWS: &str = "aws";

/// The plan of `cargo xtask bench`; a leading `--` only separates the arguments from ours.
///
/// With names of groups, only those named. AWS comes last: it adds its figures to the file that the
/// other writes anew.
pub(crate) fn bench(arguments: &[String]) -> Vec<Step> {
    let arguments = match arguments.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => arguments,
    };
    let (options, groups): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    let others: Vec<_> = groups.iter().copied().filter(|group| *group != AWS).collect();

    let mut steps = Vec::new();
    if groups.is_empty() || !others.is_empty() {
        let mut call = CargoCall::new("bench --locked --package flame-aws --bench flame --");
        call.args.extend(others.iter().chain(&options).map(|argument| (*argument).clone()));
        let shows = "each figure beside its floor";
        steps.push(Step { name: "bench", shows, action: Action::Cargo(call) });
    }
    if groups.is_empty() || others.len() < groups.len() {
        let mut call = CargoCall::new("bench --locked --package flame-tests --bench aws --");
        call.args.extend(options.iter().map(|argument| (*argument).clone()));
        let shows = "runners on AWS, emulated, beside the emulator's own";
        steps.push(Step { name: AWS, shows, action: Action::Cargo(call) });
    }
    steps
}

/// How long each storm rages where nothing is said.
const STORM_SECONDS: &str = "60";

/// The plan of `cargo xtask storm`: the suite `storm`, which the test runs for seconds, for as long
/// as one likes.
pub(crate) fn storm(arguments: &[String]) -> Result<Step, NoPlan> {
    let mut options = vec!["--seconds", STORM_SECONDS];
    for pair in arguments.chunks(2) {
        match pair {
            [name, number] if number.parse::<u64>().is_ok() => match name.as_str() {
                "--seconds" => options[1] = number,
                "--seed" => options.extend(["--seed", number]),
                _ => return Err(NoPlan::NoStorm(pair.join(" "))),
            },
            _ => return Err(NoPlan::NoStorm(pair.join(" "))),
        }
    }
    // The whole workspace, so that what the test has built serves here, too.
    let mut call = CargoCall::new("test --workspace --locked --test storm --");
    call.args.extend(options.into_iter().map(str::to_owned));
    let shows = "calls under storms are answered once, and nothing is left over";
    Ok(Step { name: "storm", shows, action: Action::Cargo(call) })
}

/// Each is asked for by `--` and its name.
fn plans_of_their_own() -> [Step; 2] {
    [containers(), localstack()]
}

/// The ECS suite in containers of podman.
fn containers() -> Step {
    let suite = suites_in_images("--test ecs").env("FLAME_TEST_CONTAINERS", "1");
    Step {
        name: "containers",
        shows: "the ECS suite, with tasks that are real containers",
        action: Action::CargoTests(suite.needs(Tool::Podman)),
    }
}

/// Both suites on AWS against LocalStack. Cargo hands each to a script that has one up meanwhile.
fn localstack() -> Step {
    let suites = suites_in_images("--no-fail-fast --test ecs --test lambda")
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "python3 ../localstack/with_localstack.py run");
    Step {
        name: "localstack",
        shows: "the suites on AWS, against a real LocalStack",
        action: Action::CargoTests(suites.needs(Tool::LocalStack)),
    }
}

/// Suites of which images are made. There is no libc in these, so the suites must be static; with
/// `--target` that does not hold for macros and build scripts, which could not be. Flags of their
/// own need a folder of their own, or each step would build all that another has built.
fn suites_in_images(suites: &str) -> CargoCall {
    let call = CargoCall::new(&format!(
        "test --locked --package flame-tests {suites} --target x86_64-unknown-linux-gnu \
         --target-dir target/containers"
    ));
    call.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
}

fn all_steps() -> Vec<Step> {
    let fmt = CargoCall::new("fmt --all --check").needs(Tool::Rustfmt);
    let clippy = CargoCall::new("clippy --workspace --all-targets --locked -- -D warnings")
        .needs(Tool::Clippy);
    let doc =
        CargoCall::new("doc --workspace --no-deps --locked").env("RUSTDOCFLAGS", "-D warnings");
    // All other steps build with all features, since the tests of the workspace ask for them.
    let features = ["", " --features ecs", " --features lambda"]
        .map(|features| CargoCall::new(&format!("check --package flame-aws --locked{features}")));
    let examples = CargoCall::new("build --workspace --examples --locked");
    // Not --all-targets: that would run the benchmarks too. Clippy has compiled them by now.
    let tests =
        CargoCall::new("test --workspace --locked --no-fail-fast --lib --bins --tests --examples")
            .needs(Tool::Chromium);
    let doctests = CargoCall::new("test --workspace --locked --no-fail-fast --doc");
    vec![
        Step { name: "fmt", shows: "the code is formatted", action: Action::Cargo(fmt) },
        Step { name: "clippy", shows: "no lint warns", action: Action::Cargo(clippy) },
        Step { name: "doc", shows: "the documentation builds clean", action: Action::Cargo(doc) },
        Step {
            name: "ring",
            shows: "one cryptography in the tree: `ring` is not",
            action: Action::Forbid { package: "ring" },
        },
        Step {
            name: "features",
            shows: "the crate builds without features, and with each alone",
            action: Action::CargoEach(features.to_vec()),
        },
        Step { name: "examples", shows: "the examples build", action: Action::Cargo(examples) },
        Step {
            name: "emulator",
            shows: "the emulator of AWS does what the suites rely on",
            action: Action::EmulatorTests,
        },
        Step {
            name: "tests",
            shows: "unit, property, integration and compile-fail tests",
            action: Action::CargoTests(tests),
        },
        Step {
            name: "doctests",
            shows: "the examples in the documentation",
            action: Action::CargoTests(doctests),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(steps: &[Step]) -> Vec<&'static str> {
        steps.iter().map(|step| step.name).collect()
    }

    #[test]
    fn without_names_the_whole_plan_is_run_with_the_tests_last() {
        let steps = test(&[]).unwrap();
        assert_eq!(
            names_of(&steps),
            [
                "fmt", "clippy", "doc", "ring", "features", "examples", "emulator", "tests",
                "doctests"
            ]
        );
    }

    #[test]
    fn named_steps_are_run_in_the_order_of_the_plan() {
        let steps = test(&["tests".into(), "fmt".into()]).unwrap();
        assert_eq!(names_of(&steps), ["fmt", "tests"]);
    }

    #[test]
    fn an_unknown_step_is_refused_by_name() {
        let error = test(&["fmt".into(), "tset".into()]).unwrap_err();
        assert_eq!(error.to_string(), "the test has no step `tset`");
    }

    #[test]
    fn containers_are_a_plan_of_their_own_with_a_static_suite_in_a_folder_of_its_own() {
        let steps = test(&["--containers".into()]).unwrap();
        assert_eq!(names_of(&steps), ["containers"]);
        let Action::CargoTests(call) = &steps[0].action else { panic!("tests, that are counted") };
        assert_eq!(call.needs, Some(Tool::Podman));
        let (flags, value) = call.env[0];
        assert_eq!(value, "-C target-feature=+crt-static");
        // The flags are for the target that is named, and for no other.
        let at = |name| {
            call.args.iter().position(|arg| arg == name).map(|at| call.args[at + 1].as_str())
        };
        let triple = at("--target").unwrap().to_uppercase().replace('-', "_");
        assert_eq!(flags, format!("CARGO_TARGET_{triple}_RUSTFLAGS"));
        assert_eq!(at("--target-dir"), Some("target/containers"));
        assert_eq!(at("--test"), Some("ecs"));
        assert!(call.env.contains(&("FLAME_TEST_CONTAINERS", "1")));
        assert!(call.args.iter().any(|arg| arg == "--locked"));
    }

    #[test]
    fn localstack_runs_the_same_suites_static_and_through_its_script() {
        let steps = test(&["--localstack".into()]).unwrap();
        let [Step { action: Action::CargoTests(call), .. }] = steps.as_slice() else {
            panic!("one step of tests, not {steps:?}")
        };
        assert_eq!(call.needs, Some(Tool::LocalStack));
        let of_containers = test(&["--containers".into()]).unwrap();
        let Action::CargoTests(static_suite) = &of_containers[0].action else { panic!("tests") };
        assert_eq!(call.env[0], static_suite.env[0], "built alike, in the same folder");
        let (flags, _) = call.env[0];
        let (runner, script) = call.env[1];
        assert_eq!(runner, flags.replace("RUSTFLAGS", "RUNNER"));
        // Cargo runs a suite in the folder of its package.
        let script = script.split(' ').nth(1).unwrap();
        let tests = crate::cargo::root().join("tests");
        assert!(tests.join(script).is_file(), "{script}");
    }

    #[test]
    fn nothing_runs_a_plan_of_its_own_that_does_not_ask_for_it_alone() {
        for step in plans_of_their_own() {
            assert!(!names_of(&all_steps()).contains(&step.name));
            let option = format!("--{}", step.name);
            let error = test(&[option.clone(), "fmt".into()]).unwrap_err();
            let told = format!("`{option}` takes no steps: it is one by itself");
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn every_step_that_resolves_dependencies_is_locked() {
        for step in all_steps() {
            if let Action::Cargo(call) | Action::CargoTests(call) = step.action {
                let formats = call.args.first().is_some_and(|first| first == "fmt");
                assert!(formats || call.args.iter().any(|arg| arg == "--locked"), "{}", step.name);
            }
        }
    }

    #[test]
    fn no_step_runs_the_benchmarks() {
        for step in all_steps() {
            if let Action::CargoTests(call) = step.action {
                assert!(!call.args.iter().any(|arg| arg == "--all-targets" || arg == "--benches"));
            }
        }
    }

    #[test]
    fn the_tests_have_a_browser_before_they_are_run() {
        let steps = test(&["tests".into()]).unwrap();
        let Action::CargoTests(call) = &steps[0].action else { panic!("tests, that are counted") };
        assert_eq!(call.needs, Some(Tool::Chromium));
    }

    fn storm_of(arguments: &[&str]) -> Result<String, String> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let step = storm(&arguments).map_err(|error| error.to_string())?;
        let Action::Cargo(call) = step.action else { panic!("one call of cargo") };
        assert!(call.args.iter().any(|arg| arg == "--locked"));
        Ok(call.args.join(" ").split_once(" -- ").unwrap().1.to_owned())
    }

    #[test]
    fn a_storm_rages_for_a_minute_or_as_long_as_is_asked_with_the_seed_that_is_asked() {
        assert_eq!(storm_of(&[]).unwrap(), "--seconds 60");
        assert_eq!(storm_of(&["--seed", "7"]).unwrap(), "--seconds 60 --seed 7");
        let all = ["--seed", "7", "--seconds", "5"];
        assert_eq!(storm_of(&all).unwrap(), "--seconds 5 --seed 7");
    }

    #[test]
    fn a_storm_with_other_options_is_refused() {
        for wrong in [&["--seed"][..], &["--seed", "x"], &["--second", "5"], &["5"]] {
            let error = storm_of(wrong).unwrap_err();
            assert!(error.contains(&format!("not `{}`", wrong.join(" "))), "{error}");
        }
    }

    fn calls_of_bench(arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let line = |step: Step| match step.action {
            Action::Cargo(call) => call.args[3..].join(" "),
            other => panic!("a cargo call, not {other:?}"),
        };
        bench(&arguments).into_iter().map(line).collect()
    }

    #[test]
    fn bench_hands_its_arguments_on_with_and_without_the_separator() {
        for arguments in [&["--", "warm", "--quick"][..], &["warm", "--quick"]] {
            assert_eq!(calls_of_bench(arguments), ["flame-aws --bench flame -- warm --quick"]);
        }
    }

    #[test]
    fn bench_without_names_measures_all_and_aws_last() {
        assert_eq!(
            calls_of_bench(&["--quick"]),
            ["flame-aws --bench flame -- --quick", "flame-tests --bench aws -- --quick"]
        );
    }

    #[test]
    fn bench_measures_aws_alone_or_beside_others_where_it_is_named() {
        assert_eq!(calls_of_bench(&["aws"]), ["flame-tests --bench aws --"]);
        assert_eq!(
            calls_of_bench(&["aws", "boot"]),
            ["flame-aws --bench flame -- boot", "flame-tests --bench aws --"]
        );
    }
}
