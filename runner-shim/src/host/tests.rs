use super::*;

#[test]
fn a_process_host_states_its_pid() {
    let host = ProcessHost;
    assert_eq!(host.kind(), HostKind::Process);
    assert_eq!(host.instance(), process_instance_name(std::process::id()));
    assert_eq!(process_instance_name(1234), "pid-1234");
    assert_eq!(host.expires_in(), None);
}

#[test]
fn a_container_is_named_after_its_runner() {
    let runner = flame_wire::ids::RunnerRef::from_bytes([7; 16]);
    let host = docker::DockerHost::new(runner);
    assert_eq!(host.kind(), HostKind::Docker);
    assert_eq!(host.instance(), format!("flame-f-{}", "07".repeat(16)));
    assert_eq!(host.kills_after(), None, "the backend has passed no time");
}

#[test]
fn a_machine_is_named_by_fly() {
    let runner = flame_wire::ids::RunnerRef::from_bytes([7; 16]);
    let named = fly::FlyHost::of(Some("148ed123456789".to_owned()), runner);
    assert_eq!((named.kind(), named.instance()), (HostKind::Fly, "148ed123456789".to_owned()));
    // Without the variable, the name still leads to the machine.
    let unnamed = fly::FlyHost::of(None, runner);
    assert_eq!(unnamed.instance(), format!("flame-f-{}", "07".repeat(16)));
    assert_eq!(unnamed.kills_after(), None, "the backend has passed no time");
}

#[test]
fn the_time_before_a_kill_is_read_in_seconds() {
    assert_eq!(seconds("120"), Some(Duration::from_secs(120)));
    assert_eq!((seconds(""), seconds("-1"), seconds("2.5")), (None, None, None));
}

#[tokio::test]
async fn shutting_a_local_host_down_does_nothing() {
    let host = LocalHost::new("local-1");
    assert_eq!((host.kind(), host.instance()), (HostKind::Local, "local-1".to_owned()));
    host.shutdown(EndReason::Idle, 0).await;
}

#[cfg(unix)]
mod unix {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use super::*;

    const PART: &str = "FLAME_TEST_HOST_PART";

    /// This executable again, as the test named `as_{part}`.
    fn play(part: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .arg(format!("host::tests::unix::as_{part}"))
            .env(PART, part)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    fn plays(part: &str) -> bool {
        std::env::var_os(PART).is_some_and(|name| name == part)
    }

    #[tokio::test]
    async fn as_host() {
        if plays("host") {
            print!("no newline");
            ProcessHost.shutdown(EndReason::ParentLost, 82).await;
            println!("never reached");
        }
    }

    #[tokio::test]
    async fn as_host_with_a_full_pipe() {
        if plays("host_with_a_full_pipe") {
            // Fills the pipe until the write blocks, while it holds the lock of standard output.
            let (locked, lock) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let mut stdout = std::io::stdout().lock();
                locked.send(()).unwrap();
                while stdout.write_all(&[b'x'; 4096]).is_ok() {}
            });
            lock.recv().unwrap();
            ProcessHost.shutdown(EndReason::ParentLost, 82).await;
        }
    }

    #[tokio::test]
    async fn as_listener() {
        if plays("listener") {
            let mut signals = termination_signals().unwrap();
            println!("listening");
            for _ in 0..2 {
                println!("signal {}", signals.recv().await.unwrap());
            }
        }
    }

    #[test]
    fn a_process_host_flushes_its_output_and_exits_with_the_code() {
        let output = play("host").output().unwrap();
        assert_eq!(output.status.code(), Some(82));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.ends_with("no newline"), "{said:?}");
    }

    #[test]
    fn a_process_host_exits_even_if_nobody_reads_its_output() {
        let mut child = play("host_with_a_full_pipe").spawn().unwrap();
        // The pipe stays open and unread.
        let output = child.stdout.take();
        assert_eq!(child.wait().unwrap().code(), Some(82));
        drop(output);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn each_signal_is_reported_and_does_not_end_the_process() {
        use rustix::process::{Pid, Signal, kill_process};
        use std::io::{BufRead, BufReader};

        let mut child = play("listener").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut until = |text: &str| {
            let mut line = String::new();
            while !line.contains(text) {
                line.clear();
                assert_ne!(output.read_line(&mut line).unwrap(), 0, "{text:?} was not printed");
            }
        };
        until("listening");
        kill_process(pid, Signal::TERM).unwrap();
        until("signal 15");
        kill_process(pid, Signal::INT).unwrap();
        until("signal 2");
        output.read_to_string(&mut String::new()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}
