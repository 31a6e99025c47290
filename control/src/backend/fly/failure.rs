//! What an error of the Machines API means: the kind of the failure, whether to try again, and what
//! a person can do about it.
//!
//! Fly documents few error texts. A text below without a source is what an error of that kind is
//! likely to say, and was not seen.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::backend::failure::Meaning;
use crate::backend::phrases::{self, PhraseRule};
use crate::backend::{BackendError, BootFailure, BootFailureKind};

/// The longest error text that is kept, in characters.
const LONGEST: usize = 500;

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) kind: ErrorKind,
    /// The text of the API, or of the client.
    pub(super) message: String,
    /// The API's id of the request, for Fly's support.
    pub(super) request: Option<String>,
}

/// How a request has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// No connection to the API: the request was not carried out.
    Unreachable,
    /// There was no answer in this time. The API may have carried out the request.
    NoAnswer(Duration),
    /// The connection broke. The API may have carried out the request.
    Broken,
    /// The API answered with this HTTP status, and perhaps said how long to wait.
    Status { code: u16, retry_after: Option<Duration> },
    /// The answer can't be understood. The API has carried out the request.
    Unreadable,
}

/// The body of an error: `{"error": "...", "status": "..."}`, or the text in `message`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    error: Option<String>,
    message: Option<String>,
    /// A word such as `insufficient_capacity`.
    status: Option<String>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = &self.message;
        match self.kind {
            ErrorKind::Unreachable => write!(f, "Fly's Machines API can't be reached: {message}")?,
            ErrorKind::NoAnswer(limit) => {
                write!(f, "Fly's Machines API did not answer within {limit:?}")?;
            }
            ErrorKind::Broken => {
                write!(f, "the connection to Fly's Machines API broke: {message}")?;
            }
            ErrorKind::Status { code, .. } => {
                write!(f, "Fly's Machines API answered: {message} (HTTP {code})")?;
            }
            ErrorKind::Unreadable => {
                write!(f, "an answer of Fly's Machines API is not understood: {message}")?;
            }
        }
        if let Some(request) = &self.request {
            write!(f, " (request {request})")?;
        }
        Ok(())
    }
}

/// The order of the rules counts.
const RULES: &[PhraseRule<Meaning>] = &[
    PhraseRule {
        phrases: &[
            // 412, 409 and 400; <https://github.com/superfly/docs/issues/2208>,
            // <https://github.com/Kilo-Org/cloud/pull/412>, <https://github.com/Kilo-Org/cloud/pull/787>.
            "insufficient resources",
            "insufficient memory",
            "could not reserve resource",
            "no capacity",
            // The `status` of an error, in Fly's own client: superfly/fly-go, flaps_error.go.
            "insufficient_capacity",
            // Not seen.
            "insufficient CPU",
            "insufficient capacity",
            "out of capacity",
        ],
        meaning: CAPACITY,
    },
    PhraseRule {
        phrases: &[
            // 403; <https://github.com/Kilo-Org/cloud/pull/787>.
            "over the allowed quota",
            // <https://github.com/superfly/flyctl/pull/2060>.
            "add a payment method",
            // Not seen.
            "machine limit",
            "machines limit",
            "limit reached",
            "quota",
        ],
        meaning: QUOTA,
    },
    PhraseRule { phrases: &["rate limit", "too many requests"], meaning: THROTTLED },
    // 409; <https://community.fly.io/t/409-conflict-error-from-machines-api/15555>.
    PhraseRule { phrases: &["lease currently held", "lease"], meaning: LEASED },
    PhraseRule {
        phrases: &[
            "manifest unknown",
            "manifest",
            "image not found",
            "failed to get image",
            "could not find image",
            "pull image",
        ],
        meaning: IMAGE,
    },
    PhraseRule { phrases: &["gpu", "gpu_kind"], meaning: GPUS },
    PhraseRule { phrases: &["region"], meaning: REGION },
    PhraseRule { phrases: &["guest", "cpu_kind", "cpus", "memory_mb"], meaning: SIZE },
    PhraseRule { phrases: &["app not found", "could not find app"], meaning: APP },
];

const CAPACITY: Meaning = Meaning {
    kind: BootFailureKind::Capacity,
    advice: "Fly has no room for a machine of this size in this region now: set another \
             `.region(..)`, lower the size, or call again later",
};
const QUOTA: Meaning = Meaning {
    kind: BootFailureKind::Quota,
    advice: "the organization has reached a limit of its account: lower `max`, or ask Fly to raise \
             the limit",
};
const THROTTLED: Meaning = Meaning {
    kind: BootFailureKind::Throttled,
    advice: "Fly allows one new machine per second in an app, after a burst of three: raise \
             `boot_timeout`, use larger runners with a higher `max_concurrency`, or several apps",
};
const LEASED: Meaning = Meaning {
    kind: BootFailureKind::Unavailable,
    advice: "somebody else holds the lease of this machine, as a deployment does: `fly machine \
             leases view` says who",
};
const IMAGE: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "Fly can't get the image: correct `.image(..)` or FLY_IMAGE_REF; an image of \
             registry.fly.io belongs to an app of the same organization",
};
const GPUS: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "correct `.gpu_kind(..)` and `gpus`: not every region has GPUs of each kind, and the \
             organization may need Fly's permission",
};
const REGION: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "correct `.region(..)` or FLY_REGION: `fly platform regions` lists the regions",
};
const SIZE: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "correct the pool's `size`, or `.cpu_kind(..)`, `.cpus(..)` and `.memory(..)`",
};
const APP: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the organization of this token has no such app: correct `.app(..)` or FLY_APP_NAME, \
             or create the app with `fly apps create`",
};
const TOKEN: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "the API token is not valid for this app: set `.token(..)` or FLY_API_TOKEN to the \
             output of `fly tokens create deploy --app <app>`, and check that it has not expired",
};
const UNREACHABLE: Meaning = Meaning {
    kind: BootFailureKind::Unavailable,
    advice: "check the network of this machine, its proxy, and `.host(..)` or FLY_FLAPS_BASE_URL",
};
const UNAVAILABLE: Meaning = Meaning {
    kind: BootFailureKind::Unavailable,
    advice: "see https://status.flyio.net, then call again",
};
const REJECTED: Meaning = Meaning {
    kind: BootFailureKind::Misconfigured,
    advice: "correct what the message names, in the settings of the backend or in the app on Fly",
};

impl ApiError {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), request: None }
    }

    /// The error that the API has answered with.
    pub(super) fn of_answer(
        code: u16,
        retry_after: Option<Duration>,
        request: Option<String>,
        body: &[u8],
    ) -> Self {
        let parsed: Option<Body> = serde_json::from_slice(body).ok();
        let said = parsed.and_then(|Body { error, message, status }| {
            let text = error.or(message)?;
            Some(
                match status.filter(|status| !matches!(status.as_str(), "" | "error" | "unknown")) {
                    Some(status) => format!("{text} [{status}]"),
                    None => text,
                },
            )
        });
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
        let message = match said.is_empty() {
            true => "an error without a text".to_owned(),
            false => said.chars().take(LONGEST).collect(),
        };
        Self { kind: ErrorKind::Status { code, retry_after }, message, request }
    }

    /// The same error without this text, which is secret.
    pub(super) fn without(mut self, secret: &str) -> Self {
        if !secret.is_empty() {
            self.message = self.message.replace(secret, "(secret)");
        }
        self
    }

    fn status(&self) -> Option<u16> {
        match self.kind {
            ErrorKind::Status { code, .. } => Some(code),
            _ => None,
        }
    }

    fn meaning(&self) -> Meaning {
        match self.kind {
            ErrorKind::Unreachable => return UNREACHABLE,
            ErrorKind::NoAnswer(_) | ErrorKind::Broken | ErrorKind::Unreadable => {
                return UNAVAILABLE;
            }
            ErrorKind::Status { code: 429, .. } => return THROTTLED,
            ErrorKind::Status { code: 401, .. } => return TOKEN,
            ErrorKind::Status { .. } => {}
        }
        let of_text = phrases::first_match(RULES, &self.message).copied();
        of_text.unwrap_or(match self.status() {
            Some(403) => TOKEN,
            Some(404) => APP,
            Some(500..) => UNAVAILABLE,
            _ => REJECTED,
        })
    }

    /// Whether the API may have carried out the request.
    pub(super) fn is_ambiguous(&self) -> bool {
        match self.kind {
            ErrorKind::Unreachable => false,
            ErrorKind::NoAnswer(_) | ErrorKind::Broken | ErrorKind::Unreadable => true,
            ErrorKind::Status { code, .. } => code == 408 || code >= 500,
        }
    }

    /// Whether the same request may succeed a moment later. A lack of capacity or of quota lasts
    /// longer than that: the pool decides when to boot again.
    pub(super) fn may_pass(&self) -> bool {
        use BootFailureKind::{Capacity, Quota};
        let lasts = self.status().is_some() && matches!(self.meaning().kind, Capacity | Quota);
        !lasts
            && (self.kind == ErrorKind::Unreachable
                || self.is_ambiguous()
                || self.status() == Some(429)
                || self.is_leased())
    }

    /// How long the API says to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ErrorKind::Status { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// Whether there is no such machine, or no such app.
    pub(super) fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether somebody else holds the machine's lease.
    pub(super) fn is_leased(&self) -> bool {
        self.status() == Some(409) && phrases::contains_any(&self.message, &["lease"])
    }

    /// Whether a machine has the name already. The text is that of Fly since 2023:
    /// `already_exists: unique machine name violation, machine ID 148ed1 already exists with name "x"`.
    pub(super) fn is_name_taken(&self) -> bool {
        let is_answer = matches!(self.status(), Some(400..=499));
        is_answer && phrases::contains_any(&self.message, &["unique machine name violation"])
    }

    /// The id of the machine that has the name, if the text has it.
    pub(super) fn machine_with_the_name(&self) -> Option<&str> {
        let (_, rest) = self.message.split_once("machine ID ")?;
        let id = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
        (!id.is_empty()).then_some(id)
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
