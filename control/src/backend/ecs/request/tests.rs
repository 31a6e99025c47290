use super::*;

const SECRET: &str = "flame1.c2VjcmV0";

fn plan() -> Plan {
    Plan { container: "app".to_owned(), stop_timeout: 120, ..Plan::default() }
}

fn asker() -> Asker {
    Asker { pool: plain("thumbs"), parent: format!("p-{}", "0".repeat(32)), task: None }
}

fn runner(first: u8) -> RunnerRef {
    let mut bytes = [0xab; 16];
    bytes[..8].copy_from_slice(&u64::from(first).to_le_bytes());
    RunnerRef::from_bytes(bytes)
}

fn request(plan: &Plan, nth: u32) -> Request {
    Request::new(plan, &asker(), runner(1), nth, None, SECRET)
}

fn json(overrides: &Overrides) -> serde_json::Value {
    serde_json::to_value(overrides).unwrap()
}

#[test]
fn flame_parent_stands_in_the_environment_and_nowhere_else() {
    let request = request(&plan(), 0);
    let environment = &request.overrides.container_overrides[0].environment;
    assert_eq!(environment.last().unwrap().name, "FLAME_PARENT");
    assert_eq!(environment.last().unwrap().value, SECRET);
    let elsewhere = format!("{request:?} {:?} {}", request.tags, request.started_by);
    assert!(!elsewhere.contains(SECRET), "{elsewhere}");
}

#[test]
fn the_overrides_are_written_as_ecs_reads_them() {
    let plan = Plan {
        env: vec![("ROLE".to_owned(), "runner".to_owned())],
        cpu: Some(1_024),
        memory: Some(2_048),
        container_cpu: Some(1_024),
        container_memory: Some(2_000),
        ephemeral_storage: Some(50),
        ..plan()
    };
    let written = json(&request(&plan, 0).overrides);
    let wanted = serde_json::json!({
        "containerOverrides": [{
            "name": "app",
            "environment": [
                {"name": "ROLE", "value": "runner"},
                {"name": "FLAME_STOP_TIMEOUT", "value": "120"},
                {"name": "FLAME_PARENT", "value": SECRET},
            ],
            "cpu": 1_024,
            "memory": 2_000,
        }],
        "cpu": "1024",
        "memory": "2048",
        "ephemeralStorage": {"sizeInGiB": 50},
    });
    assert_eq!(written, wanted);
    // The command is the image's own.
    assert!(json(&request(&self::plan(), 0).overrides).get("cpu").is_none());
}

#[test]
fn overrides_of_8192_characters_are_taken_and_one_more_is_refused_before_the_call() {
    let with = |len: usize| Plan { env: vec![("BIG".to_owned(), "x".repeat(len))], ..plan() };
    let empty = json(&Overrides::new(&with(0), SECRET)).to_string().len();
    let longest = MAX_OVERRIDES - empty;
    assert_eq!(Overrides::new(&with(longest), SECRET).check(), Ok(()));
    let error = Overrides::new(&with(longest + 1), SECRET).check().unwrap_err();
    assert!(error.contains("8193 characters") && error.contains("task definition"), "{error}");
    // At a pool's start the longest FLAME_PARENT is reckoned with.
    assert!(check_longest(&with(longest)).is_err());
    assert_eq!(check_longest(&with(MAX_OVERRIDES - empty - MAX_ENCODED)), Ok(()));
}

#[test]
fn a_token_is_the_runners_ref_and_the_next_one_is_another() {
    assert_eq!(request(&plan(), 0).token, runner(1).to_string());
    assert_eq!(request(&plan(), 1).token, format!("{}-1", runner(1)));
    for nth in [0, 1, u32::MAX] {
        let token = request(&plan(), nth).token;
        assert!((33..=64).contains(&token.len()), "{token}");
        assert!(token.bytes().all(|byte| (33..=126).contains(&byte)), "{token}");
    }
    assert_eq!(request(&plan(), 0), request(&plan(), 0), "a repeated order is the same");
}

#[test]
fn who_started_a_task_is_text_that_ecs_takes_whatever_the_pool_is_called() {
    let longest = "ü".repeat(32);
    for pool in ["thumbs", "the best/pool, ever", longest.as_str(), &"x".repeat(64)] {
        let asker = Asker { pool: plain(pool), ..asker() };
        let text = asker.started_by();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        assert!(text.chars().all(fits) && text.len() <= 128, "{text}");
    }
    assert_eq!(plain("thumbs"), "thumbs");
    assert_ne!(plain("a b"), plain("a_b"));
    assert_ne!(plain("a b"), plain("a,b"));
}

#[test]
fn the_tags_name_pool_runner_and_parent() {
    let asker = Asker { task: Some("arn:aws:ecs:x:1:task/main/1".to_owned()), ..asker() };
    let plan = Plan { tags: vec![("team".to_owned(), "media".to_owned())], ..plan() };
    let request = Request::new(&plan, &asker, runner(1), 0, Some(1_800_000_000), SECRET);
    let runner = runner(1).to_string();
    let tags: Vec<_> = request.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let wanted = [
        ("team", "media"),
        ("flame:pool", "thumbs"),
        ("flame:runner", runner.as_str()),
        ("flame:parent", asker.parent.as_str()),
        ("flame:parent-task", "arn:aws:ecs:x:1:task/main/1"),
        ("flame:ends-by", "1800000000"),
    ];
    assert_eq!(tags, wanted);
}

fn share(name: &str, weight: u32) -> Share {
    Share { name: name.to_owned(), weight }
}

#[test]
fn without_capacity_providers_it_is_the_launch_type_and_with_them_never() {
    assert_eq!(request(&plan(), 0).provider, None);
    let spot = Plan { providers: vec![share("FARGATE_SPOT", 1)], ..plan() };
    assert_eq!(request(&spot, 0).provider.as_deref(), Some("FARGATE_SPOT"));
    assert_eq!(request(&spot, 7).provider.as_deref(), Some("FARGATE_SPOT"));
}

#[test]
fn a_provider_without_room_is_followed_by_the_next() {
    let providers = vec![share("FARGATE", 0), share("FARGATE_SPOT", 1)];
    let plan = Plan { providers, ..plan() };
    let tried: Vec<_> = (0..3).filter_map(|nth| request(&plan, nth).provider).collect();
    assert_eq!(tried, ["FARGATE_SPOT", "FARGATE", "FARGATE_SPOT"]);
}

#[test]
fn providers_are_drawn_by_their_weights() {
    let providers = [share("FARGATE", 1), share("FARGATE_SPOT", 3)];
    let first = |n| drawn(&providers, runner(n))[0].name.as_str();
    let spot = (0..200).filter(|n| first(*n) == "FARGATE_SPOT").count();
    assert_eq!(spot, 150);
    let none = [share("A", 0), share("B", 0)];
    assert_eq!(drawn(&none, runner(5)).len(), 2);
    assert!(drawn(&[], runner(5)).is_empty());
}
