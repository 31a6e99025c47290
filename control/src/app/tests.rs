use flame_runner_shim::calling::state::state;

use super::App;
use crate::error::AppError;

async fn run(app: App) -> Result<(), AppError> {
    app.run(async || Ok(())).await
}

#[tokio::test]
async fn a_state_is_installed_by_run_and_not_before() {
    #[derive(Clone, Debug, PartialEq)]
    struct Setting(u8);
    let app = App::new().state(Setting(1));
    assert_eq!(state::<Setting>(), None);
    app.run(async || {
        assert_eq!(state(), Some(Setting(1)), "the closure sees the state");
        Ok::<_, AppError>(())
    })
    .await
    .unwrap();
    run(App::new().state(Setting(2))).await.unwrap();
    assert_eq!(state(), Some(Setting(2)), "a later app of the same process replaces the state");
}

#[tokio::test]
async fn an_app_that_is_dropped_before_run_installs_nothing() {
    #[derive(Clone, Debug, PartialEq)]
    struct Setting;
    drop(App::new().state(Setting).idle_when(|| false));
    assert_eq!(state::<Setting>(), None);
}

#[tokio::test]
async fn a_second_state_of_a_type_is_an_error_that_names_the_type_and_installs_nothing() {
    #[derive(Clone, Debug, PartialEq)]
    struct Setting(u8);
    let app = App::new().state(Setting(1)).state("another type").state(Setting(2));
    let error = run(app).await.unwrap_err();
    assert!(matches!(&error, AppError::DuplicateState { state } if state.ends_with("::Setting")));
    let text = error.to_string();
    assert!(text.contains("::Setting`") && text.contains("a type of its own"), "{text}");
    assert_eq!(state::<Setting>(), None);
}

#[tokio::test]
async fn a_second_idle_predicate_is_an_error_that_says_how_to_join_the_two() {
    let app = App::new().idle_when(|| true).idle_when(|| false);
    let error = run(app).await.unwrap_err();
    assert!(matches!(error, AppError::DuplicateIdlePredicate), "{error:?}");
    assert!(error.to_string().contains("&&"), "{error}");
}
