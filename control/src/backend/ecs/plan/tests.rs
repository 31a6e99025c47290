use super::super::Ecs;
use super::*;

const WINDOW: Duration = Duration::from_secs(30);

fn settings(variables: &[(&str, &str)]) -> Settings {
    let variable = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Settings::read("ecs", NAMES, variable).unwrap()
}

fn home() -> Home {
    Home {
        cluster: "home-cluster".to_owned(),
        task: "arn:aws:ecs:eu-central-1:1:task/home-cluster/1".to_owned(),
        task_definition: "app:26".to_owned(),
        container: Some("web".to_owned()),
        subnets: vec!["subnet-home".to_owned()],
    }
}

fn built() -> EcsBuilder {
    Ecs::builder().cluster("main").task_definition("app:7").container("app").subnets(["subnet-1"])
}

fn resolve(builder: &EcsBuilder, settings: &Settings, home: Option<&Home>) -> Result<Plan, String> {
    let mut wrong = Vec::new();
    let plan = Plan::resolve(builder, settings, home, &mut wrong);
    refusal(wrong).map(|()| plan).map_err(|error| error.to_string())
}

fn resolved(builder: EcsBuilder) -> Result<Plan, String> {
    resolve(&builder, &settings(&[]), None)
}

fn fit(
    mut plan: Plan,
    definition: Option<&Definition>,
    shutdown: Duration,
) -> Result<Plan, String> {
    let mut wrong = Vec::new();
    plan.fit(definition, shutdown, &mut wrong);
    refusal(wrong).map(|()| plan).map_err(|error| error.to_string())
}

fn definition() -> Definition {
    Definition {
        family: "app".to_owned(),
        active: true,
        network_mode: "awsvpc".to_owned(),
        fargate: Some(true),
        cpu: Some(512),
        memory: Some(1_024),
        containers: vec![ContainerDefinition { name: "app".to_owned(), ..Default::default() }],
    }
}

fn fitted(builder: EcsBuilder, definition: &Definition) -> Result<Plan, String> {
    fit(resolved(builder)?, Some(definition), WINDOW)
}

#[test]
fn all_that_is_missing_is_named_at_once_with_every_place_to_set_it() {
    let error = resolved(Ecs::builder()).err().unwrap();
    for name in ["CLUSTER", "TASK_DEFINITION", "SUBNETS"] {
        assert!(error.contains(&format!("FLAME_ECS_{name}")), "{error}");
    }
    assert!(error.contains("`ecs.taskDefinition` in FLAME_AWS"), "{error}");
    assert!(error.contains("`.subnets(..)`"), "{error}");
}

#[test]
fn the_builder_goes_before_the_environment_and_that_before_the_parents_own_task() {
    let settings = settings(&[
        ("FLAME_ECS_CLUSTER", "of-the-environment"),
        ("FLAME_AWS", r#"{"ecs": {"cluster": "x", "subnets": ["subnet-2", "subnet-3"]}}"#),
    ]);
    let plan = resolve(&Ecs::builder(), &settings, Some(&home())).unwrap();
    assert_eq!(plan.cluster, "of-the-environment");
    assert_eq!((plan.task_definition.as_str(), plan.container.as_str()), ("app:26", "web"));
    assert_eq!(plan.subnets, ["subnet-2", "subnet-3"]);
    let plan = resolve(&built(), &settings, Some(&home())).unwrap();
    assert_eq!((plan.cluster.as_str(), plan.subnets), ("main", vec!["subnet-1".to_owned()]));
}

#[test]
fn a_parent_on_ecs_needs_to_set_nothing() {
    let plan = resolve(&Ecs::builder(), &settings(&[]), Some(&home())).unwrap();
    assert_eq!((plan.cluster.as_str(), plan.task_definition.as_str()), ("home-cluster", "app:26"));
    assert_eq!((plan.container.as_str(), plan.subnets), ("web", vec!["subnet-home".to_owned()]));
    // Where it may not be asked what its subnet is.
    let unseen = Home { subnets: Vec::new(), ..home() };
    let refused = resolve(&Ecs::builder(), &settings(&[]), Some(&unseen));
    let error = refused.err().unwrap();
    assert!(error.contains("FLAME_ECS_SUBNETS") && error.contains("ecs:DescribeTasks"), "{error}");
}

#[test]
fn the_parents_container_is_the_default_only_for_the_parents_task_definition() {
    let settings =
        settings(&[("FLAME_ECS_TASK_DEFINITION", "worker:1"), ("FLAME_ECS_SUBNETS", "s")]);
    let plan = resolve(&Ecs::builder(), &settings, Some(&home())).unwrap();
    assert_eq!(plan.container, "");
}

#[test]
fn every_setting_can_come_from_the_environment() {
    let settings = settings(&[
        ("FLAME_ECS_CLUSTER", "main"),
        ("FLAME_ECS_TASK_DEFINITION", "app"),
        ("FLAME_ECS_CONTAINER", "app"),
        ("FLAME_ECS_SUBNETS", "subnet-1,subnet-2"),
        ("FLAME_ECS_SECURITY_GROUPS", "sg-1"),
        ("FLAME_ECS_ASSIGN_PUBLIC_IP", "true"),
        ("FLAME_ECS_CPU", "1024"),
        ("FLAME_ECS_MEMORY", "2048"),
        ("FLAME_ECS_EPHEMERAL_STORAGE", "30"),
        ("FLAME_ECS_CAPACITY_PROVIDER", "FARGATE_SPOT=3, FARGATE"),
        ("FLAME_ECS_PLATFORM_VERSION", "1.4.0"),
    ]);
    let plan = resolve(&Ecs::builder(), &settings, None).unwrap();
    assert_eq!((plan.cpu, plan.memory, plan.ephemeral_storage), (Some(1024), Some(2048), Some(30)));
    assert!(plan.public_ip);
    let shares: Vec<_> = plan.providers.iter().map(|s| (s.name.as_str(), s.weight)).collect();
    assert_eq!(shares, [("FARGATE_SPOT", 3), ("FARGATE", 1)]);
    assert_eq!(plan.security_groups, ["sg-1"]);
    assert_eq!(plan.platform_version.as_deref(), Some("1.4.0"));
}

#[test]
fn env_and_tags_of_the_document_are_added_to_those_of_the_builder_and_checked_as_they_are() {
    let document = r#"{"ecs": {"env": {"A": "1", "B": "2"}, "tags": {"team": "x"}}}"#;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let built = || built().env("B", "3").env("C", "4").tag("stage", "test");
    let plan = resolve(&built(), &settings(&[("FLAME_AWS", document)]), None).ok().unwrap();
    assert_eq!(plan.env, [pair("A", "1"), pair("B", "3"), pair("C", "4")]);
    assert_eq!(plan.tags, [pair("team", "x"), pair("stage", "test")]);
    let document = r#"{"ecs": {"env": {"FLAME_PARENT": "x"}, "tags": {"flame:pool": "x"}}}"#;
    let error = resolve(&built(), &settings(&[("FLAME_AWS", document)]), None).err().unwrap();
    assert!(error.contains("pool's to set") && error.contains("reserved"), "{error}");
}

#[test]
fn what_is_wrong_is_told_before_any_call() {
    let many = |n: usize| (0..n).map(|n| format!("x-{n}"));
    let wrong = [
        (built().cpu(1_024).memory(1_024), "2048 to 8192"),
        (built().ephemeral_storage(20), "21 to 200"),
        (built().env("FLAME_PARENT", "x"), "FLAME_PARENT, which is the pool's to set"),
        (built().env("FLAME_STOP_TIMEOUT", "9"), "FLAME_STOP_TIMEOUT, which is the pool's to set"),
        (built().env("A=B", "x"), "no name of a variable"),
        (built().env("BIG", "x".repeat(8_000)), "8192"),
        (built().tag("aws:x", "1"), "reserved"),
        (built().tag("flame:pool", "1"), "reserved"),
        (built().tag("team", "AWS:x"), "`AWS:x`"),
        (built().tag("te#am", "x"), "`te#am`"),
        (built().tag("team", "a\tb"), "may have"),
        (built().tag("team", "50%"), "`50%`"),
        (built().tag("team", "a").tag("team", "b"), "twice"),
        (built().subnets(many(17)), "16"),
        (built().security_groups(many(6)), "a task may have 5"),
    ];
    for (builder, advice) in wrong {
        let error = resolved(builder).err().unwrap();
        assert!(error.contains(advice), "{error}");
    }
    let odd =
        settings(&[("FLAME_ECS_CPU", "one"), ("FLAME_ECS_CAPACITY_PROVIDER", "FARGATE=much")]);
    let error = resolve(&built(), &odd, None).err().unwrap();
    assert!(error.contains("FLAME_ECS_CPU") && error.contains("FARGATE=much"), "{error}");
}

#[test]
fn tags_may_have_whatever_awss_pattern_takes() {
    let letters = "Ünïcode 漢字 \u{a0}٣ _.:/=+-@";
    let plan = resolved(built().tag(letters, letters).tag("Team", "").tag("team", "aws")).unwrap();
    assert_eq!(plan.tags.len(), 3, "a name's case counts");
    // A vowel sign is a mark, which is neither a letter nor a number.
    let error = resolved(built().tag("team", "हि")).err().unwrap();
    assert!(error.contains("`team`"), "{error}");
}

#[test]
fn a_container_that_the_task_definition_has_not_is_refused_with_those_it_has() {
    let error = fitted(built().container("ap"), &definition()).err().unwrap();
    assert!(error.contains("`ap`") && error.contains("has app"), "{error}");
    let only = Ecs::builder().cluster("main").task_definition("app").subnets(["subnet-1"]);
    assert_eq!(fitted(only, &definition()).ok().unwrap().container, "app", "the only one it has");
}

#[test]
fn a_task_definition_that_fargate_can_not_run_is_refused() {
    let ec2 = Definition { fargate: Some(false), ..definition() };
    let bridge = Definition { network_mode: "bridge".to_owned(), ..definition() };
    let gone = Definition { active: false, ..definition() };
    for (definition, advice) in [(ec2, "FARGATE"), (bridge, "awsvpc"), (gone, "not active")] {
        let error = fitted(built(), &definition).err().unwrap();
        assert!(error.contains(advice), "{error}");
    }
}

#[test]
fn a_container_whose_end_is_not_its_tasks_end_is_refused() {
    let with = |optional, restarts| {
        let mut definition = definition();
        definition.containers[0].optional = optional;
        definition.containers[0].restarts = restarts;
        fitted(built(), &definition).err()
    };
    for (optional, restarts, told) in [
        (true, false, ["`essential`"].as_slice()),
        (false, true, &["`restartPolicy`"]),
        (true, true, &["`essential`", "`restartPolicy`"]),
    ] {
        let error = with(optional, restarts).unwrap();
        assert!(told.iter().all(|told| error.contains(told)), "{error}");
        assert!(error.contains("`app`") && error.contains("app:7"), "{error}");
    }
    assert_eq!(with(false, false), None);
    let mut with_sidecar = definition();
    with_sidecar.containers.push(ContainerDefinition {
        name: "logs".to_owned(),
        optional: true,
        restarts: true,
        ..ContainerDefinition::default()
    });
    assert!(fitted(built(), &with_sidecar).is_ok(), "the others may do as they like");
}

#[test]
fn the_container_gets_what_the_others_of_its_task_leave() {
    let mut with_sidecar = definition();
    with_sidecar.containers.push(ContainerDefinition {
        name: "logs".to_owned(),
        cpu: 128,
        memory: 256,
        ..ContainerDefinition::default()
    });
    let plan = fitted(built().cpu(1_024).memory(2_048), &with_sidecar).ok().unwrap();
    assert_eq!((plan.cpu, plan.memory), (Some(1_024), Some(2_048)));
    assert_eq!((plan.container_cpu, plan.container_memory), (Some(896), Some(1_792)));
    with_sidecar.containers[1].memory = 2_048;
    let error = fitted(built().cpu(1_024).memory(2_048), &with_sidecar).err().unwrap();
    assert!(error.contains("leave nothing"), "{error}");
}

#[test]
fn one_of_cpu_and_memory_is_completed_by_the_task_definition_and_the_pair_is_checked() {
    let plan = fitted(built().memory(4_096), &definition()).ok().unwrap();
    assert_eq!((plan.cpu, plan.memory), (Some(512), Some(4_096)));
    let error = fitted(built().memory(8_192), &definition()).err().unwrap();
    assert!(error.contains("with `cpu` 512"), "{error}");
    let untouched = fitted(built(), &definition()).ok().unwrap();
    assert_eq!((untouched.cpu, untouched.container_cpu), (None, None));
}

#[test]
fn where_the_task_definition_may_not_be_read_what_it_would_tell_must_be_set() {
    let unseen = |builder| fit(resolved(builder)?, None, WINDOW);
    let no_container = Ecs::builder().cluster("c").task_definition("t").subnets(["s"]).cpu(256);
    let error = unseen(no_container).err().unwrap();
    assert!(error.contains("FLAME_ECS_CONTAINER") && error.contains("set both"), "{error}");
    let plan = unseen(built().cpu(256).memory(512)).ok().unwrap();
    assert_eq!((plan.container_cpu, plan.container_memory), (Some(256), Some(512)));
}

#[test]
fn a_shutdown_window_longer_than_the_stop_timeout_is_refused() {
    let stop_timeout = |seconds: Option<u32>| {
        let mut definition = definition();
        definition.containers[0].stop_timeout = seconds;
        definition
    };
    let fit = |seconds, window| {
        let plan = resolved(built())?;
        let fits = fit(plan, Some(&stop_timeout(seconds)), Duration::from_secs(window));
        fits.map(|plan| plan.stop_timeout)
    };
    assert_eq!(fit(None, 30), Ok(30));
    assert_eq!(fit(Some(120), 20), Ok(120), "the runner is told");
    assert_eq!(fit(Some(120), 120), Ok(120));
    let error = fit(None, 31).unwrap_err();
    assert!(error.contains("stopTimeout") && error.contains("120"), "{error}");
}

#[test]
fn where_the_stop_timeout_may_not_be_read_a_longer_window_says_what_it_is() {
    let fit = |window| {
        let plan = resolved(built()).ok().unwrap();
        fit(plan, None, Duration::from_secs(window)).ok().unwrap().stop_timeout
    };
    assert_eq!((fit(5), fit(30), fit(100)), (30, 30, 100));
}
