use super::*;

const SECRET: &str = "flame1.c2VjcmV0";

fn template() -> TaskTemplate {
    TaskTemplate { container: "app".to_owned(), stop_timeout: 120, ..TaskTemplate::default() }
}

fn owner() -> Owner {
    Owner { pool: tag_safe("thumbs"), parent: format!("p-{}", "0".repeat(32)), task: None }
}

fn runner(first: u8) -> RunnerRef {
    let mut bytes = [0xab; 16];
    bytes[..8].copy_from_slice(&u64::from(first).to_le_bytes());
    RunnerRef::from_bytes(bytes)
}

fn request(template: &TaskTemplate, token: u32) -> RunTaskRequest {
    RunTaskRequest::new(template, &owner(), runner(1), (token, None), None, SECRET)
}

fn json(overrides: &TaskOverrides) -> serde_json::Value {
    serde_json::to_value(overrides).unwrap()
}

#[test]
fn flame_parent_is_in_the_environment_and_nowhere_else() {
    let request = request(&template(), 0);
    let environment = &request.overrides.container_overrides[0].environment;
    assert_eq!(environment.last().unwrap().name, "FLAME_PARENT");
    assert_eq!(environment.last().unwrap().value, SECRET);
    let elsewhere = format!("{request:?} {:?} {}", request.tags, request.started_by);
    assert!(!elsewhere.contains(SECRET), "{elsewhere}");
}

#[test]
fn the_overrides_are_serialised_as_ecs_expects() {
    let template = TaskTemplate {
        env: vec![("ROLE".to_owned(), "runner".to_owned())],
        cpu: Some(1_024),
        memory: Some(2_048),
        container_cpu: Some(1_024),
        container_memory: Some(2_000),
        ephemeral_storage: Some(50),
        gpus: Some(2),
        ..template()
    };
    let json = self::json(&request(&template, 0).overrides);
    let expected = serde_json::json!({
        "containerOverrides": [{
            "name": "app",
            "environment": [
                {"name": "ROLE", "value": "runner"},
                {"name": "FLAME_STOP_TIMEOUT", "value": "120"},
                {"name": "FLAME_PARENT", "value": SECRET},
            ],
            "cpu": 1_024,
            "memory": 2_000,
            "resourceRequirements": [{"type": "GPU", "value": "2"}],
        }],
        "cpu": "1024",
        "memory": "2048",
        "ephemeralStorage": {"sizeInGiB": 50},
    });
    assert_eq!(json, expected);
    assert!(self::json(&request(&self::template(), 0).overrides).get("cpu").is_none());
}

#[test]
fn overrides_of_8192_characters_pass_and_one_more_is_rejected_before_the_request() {
    let with =
        |len: usize| TaskTemplate { env: vec![("BIG".to_owned(), "x".repeat(len))], ..template() };
    let empty = json(&TaskOverrides::new(&with(0), SECRET)).to_string().len();
    let longest = MAX_OVERRIDES - empty;
    assert_eq!(TaskOverrides::new(&with(longest), SECRET).check(), Ok(()));
    let error = TaskOverrides::new(&with(longest + 1), SECRET).check().unwrap_err();
    assert!(error.contains("8193 characters") && error.contains("task definition"), "{error}");
    // The check at a pool's start assumes the longest FLAME_PARENT.
    assert!(check_longest(&with(longest)).is_err());
    assert_eq!(check_longest(&with(MAX_OVERRIDES - empty - MAX_ENCODED)), Ok(()));
}

#[test]
fn the_first_token_is_the_runners_ref_and_the_next_one_differs() {
    assert_eq!(request(&template(), 0).token, runner(1).to_string());
    assert_eq!(request(&template(), 1).token, format!("{}-1", runner(1)));
    for number in [0, 1, u32::MAX] {
        let token = request(&template(), number).token;
        assert!((33..=64).contains(&token.len()), "{token}");
        assert!(token.bytes().all(|byte| (33..=126).contains(&byte)), "{token}");
    }
    assert_eq!(request(&template(), 0), request(&template(), 0), "a repeated request is the same");
}

#[test]
fn started_by_is_valid_whatever_the_pools_name() {
    let longest = "ü".repeat(32);
    for pool in ["thumbs", "the best/pool, ever", longest.as_str(), &"x".repeat(64)] {
        let owner = Owner { pool: tag_safe(pool), ..owner() };
        let text = owner.started_by();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        assert!(text.chars().all(fits) && text.len() <= 128, "{text}");
    }
    assert_eq!(tag_safe("thumbs"), "thumbs");
    assert_ne!(tag_safe("a b"), tag_safe("a_b"));
    assert_ne!(tag_safe("a b"), tag_safe("a,b"));
}

#[test]
fn the_tags_name_pool_runner_and_parent() {
    let owner = Owner { task: Some("arn:aws:ecs:x:1:task/main/1".to_owned()), ..owner() };
    let template =
        TaskTemplate { tags: vec![("team".to_owned(), "media".to_owned())], ..template() };
    let request =
        RunTaskRequest::new(&template, &owner, runner(1), (0, None), Some(1_800_000_000), SECRET);
    let runner = runner(1).to_string();
    let tags: Vec<_> = request.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = [
        ("team", "media"),
        ("flame:pool", "thumbs"),
        ("flame:runner", runner.as_str()),
        ("flame:parent", owner.parent.as_str()),
        ("flame:parent-task", "arn:aws:ecs:x:1:task/main/1"),
        ("flame:ends-by", "1800000000"),
    ];
    assert_eq!(tags, expected);
}
