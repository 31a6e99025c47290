//! Small programs that use a pool before their `main` has reached `App::run`, or that never call
//! it. A copy of such a program is the same program.

use std::error::Error;

use flame_aws::backend::Process;
use flame_aws::{App, AppError, Pool};

use crate::demo;

/// The variable that says which of these programs the suite is.
pub const ENV: &str = "DEMO_EARLY";

type Outcome = Result<(), Box<dyn Error>>;

/// Lists the programs by their names. Each prints what its call gave.
pub(crate) async fn run(name: &str) -> Outcome {
    match name {
        "pool_as_state" => pool_as_state().await,
        "without_run" => without_run().await,
        "without_run_but_ready" => without_run_but_ready().await,
        "guarded" => guarded().await,
        "run_behind_an_argument" => run_behind_an_argument().await,
        "run_that_fails" => run_that_fails().await,
        name => Err(format!("there is no program {name}").into()),
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

/// The pool is made first, to be the app's state, in the parent and in its copies.
async fn pool_as_state() -> Outcome {
    let pool = Pool::builder("early").min(1).max(1).start().await?;
    let app = app().state(pool.clone());
    Ok(app.run(|| call(pool)).await?)
}

/// `App::run` is forgotten.
async fn without_run() -> Outcome {
    Ok(call(Pool::builder("early").max(1).start().await?).await?)
}

/// The same, where the program waits for its runners before it calls.
async fn without_run_but_ready() -> Outcome {
    let pool = Pool::builder("early").min(1).max(1).start().await?;
    pool.ready().await;
    Ok(call(pool).await?)
}

/// The pool is made first, in the parent alone, and has a runner once `App::run` is reached.
async fn guarded() -> Outcome {
    if flame_aws::is_runner() {
        return Ok(app().run(async || Ok::<_, AppError>(())).await?);
    }
    let pool = Pool::builder("early").min(1).max(1).start().await?;
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

/// The parent does not call `App::run`; its copies, which have another argument, do.
async fn run_behind_an_argument() -> Outcome {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return Ok(app().run(async || Ok::<_, AppError>(())).await?);
    }
    let backend = Process::new().args(["serve"]);
    Ok(call(Pool::builder("early").max(1).backend(backend).start().await?).await?)
}

/// `App::run` gives an error, and the program goes on all the same.
async fn run_that_fails() -> Outcome {
    if let Err(error) = app().run(async || Ok::<_, AppError>(())).await {
        eprintln!("{error}");
    }
    Ok(call(Pool::builder("early").max(1).start().await?).await?)
}
