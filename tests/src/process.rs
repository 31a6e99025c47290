//! Processes, as the kernel reports them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use flame_aws::Pool;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Sends a signal to a process. Panics if there is no such process.
pub fn signal(pid: u32, signal: Signal) {
    kill_process(id(pid), signal)
        .unwrap_or_else(|error| panic!("can't send {signal:?} to {pid}: {error}"));
}

/// Sends a signal to all processes of a process group.
pub fn signal_group(leader: u32, signal: Signal) {
    kill_process_group(id(leader), signal)
        .unwrap_or_else(|error| panic!("can't send {signal:?} to the group of {leader}: {error}"));
}

/// Returns whether a process ignores a signal.
#[must_use]
pub fn ignores(pid: u32, signal: Signal) -> bool {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process exists");
    let bits = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .expect("the format of proc(5)");
    let bits = u64::from_str_radix(bits.trim(), 16).expect("the format of proc(5)");
    bits >> (signal.as_raw() - 1) & 1 == 1
}

/// Kills a process with SIGKILL, if it exists.
pub fn kill(pid: u32) {
    let _ = kill_process(id(pid), Signal::KILL);
}

fn id(pid: u32) -> Pid {
    let raw = i32::try_from(pid).expect("a pid");
    Pid::from_raw(raw).expect("a pid is not 0")
}

/// Returns whether a process has exited and, if it was a child of this process, has been reaped.
#[must_use]
pub fn is_gone(pid: u32) -> bool {
    match status(pid) {
        None => true,
        // A zombie of another parent is dead; that parent has to reap it.
        Some(status) => status.state == 'Z' && status.parent != std::process::id(),
    }
}

/// Returns whether a process is stopped, as by SIGSTOP.
#[must_use]
pub fn is_stopped(pid: u32) -> bool {
    status(pid).is_some_and(|status| status.state == 'T')
}

/// Waits until [`is_gone`] is true of each process.
pub async fn until_gone(pids: &[u32]) {
    for pid in pids {
        crate::until(&format!("process {pid} is gone"), || is_gone(*pid)).await;
    }
}

struct ProcessStatus {
    state: char,
    parent: u32,
}

fn status(pid: u32) -> Option<ProcessStatus> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The process's name comes first, in parentheses, and may contain any character.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some(ProcessStatus { state, parent: fields.next()?.parse().ok()? })
}

/// Returns the remote TCP ports of the process's open IPv4 connections, including connections that
/// are broken but not closed.
#[must_use]
pub fn connected_to(pid: u32) -> BTreeSet<u16> {
    sockets(pid).into_iter().filter(|socket| !socket.listens).map(|socket| socket.remote).collect()
}

/// Returns the TCP ports on which the process listens, over IPv4.
#[must_use]
pub fn listens_on(pid: u32) -> BTreeSet<u16> {
    sockets(pid).into_iter().filter(|socket| socket.listens).map(|socket| socket.local).collect()
}

struct TcpSocket {
    local: u16,
    remote: u16,
    listens: bool,
}

fn sockets(pid: u32) -> Vec<TcpSocket> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process exists");
    let open = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let open: BTreeSet<_> = open.collect();
    let all = std::fs::read_to_string("/proc/net/tcp").expect("the kernel lists sockets");
    // Fields of proc(5): local address, remote address, state (0A is listening), and inode.
    let socket = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, local, remote, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
        let is_open = open.contains(&PathBuf::from(format!("socket:[{inode}]")));
        let (local, remote) = (port(local)?, port(remote)?);
        is_open.then_some(TcpSocket { local, remote, listens: state == "0A" })
    };
    all.lines().filter_map(socket).collect()
}

/// Returns the process ids of a pool's runners that are up.
#[must_use]
pub fn pids(pool: &Pool) -> Vec<u32> {
    pool.snapshot().runners.iter().filter_map(|runner| runner.pid).collect()
}

/// Returns the processes with this variable, with this value, in their environment.
#[must_use]
pub fn with_variable(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    let marked = |folder: &PathBuf| {
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    let folders = std::fs::read_dir("/proc").expect("/proc is mounted");
    let folders = folders.filter_map(|folder| Some(folder.ok()?.path()));
    folders.filter(marked).filter_map(|f| f.file_name()?.to_str()?.parse().ok()).collect()
}

/// Returns how much memory of a process is in RAM, in KiB, or 0 if there is no such process.
#[must_use]
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    memory.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Returns the children of a process in order of their ids, zombies included.
#[must_use]
pub fn children(parent: u32) -> Vec<u32> {
    let folders = std::fs::read_dir("/proc").expect("/proc is mounted");
    let names = folders.filter_map(|folder| folder.ok()?.file_name().into_string().ok());
    let pids = names.filter_map(|name| name.parse().ok());
    let mut children: Vec<_> =
        pids.filter(|pid| status(*pid).is_some_and(|status| status.parent == parent)).collect();
    children.sort_unstable();
    children
}

/// Drains a pool, and checks that it has no runners any more and that these processes are gone.
pub async fn drains_cleanly(pool: &Pool, pids: &[u32]) {
    let mut pids = pids.to_vec();
    pids.extend(self::pids(pool));
    pool.drain().await;
    for pid in pids {
        assert!(is_gone(pid), "process {pid} is still there");
    }
    let snapshot = pool.snapshot();
    assert!(snapshot.runners.is_empty() && snapshot.queued == 0, "{snapshot:?}");
}
