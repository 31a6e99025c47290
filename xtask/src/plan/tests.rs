use super::*;

fn names_of(steps: &[Step]) -> Vec<&'static str> {
    steps.iter().map(|step| step.name).collect()
}

#[test]
fn without_names_every_step_runs_with_the_tests_last() {
    let steps = test(&[]).unwrap();
    assert_eq!(
        names_of(&steps),
        [
            "fmt", "clippy", "doc", "ring", "features", "examples", "emulator", "cdk", "tests",
            "docker", "deploy", "doctests"
        ]
    );
}

#[test]
fn named_steps_run_in_the_order_of_the_plan() {
    let steps = test(&["tests".into(), "fmt".into()]).unwrap();
    assert_eq!(names_of(&steps), ["fmt", "tests"]);
}

#[test]
fn an_unknown_step_is_rejected_by_name() {
    let error = test(&["fmt".into(), "tset".into()]).unwrap_err();
    assert_eq!(error.to_string(), "there is no test step `tset`");
}

#[test]
fn containers_are_a_plan_of_their_own_with_a_static_suite_in_its_own_target_directory() {
    let steps = test(&["--containers".into()]).unwrap();
    assert_eq!(names_of(&steps), ["containers"]);
    let Action::CargoTests(call) = &steps[0].action else { panic!("not a step of tests") };
    assert_eq!(call.needs, Some(Tool::Podman));
    let (flags, value) = call.env[0];
    assert_eq!(value, "-C target-feature=+crt-static");
    // The flags apply to the named target only.
    let at =
        |name| call.args.iter().position(|arg| arg == name).map(|at| call.args[at + 1].as_str());
    let triple = at("--target").unwrap().to_uppercase().replace('-', "_");
    assert_eq!(flags, format!("CARGO_TARGET_{triple}_RUSTFLAGS"));
    assert_eq!(at("--target-dir"), Some("target/containers"));
    let suites = call.args.windows(2).filter(|pair| pair[0] == "--test").map(|pair| &pair[1]);
    assert_eq!(suites.collect::<Vec<_>>(), ["ecs", "images"]);
    for variable in ["FLAME_TEST_CONTAINERS", "FLAME_TEST_IMAGES"] {
        assert!(call.env.contains(&(variable, "1")), "{variable}");
    }
    assert!(call.args.iter().any(|arg| arg == "--locked"));
}

#[test]
fn localstack_runs_static_suites_through_its_script() {
    let steps = test(&["--localstack".into()]).unwrap();
    let [Step { action: Action::CargoTests(call), .. }] = steps.as_slice() else {
        panic!("not one step of tests: {steps:?}")
    };
    assert_eq!(call.needs, Some(Tool::LocalStack));
    let of_containers = test(&["--containers".into()]).unwrap();
    let Action::CargoTests(static_suite) = &of_containers[0].action else {
        panic!("not a step of tests")
    };
    assert_eq!(call.env[0], static_suite.env[0], "both plans have to share their artifacts");
    let (flags, _) = call.env[0];
    let (runner, script) = call.env[1];
    assert_eq!(runner, flags.replace("RUSTFLAGS", "RUNNER"));
    // Cargo runs a suite in the directory of its package.
    let script = script.split(' ').nth(1).unwrap();
    let tests = crate::cargo::root().join("tests");
    assert!(tests.join(script).is_file(), "{script}");
}

#[test]
fn a_plan_of_its_own_runs_only_when_it_is_the_only_argument() {
    for step in plans_of_their_own() {
        assert!(!names_of(&all_steps()).contains(&step.name));
        let option = format!("--{}", step.name);
        let error = test(&[option.clone(), "fmt".into()]).unwrap_err();
        let expected = format!("`{option}` can't be combined with other arguments");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn every_step_that_resolves_dependencies_is_locked() {
    for step in all_steps() {
        if let Action::Cargo(call)
        | Action::CargoTests(call)
        | Action::EngineTests(call)
        | Action::NodeTests { built: Some(call), .. } = step.action
        {
            let formats = call.args.first().is_some_and(|first| first == "fmt");
            assert!(formats || call.args.iter().any(|arg| arg == "--locked"), "{}", step.name);
        }
    }
}

#[test]
fn the_suites_run_on_an_engine_by_a_variable_and_not_by_copies() {
    let steps = test(&["docker".into()]).unwrap();
    let Action::EngineTests(call) = &steps[0].action else { panic!("not a step of an engine") };
    assert_eq!(call.env, [("FLAME_TEST_DOCKER", "1")]);
    for suite in ["calls", "conformance", "docker"] {
        let of_suite = |pair: &[String]| pair[0] == "--test" && pair[1] == suite;
        assert!(call.args.windows(2).any(of_suite), "{suite}: {:?}", call.args);
    }
}

#[test]
fn the_documentation_is_built_with_the_features_of_the_tests() {
    let steps = test(&["doc".into()]).unwrap();
    let Action::Cargo(call) = &steps[0].action else { panic!("not a cargo command") };
    assert!(call.args.iter().any(|arg| arg == "--examples"), "{:?}", call.args);
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
fn a_browser_is_installed_before_the_tests_run() {
    let steps = test(&["tests".into()]).unwrap();
    let Action::CargoTests(call) = &steps[0].action else { panic!("not a step of tests") };
    assert_eq!(call.needs, Some(Tool::Chromium));
}

#[test]
fn the_deployed_programs_are_built_from_the_artifacts_of_the_tests() {
    let steps = test(&["deploy".into()]).unwrap();
    let Action::NodeTests { built: Some(call), .. } = &steps[0].action else {
        panic!("nothing is built")
    };
    for needed in ["--workspace", "--bins", "--examples"] {
        assert!(call.args.iter().any(|arg| arg == needed), "{:?}", call.args);
    }
}

#[test]
fn every_step_of_node_is_a_script_of_the_package() {
    let package = std::fs::read_to_string(crate::cargo::root().join("cdk/package.json")).unwrap();
    for step in all_steps() {
        if let Action::NodeTests { script, .. } = step.action {
            assert!(package.contains(&format!("\"{script}\": ")), "{script}");
        }
    }
}

fn storm_of(arguments: &[&str]) -> Result<String, String> {
    let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
    let step = storm(&arguments).map_err(|error| error.to_string())?;
    let Action::CargoTests(call) = step.action else { panic!("not a step of tests") };
    assert!(call.args.iter().any(|arg| arg == "--locked"));
    Ok(call.args.join(" ").split_once(" -- ").unwrap().1.to_owned())
}

#[test]
fn a_storm_takes_a_minute_and_ten_thousand_calls_unless_its_options_say_otherwise() {
    assert_eq!(storm_of(&[]).unwrap(), "--seconds 60 --calls 10000");
    assert_eq!(storm_of(&["--seed", "7"]).unwrap(), "--seconds 60 --calls 10000 --seed 7");
    let all = ["--seed", "7", "--calls", "500", "--seconds", "5"];
    assert_eq!(storm_of(&all).unwrap(), "--seconds 5 --calls 500 --seed 7");
}

#[test]
fn one_storm_is_selected_by_its_name() {
    let storm = storm_of(&["relay", "--seed", "7"]).unwrap();
    assert_eq!(storm, "--exact relay --seconds 60 --calls 10000 --seed 7");
}

#[test]
fn a_storm_rejects_other_options() {
    for wrong in [&["--seed"][..], &["--seed", "x"], &["--second", "5"], &["--calls"]] {
        let error = storm_of(wrong).unwrap_err();
        assert!(error.contains(&format!("not `{}`", wrong.join(" "))), "{error}");
    }
    assert!(storm_of(&["relay", "cuts"]).unwrap_err().contains("not `cuts`"));
}

fn bench_commands(arguments: &[&str]) -> Vec<String> {
    let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
    let line = |step: Step| match step.action {
        Action::Cargo(call) => call.args[3..].join(" "),
        other => panic!("not a cargo command: {other:?}"),
    };
    bench(&arguments).into_iter().map(line).collect()
}

#[test]
fn bench_passes_its_arguments_on_with_and_without_the_separator() {
    for arguments in [&["--", "warm", "--quick"][..], &["warm", "--quick"]] {
        assert_eq!(bench_commands(arguments), ["flame-aws --bench flame -- warm --quick"]);
    }
}

#[test]
fn bench_without_names_measures_everything_and_aws_last() {
    assert_eq!(
        bench_commands(&["--quick"]),
        [
            "flame-aws --bench flame -- --quick",
            "flame-tests --bench strangers -- --quick",
            "flame-tests --bench aws -- --quick",
        ]
    );
}

#[test]
fn bench_measures_aws_if_it_is_named() {
    assert_eq!(bench_commands(&["aws"]), ["flame-tests --bench aws --"]);
    assert_eq!(
        bench_commands(&["aws", "boot"]),
        ["flame-aws --bench flame -- boot", "flame-tests --bench aws --"]
    );
    assert_eq!(bench_commands(&["strangers"]), ["flame-tests --bench strangers --"]);
}
