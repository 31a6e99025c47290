//! The lines that runners print and log, in their parent's log.

use flame_aws::CallError;
use flame_tests::demo::output;
use flame_tests::program::{LogStorm, Program};
use flame_tests::{Test, process_pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        without_a_subscriber_a_runners_lines_go_to_the_parents_standard_error,
        with_a_subscriber_a_runners_lines_become_events_with_pool_runner_and_call,
        a_pool_can_discard_its_runners_output,
        a_runner_warns_about_functions_that_never_yield,
        a_parent_works_while_nobody_reads_its_standard_error,
        a_parent_works_while_its_subscriber_blocks,
        lines_dropped_for_a_slow_reader_are_counted,
        a_fast_reader_gets_every_line_in_order,
        a_runners_errors_are_errors_in_its_parents_log,
        a_storm_of_logs_takes_bounded_memory_and_what_is_dropped_is_counted,
        the_log_of_a_child_can_be_read_in_code_from_its_start,
        the_log_of_each_kind_of_call_can_be_read_in_code_from_its_start,
        the_last_lines_of_a_runner_that_died_are_in_the_error,
    ]
}

/// Returns the first line of the log that contains `text`.
fn line<'a>(log: &'a str, text: &str) -> &'a str {
    let line = log.lines().find(|line| line.contains(text));
    line.unwrap_or_else(|| panic!("no line of the log contains {text:?}:\n{log}"))
}

/// Runs a program whose child prints and logs. The child's call ends only once its lines are in the
/// log, so that they belong to the call. Returns what the program printed, and its log.
async fn prints_and_logs(variables: &[(&str, &str)]) -> (String, String) {
    let call = flame_tests::TempDir::new();
    let file = call.path().to_str().expect("the path is text").to_owned();
    let variables = [variables, &[("DEMO_STAY_WHILE_EXISTS", file.as_str())]].concat();
    let mut program = Program::start("prints_and_logs", &variables);
    // Both lines contain the word.
    let mut log = program.read_stderr_until(|log| log.matches("printed").count() == 2).await;
    drop(call);
    let (printed, rest) = program.finish().await;
    log.push_str(&rest);
    (printed, log)
}

fn runner(printed: &str) -> &str {
    printed.trim().strip_prefix("runner ").unwrap()
}

async fn without_a_subscriber_a_runners_lines_go_to_the_parents_standard_error() {
    let (printed, log) = prints_and_logs(&[]).await;
    let of_a_call = format!("[prints {} c-", runner(&printed));
    for text in ["printed on stderr", "INFO flame_tests::demo::output: logged answer=42"] {
        assert!(line(&log, text).starts_with(&of_a_call), "{log}");
    }
    let first = line(&log, "] printed");
    assert!(first.starts_with(&of_a_call) && first.ends_with("] printed"), "{log}");
    assert!(!log.contains("too fine"), "{log}");
}

async fn with_a_subscriber_a_runners_lines_become_events_with_pool_runner_and_call() {
    let (printed, log) = prints_and_logs(&[("DEMO_SUBSCRIBER", "1")]).await;
    let runner = format!("runner={}", runner(&printed));
    for (text, field) in [
        ("printed on stderr", "stream=\"stderr\""),
        ("logged answer=42", "from=\"flame_tests::demo::output\""),
    ] {
        let line = line(&log, text);
        assert!(line.contains("INFO flame::runner: "), "{line}");
        assert!(line.contains("pool=\"prints\""), "{line}");
        assert!(line.contains(&runner), "{line}");
        assert!(line.contains("call=c-"), "{line}");
        assert!(line.contains(field), "{line}");
    }
}

async fn a_pool_can_discard_its_runners_output() {
    let (_, log) = Program::start("prints_and_logs", &[("DEMO_NO_RUNNER_LOG", "1")]).finish().await;
    assert_eq!(log, "");
    let variables = [("DEMO_NO_RUNNER_LOG", "1"), ("DEMO_SUBSCRIBER", "1")];
    let (_, log) = Program::start("prints_and_logs", &variables).finish().await;
    assert!(!log.contains("printed") && !log.contains("logged"), "{log}");
}

async fn a_runner_warns_about_functions_that_never_yield() {
    let (_, log) = Program::start("child_blocks_every_worker", &[]).finish().await;
    let warning = line(&log, "every worker thread of this runner's runtime");
    assert!(warning.contains("plain function"), "the warning gives no advice: {warning}");
}

async fn a_parent_works_while_nobody_reads_its_standard_error() {
    let printed = Program::start("works_with_stderr_unread", &[]).finish_with_stderr_unread().await;
    assert_eq!(printed, "drained\n");
}

async fn a_parent_works_while_its_subscriber_blocks() {
    let printed = Program::start("works_with_stderr_unread", &[("DEMO_SUBSCRIBER", "1")])
        .finish_with_stderr_unread()
        .await;
    assert_eq!(printed, "drained\n");
}

/// Returns the numbers of the lines in the log, and how many dropped lines it reports.
fn flood(log: &str) -> (Vec<usize>, usize) {
    let number = |line: &str| line.split_once("] line ")?.1.split_once(' ')?.0.parse().ok();
    let dropped = |line: &str| {
        let (number, _) =
            line.strip_prefix("flame-aws: ")?.split_once(" lines of runners were ")?;
        number.parse::<usize>().ok()
    };
    (log.lines().filter_map(number).collect(), log.lines().filter_map(dropped).sum())
}

async fn lines_dropped_for_a_slow_reader_are_counted() {
    let lines = 50_000;
    let keeps_running = flame_tests::TempDir::new();
    let count = lines.to_string();
    let file = keeps_running.path().to_str().expect("text").to_owned();
    let variables = [("DEMO_LINES", count.as_str()), ("DEMO_STAY_WHILE_EXISTS", file.as_str())];
    let mut program = Program::start("child_floods_the_log", &variables);
    // The child has printed every line before the test reads any.
    program.until_ready().await;
    let mut log = program.read_stderr(1024 * 1024).await;
    drop(keeps_running);
    let (_, rest) = program.finish().await;
    log.extend(rest.into_bytes());
    let log = String::from_utf8(log).expect("text");
    let (numbers, dropped) = flood(&log);
    assert!(dropped > 0 && !numbers.is_empty(), "{} read, {dropped} dropped", numbers.len());
    assert_eq!(numbers.len() + dropped, lines);
}

async fn a_fast_reader_gets_every_line_in_order() {
    let lines = 40_000;
    let (_, log) = Program::start("child_floods_the_log", &[("DEMO_LINES", &lines.to_string())])
        .finish()
        .await;
    let (numbers, dropped) = flood(&log);
    assert_eq!((numbers.len(), dropped), (lines, 0));
    for stream in [0, 1] {
        let of_stream = numbers.iter().filter(|number| *number % 2 == stream);
        assert!(of_stream.is_sorted(), "the lines of one stream are out of order");
    }
}

async fn a_runners_errors_are_errors_in_its_parents_log() {
    // The filter is one for production, and `main` sets the subscriber before `App::run`.
    let variables = [("DEMO_TRACE", "warn"), ("NO_COLOR", "1")];
    let (_, log) = Program::start("child_logs_errors", &variables).finish().await;
    for (level, text) in [
        ("ERROR", "the disk is full disk=7"),
        (" WARN", "the disk was nearly full"),
        ("ERROR", "panicked at"),
        ("ERROR", "a thread of the function panics"),
    ] {
        let line = line(&log, text);
        assert!(line.contains(&format!("Z {level} flame::runner: ")), "{line}");
        assert_eq!(line.matches("Z ").count(), 1, "the line has more than one timestamp: {line}");
    }
    assert!(!log.contains('\x1b') && !log.contains("[31m"), "{log}");
}

async fn a_storm_of_logs_takes_bounded_memory_and_what_is_dropped_is_counted() {
    // Nobody reads the log, so its queue fills up.
    let printed = Program::start("calls_in_a_storm_of_logs", &[]).finish_with_stderr_unread().await;
    let storm: LogStorm = serde_json::from_str(&printed).unwrap();
    // The runners write 60 MB. The queue has 16 MiB, and the listeners share 1,024 records.
    assert!(storm.grown < 40 * 1024, "{storm:?}");
    assert!(storm.dropped > 0, "{storm:?}");
    assert!(storm.missed > 0, "{storm:?}");
    assert!(storm.heard > storm.missed, "{storm:?}");
}

async fn the_log_of_a_child_can_be_read_in_code_from_its_start() {
    let (printed, _) = Program::start("reads_the_log_of_a_call", &[]).finish().await;
    let expected = [
        "reads INFO one answer=42",
        "reads INFO other answer=42",
        "Stdout printed",
        "Stderr printed on stderr",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

async fn the_log_of_each_kind_of_call_can_be_read_in_code_from_its_start() {
    let (printed, _) = Program::start("reads_the_logs_of_calls", &[]).finish().await;
    let logged = |text: &str| format!("{text} answer=42");
    let expected = [
        logged("one"),
        logged("other"),
        "first, second".to_owned(),
        logged("cast"),
        "missed".to_owned(),
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

async fn the_last_lines_of_a_runner_that_died_are_in_the_error() {
    let pool = process_pool("dies").max(1).start().await.unwrap();
    let aborts = output::prints_and_aborts("the heap is corrupt");
    let error = pool.call(aborts).await.unwrap_err();
    let CallError::RunnerLost { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.ends_with("its last output:\n  the heap is corrupt"), "{reason}");
    pool.drain().await;
}
