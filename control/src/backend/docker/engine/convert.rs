//! bollard's answers and errors as plain values.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, EventMessage};
use flame_wire::error::Chain;
use rustls::AlertDescription;

use super::{CLIENT_LIMIT, ContainerEvent, ListedContainer};
use crate::backend::docker::failure::{EngineError, ErrorKind, TlsFault};

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
    // With TLS 1.3 an engine rejects a certificate only when the request is under way.
    if let Error::HyperLegacyError { err } = &error
        && let Some(tls) = cause::<rustls::Error>(err)
    {
        return EngineError { kind: ErrorKind::Tls(tls_fault(tls)), message: tls.to_string() };
    }
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
            let io = cause::<io::Error>(err);
            let denied = io.is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied);
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

fn tls_fault(error: &rustls::Error) -> TlsFault {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, DecryptError, NoCertificate, UnknownCA, UnsupportedCertificate,
    };
    match error {
        rustls::Error::InvalidCertificate(_) => TlsFault::Engine,
        rustls::Error::AlertReceived(
            AccessDenied
            | BadCertificate
            | CertificateExpired
            | CertificateRequired
            | CertificateRevoked
            | CertificateUnknown
            | DecryptError
            | NoCertificate
            | UnknownCA
            | UnsupportedCertificate,
        ) => TlsFault::Client,
        _ => TlsFault::Other,
    }
}

/// The first error of this type among an error and its causes.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The source of an error of `io` is the source of the error in it.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
