use super::*;

fn valid() -> FunctionConfig {
    FunctionConfig {
        state: Some("Active".to_owned()),
        state_reason: None,
        timeout: Some(Duration::from_secs(900)),
        size: Size::new(),
        billed: InstanceSize::Unknown,
        variables: with(&[("FLAME_RUNNER", "lambda"), ("OTHER", "x")]),
        modes: Vec::new(),
    }
}

fn with(variables: &[(&str, &str)]) -> Variables {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Variables::Known(variables.iter().map(owned).collect())
}

fn error(config: &FunctionConfig) -> String {
    let found = check(config, &Size::new());
    assert_eq!(found.errors.len(), 1, "{found:?}");
    found.errors[0].clone()
}

#[test]
fn a_valid_function_has_no_findings() {
    assert_eq!(check(&valid(), &Size::new()), Findings::default());
    assert_eq!(
        check(&FunctionConfig { state: None, timeout: None, ..valid() }, &Size::new()),
        Findings::default()
    );
}

#[test]
fn a_function_that_would_be_a_parent_is_rejected() {
    for variables in [with(&[]), Variables::default()] {
        let error = error(&FunctionConfig { variables, ..valid() });
        assert!(error.contains("set FLAME_RUNNER=lambda"), "{error}");
        assert!(error.contains("copies of its own"), "{error}");
    }
    let error = error(&FunctionConfig { variables: with(&[("FLAME_RUNNER", "yes")]), ..valid() });
    assert!(error.contains("\"yes\""), "{error}");
}

#[test]
fn a_function_with_a_flame_parent_of_its_own_is_rejected() {
    let variables = with(&[("FLAME_RUNNER", "lambda"), ("FLAME_PARENT", "flame1.secret")]);
    let error = error(&FunctionConfig { variables, ..valid() });
    assert!(error.contains("remove the variable") && !error.contains("secret"), "{error}");
}

#[test]
fn an_unreadable_environment_is_a_warning_only() {
    let config = FunctionConfig { variables: Variables::Hidden("kms".to_owned()), ..valid() };
    let found = check(&config, &Size::new());
    assert!(found.errors.is_empty());
    assert!(found.warnings[0].contains("FLAME_RUNNER=lambda"), "{found:?}");
}

#[test]
fn lambdas_default_timeout_is_rejected_and_a_short_one_is_a_warning() {
    let timeout =
        |seconds| FunctionConfig { timeout: Some(Duration::from_secs(seconds)), ..valid() };
    assert!(error(&timeout(3)).contains("`Timeout`"));
    assert_eq!(check(&timeout(30), &Size::new()).warnings.len(), 1);
    for seconds in [60, 900, 1_800, 5_400] {
        assert_eq!(check(&timeout(seconds), &Size::new()), Findings::default());
    }
}

/// All of the model's states (botocore 1.44.8, lambda 2015-03-31, `State`).
#[test]
fn each_state_has_advice() {
    let with_state = |state: &str| FunctionConfig { state: Some(state.to_owned()), ..valid() };
    for (state, advice) in [
        ("Pending", "wait until it is Active"),
        ("Failed", "deploy it again"),
        ("Deactivating", "scaled down to zero"),
        ("Deactivated", "scaled down to zero"),
        ("ActiveNonInvocable", "can't be invoked"),
        ("Deleting", "is being deleted"),
        ("SomethingNew", "look it up"),
    ] {
        let error = error(&with_state(state));
        assert!(error.contains(state) && error.contains(advice), "{error}");
        assert_eq!(error.contains("deploy it again"), state == "Failed", "{error}");
    }
}

#[test]
fn the_advice_on_the_timeout_names_the_longest_one() {
    let seconds = MAX_TIMEOUT.as_secs();
    let written = format!("{},{:03} s", seconds / 1_000, seconds % 1_000);
    assert!(RAISE_TIMEOUT.contains(&written), "{written}");
}

#[test]
fn a_function_with_an_unsuitable_feature_is_rejected_with_the_reason() {
    for (mode, feature) in [
        (Mode::CapacityProvider, "CapacityProviderConfig"),
        (Mode::Durable, "DurableConfig"),
        (Mode::PerTenant, "TenancyConfig"),
    ] {
        let error = error(&FunctionConfig { modes: vec![mode], ..valid() });
        assert!(error.contains(feature) && error.contains("ordinary function"), "{error}");
    }
}

#[test]
fn a_function_that_is_not_active_is_rejected_with_lambdas_reason() {
    let state = |state: &str| FunctionConfig {
        state: Some(state.to_owned()),
        state_reason: Some("the image is gone".to_owned()),
        ..valid()
    };
    for name in ["Pending", "Failed", "Deactivating"] {
        let error = error(&state(name));
        assert!(error.contains(name) && error.contains("the image is gone"), "{error}");
    }
    assert_eq!(check(&state("Inactive"), &Size::new()).warnings.len(), 1);
}

#[test]
fn events_that_may_be_redelivered_or_delayed_are_a_warning() {
    let minute = Duration::from_secs(60);
    let once = EventDelivery { retries: 0, max_age: minute };
    assert_eq!(once.warning(), None);
    for delivery in [
        EventDelivery::default(),
        EventDelivery { retries: 1, ..once },
        EventDelivery { max_age: 2 * minute, ..once },
    ] {
        let warning = delivery.warning().unwrap();
        assert!(warning.contains("put-function-event-invoke-config"), "{warning}");
    }
}

#[test]
fn all_errors_are_reported_together() {
    let config = FunctionConfig {
        state: Some("Failed".to_owned()),
        timeout: Some(Duration::from_secs(3)),
        ..FunctionConfig::default()
    };
    assert_eq!(check(&config, &Size::new()).errors.len(), 3);
}

#[test]
fn a_size_that_the_function_does_not_have_is_rejected_with_what_to_raise() {
    let config = FunctionConfig { size: size(Some(1769), Some(2048)), ..valid() };
    for fits in [Size::new(), Size::new().vcpus(1.0).memory_mib(1769).gpus(0).storage_gib(2)] {
        assert_eq!(check(&config, &fits), Findings::default(), "{fits}");
    }
    for (larger, named) in [
        (Size::new().vcpus(2.0), "vcpus"),
        (Size::new().memory_mib(2048), "memory_mib"),
        (Size::new().gpus(1), "gpus"),
        (Size::new().storage_gib(3), "storage_gib"),
    ] {
        let errors = check(&config, &larger).errors.join(" ");
        assert!(errors.contains(named) && errors.contains("`MemorySize`"), "{errors}");
    }
    assert_eq!(check(&valid(), &Size::new().memory_mib(99)), Findings::default(), "it is unknown");
}
