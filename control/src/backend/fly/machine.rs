//! What the Machines API says of a machine: pure.
//! Source: <https://docs.machines.dev>, the API's OpenAPI description.

use std::collections::HashMap;

use serde::Deserialize;

use super::template::key;
use crate::backend::owner::PLACE_TAG;
use crate::backend::sweep::Listed;

/// A machine. Fields that are not needed here, or that are not known yet, are ignored.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Machine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: String,
    /// Another one for each version of the machine's configuration.
    pub(super) instance_id: Option<String>,
    created_at: Option<String>,
    config: Option<Config>,
    /// In place of `config`, if the machine's host can't be reached.
    incomplete_config: Option<Config>,
    events: Option<Vec<Event>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Config {
    metadata: Option<HashMap<String, String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    timestamp: i64,
    request: Option<EventRequest>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct EventRequest {
    exit_event: Option<Exit>,
    #[serde(rename = "MonitorEvent")]
    monitor_event: Option<MonitorEvent>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct MonitorEvent {
    exit_event: Option<Exit>,
}

/// How the machine's program has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Exit {
    exit_code: i32,
    /// A value below 1 means none.
    signal: i32,
    pub(super) oom_killed: bool,
    /// Whether somebody asked for it with the API.
    pub(super) requested_stop: bool,
}

impl Exit {
    /// The exit code as a shell would report it.
    pub(super) fn code(&self) -> i32 {
        if self.exit_code == 0 && self.signal > 0 { 128 + self.signal } else { self.exit_code }
    }
}

impl Machine {
    /// How its program has ended, if it has.
    pub(super) fn exit(&self) -> Option<&Exit> {
        let exits = self.events.iter().flatten().filter(|event| event.kind == "exit");
        let request = exits.max_by_key(|event| event.timestamp)?.request.as_ref()?;
        let monitored = request.monitor_event.as_ref().and_then(|event| event.exit_event.as_ref());
        monitored.or(request.exit_event.as_ref())
    }

    /// Whether its program runs no more, and will not run again: its restart policy is `no`.
    pub(super) fn is_over(&self) -> bool {
        match self.state.as_str() {
            "stopped" | "failed" | "launch_failed" => true,
            // A machine that is destroyed while its program runs is `destroying` first.
            "destroying" => self.exit().is_some(),
            _ => self.is_destroyed(),
        }
    }

    pub(super) fn is_destroyed(&self) -> bool {
        self.state == "destroyed"
    }

    /// Whether a parent in it runs, or may still run. A suspended machine goes on where it was.
    pub(super) fn runs_a_parent(&self) -> bool {
        !matches!(self.state.as_str(), "destroying" | "created") && !self.is_over()
    }

    fn metadata(&self) -> Option<&HashMap<String, String>> {
        self.config.as_ref().or(self.incomplete_config.as_ref())?.metadata.as_ref()
    }

    /// The metadata value with this key.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.metadata()?.get(key).map(String::as_str)
    }
}

impl Listed for Machine {
    fn id(&self) -> &str {
        &self.id
    }

    fn tag(&self, name: &str) -> Option<&str> {
        self.value(&key(name))
    }

    fn created(&self) -> Option<i64> {
        unix_time(self.created_at.as_deref()?)
    }

    /// A machine that has stopped is not ending by itself if Fly has not destroyed it.
    fn is_ending(&self) -> bool {
        matches!(self.state.as_str(), "destroying" | "destroyed")
    }

    fn parent(&self) -> Option<&str> {
        self.tag(PLACE_TAG)
    }
}

/// The Unix time, in seconds, of a time such as `2022-05-23T22:48:21Z`, which is in UTC.
fn unix_time(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| (0..=9999).contains(number));
    let numbers = |text: &str, by: char| -> Option<[i64; 3]> {
        text.split(by).map(number).collect::<Option<Vec<_>>>()?.try_into().ok()
    };
    let seconds = time.split_once('.').map_or(time, |(seconds, _)| seconds);
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(seconds, ':')?;
    // The days since 1 March of year 0, with March as the first month, so that a leap day is last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backend::sweep::POOL_TAG;

    fn machine(state: &str, events: &serde_json::Value) -> Machine {
        let machine = json!({ "id": "148ed1", "state": state, "events": events });
        serde_json::from_value(machine).unwrap()
    }

    /// An answer from Fly's documentation, shortened.
    #[test]
    fn an_answer_of_the_api_is_read() {
        let machine: Machine = serde_json::from_value(json!({
            "id": "73d8d46dbee589", "name": "quirky-machine", "state": "stopped", "region": "cdg",
            "instance_id": "01G3SHPT434MNW8TS4ENX11RQY", "private_ip": "fdaa:0:3ec2:a7b:5adc::2",
            "config": { "env": null, "image": "flyio/app", "metadata": { "flame_pool": "p" } },
            "created_at": "2022-05-23T22:48:21Z",
            "events": [
                { "type": "start", "status": "started", "timestamp": 1_653_346_103_201_i64 },
                { "type": "exit", "status": "stopped", "source": "flyd",
                  "request": { "exit_event": { "exit_code": 127, "exited_at": 1, "signal": -1,
                      "oom_killed": false, "requested_stop": false }, "restart_count": 0 },
                  "timestamp": 1_653_346_106_636_i64 },
                { "type": "exit", "request": null, "timestamp": 1 },
            ],
        }))
        .unwrap();
        assert_eq!(machine.exit().map(Exit::code), Some(127));
        assert_eq!(machine.created(), Some(1_653_346_101));
        assert_eq!(machine.tag(POOL_TAG), Some("p"));
        assert!(machine.is_over() && !machine.is_ending());
    }

    #[test]
    fn a_machine_is_over_once_its_program_has_ended_for_good() {
        let none = json!([]);
        for state in
            ["created", "starting", "started", "stopping", "suspended", "destroying", "new"]
        {
            assert!(!machine(state, &none).is_over(), "{state}");
        }
        for state in ["stopped", "failed", "launch_failed", "destroyed"] {
            assert!(machine(state, &none).is_over(), "{state}");
        }
        let exit = json!([{ "type": "exit", "request": { "MonitorEvent": {
            "exit_event": { "signal": 9, "oom_killed": true } } } }]);
        let ended = machine("destroying", &exit);
        assert!(ended.is_over() && ended.exit().unwrap().oom_killed);
        assert_eq!(ended.exit().map(Exit::code), Some(137), "of a signal");
    }

    #[test]
    fn a_parent_lives_in_a_machine_that_may_go_on() {
        for state in ["starting", "started", "stopping", "suspended", "replacing"] {
            assert!(machine(state, &json!(null)).runs_a_parent(), "{state}");
        }
        for state in ["stopped", "destroying", "destroyed", "failed"] {
            assert!(!machine(state, &json!(null)).runs_a_parent(), "{state}");
        }
    }

    #[test]
    fn a_time_is_read_in_utc() {
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00.123456Z", Some(951_825_600)),
            ("2024-03-01T00:00:00Z", Some(1_709_251_200)),
            ("2026-12-31T23:59:59Z", Some(1_798_761_599)),
            ("2026-12-31T23:59:59+01:00", None),
            ("yesterday", None),
            ("2026-12-31T23:59Z", None),
        ] {
            assert_eq!(unix_time(text), unix, "{text}");
        }
    }
}
