//! Processes, as the kernel shows them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use flame_aws::Pool;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Sends a signal to a process that is there.
pub fn signal(pid: u32, signal: Signal) {
    kill_process(id(pid), signal).unwrap_or_else(|error| panic!("{pid} gets {signal:?}: {error}"));
}

/// Sends a signal to all processes of a group.
pub fn signal_group(leader: u32, signal: Signal) {
    kill_process_group(id(leader), signal)
        .unwrap_or_else(|error| panic!("the group of {leader} gets {signal:?}: {error}"));
}

/// Whether a process ignores a signal.
#[must_use]
pub fn ignores(pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("proc(5)");
    let bits = u64::from_str_radix(bits.trim(), 16).expect("proc(5)");
    bits >> (signal.as_raw() - 1) & 1 == 1
}

/// Ends a process with -9, if it is there.
pub fn kill(pid: u32) {
    let _ = kill_process(id(pid), Signal::KILL);
}

fn id(pid: u32) -> Pid {
    let raw = i32::try_from(pid).expect("a pid");
    Pid::from_raw(raw).expect("a pid is not 0")
}

/// Whether nothing is left of a process: no program, and no zombie of this process either.
#[must_use]
pub fn is_gone(pid: u32) -> bool {
    match status(pid) {
        None => true,
        // Somebody else's to reap: what ran is dead.
        Some(status) => status.state == 'Z' && status.parent != std::process::id(),
    }
}

/// Whether the process is stopped, as by SIGSTOP.
#[must_use]
pub fn is_stopped(pid: u32) -> bool {
    status(pid).is_some_and(|status| status.state == 'T')
}

/// Waits until nothing is left of any of them.
pub async fn until_gone(pids: &[u32]) {
    for pid in pids {
        crate::until(&format!("process {pid} is gone"), || is_gone(*pid)).await;
    }
}

struct Status {
    state: char,
    parent: u32,
}

fn status(pid: u32) -> Option<Status> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before them stands in parentheses and may hold any character.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some(Status { state, parent: fields.next()?.parse().ok()? })
}

/// The ports that the process is connected to, or was, if it holds the socket still; over TCP and
/// IPv4.
#[must_use]
pub fn connected_to(pid: u32) -> BTreeSet<u16> {
    sockets(pid).into_iter().filter(|one| !one.listens).map(|one| one.remote).collect()
}

/// The ports that the process listens on, over TCP and IPv4.
#[must_use]
pub fn listens_on(pid: u32) -> BTreeSet<u16> {
    sockets(pid).into_iter().filter(|one| one.listens).map(|one| one.local).collect()
}

struct Socket {
    local: u16,
    remote: u16,
    listens: bool,
}

fn sockets(pid: u32) -> Vec<Socket> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is there");
    let open = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let open: BTreeSet<_> = open.collect();
    let all = std::fs::read_to_string("/proc/net/tcp").expect("the kernel tells of sockets");
    // Of proc(5): local and remote address, state (0A is listening), and the inode.
    let socket = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, local, remote, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
        let is_open = open.contains(&PathBuf::from(format!("socket:[{inode}]")));
        let (local, remote) = (port(local)?, port(remote)?);
        is_open.then_some(Socket { local, remote, listens: state == "0A" })
    };
    all.lines().filter_map(socket).collect()
}

/// The processes of a pool's runners that are up.
#[must_use]
pub fn pids(pool: &Pool) -> Vec<u32> {
    pool.snapshot().runners.iter().filter_map(|runner| runner.pid).collect()
}

/// The processes that have a variable of that value in their environment.
#[must_use]
pub fn with_variable(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    let marked = |folder: &PathBuf| {
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    let folders = std::fs::read_dir("/proc").expect("/proc is there");
    let folders = folders.filter_map(|folder| Some(folder.ok()?.path()));
    folders.filter(marked).filter_map(|f| f.file_name()?.to_str()?.parse().ok()).collect()
}

/// The processes whose parent that is, zombies among them, the oldest first.
#[must_use]
pub fn children(parent: u32) -> Vec<u32> {
    let folders = std::fs::read_dir("/proc").expect("/proc is there");
    let names = folders.filter_map(|folder| folder.ok()?.file_name().into_string().ok());
    let pids = names.filter_map(|name| name.parse().ok());
    let mut children: Vec<_> =
        pids.filter(|pid| status(*pid).is_some_and(|status| status.parent == parent)).collect();
    children.sort_unstable();
    children
}

/// Drains a pool, and checks that nothing is left of it nor of these processes.
pub async fn ends_clean(pool: &Pool, pids: &[u32]) {
    let mut pids = pids.to_vec();
    pids.extend(self::pids(pool));
    pool.drain().await;
    for pid in pids {
        assert!(is_gone(pid), "process {pid} is still there");
    }
    let snapshot = pool.snapshot();
    assert!(snapshot.runners.is_empty() && snapshot.queued == 0, "{snapshot:?}");
}
