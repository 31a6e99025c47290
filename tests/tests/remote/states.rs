//! Parameters that are states of the app.

use flame_aws::{AppError, CallError, remote};

use super::{Db, app, pool};

#[remote]
async fn with_state(greeting: &str, #[state] db: Db, #[state] again: &Db) -> String {
    tokio::task::yield_now().await;
    format!("{greeting} {} {}", db.0, again.0)
}

#[remote]
fn plain_with_state(#[state] Db(name): Db, #[state] again: &Db) -> String {
    format!("{name} {}", again.0)
}

#[tokio::test]
async fn state_is_not_sent_but_taken_from_the_process_that_runs_the_function() {
    let run = app().run(async || {
        same_here_and_there!(with_state("hi"), plain_with_state());
        Ok::<_, AppError>(())
    });
    run.await.unwrap();
}

#[tokio::test]
async fn a_dependencys_function_without_its_state_fails_only_when_called() {
    let run = app().run(async || {
        let pool = pool().await;
        let error = pool.call(dependency::needs_state()).await.unwrap_err();
        let CallError::MissingState { function, state } = &error else { panic!("{error:?}") };
        assert_eq!(*function, "dependency::needs_state");
        assert_eq!(state, "dependency::Settings");
        assert!(error.to_string().contains("add `.state(..)`"), "{error}");
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.booting, snapshot.up), (0, 0), "{snapshot:?}");
        Ok::<_, AppError>(())
    });
    run.await.unwrap();
}
