use super::*;

mod connecting;
mod deadlines;
mod exit;
mod histories;
mod idle;
mod idle_races;
mod parent;
mod predicate;
mod signals;
mod single_use;

const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(30);
const SHUTDOWN: Duration = Duration::from_secs(5);
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const FAILSAFE: Duration = Duration::from_secs(20);

fn config() -> Config {
    Config {
        failsafe: FAILSAFE,
        reconnect_timeout: RECONNECT_TIMEOUT,
        idle: Some(IDLE),
        ask_predicate: false,
        max_lifetime: None,
        host_deadline: None,
        shutdown: SHUTDOWN,
        after_signal: None,
        single_use: false,
    }
}

/// A terminator with a clock that the test moves.
struct TestRunner {
    start: Instant,
    now: Instant,
    terminator: Terminator,
}

impl TestRunner {
    #[expect(clippy::disallowed_methods, reason = "any instant will do: the test moves the time")]
    fn booting(config: impl FnOnce(Instant) -> Config) -> Self {
        let start = Instant::now();
        Self { start, now: start, terminator: Terminator::new(start, config(start)) }
    }

    fn serving(config: Config) -> Self {
        let mut runner = Self::booting(|_| config);
        assert_eq!(runner.on(Event::Connected), []);
        runner
    }

    /// The actions that follow at once from `event`.
    fn on(&mut self, event: Event) -> Vec<Action> {
        self.terminator.handle(self.now, event);
        self.actions()
    }

    fn all(&mut self, events: &[Event]) -> Vec<Action> {
        events.iter().flat_map(|event| self.on(*event)).collect()
    }

    /// The actions that follow when `time` passes, timer by timer.
    fn wait(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut actions = Vec::new();
        while let Some(due) = self.terminator.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.terminator.handle_timeout(self.now);
            actions.extend(self.actions());
        }
        self.now = end;
        actions
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.terminator.poll_action()).collect()
    }

    /// When the next timer is due, counted from the start.
    fn due(&self) -> Option<Duration> {
        self.terminator.poll_timeout().map(|due| due - self.start)
    }
}

fn single_use_with(config: Config) -> TestRunner {
    TestRunner::serving(Config { single_use: true, ..config })
}

fn propose(idle_for: Duration) -> Vec<Action> {
    vec![Action::ProposeIdle { idle_for }]
}

fn drains(reason: EndReason) -> Vec<Action> {
    vec![Action::StopAccepting, Action::AnnounceDraining(reason)]
}

/// The runner drains on its own account, and serves until the parent confirms.
fn announces_drain(reason: EndReason) -> Vec<Action> {
    vec![Action::AnnounceDraining(reason)]
}

/// The window is over with work in flight, and the parent has not confirmed.
fn aborts_and_leaves(reason: EndReason) -> Vec<Action> {
    let abort = vec![Action::StopAccepting, Action::FailRemaining];
    [abort, leaves(reason, EXIT_WORK_ABORTED)].concat()
}

fn leaves(reason: EndReason, code: i32) -> Vec<Action> {
    vec![Action::SayGoodbye(reason), Action::Exit { code, reason }]
}

fn drains_and_leaves(reason: EndReason) -> Vec<Action> {
    [drains(reason), leaves(reason, EXIT_OK)].concat()
}

const STAY: Event = Event::StayUp { again_in: None };
const DRAIN: Event = Event::DrainRequested { within: None };
