//! The last lines of a task that died before its runner connected, from CloudWatch Logs.
//!
//! What a task prints goes to its log driver, and reaches no parent. With the feature
//! `cloudwatch-logs`, the backend reads the end of the stream of the driver `awslogs`. A boot fails
//! in any case, so reading is bounded: 20 lines, 2 s. If there are no lines, the reason says why
//! not.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::{Builder, Region};
use flame_wire::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use super::task::LogLocation;
use crate::backend::aws::api_error::ApiError;
use crate::backend::aws::error_class;
use crate::backend::{Death, Instance};

/// How many lines are read.
const LINES: i32 = 20;
/// The longest line, in bytes. The rest is cut off: an event may have 1 MiB (AWS documentation,
/// CloudWatch Logs quotas).
const LONGEST_LINE: usize = 8 * 1024;
/// How long reading may take in all.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before a stream without lines is read again: lines arrive after the death of the task.
const PAUSE: Duration = Duration::from_millis(250);

/// Reads the log of a pool's tasks.
pub(super) struct TaskLog {
    client: Client,
    location: LogLocation,
    container: String,
    /// The tasks whose runners have not connected.
    booting: Mutex<HashSet<Instance>>,
}

/// Why there are no lines.
#[derive(Debug)]
enum NoLines {
    /// The stream is there, and empty.
    Empty,
    /// The group or the stream is not there.
    Missing(ApiError),
    Denied(ApiError),
    Failed(ApiError),
    NoAnswer,
}

impl fmt::Display for NoLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoLines::Empty => f.write_str("the log has no lines of it"),
            NoLines::Missing(error) => write!(
                f,
                "its log is not there; the execution role needs logs:CreateLogStream and \
                 logs:PutLogEvents ({error})"
            ),
            NoLines::Denied(error) => write!(
                f,
                "its last lines are missing here, because this process may not call \
                 logs:GetLogEvents ({error})"
            ),
            NoLines::Failed(error) => write!(f, "its log can't be read: {error}"),
            NoLines::NoAnswer => {
                write!(f, "its log can't be read: CloudWatch Logs did not answer in {TIMEOUT:?}")
            }
        }
    }
}

impl From<ApiError> for NoLines {
    fn from(error: ApiError) -> Self {
        if error_class::is_denied(&error) {
            NoLines::Denied(error)
        } else if error.code.as_deref() == Some("ResourceNotFoundException") {
            NoLines::Missing(error)
        } else {
            NoLines::Failed(error)
        }
    }
}

impl TaskLog {
    /// The log at this location. `config` has no endpoint that is meant for ECS alone.
    pub(super) fn new(config: &SdkConfig, location: LogLocation, container: String) -> Self {
        let mut builder = Builder::from(config).retry_config(RetryConfig::disabled());
        if let Some(region) = &location.region {
            builder.set_region(Some(Region::new(region.clone())));
        }
        let client = Client::from_conf(builder.build());
        Self { client, location, container, booting: Mutex::default() }
    }

    /// The task's runner has not connected yet.
    pub(super) fn begin_boot(&self, task: &Instance) {
        self.booting.lock().insert(task.clone());
    }

    /// The task's runner has connected. What it logs from now on reaches the pool.
    pub(super) fn end_boot(&self, task: &Instance) {
        self.booting.lock().remove(task);
    }

    /// Adds the last lines to the death of a task, or the reason why they are missing. Only for a
    /// task whose container has run, and whose runner has not connected.
    pub(super) async fn complete(&self, task: &Instance, mut death: Death) -> Death {
        let was_booting = self.booting.lock().remove(task);
        if was_booting && death.exit_code.is_some() {
            match self.read(&self.location.stream(&self.container, &task.id)).await {
                Ok(lines) => death.log_tail = lines,
                Err(why) => death.reason += &format!("; {why}"),
            }
        }
        death
    }

    async fn read(&self, stream: &str) -> Result<Vec<String>, NoLines> {
        let deadline = Instant::now() + TIMEOUT;
        let mut last = NoLines::NoAnswer;
        loop {
            let Ok(answer) = timeout_at(deadline, self.last_lines(stream)).await else {
                return Err(last);
            };
            last = match answer {
                Ok(lines) if !lines.is_empty() => return Ok(lines),
                Ok(_) => NoLines::Empty,
                Err(error) => match NoLines::from(error) {
                    // The stream is made by the log driver, and may appear late.
                    missing @ NoLines::Missing(_) => missing,
                    why => return Err(why),
                },
            };
            if timeout_at(deadline, sleep(PAUSE)).await.is_err() {
                return Err(last);
            }
        }
    }

    /// Calls GetLogEvents, which returns the end of a stream, oldest line first (AWS documentation,
    /// GetLogEvents, `startFromHead`).
    async fn last_lines(&self, stream: &str) -> Result<Vec<String>, ApiError> {
        let call = self
            .client
            .get_log_events()
            .log_group_name(&self.location.group)
            .log_stream_name(stream)
            .start_from_head(false)
            .limit(LINES);
        let failed = |error| error_class::of_request(&error, &["logs:GetLogEvents"]);
        let response = call.send().await.map_err(failed)?;
        let lines = response.events().iter().filter_map(|event| event.message());
        Ok(lines.map(cut).collect())
    }
}

fn cut(line: &str) -> String {
    let line = line.trim_end();
    let end = line.floor_char_boundary(LONGEST_LINE);
    line.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::super::testing::{self, RecordedRequest};
    use super::*;
    use crate::backend::aws::testing::config;

    const ARN: &str = "arn:aws:ecs:eu-central-1:1:task/main/abc";

    fn log_at(endpoint: &str) -> TaskLog {
        let group = "/app".to_owned();
        let location = LogLocation { group, prefix: "run".to_owned(), region: None };
        TaskLog::new(&config(endpoint), location, "app".to_owned())
    }

    fn died() -> Death {
        Death { exit_code: Some(7), ..Death::new("it exited") }
    }

    /// The death of a booting task whose log answers so, and the requests for its log.
    async fn death(
        mut answer: impl FnMut() -> Result<Value, &'static str> + Send + 'static,
    ) -> (Death, Vec<RecordedRequest>) {
        let (endpoint, mut requests) = testing::server(move |_, _| answer()).await;
        let (log, task) = (log_at(&endpoint), Instance::new(ARN));
        log.begin_boot(&task);
        let death = log.complete(&task, died()).await;
        let requests = std::iter::from_fn(|| requests.try_recv().ok()).collect();
        (death, requests)
    }

    fn events(lines: &[&str]) -> Value {
        let event = |line: &&str| json!({ "message": line, "timestamp": 1 });
        json!({ "events": lines.iter().map(event).collect::<Vec<_>>() })
    }

    #[tokio::test]
    async fn the_end_of_the_tasks_stream_is_read_until_it_has_lines() {
        let mut empty = 2;
        let (death, requests) = death(move || {
            empty -= i32::from(empty > 0);
            Ok(if empty > 0 { events(&[]) } else { events(&["first\n", "last"]) })
        })
        .await;
        assert_eq!(death.log_tail, ["first", "last"]);
        assert_eq!(death.reason, "it exited");
        let expected = json!({
            "logGroupName": "/app",
            "logStreamName": "run/app/abc",
            "limit": LINES,
            "startFromHead": false,
        });
        assert_eq!(requests, vec![("GetLogEvents".to_owned(), expected); 2]);
    }

    #[tokio::test]
    async fn a_missing_permission_is_named_and_is_no_error_of_its_own() {
        let (death, requests) = death(|| Err("AccessDeniedException")).await;
        assert!(death.reason.starts_with("it exited; "), "{death}");
        assert!(death.reason.contains("may not call logs:GetLogEvents"), "{death}");
        assert!(death.log_tail.is_empty());
        assert_eq!(requests.len(), 1, "it is not tried again");
    }

    #[tokio::test]
    async fn a_stream_that_is_not_there_is_looked_for_until_the_time_is_over() {
        let (death, requests) = death(|| Err("ResourceNotFoundException")).await;
        assert!(death.reason.contains("logs:CreateLogStream"), "{death}");
        assert!(requests.len() > 1, "it may appear late");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_never_answers_delays_the_death_by_the_limit_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (log, task, begun) = (log_at(&endpoint), Instance::new(ARN), Instant::now());
        log.begin_boot(&task);
        let death = log.complete(&task, died()).await;
        assert!(death.reason.contains("did not answer in 2s"), "{death}");
        assert!(begun.elapsed() < TIMEOUT + PAUSE, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn no_log_is_read_of_a_runner_that_has_connected_or_a_container_that_never_ran() {
        let (endpoint, mut requests) = testing::server(|_, _| Ok(events(&["line"]))).await;
        let (log, task) = (log_at(&endpoint), Instance::new(ARN));
        log.begin_boot(&task);
        log.end_boot(&task);
        assert_eq!(log.complete(&task, died()).await, died());
        log.begin_boot(&task);
        let never_ran = Death::new("its image can't be pulled");
        assert_eq!(log.complete(&task, never_ran.clone()).await, never_ran);
        assert!(requests.try_recv().is_err());
    }

    #[test]
    fn a_line_is_cut_off_at_its_limit() {
        assert_eq!(cut("line\r\n"), "line");
        assert!(cut(&"é".repeat(LONGEST_LINE)).len() <= LONGEST_LINE);
    }
}
