//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use crate::backend_kind::BackendKind;

pub(crate) const HELP: &str = "\
usage: thumbnails [FOLDER] [--out DIR] [--runners N] [--no-compare]
                  [--backend BACKEND [--emulated | --listen ADDRESS] [--code-sync]
                   | --relay] [--watch]

  FOLDER         a folder of photographs (JPEG or PNG), or one photograph;
                 default: the photographs that come with this example
  --out DIR      the output folder; default: target/thumbnails
  --runners N    maximum number of copies of this program, 1 to 64;
                 default: the number of cores, but at least 2
  --no-compare   don't repeat the work in this process for comparison
  --backend B    where the copies run: process (the default), docker (an engine
                 on this machine), ecs, lambda, or burst (ecs and lambda together)
  --emulated     emulate AWS on this machine; otherwise the environment names
                 the cluster and the function (FLAME_ECS_CLUSTER, ...)
  --listen A     the address to which runners on AWS connect, such as
                 0.0.0.0:4000
  --code-sync    the copies start as generic runners, which download this
                 program
  --relay        connect through a relay, which this program starts, to generic
                 runners, which download this program
  --watch        show a live page of the pool while it works: print its address,
                 and open it if there is a display
";

/// More copies than this would only slow each other down on one machine.
const MAX_RUNNERS: u32 = 64;

/// The user's request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Run(Options),
    Help,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) input: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) runners: u32,
    pub(crate) compare: bool,
    pub(crate) backend: BackendKind,
    pub(crate) emulated: bool,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) code_sync: bool,
    pub(crate) relay: bool,
    pub(crate) watch: bool,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let cores = u32::try_from(cores).unwrap_or(MAX_RUNNERS);
        Self {
            input: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/photos")),
            out: PathBuf::from("target/thumbnails"),
            runners: cores.clamp(2, MAX_RUNNERS),
            compare: true,
            backend: BackendKind::Process,
            emulated: false,
            listen: None,
            code_sync: false,
            relay: false,
            watch: false,
        }
    }
}

/// Parses the arguments, which don't include the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Request, lexopt::Error> {
    let mut options = Options::default();
    let mut input = None;
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("out") => options.out = parser.value()?.into(),
            Arg::Long("runners") => {
                options.runners = parser.value()?.parse_with(|text| match text.parse() {
                    Ok(n @ 1..=MAX_RUNNERS) => Ok(n),
                    _ => Err(format!("--runners must be a number from 1 to {MAX_RUNNERS}")),
                })?;
            }
            Arg::Long("backend") => options.backend = parser.value()?.parse()?,
            Arg::Long("emulated") => options.emulated = true,
            Arg::Long("listen") => options.listen = Some(parser.value()?.parse()?),
            Arg::Long("code-sync") => options.code_sync = true,
            Arg::Long("relay") => options.relay = true,
            Arg::Long("watch") => options.watch = true,
            Arg::Long("no-compare") => options.compare = false,
            Arg::Long("help") | Arg::Short('h') => return Ok(Request::Help),
            Arg::Value(path) if input.is_none() => input = Some(PathBuf::from(path)),
            other => return Err(other.unexpected()),
        }
    }
    if options.emulated && matches!(options.backend, BackendKind::Process | BackendKind::Docker) {
        return Err("--emulated needs --backend ecs, lambda or burst".into());
    }
    if options.code_sync && options.backend == BackendKind::Process {
        return Err("--code-sync needs --backend docker, ecs, lambda or burst".into());
    }
    if options.relay && options.backend != BackendKind::Process {
        return Err("--relay is for --backend process".into());
    }
    if options.relay && options.listen.is_some() {
        return Err(
            "--relay and --listen exclude each other: with a relay, the parent listens nowhere"
                .into(),
        );
    }
    options.input = input.unwrap_or(options.input);
    Ok(Request::Run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(line: &str) -> Result<Request, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_option_has_a_default() {
        assert_eq!(parse_text(""), Ok(Request::Run(Options::default())));
        assert!(Options::default().runners >= 2);
    }

    #[test]
    fn every_option_is_parsed() {
        let expected = Options {
            input: "holiday".into(),
            out: "small".into(),
            runners: 3,
            compare: false,
            backend: BackendKind::Burst,
            emulated: true,
            listen: Some(([127, 0, 0, 1], 4000).into()),
            code_sync: true,
            relay: false,
            watch: true,
        };
        let line = "--out small holiday --runners=3 --no-compare --backend burst --emulated \
                    --listen 127.0.0.1:4000 --code-sync --watch";
        assert_eq!(parse_text(line), Ok(Request::Run(expected)));
        assert_eq!(parse_text("holiday --help"), Ok(Request::Help));
        let expected = Options { relay: true, ..Options::default() };
        assert_eq!(parse_text("--relay"), Ok(Request::Run(expected)));
    }

    #[test]
    fn a_wrong_command_line_is_rejected_with_a_reason() {
        for (line, reason) in [
            ("--runners 0", "from 1 to 64"),
            ("--runners 65", "from 1 to 64"),
            ("--runners many", "from 1 to 64"),
            ("--runners", "--runners"),
            ("--out", "--out"),
            ("one two", "two"),
            ("--fast", "--fast"),
            ("--backend moon", "process, docker, ecs, lambda or burst"),
            ("--emulated", "needs --backend"),
            ("--backend docker --emulated", "needs --backend ecs"),
            ("--listen nowhere", "nowhere"),
            ("--code-sync", "needs --backend"),
            ("--relay --backend ecs", "--backend process"),
            ("--relay --listen 127.0.0.1:4000", "listens nowhere"),
        ] {
            let error = parse_text(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
