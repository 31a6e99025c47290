use std::time::Duration;

use super::super::Ecs;
use super::*;
use crate::cost::{Architecture, InstanceSize};

const WINDOW: Duration = Duration::from_secs(30);

fn settings(variables: &[(&str, &str)]) -> Settings {
    let variable = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Settings::read("ecs", NAMES, variable).unwrap()
}

fn parent_task() -> ParentTask {
    ParentTask {
        cluster: "parent-cluster".to_owned(),
        task: "arn:aws:ecs:eu-central-1:1:task/parent-cluster/1".to_owned(),
        task_definition: "app:26".to_owned(),
        container: Some("web".to_owned()),
        subnets: vec!["subnet-parent".to_owned()],
    }
}

fn built() -> EcsBuilder {
    Ecs::builder().cluster("main").task_definition("app:7").container("app").subnets(["subnet-1"])
}

fn resolve(
    builder: &EcsBuilder,
    settings: &Settings,
    parent: Option<&ParentTask>,
) -> Result<TaskTemplate, String> {
    resolve_sized(builder, settings, parent, &Size::new())
}

fn resolve_sized(
    builder: &EcsBuilder,
    settings: &Settings,
    parent: Option<&ParentTask>,
    size: &Size,
) -> Result<TaskTemplate, String> {
    let mut problems = Vec::new();
    let template = TaskTemplate::resolve(builder, settings, parent, size, &mut problems);
    check_problems(problems).map(|()| template).map_err(|error| error.to_string())
}

fn resolved(builder: EcsBuilder) -> Result<TaskTemplate, String> {
    resolve(&builder, &settings(&[]), None)
}

fn fit(
    mut template: TaskTemplate,
    definition: Option<&TaskDefinition>,
    shutdown: Duration,
) -> Result<TaskTemplate, String> {
    let mut problems = Vec::new();
    template.fit(definition, shutdown, &mut problems);
    check_problems(problems).map(|()| template).map_err(|error| error.to_string())
}

fn definition() -> TaskDefinition {
    TaskDefinition {
        family: "app".to_owned(),
        active: true,
        network_mode: "awsvpc".to_owned(),
        requires: vec!["FARGATE".to_owned()],
        cpu: Some(512),
        memory: Some(1_024),
        storage: None,
        architecture: Architecture::Arm,
        containers: vec![ContainerDefinition { name: "app".to_owned(), ..Default::default() }],
    }
}

fn fitted(builder: EcsBuilder, definition: &TaskDefinition) -> Result<TaskTemplate, String> {
    fit(resolved(builder)?, Some(definition), WINDOW)
}

#[test]
fn missing_settings_are_reported_together_with_every_place_to_set_them() {
    let error = resolved(Ecs::builder()).err().unwrap();
    for name in ["CLUSTER", "TASK_DEFINITION", "SUBNETS"] {
        assert!(error.contains(&format!("FLAME_ECS_{name}")), "{error}");
    }
    assert!(error.contains("`ecs.taskDefinition` in FLAME_AWS"), "{error}");
    assert!(error.contains("`.subnets(..)`"), "{error}");
}

#[test]
fn the_builder_precedes_the_environment_and_that_the_parents_own_task() {
    let settings = settings(&[
        ("FLAME_ECS_CLUSTER", "of-the-environment"),
        ("FLAME_AWS", r#"{"ecs": {"cluster": "x", "subnets": ["subnet-2", "subnet-3"]}}"#),
    ]);
    let template = resolve(&Ecs::builder(), &settings, Some(&parent_task())).unwrap();
    assert_eq!(template.cluster, "of-the-environment");
    assert_eq!((template.task_definition.as_str(), template.container.as_str()), ("app:26", "web"));
    assert_eq!(template.subnets, ["subnet-2", "subnet-3"]);
    let template = resolve(&built(), &settings, Some(&parent_task())).unwrap();
    assert_eq!(
        (template.cluster.as_str(), template.subnets),
        ("main", vec!["subnet-1".to_owned()])
    );
}

#[test]
fn a_parent_on_ecs_needs_no_settings() {
    let template = resolve(&Ecs::builder(), &settings(&[]), Some(&parent_task())).unwrap();
    assert_eq!(
        (template.cluster.as_str(), template.task_definition.as_str()),
        ("parent-cluster", "app:26")
    );
    assert_eq!(
        (template.container.as_str(), template.subnets),
        ("web", vec!["subnet-parent".to_owned()])
    );
    // The parent may not call ecs:DescribeTasks, so its subnet is unknown.
    let unknown = ParentTask { subnets: Vec::new(), ..parent_task() };
    let result = resolve(&Ecs::builder(), &settings(&[]), Some(&unknown));
    let error = result.err().unwrap();
    assert!(error.contains("FLAME_ECS_SUBNETS") && error.contains("ecs:DescribeTasks"), "{error}");
}

#[test]
fn the_parents_container_is_the_default_only_for_the_parents_task_definition() {
    let settings =
        settings(&[("FLAME_ECS_TASK_DEFINITION", "worker:1"), ("FLAME_ECS_SUBNETS", "s")]);
    let template = resolve(&Ecs::builder(), &settings, Some(&parent_task())).unwrap();
    assert_eq!(template.container, "");
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
        ("FLAME_ECS_ENABLE_EXECUTE_COMMAND", "true"),
        ("FLAME_ECS_CPU", "1024"),
        ("FLAME_ECS_MEMORY", "2048"),
        ("FLAME_ECS_EPHEMERAL_STORAGE", "30"),
        ("FLAME_ECS_CAPACITY_PROVIDER", "FARGATE_SPOT=3, FARGATE"),
        ("FLAME_ECS_PLATFORM_VERSION", "1.4.0"),
    ]);
    let template = resolve(&Ecs::builder(), &settings, None).unwrap();
    assert_eq!(
        (template.cpu, template.memory, template.ephemeral_storage),
        (Some(1024), Some(2048), Some(30))
    );
    assert!(template.public_ip && template.execute_command);
    let providers: Vec<_> = template
        .providers
        .iter()
        .map(|provider| (provider.name.as_str(), provider.weight))
        .collect();
    assert_eq!(providers, [("FARGATE_SPOT", 3), ("FARGATE", 1)]);
    assert_eq!(template.security_groups, ["sg-1"]);
    assert_eq!(template.platform_version.as_deref(), Some("1.4.0"));
}

#[test]
fn env_and_tags_of_the_document_are_merged_with_the_builders_and_checked() {
    let document = r#"{"ecs": {"env": {"A": "1", "B": "2"}, "tags": {"team": "x"}}}"#;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let built = || built().env("B", "3").env("C", "4").tag("stage", "test");
    let template = resolve(&built(), &settings(&[("FLAME_AWS", document)]), None).ok().unwrap();
    assert_eq!(template.env, [pair("A", "1"), pair("B", "3"), pair("C", "4")]);
    assert_eq!(template.tags, [pair("team", "x"), pair("stage", "test")]);
    let document = r#"{"ecs": {"env": {"FLAME_PARENT": "x"}, "tags": {"flame:pool": "x"}}}"#;
    let error = resolve(&built(), &settings(&[("FLAME_AWS", document)]), None).err().unwrap();
    assert!(error.contains("pool sets itself") && error.contains("reserved"), "{error}");
}

#[test]
fn invalid_settings_are_reported_before_any_request() {
    let many = |n: usize| (0..n).map(|n| format!("x-{n}"));
    let problems = [
        (built().cpu(1_024).memory(1_024), "2048 to 8192"),
        (built().ephemeral_storage(20), "21 to 200"),
        (built().env("FLAME_PARENT", "x"), "FLAME_PARENT, which the pool sets itself"),
        (built().env("FLAME_STOP_TIMEOUT", "9"), "FLAME_STOP_TIMEOUT, which the pool sets itself"),
        (built().env("A=B", "x"), "not a valid variable name"),
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
    for (builder, advice) in problems {
        let error = resolved(builder).err().unwrap();
        assert!(error.contains(advice), "{error}");
    }
    let invalid =
        settings(&[("FLAME_ECS_CPU", "one"), ("FLAME_ECS_CAPACITY_PROVIDER", "FARGATE=much")]);
    let error = resolve(&built(), &invalid, None).err().unwrap();
    assert!(error.contains("FLAME_ECS_CPU") && error.contains("FARGATE=much"), "{error}");
}

#[test]
fn tags_may_contain_whatever_awss_pattern_allows() {
    let letters = "Ünïcode 漢字 \u{a0}٣ _.:/=+-@";
    let template =
        resolved(built().tag(letters, letters).tag("Team", "").tag("team", "aws")).unwrap();
    assert_eq!(template.tags.len(), 3, "names are case-sensitive");
    // A vowel sign is a mark, which is neither a letter nor a number.
    let error = resolved(built().tag("team", "हि")).err().unwrap();
    assert!(error.contains("`team`"), "{error}");
}

#[test]
fn an_unknown_container_is_rejected_with_the_names_of_the_known_ones() {
    let error = fitted(built().container("ap"), &definition()).err().unwrap();
    assert!(error.contains("`ap`") && error.contains("has app"), "{error}");
    let only = Ecs::builder().cluster("main").task_definition("app").subnets(["subnet-1"]);
    assert_eq!(fitted(only, &definition()).ok().unwrap().container, "app", "the only one it has");
}

#[test]
fn a_task_definition_that_fargate_cannot_run_is_rejected() {
    let ec2 = TaskDefinition { requires: vec!["EC2".to_owned()], ..definition() };
    let bridge = TaskDefinition { network_mode: "bridge".to_owned(), ..definition() };
    let gone = TaskDefinition { active: false, ..definition() };
    for (definition, advice) in [(ec2, "FARGATE"), (bridge, "awsvpc"), (gone, "not active")] {
        let error = fitted(built(), &definition).err().unwrap();
        assert!(error.contains(advice), "{error}");
    }
}

#[test]
fn a_container_whose_exit_does_not_end_its_task_is_rejected() {
    let with = |optional, restarts| {
        let mut definition = definition();
        definition.containers[0].optional = optional;
        definition.containers[0].restarts = restarts;
        fitted(built(), &definition).err()
    };
    for (optional, restarts, parts) in [
        (true, false, ["`essential`"].as_slice()),
        (false, true, &["`restartPolicy`"]),
        (true, true, &["`essential`", "`restartPolicy`"]),
    ] {
        let error = with(optional, restarts).unwrap();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
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
    assert!(fitted(built(), &with_sidecar).is_ok(), "other containers are not checked");
}

#[test]
fn the_container_gets_what_the_tasks_other_containers_leave() {
    let mut with_sidecar = definition();
    with_sidecar.containers.push(ContainerDefinition {
        name: "logs".to_owned(),
        cpu: 128,
        memory: 256,
        ..ContainerDefinition::default()
    });
    let template = fitted(built().cpu(1_024).memory(2_048), &with_sidecar).ok().unwrap();
    assert_eq!((template.cpu, template.memory), (Some(1_024), Some(2_048)));
    assert_eq!((template.container_cpu, template.container_memory), (Some(896), Some(1_792)));
    with_sidecar.containers[1].memory = 2_048;
    let error = fitted(built().cpu(1_024).memory(2_048), &with_sidecar).err().unwrap();
    assert!(error.contains("`memory` 2048 leaves nothing"), "{error}");
}

#[test]
fn cpu_or_memory_alone_is_completed_from_the_task_definition_and_checked() {
    let template = fitted(built().memory(4_096), &definition()).ok().unwrap();
    assert_eq!((template.cpu, template.memory), (Some(512), Some(4_096)));
    let error = fitted(built().memory(8_192), &definition()).err().unwrap();
    assert!(error.contains("with `cpu` 512"), "{error}");
    let untouched = fitted(built(), &definition()).ok().unwrap();
    assert_eq!((untouched.cpu, untouched.container_cpu), (None, None));
}

#[test]
fn without_access_to_the_task_definition_the_settings_must_be_complete() {
    let unreadable = |builder| fit(resolved(builder)?, None, WINDOW);
    let no_container = Ecs::builder().cluster("c").task_definition("t").subnets(["s"]).cpu(256);
    let error = unreadable(no_container).err().unwrap();
    assert!(error.contains("FLAME_ECS_CONTAINER") && error.contains("set both"), "{error}");
    let template = unreadable(built().cpu(256).memory(512)).ok().unwrap();
    assert_eq!((template.container_cpu, template.container_memory), (Some(256), Some(512)));
}

#[test]
fn a_shutdown_window_longer_than_the_stop_timeout_is_rejected() {
    let stop_timeout = |seconds: Option<u32>| {
        let mut definition = definition();
        definition.containers[0].stop_timeout = seconds;
        definition
    };
    let fit = |seconds, window| {
        let template = resolved(built())?;
        let fits = fit(template, Some(&stop_timeout(seconds)), Duration::from_secs(window));
        fits.map(|template| template.stop_timeout)
    };
    assert_eq!(fit(None, 30), Ok(30));
    assert_eq!(fit(Some(120), 20), Ok(120), "the runner is told");
    assert_eq!(fit(Some(120), 120), Ok(120));
    let error = fit(None, 31).unwrap_err();
    assert!(error.contains("stopTimeout") && error.contains("120"), "{error}");
}

#[test]
fn without_access_to_the_stop_timeout_a_longer_window_implies_it() {
    let fit = |window| {
        let template = resolved(built()).ok().unwrap();
        fit(template, None, Duration::from_secs(window)).ok().unwrap().stop_timeout
    };
    assert_eq!((fit(5), fit(30), fit(100)), (30, 30, 100));
}

fn on_instances() -> EcsBuilder {
    Ecs::builder().cluster("main").task_definition("app:7").capacity_provider("gpu-instances", 1)
}

/// A task definition for EC2 whose tasks share the network of their instance.
fn of_ec2() -> TaskDefinition {
    TaskDefinition {
        requires: vec!["EC2".to_owned()],
        network_mode: "bridge".to_owned(),
        cpu: None,
        memory: None,
        ..definition()
    }
}

#[test]
fn on_instances_a_task_without_an_interface_needs_no_subnets() {
    let template = fitted(on_instances(), &of_ec2()).ok().unwrap();
    assert_eq!((template.platform, template.container.as_str()), (Platform::Instances, "app"));
    let unused = fitted(on_instances().subnets(["subnet-1"]).security_groups(["sg-1"]), &of_ec2());
    let unused = unused.ok().unwrap();
    assert!(
        unused.subnets.is_empty() && unused.security_groups.is_empty(),
        "of another definition"
    );
    let awsvpc = TaskDefinition { network_mode: "awsvpc".to_owned(), ..of_ec2() };
    let error = fitted(on_instances(), &awsvpc).err().unwrap();
    assert!(error.contains("FLAME_ECS_SUBNETS"), "{error}");
    assert!(fitted(on_instances().subnets(["subnet-1"]), &awsvpc).is_ok());
}

#[test]
fn a_task_definition_for_fargate_alone_is_rejected_on_instances() {
    let error = fitted(on_instances().subnets(["subnet-1"]), &definition()).err().unwrap();
    assert!(error.contains("only for FARGATE") && error.contains("MANAGED_INSTANCES"), "{error}");
    for requires in [vec![], vec!["FARGATE".to_owned(), "MANAGED_INSTANCES".to_owned()]] {
        assert!(fitted(on_instances(), &TaskDefinition { requires, ..of_ec2() }).is_ok());
    }
}

#[test]
fn on_instances_any_size_is_accepted_and_each_part_may_be_set_alone() {
    let size = Size::new().vcpus(3.0).gpus(2);
    let template = resolve_sized(&on_instances(), &settings(&[]), None, &size).ok().unwrap();
    let template = fit(template, Some(&of_ec2()), WINDOW).ok().unwrap();
    assert_eq!((template.cpu, template.container_cpu), (Some(3072), Some(3072)));
    assert_eq!((template.memory, template.container_memory), (None, None));
    assert_eq!(template.gpus, Some(2));
    assert_eq!(template.size(Some(&of_ec2())), InstanceSize::Unknown, "the instance is paid for");
}

#[test]
fn what_only_fargate_has_is_rejected_on_instances() {
    let builder = on_instances().platform_version("1.4.0").assign_public_ip(true);
    let error = resolved(builder.ephemeral_storage(30)).err().unwrap();
    for setting in ["`platform_version`", "`assign_public_ip`", "`ephemeral_storage`"] {
        assert!(error.contains(setting), "{error}");
    }
}

#[test]
fn providers_of_both_kinds_are_rejected() {
    let error = resolved(on_instances().capacity_provider("FARGATE", 1)).err().unwrap();
    assert!(error.contains("`gpu-instances`") && error.contains("`FARGATE`"), "{error}");
}

#[test]
fn a_provider_may_have_a_base() {
    let document = "FARGATE=0:2, FARGATE_SPOT=3";
    let from = settings(&[("FLAME_ECS_CAPACITY_PROVIDER", document)]);
    let found = resolve(&built(), &from, None).ok().unwrap().providers;
    let provider =
        |name: &str, weight, base| CapacityProvider { name: name.to_owned(), weight, base };
    assert_eq!(found, [provider("FARGATE", 0, 2), provider("FARGATE_SPOT", 3, 0)]);
    for wrong in ["FARGATE=1:", "FARGATE=:1", "FARGATE=1:2:3", "=1:2"] {
        let from = settings(&[("FLAME_ECS_CAPACITY_PROVIDER", wrong)]);
        let error = resolve(&built(), &from, None).err().unwrap();
        assert!(error.contains("NAME=weight:base"), "{wrong}: {error}");
    }
}

#[test]
fn the_size_of_the_pool_is_the_size_of_its_tasks() {
    let size = Size::new().vcpus(0.5).memory_mib(2_048).storage_gib(30);
    let environment = settings(&[("FLAME_ECS_CPU", "256")]);
    let template = resolve_sized(&built(), &environment, None, &size).ok().unwrap();
    assert_eq!((template.cpu, template.memory), (Some(512), Some(2_048)), "not the environment's");
    assert_eq!((template.ephemeral_storage, template.gpus), (Some(30), None));
    let both = resolve_sized(&built().memory(1_024), &settings(&[]), None, &size).err().unwrap();
    assert!(both.contains("`memory` is 1024") && both.contains("`size`"), "{both}");
    assert!(resolve_sized(&built().memory(2_048), &settings(&[]), None, &size).is_ok());
    let gpu = resolve_sized(&built(), &settings(&[]), None, &Size::new().gpus(1)).err().unwrap();
    assert!(gpu.contains("Fargate has none") && gpu.contains("capacity_provider"), "{gpu}");
    let odd = Size::new().vcpus(0.3).memory_mib(512);
    let error = resolve_sized(&built(), &settings(&[]), None, &odd).err().unwrap();
    assert!(error.contains("Fargate offers"), "{error}");
}

#[test]
fn a_task_is_paid_for_by_the_size_of_the_definition_or_by_that_of_the_settings() {
    let of = |cpu, memory, storage, spot| InstanceSize::Fargate {
        cpu,
        memory,
        storage,
        architecture: Architecture::Arm,
        spot,
    };
    let size = |builder| fitted(builder, &definition()).unwrap().size(Some(&definition()));
    assert_eq!(size(built()), of(512, 1_024, 20, 0.0));
    let large = built().cpu(1_024).memory(2_048).ephemeral_storage(40);
    assert_eq!(size(large), of(1_024, 2_048, 40, 0.0));
    let mixed = built().capacity_provider("FARGATE_SPOT", 3).capacity_provider("FARGATE", 1);
    assert_eq!(size(mixed), of(512, 1_024, 20, 0.75));
    assert_eq!(fitted(built(), &definition()).unwrap().size(None), InstanceSize::Unknown);
}
