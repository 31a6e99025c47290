//! Small programs that use a pool before their `main` reaches `App::run`, or that never call it.
//!
//! A copy of such a program behaves like the program itself.

use std::error::Error;

use flame_aws::backend::Process;
use flame_aws::{App, AppError, Pool};

use crate::demo;

/// The variable with the name of the program that the suite runs.
pub const ENV: &str = "DEMO_BEFORE_RUN";

type Outcome = Result<(), Box<dyn Error>>;

/// Runs a program, by its name. Each prints the result of its call.
pub(crate) async fn run(name: &str) -> Outcome {
    match name {
        "pool_as_state" => pool_as_state().await,
        "without_run" => without_run().await,
        "without_run_but_ready" => without_run_but_ready().await,
        "pool_in_the_parent_alone" => pool_in_the_parent_alone().await,
        "run_behind_an_argument" => run_behind_an_argument().await,
        "run_that_fails" => run_that_fails().await,
        name => Err(format!("there is no program `{name}`").into()),
    }
}

fn app() -> App {
    App::new().state(demo::Db("demo".to_owned()))
}

async fn call(pool: Pool) -> Result<(), AppError> {
    match pool.call(demo::pid()).await {
        Ok(pid) => println!("pid {pid}"),
        Err(error) => println!("{error}"),
    }
    pool.drain().await;
    Ok(())
}

/// Starts the pool first, to register it as the app's state, in the parent and in its copies.
async fn pool_as_state() -> Outcome {
    let pool = Pool::builder("before_run").min(1).max(1).start().await?;
    let app = app().state(pool.clone());
    Ok(app.run(|| call(pool)).await?)
}

/// Never calls `App::run`.
async fn without_run() -> Outcome {
    Ok(call(Pool::builder("before_run").max(1).start().await?).await?)
}

/// Never calls `App::run`, and waits until its pool is ready before it makes a call.
async fn without_run_but_ready() -> Outcome {
    let pool = Pool::builder("before_run").min(1).max(1).start().await?;
    pool.ready().await;
    Ok(call(pool).await?)
}

/// Starts the pool first, in the parent alone. The pool has a runner once `App::run` is reached.
async fn pool_in_the_parent_alone() -> Outcome {
    if flame_aws::is_runner() {
        return Ok(app().run(async || Ok::<_, AppError>(())).await?);
    }
    let pool = Pool::builder("before_run").min(1).max(1).start().await?;
    pool.ready().await;
    println!("{} up", pool.snapshot().up);
    let run = async || {
        while pool.snapshot().up == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        call(pool).await
    };
    Ok(app().run(run).await?)
}

/// Calls `App::run` only in its copies, which get another argument.
async fn run_behind_an_argument() -> Outcome {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return Ok(app().run(async || Ok::<_, AppError>(())).await?);
    }
    let backend = Process::new().args(["serve"]);
    Ok(call(Pool::builder("before_run").max(1).backend(backend).start().await?).await?)
}

/// Ignores the error of `App::run`, and uses a pool afterwards.
async fn run_that_fails() -> Outcome {
    if let Err(error) = app().run(async || Ok::<_, AppError>(())).await {
        eprintln!("{error}");
    }
    Ok(call(Pool::builder("before_run").max(1).start().await?).await?)
}
