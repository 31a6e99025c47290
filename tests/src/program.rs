//! The suite as a program of its own: small parents that a test can kill, and whose log it reads.

use std::process::Stdio;
use std::time::Duration;

use flame_aws::backend::Lambda;
use flame_aws::{CallError, PoolEvent, Sender, channel};
use flame_runner_shim::code_sync;
use futures_util::TryStreamExt;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::emulator::{EcsApp, reachable};
use crate::{demo, mischief, process, process_pool};

mod remains;
mod terminal;

/// The variable that says which program the suite is.
pub const ENV: &str = "DEMO_PROGRAM";

/// Lists the programs by their names.
pub(crate) async fn run(name: &str) {
    match name {
        "family" => family().await,
        "dynasty" => dynasty().await,
        "booting" => booting().await,
        "leaves" => leaves().await,
        "synced" => synced().await,
        "talks" => talks().await,
        "traced" => traced().await,
        "hogs" => hogs().await,
        "unheard" => unheard().await,
        "floods" => floods().await,
        "levels" => levels().await,
        "parent_on_lambda" => parent_on_lambda().await,
        "boots_on_lambda" => boots_on_lambda().await,
        "talks_on_lambda" => talks_on_lambda().await,
        "ecs_family" => ecs_family().await,
        "ecs_booting" => ecs_booting().await,
        "ecs_secret" => ecs_secret().await,
        "ecs_app" => ecs_app().await,
        "ecs_parent" => ecs_parent().await,
        "tool" => tool(),
        "tool_with_a_pool" => tool_with_a_pool().await,
        "handles_signals" => terminal::handles_signals().await,
        "handles_signals_in_a_boot" => terminal::handles_signals_in_a_boot().await,
        "is_stopped" => terminal::is_stopped().await,
        "asks_for_the_terminal" => terminal::asks_for_the_terminal().await,
        "leaves_its_signals" => terminal::leaves_its_signals().await,
        "ignores_that_it_should_end" => terminal::ignores_that_it_should_end().await,
        "with_remains" => remains::with_remains().await,
        "leaves_remains" => remains::leaves_remains().await,
        "drains_and_has_no_child" => remains::drains_and_has_no_child().await,
        "with_an_unprivileged_runner" => remains::with_an_unprivileged_runner().await,
        "sleeps" => std::future::pending().await,
        name => panic!("there is no program {name}"),
    }
}

/// Children of all sorts: idle, busy, stopped, booting.
async fn family() {
    let idle = process_pool("idle").min(1).max(1).start().await.unwrap();
    idle.ready().await;
    tell("idle", process::pids(&idle)[0]);

    let busy = process_pool("busy").max(1).timeout(None).start().await.unwrap();
    tell("busy", busy.call(demo::pid()).await.unwrap());
    let _spinning = tokio::spawn(busy.call(mischief::spins()));

    let stopped = process_pool("stopped").max(1).start().await.unwrap();
    let pid = stopped.call(demo::pid()).await.unwrap();
    process::signal(pid, Signal::STOP);
    crate::until("it is stopped", || process::is_stopped(pid)).await;
    tell("stopped", pid);

    let folder = crate::Folder::new();
    let hangs = flame_aws::backend::Process::new()
        .env("DEMO_HANG_IN_BOOT", "1")
        .env("DEMO_TELL", folder.path());
    let _booting = process_pool("booting").min(1).backend(hangs).start().await.unwrap();
    crate::until("the child boots", || !folder.files().is_empty()).await;
    let pid = folder.files()[0].file_name().and_then(|name| name.to_str()?.parse().ok());
    tell("booting", pid.expect("the file is named after the child"));

    println!("ready");
    std::future::pending().await
}

/// A child that is a parent, too.
async fn dynasty() {
    let pool = process_pool("dynasty").max(1).timeout(None).start().await.unwrap();
    let (pids, mut told): (Sender<u32>, _) = channel(2);
    let _child = tokio::spawn(pool.call(mischief::keeps_a_spinning_child(pids)));
    tell("child", told.recv().await.unwrap().unwrap());
    tell("grandchild", told.recv().await.unwrap().unwrap());
    println!("ready");
    std::future::pending().await
}

/// Boots children, one after the other, for as long as it lives.
async fn booting() {
    let pool = process_pool("booting").max(4).max_concurrency(1).single_use(true);
    let pool = pool.start().await.unwrap();
    println!("ready");
    loop {
        let calls = (0..4).map(|_| pool.call(demo::pid()));
        futures_util::future::join_all(calls).await;
    }
}

/// Ends by itself, with children that are idle, busy and booting.
async fn leaves() {
    let pool = process_pool("leaves").max(4).max_concurrency(1).timeout(None);
    let pool = pool.start().await.unwrap();
    pool.call(demo::pid()).await.unwrap();
    let mut watcher = crate::Watcher::new(&pool);
    let _busy = tokio::spawn(pool.call(mischief::spins()));
    watcher.next(|event| matches!(event, PoolEvent::CallStarted { .. }).then_some(())).await;
    let _booting = tokio::spawn(pool.call(demo::pid()));
    watcher.next(|event| matches!(event, PoolEvent::GrowStart { .. }).then_some(())).await;
    println!("leaves");
}

/// A child of another build that has become this one.
async fn synced() {
    let folder = crate::Folder::new();
    let backend = flame_aws::backend::Process::new()
        .program(crate::other_build(folder.path()))
        .env(code_sync::FOLDER_ENV, folder.path().join("cache"));
    let pool = process_pool("synced").max(1).backend(backend).code_sync(true);
    let pool = pool.boot_timeout(Duration::from_secs(60)).start().await.unwrap();
    tell("synced", pool.call(demo::pid()).await.unwrap());
    // Its program is open already.
    drop(folder);
    println!("ready");
    std::future::pending().await
}

/// A child that prints and logs. What is heard of it is this program's standard error.
async fn talks() {
    if std::env::var_os("DEMO_SUBSCRIBER").is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    }
    let heard = std::env::var_os("DEMO_DEAF").is_none();
    let pool = process_pool("talks").max(1).log(heard).start().await.unwrap();
    pool.call(mischief::prints_and_stays("printed")).await.unwrap();
    pool.call(mischief::logs("logged")).await.unwrap();
    println!("runner {}", pool.snapshot().runners[0].runner);
    // With the child's process ends its output: then all of it has been heard.
    pool.drain().await;
}

/// A child whose functions do not yield.
async fn hogs() {
    let pool = process_pool("hogs").max(1).keepalive_timeout(Duration::from_secs(1));
    let pool = pool.start().await.unwrap();
    pool.call(mischief::hogs_for_a_while()).await.unwrap();
    pool.drain().await;
}

/// Does all that a parent does while nobody reads its standard error, which its children fill.
async fn unheard() {
    if std::env::var_os("DEMO_SUBSCRIBER").is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    let loud = process_pool("loud").max(1).start().await.unwrap();
    loud.call(mischief::prints_lines(1000)).await.unwrap();
    loud.call(mischief::logs_lines(1000)).await.unwrap();
    let late = loud.call(demo::forever().timeout(Duration::from_millis(100))).await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    let other = process_pool("other").max(1).start().await.unwrap();
    let pid = other.call(demo::pid()).await.unwrap();
    process::ends_clean(&other, &[pid]).await;
    let dies = loud.call(mischief::dies()).await;
    assert!(matches!(dies, Err(CallError::RunnerLost { .. })), "{dies:?}");
    process::ends_clean(&loud, &[]).await;
    println!("drained");
}

/// A child prints as many lines as `DEMO_LINES` says; `ready` is told when it has. The program stays
/// while the file that `DEMO_STAY_WHILE` names is there.
async fn floods() {
    let lines = std::env::var("DEMO_LINES").expect("it is set").parse().expect("a number");
    let pool = process_pool("floods").max(1).timeout(None).start().await.unwrap();
    pool.call(mischief::prints_lines(lines)).await.unwrap();
    println!("ready");
    if let Some(file) = std::env::var_os("DEMO_STAY_WHILE") {
        crate::until("it may go", || !std::path::Path::new(&file).exists()).await;
    }
    pool.drain().await;
}

/// A child that logs an error and panics, with a subscriber that `main` has set and coloured.
async fn levels() {
    let coloured = flame_aws::backend::Process::new().env("NO_COLOR", "");
    let pool = process_pool("levels").max(1).backend(coloured).start().await.unwrap();
    pool.call(mischief::fails_in_its_log()).await.unwrap();
    pool.drain().await;
}

/// What [`traced`](self) tells.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Traced {
    /// The spans of the parent.
    pub spans: Vec<crate::spans::Opened>,
    /// [`demo::traces`], one copy of a copy down.
    pub levels: Vec<(String, String)>,
    /// The same of a call that was given a trace.
    pub given: Vec<(String, String)>,
    /// [`demo::traces_plainly`].
    pub plain: String,
    /// The spans of other ways to call: a stream, a child and a cast.
    pub ways: Vec<(String, Vec<crate::spans::Opened>)>,
}

/// The trace that [`Traced::given`] was given.
pub const GIVEN_TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Writes its spans down while it makes calls.
async fn traced() {
    let spans = crate::spans::Spans::record();
    let debugs = flame_aws::backend::Process::new().env("FLAME_LOG", "debug");
    let pool = process_pool("traced").max(1).backend(debugs).start().await.unwrap();
    let levels = pool.call(demo::traces(1)).await.unwrap().unwrap();
    let record = spans;
    let spans = record.opened();
    let mut ways = Vec::new();
    let mut seen = spans.len();
    let mut way = |name: &str| {
        let opened = record.opened();
        ways.push((name.to_owned(), opened[seen..].to_vec()));
        seen = opened.len();
    };
    pool.stream(demo::count(3)).try_collect::<Vec<_>>().await.unwrap();
    way("stream");
    let child = pool.place_child(demo::double(1)).await.unwrap();
    assert_eq!(child.join().await.unwrap(), 2);
    way("child");
    pool.cast(demo::double(1)).await.unwrap();
    way("cast");
    let given = demo::traces(0).trace(GIVEN_TRACE.parse().unwrap());
    let given = pool.call(given).await.unwrap().unwrap();
    let plain = pool.call(demo::traces_plainly()).await.unwrap();
    let told = Traced { spans, levels, given, plain, ways };
    println!("{}", serde_json::to_string(&told).expect("text"));
    pool.drain().await;
}

/// A pool on Lambda, as the environment has it.
fn lambda_pool() -> flame_aws::PoolBuilder {
    let pool = flame_aws::Pool::builder("test").max(2).max_concurrency(1);
    reachable(pool.backend(Lambda::from_env()))
}

/// Two invocations, one idle and one busy, that end soon when this program is gone.
async fn parent_on_lambda() {
    let pool = lambda_pool()
        .timeout(None)
        .reconnect_timeout(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let idle = pool.call(demo::nap(Duration::ZERO)).await.unwrap();
    let (mut gate, begun, open) = mischief::Gate::new();
    let _busy = tokio::spawn(pool.call(mischief::gated(begun, open)));
    let busy = gate.entered().await;
    // It has the slot of the first one, so a second one boots.
    let other = pool.call(demo::pid()).await.unwrap();
    assert_eq!(idle, busy);
    tell("busy", busy);
    tell("idle", other);
    println!("ready");
    std::future::pending().await
}

/// An invocation that boots, and dials for a second.
async fn boots_on_lambda() {
    let pool = lambda_pool().min(1).boot_timeout(Duration::from_secs(1));
    let _pool = pool.start().await.unwrap();
    println!("ready");
    std::future::pending().await
}

/// An invocation that logs.
async fn talks_on_lambda() {
    let pool = lambda_pool().max(1).start().await.unwrap();
    pool.call(mischief::logs("logged")).await.unwrap();
    println!("runner {}", pool.snapshot().runners[0].runner);
    pool.drain().await;
}

/// Tasks, one idle and one busy, whose grace is short. The account is that of the environment.
async fn ecs_family() {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
    let pool = |name: &str| {
        let backend = EcsApp::backend_with(config.clone()).build();
        let pool = flame_aws::Pool::builder(name).max(1).timeout(None).backend(backend);
        reachable(pool.reconnect_timeout(Duration::from_secs(1)))
    };
    let idle = pool("idle").min(1).start().await.unwrap();
    idle.ready().await;
    tell("idle", process::pids(&idle)[0]);
    let busy = pool("busy").start().await.unwrap();
    tell("busy", busy.call(demo::pid()).await.unwrap());
    let _spinning = tokio::spawn(busy.call(mischief::spins()));
    println!("ready");
    std::future::pending().await
}

/// A task that is ordered. It would give its parent up soon.
async fn ecs_booting() {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
    let backend = EcsApp::backend_with(config).build();
    let pool = flame_aws::Pool::builder("booting").min(1).max(1).backend(backend);
    let _pool = pool.boot_timeout(Duration::from_secs(3)).start().await.unwrap();
    std::future::pending().await
}

/// A runner's FLAME_PARENT, printed; what is logged meanwhile is this program's standard error.
async fn ecs_secret() {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
    let backend = EcsApp::backend_with(config).build();
    let pool = flame_aws::Pool::builder("secret").max(1).backend(backend);
    let pool = reachable(pool).start().await.unwrap();
    let secret = pool.call(demo::flame_parent()).await.unwrap();
    println!("{}", secret.unwrap());
    pool.drain().await;
}

/// A parent on ECS or EC2. All its settings are those of its environment, or of its task; it ends
/// in order if a call gives what it should.
async fn ecs_app() {
    let backend = flame_aws::backend::Ecs::from_env();
    let pool = flame_aws::Pool::builder("app").max(1).backend(backend);
    let pool = pool.listen("0.0.0.0:0".parse().unwrap()).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    pool.drain().await;
}

/// A parent that is an ECS task, and has a runner that hangs: nothing is set.
async fn ecs_parent() {
    let backend = flame_aws::backend::Ecs::builder().env("DEMO_HANG_IN_BOOT", "1");
    let pool = flame_aws::Pool::builder("swept").min(1).max(1).backend(backend.build());
    let pool = pool.listen("0.0.0.0:0".parse().unwrap()).start().await;
    let _pool = pool.unwrap_or_else(|error| {
        panic!("{:?}", std::error::Error::source(&error).map(ToString::to_string))
    });
    std::future::pending().await
}

/// A command that uses no pool.
fn tool() {
    println!("a runner: {}", flame_aws::is_runner());
}

/// A command with a pool of its own, which keeps a runner.
async fn tool_with_a_pool() {
    let pool = process_pool("tool").min(1).max(1).start().await.unwrap();
    pool.ready().await;
    println!("{}", pool.call(demo::double(21)).await.unwrap());
    pool.drain().await;
}

fn tell(what: &str, pid: u32) {
    println!("{what} {pid}");
}

/// A suite that was started as a program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts one, with these variables. It ends with the test at the latest.
    #[must_use]
    pub fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_by(copy(), name, variables)
    }

    /// The same, as `nohup` starts a program: it ignores SIGHUP.
    #[must_use]
    pub fn start_without_sighup(name: &str, variables: &[(&str, &str)]) -> Self {
        let suite = std::env::current_exe().expect("the suite has a path");
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' HUP; exec \"$0\""]).arg(suite);
        command.stdin(Stdio::null()).kill_on_drop(true);
        Self::start_by(command, name, variables)
    }

    fn start_by(mut command: Command, name: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command
            .env(ENV, name)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the suite starts itself");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    /// What it has told, up to and without `ready`, as pairs.
    pub async fn until_ready(&mut self) -> Vec<(String, u32)> {
        let mut told = Vec::new();
        while let Some(line) = self.lines.next_line().await.expect("it tells in text") {
            match line.split_once(' ') {
                Some((what, pid)) => told.push((what.to_owned(), pid.parse().expect("a pid"))),
                None if line == "ready" => return told,
                None => {}
            }
        }
        let mut error = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut error).await.expect("text");
        panic!("it ended before it was ready: {error}")
    }

    /// The next bytes of its standard error; then [`finish`](Self::finish) gives what follows.
    pub async fn heard(&mut self, len: usize) -> Vec<u8> {
        let mut heard = vec![0; len];
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_exact(&mut heard).await.expect("so much is written");
        heard
    }

    /// Waits for its end, and reads nothing of its standard error meanwhile; what it printed.
    pub async fn finish_unheard(mut self) -> String {
        let mut printed = String::new();
        while let Some(line) = self.lines.next_line().await.expect("text") {
            printed.push_str(&line);
            printed.push('\n');
        }
        let stderr = self.child.stderr.take().expect("it is piped");
        let status = self.child.wait().await.expect("it ends");
        drop(stderr);
        assert!(status.success(), "{status}: {printed}");
        printed
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("nobody has waited for its end")
    }

    /// The next line that it prints.
    pub async fn line(&mut self) -> String {
        self.lines.next_line().await.expect("it tells in text").expect("it goes on")
    }

    /// Waits for its end, however it ends.
    pub async fn status(mut self) -> std::process::ExitStatus {
        self.child.wait().await.expect("it ends")
    }

    /// Kills it with -9.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it is there to be killed");
    }

    /// Waits for its end; what it printed, and what is on its standard error.
    pub async fn finish(mut self) -> (String, String) {
        let mut error = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        let heard = tokio::spawn(async move {
            stderr.read_to_string(&mut error).await.expect("text");
            error
        });
        let mut printed = String::new();
        while let Some(line) = self.lines.next_line().await.expect("text") {
            printed.push_str(&line);
            printed.push('\n');
        }
        let error = heard.await.expect("it is read");
        assert!(self.child.wait().await.expect("it ends").success(), "{error}");
        (printed, error)
    }
}

/// A command that starts the suite once more.
#[must_use]
pub fn copy() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}
