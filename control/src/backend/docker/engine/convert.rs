//! bollard's answers and errors as plain values.

use std::io;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, EventMessage};
use flame_wire::error::Chain;

use super::{CLIENT_LIMIT, ContainerEvent, ListedContainer};
use crate::backend::docker::failure::{EngineError, ErrorKind};

pub(super) fn listed_container(container: ContainerSummary) -> ListedContainer {
    let names = container.names.unwrap_or_default();
    ListedContainer {
        name: names.first().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default(),
        is_going: container.state == Some(ContainerSummaryStateEnum::REMOVING),
        created: container.created,
        labels: container.labels.unwrap_or_default(),
    }
}

pub(super) fn event_of(event: EventMessage) -> Option<ContainerEvent> {
    let mut attributes = event.actor?.attributes?;
    let exit_code = attributes.get("exitCode").and_then(|code| code.parse().ok());
    Some(ContainerEvent { name: attributes.remove("name")?, action: event.action?, exit_code })
}

/// A failed request as plain values.
pub(super) fn error(error: Error) -> EngineError {
    let text = || Chain(&error).to_string();
    let (kind, message) = match &error {
        Error::DockerResponseServerError { status_code, message } => {
            (ErrorKind::Status(*status_code), message.clone())
        }
        Error::DockerStreamError { error } => (ErrorKind::Reported, error.clone()),
        Error::SocketNotFoundError(path) => {
            (ErrorKind::Unreachable, format!("there is no socket {path}"))
        }
        Error::HyperLegacyError { err } if err.is_connect() => {
            let denied = io_kind(err) == Some(io::ErrorKind::PermissionDenied);
            (if denied { ErrorKind::Denied } else { ErrorKind::Unreachable }, text())
        }
        Error::HyperLegacyError { .. }
        | Error::HyperResponseError { .. }
        | Error::IOError { .. } => (ErrorKind::Broken, text()),
        Error::RequestTimeoutError => {
            (ErrorKind::NoAnswer(Duration::from_secs(CLIENT_LIMIT)), String::new())
        }
        _ => (ErrorKind::Client, text()),
    };
    EngineError { kind, message: message.trim().to_owned() }
}

/// The kind of the operating system's error that is at the bottom of this one.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}
