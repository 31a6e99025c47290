//! What a failed request to the engine means: the kind of the failure, whether to try again, and
//! what a person can do about it.

use std::fmt;
use std::time::Duration;

use super::endpoint::Transport;
use crate::backend::failure::Meaning;
use crate::backend::phrases::{self, PhraseRule};
use crate::backend::{BackendError, BootFailure, BootFailureKind};

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EngineError {
    pub(super) kind: ErrorKind,
    /// The text of the engine, or of the operating system.
    pub(super) message: String,
}

/// How a request has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// No connection to the engine: the request was not carried out.
    Unreachable,
    /// This process may not open the engine's socket.
    Denied,
    /// There was no answer in this time. The engine may have carried out the request.
    NoAnswer(Duration),
    /// The connection broke. The engine may have carried out the request.
    Broken,
    /// The first connection, by TCP, broke. The engine may speak TLS at that address.
    BrokenWithoutTls,
    /// The engine answered with this HTTP status.
    Status(u16),
    /// The engine reported an error after it had begun to answer, as it does for a pull.
    Reported,
    /// There is no TLS connection to the engine: the request was not carried out.
    Tls(TlsFault),
    /// The files with the certificates for TLS can't be used.
    Certificates,
    /// The client has failed: it does not understand the address or the answer.
    Client,
}

/// Why there is no TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsFault {
    /// This process does not accept the engine's certificate.
    Engine,
    /// The engine does not accept this process's certificate.
    Client,
    /// Something else: the engine speaks no TLS, or it cut the connection without a reason.
    Other,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::Unreachable | ErrorKind::Denied => {
                write!(f, "the Docker engine can't be reached: {}", self.message)
            }
            ErrorKind::NoAnswer(limit) => {
                write!(f, "the Docker engine did not answer within {limit:?}")
            }
            ErrorKind::Broken | ErrorKind::BrokenWithoutTls => {
                write!(f, "the connection to the Docker engine broke: {}", self.message)
            }
            ErrorKind::Status(status) => {
                write!(f, "the Docker engine answered: {} (HTTP {status})", self.message)
            }
            ErrorKind::Reported => write!(f, "the Docker engine reported: {}", self.message),
            ErrorKind::Tls(_) => {
                write!(f, "there is no TLS connection to the Docker engine: {}", self.message)
            }
            ErrorKind::Certificates | ErrorKind::Client => write!(f, "{}", self.message),
        }
    }
}

/// What an error text means. Docker and podman differ in their words, so there are phrases of both.
/// The order of the rules counts.
const RULES: &[PhraseRule<Meaning>] = &[
    PhraseRule { phrases: &["no space left on device", "disk quota exceeded"], meaning: DISK },
    PhraseRule { phrases: &["cannot allocate memory", "out of memory"], meaning: MEMORY },
    PhraseRule {
        phrases: &["too many open files", "resource temporarily unavailable"],
        meaning: LIMITS,
    },
    // The text of Go's HTTP server, which answers with 400.
    PhraseRule { phrases: &["HTTP request to an HTTPS server"], meaning: NEEDS_TLS },
    PhraseRule { phrases: &["toomanyrequests", "too many requests"], meaning: THROTTLED },
    PhraseRule {
        phrases: &["container-init binary not found", "docker-init", "tini"],
        meaning: INIT,
    },
    PhraseRule {
        phrases: &[
            "could not select device driver",
            "nvidia-container",
            "unresolvable CDI devices",
        ],
        meaning: GPUS,
    },
    PhraseRule { phrases: &["no such container"], meaning: GONE },
    PhraseRule { phrases: &["network not found", "unable to find network"], meaning: NETWORK },
    PhraseRule {
        phrases: &[
            "executable file not found",
            "command that was not found",
            "no command specified",
            "no command or entrypoint",
            "exec format error",
            "permission denied: unknown",
        ],
        meaning: COMMAND,
    },
    PhraseRule {
        phrases: &[
            "unauthorized",
            "authentication required",
            "access denied",
            "access to the resource is denied",
        ],
        meaning: CREDENTIALS,
    },
    PhraseRule {
        phrases: &[
            "no such image",
            "image not known",
            "manifest unknown",
            "manifest for",
            "repository does not exist",
            "name unknown",
            "invalid reference format",
        ],
        meaning: IMAGE,
    },
    PhraseRule {
        phrases: &[
            "connection refused",
            "no such host",
            "i/o timeout",
            "TLS handshake timeout",
            "network is unreachable",
            "certificate signed by unknown authority",
            "server gave HTTP response to HTTPS client",
            "unexpected EOF",
            "\": EOF",
            "connection reset by peer",
            "no route to host",
            "Client.Timeout exceeded",
            // podman's steps of a pull: whatever else fails in them is the connection.
            "initializing source docker://",
            "reading blob",
        ],
        meaning: REGISTRY,
    },
];

const DISK: Meaning = Meaning {
    kind: BootFailureKind::Capacity,
    advice: "the disk of the engine's machine is full: free space there, for example with `docker \
             system prune`",
};
const MEMORY: Meaning = Meaning {
    kind: BootFailureKind::Capacity,
    advice: "the engine's machine is out of memory: lower `max`, or use a larger machine",
};
const LIMITS: Meaning = Meaning {
    kind: BootFailureKind::Capacity,
    advice: "the engine has reached a limit of its operating system: raise the limit, or lower \
             `max`",
};
const THROTTLED: Meaning = Meaning {
    kind: BootFailureKind::Throttled,
    advice: "the registry limits the rate of pulls: log in with `.credentials(..)`, pull the image \
             once by hand, or wait",
};
const INIT: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the engine has no init program: install `tini` for Docker or `catatonit` for podman, \
             or set `.init(false)`",
};
const GPUS: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the engine can't give GPUs to containers: install the NVIDIA Container Toolkit on its \
             machine, or leave out `.gpus(..)`",
};
const GONE: Meaning = Meaning {
    kind: BootFailureKind::Other,
    advice: "somebody has removed the container while it was being started",
};
const NETWORK: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "create the network with `docker network create`, or correct `.network(..)` or \
             FLAME_DOCKER_NETWORK",
};
const COMMAND: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the image can't start this program: correct `.command(..)`, or the image's entry \
             point; the program must be in the image, executable, and for its architecture",
};
const CREDENTIALS: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the registry wants other credentials, or has no such image: set `.credentials(..)`, \
             or correct `.image(..)` or FLAME_DOCKER_IMAGE",
};
const IMAGE: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the image does not exist there: build or pull it on the engine's machine, or correct \
             `.image(..)` or FLAME_DOCKER_IMAGE",
};
const REGISTRY: Meaning = Meaning {
    kind: BootFailureKind::Unavailable,
    advice: "the engine can't reach the image's registry, or has lost the connection to it: check \
             the registry's name in the image, and the network and proxy of the engine's machine",
};
const UNREACHABLE: Meaning = Meaning {
    kind: BootFailureKind::Unavailable,
    advice: "start the engine, or set `.host(..)` or DOCKER_HOST to its address (podman serves one \
             with `podman system service --time=0 unix:///tmp/podman.sock`)",
};
const DENIED: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "this process may not use the engine's socket: run it as a user of the group `docker`, \
             which gives it the rights of root on that machine",
};
const SILENT: Meaning = Meaning {
    kind: BootFailureKind::Unavailable,
    advice: "check the engine: `docker info` should answer at once",
};
const SILENT_WITHOUT_TLS: Meaning = Meaning {
    kind: BootFailureKind::Unavailable,
    advice: "check the engine: `docker info` should answer at once; if the engine speaks TLS at \
             this address, set `.tls(..)`, or DOCKER_TLS_VERIFY and DOCKER_CERT_PATH",
};
const INTERNAL: Meaning = Meaning {
    kind: BootFailureKind::Unavailable,
    advice: "see the engine's own log, then call again",
};
const REJECTED: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "correct what the message names, in the settings of the backend or on the engine's \
             machine",
};
const NEEDS_TLS: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the engine speaks TLS at this address: set `.tls(..)`, or DOCKER_TLS_VERIFY and \
             DOCKER_CERT_PATH",
};
const ENGINE_NOT_TRUSTED: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "this process does not accept the engine's certificate: put the certificate of the \
             authority that has signed it into `ca.pem` of the folder of `.tls(..)` or \
             DOCKER_CERT_PATH, and connect to a host that it names",
};
const CLIENT_NOT_TRUSTED: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the engine does not accept `cert.pem` of the folder of `.tls(..)` or \
             DOCKER_CERT_PATH: it must be valid now, and signed by an authority that the engine \
             trusts (its option `--tlscacert`)",
};
const NO_TLS: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "check that the engine speaks TLS at this address; if it does, its log says why it has \
             ended the connection",
};
const CERTIFICATES: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the folder of `.tls(..)` or DOCKER_CERT_PATH must have `ca.pem`, `cert.pem` and \
             `key.pem`, which this process can read",
};
const CLIENT: Meaning =
    Meaning { kind: BootFailureKind::Misconfigured, advice: "check the engine's address" };

impl EngineError {
    /// The error of the first request, which also shows whether the transport is right.
    pub(super) fn of_first_request(self, transport: &Transport) -> Self {
        let kind = match (self.kind, transport) {
            // The engine may have rejected this process, and its reason was lost with the connection.
            (ErrorKind::Broken, Transport::Tls(_)) => ErrorKind::Tls(TlsFault::Other),
            (ErrorKind::Broken, Transport::Tcp) => ErrorKind::BrokenWithoutTls,
            (kind, _) => kind,
        };
        Self { kind, ..self }
    }

    fn meaning(&self) -> Meaning {
        let of_text = || phrases::first_match(RULES, &self.message).copied();
        match self.kind {
            ErrorKind::Unreachable => UNREACHABLE,
            ErrorKind::Denied => DENIED,
            ErrorKind::NoAnswer(_) | ErrorKind::Broken => SILENT,
            ErrorKind::BrokenWithoutTls => SILENT_WITHOUT_TLS,
            ErrorKind::Tls(TlsFault::Engine) => ENGINE_NOT_TRUSTED,
            ErrorKind::Tls(TlsFault::Client) => CLIENT_NOT_TRUSTED,
            ErrorKind::Tls(TlsFault::Other) => NO_TLS,
            ErrorKind::Certificates => CERTIFICATES,
            ErrorKind::Client => CLIENT,
            // podman answers many errors of the request with 500.
            ErrorKind::Status(500..) | ErrorKind::Reported => of_text().unwrap_or(INTERNAL),
            ErrorKind::Status(_) => of_text().unwrap_or(REJECTED),
        }
    }

    /// Whether the engine may have carried out the request.
    pub(super) fn is_ambiguous(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::NoAnswer(_) | ErrorKind::Broken | ErrorKind::BrokenWithoutTls
        )
    }

    /// Whether the same request may succeed a moment later, as while the engine restarts.
    pub(super) fn may_pass(&self) -> bool {
        self.is_ambiguous() || self.kind == ErrorKind::Unreachable
    }

    /// Whether the engine has failed, and not the request.
    pub(super) fn is_internal(&self) -> bool {
        matches!(self.kind, ErrorKind::Status(500..))
    }

    /// Whether there is no such container, image or network.
    pub(super) fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::Status(404)
    }

    /// Whether a container has the name already.
    pub(super) fn is_name_taken(&self) -> bool {
        let is_answer = matches!(self.kind, ErrorKind::Status(409 | 500));
        is_answer && phrases::contains_any(&self.message, &["already in use"])
    }

    /// Whether somebody is removing the container already.
    pub(super) fn is_being_removed(&self) -> bool {
        let is_answer = matches!(self.kind, ErrorKind::Status(409 | 500));
        is_answer
            && phrases::contains_any(
                &self.message,
                &["removal of container", "is already in progress"],
            )
    }

    /// The failure of a boot, in which this step has failed.
    pub(super) fn into_boot_failure(self, step: &str) -> BootFailure {
        self.meaning().boot_failure(step, &self)
    }

    /// The failure of another step.
    pub(super) fn into_backend_error(self, step: &str) -> BackendError {
        self.meaning().backend_error(step, &self)
    }
}

#[cfg(test)]
mod tests;
