//! A runner as a process: its name, command line, descriptors and process group.

use std::net::TcpListener;
use std::path::PathBuf;

use flame_tests::demo::commands;
use flame_tests::process::drains_cleanly;
use flame_tests::{TempDir, Test, demo, process_pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        ps_shows_a_runner_by_the_names_of_its_app_and_pool,
        a_runner_has_the_command_line_of_its_parent,
        a_runner_inherits_no_file_and_no_socket_of_its_parent,
        a_runner_leads_a_process_group_of_its_own,
    ]
}

async fn ps_shows_a_runner_by_the_names_of_its_app_and_pool() {
    let pool = process_pool("shown").max(1).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    let app = std::env::current_exe().unwrap();
    let app = app.file_name().unwrap().to_str().unwrap();
    // The kernel keeps 15 bytes of a process's name.
    assert_eq!(name, format!("{}:shown\n", &app[..9]));
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_runner_has_the_command_line_of_its_parent() {
    let pool = process_pool("shown").max(1).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let line = |pid: &str| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(line(&pid.to_string()), line("self"));
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_runner_inherits_no_file_and_no_socket_of_its_parent() {
    let before = open_files("self");
    let folder = TempDir::new();
    let path = folder.path().join("open");
    let _file = std::fs::File::create(&path).unwrap();
    let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let opened: Vec<_> =
        open_files("self").into_iter().filter(|file| !before.contains(file)).collect();
    assert!(opened.contains(&path) && opened.len() > 1, "{opened:?}");
    let pool = process_pool("shown").max(1).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let of_runner = open_files(&pid.to_string());
    let inherited: Vec<_> = opened.iter().filter(|file| of_runner.contains(file)).collect();
    assert!(inherited.is_empty(), "{inherited:?}");
    drains_cleanly(&pool, &[pid]).await;
}

/// Returns the files, sockets and pipes that a process has open.
fn open_files(pid: &str) -> Vec<PathBuf> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let files = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    files.filter(|file| !file.to_string_lossy().starts_with("anon_inode:")).collect()
}

async fn a_runner_leads_a_process_group_of_its_own() {
    let pool = process_pool("shown").max(1).start().await.unwrap();
    let (pid, group) = pool.call(commands::process_group()).await.unwrap();
    assert_eq!(pid, group);
    drains_cleanly(&pool, &[pid]).await;
}
