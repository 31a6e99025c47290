use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use flame_wire::code::CodeHasher;
use flame_wire::ids::BuildId;

use super::cache::{ABANDONED_AFTER, MAX_KEPT, exposure, surplus};
use super::*;

const RUNNER: RunnerRef = RunnerRef::from_bytes([1; 16]);

/// A folder that exists during a test, private to the user.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("flame-code-test-{}-{:x}", std::process::id(), rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    fn cache(&self) -> Cache {
        Cache::open(Some(self.0.clone().into())).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn hash(bytes: &[u8]) -> CodeHash {
    let mut hasher = CodeHasher::default();
    hasher.update(bytes);
    hasher.finish()
}

fn offer(bytes: &[u8]) -> Offer {
    Offer {
        build: BuildId::new("b"),
        len: bytes.len() as u64,
        hash: hash(bytes),
        target: code::target(),
        in_store: false,
    }
}

/// Writes the executable, and gives it its name.
fn keep(cache: &Cache, offer: &Offer, bytes: &[u8]) -> Result<Executable, SyncError> {
    let (draft, _draft_guard) = cache.draft(offer).unwrap();
    cache.keep(bytes.chunks(3).fold(draft, |draft, chunk| draft.add(chunk).unwrap()))
}

#[test]
fn a_kept_executable_is_found_and_is_the_only_file() {
    let folder = Folder::new();
    let (cache, offer) = (folder.cache(), offer(b"executable"));
    assert!(cache.find(&offer).unwrap().is_none());
    let kept = keep(&cache, &offer, b"executable").unwrap();
    assert_eq!(kept.path(), folder.0.join(offer.hash.to_string()));
    assert_eq!(std::fs::metadata(kept.path()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(cache.find(&offer).unwrap().unwrap().hash(), offer.hash);
    assert_eq!(folder.names(), [offer.hash.to_string()]);
}

#[test]
fn wrong_missing_and_extra_bytes_are_rejected_and_no_file_is_left() {
    let folder = Folder::new();
    let (cache, offer) = (folder.cache(), offer(b"executable"));
    for came in [b"executabel".as_slice(), b"executabl", b"executables", b""] {
        let error = keep(&cache, &offer, came).unwrap_err();
        assert!(matches!(error, SyncError::Altered { len: 10, .. }), "{error}");
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

#[test]
fn a_draft_that_is_given_up_is_removed() {
    let folder = Folder::new();
    let (cache, offer) = (folder.cache(), offer(b"executable"));
    let (draft, guard) = cache.draft(&offer).unwrap();
    let _half = draft.add(b"exec").unwrap();
    assert!(cache.find(&offer).unwrap().is_none(), "a draft does not have the executable's name");
    assert_eq!(folder.names().len(), 1);
    drop(guard);
    assert!(folder.names().is_empty());
}

#[test]
fn an_altered_file_is_removed_and_not_found() {
    let folder = Folder::new();
    let (cache, offer) = (folder.cache(), offer(b"executable"));
    let path = folder.0.join(offer.hash.to_string());
    let spoil: [fn(&Path); 4] = [
        |path| std::fs::write(path, b"executabel").unwrap(),
        |path| std::fs::write(path, b"exec").unwrap(),
        |path| std::fs::write(path, b"executable and more").unwrap(),
        |path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o722)).unwrap(),
    ];
    for spoil in spoil {
        keep(&cache, &offer, b"executable").unwrap();
        spoil(&path);
        assert!(cache.find(&offer).unwrap().is_none());
        assert!(!path.exists());
    }
}

#[test]
fn two_runners_that_keep_the_same_executable_at_once_both_have_it() {
    let folder = Folder::new();
    let (cache, offer) = (folder.cache(), offer(b"executable"));
    let (one, _scrap_of_one) = cache.draft(&offer).unwrap();
    let (two, _scrap_of_two) = cache.draft(&offer).unwrap();
    cache.keep(one.add(b"executable").unwrap()).unwrap();
    cache.keep(two.add(b"executable").unwrap()).unwrap();
    assert!(cache.find(&offer).unwrap().is_some());
    assert_eq!(folder.names().len(), 1);
}

#[test]
fn a_folder_is_created_for_the_user_alone() {
    let folder = Folder::new();
    let inner = folder.0.join("a/b");
    Cache::open(Some(inner.clone().into())).unwrap();
    assert_eq!(std::fs::metadata(&inner).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_folder_that_others_can_write_is_refused_by_name() {
    let folder = Folder::new();
    for mode in [0o777, 0o720, 0o702, 0o1777] {
        std::fs::set_permissions(&folder.0, PermissionsExt::from_mode(mode)).unwrap();
        let error = Cache::open(Some(folder.0.clone().into())).unwrap_err().to_string();
        assert!(error.contains(folder.0.to_str().unwrap()), "{error}");
        assert!(error.contains("written by others") && error.contains("FLAME_CODE_DIR"), "{error}");
    }
    std::fs::set_permissions(&folder.0, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(Cache::open(Some(folder.0.clone().into())).is_ok(), "others may read it");
}

#[test]
fn a_folder_of_another_user_is_rejected() {
    assert_eq!(exposure(1000, 0o40_700, 1000), None);
    let why = exposure(0, 0o40_700, 1000).unwrap();
    assert!(why.contains("another user"), "{why}");
    assert!(exposure(1000, 0o40_700, 0).is_some(), "also if this user is root");
}

#[test]
fn an_error_names_the_folder_that_cannot_be_created_and_what_to_set() {
    let folder = Folder::new();
    let file = folder.0.join("file");
    std::fs::write(&file, "").unwrap();
    for name in [file.clone(), file.join("folder")] {
        let error = Cache::open(Some(name.clone().into())).unwrap_err();
        assert!(matches!(error, SyncError::Folder { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(name.to_str().unwrap()), "{error}");
        assert!(error.contains("FLAME_CODE_DIR"), "{error}");
    }
}

#[test]
fn an_error_says_where_the_executable_cannot_be_written_and_what_to_do() {
    let folder = Folder::new();
    let (cache, offer) = (folder.cache(), offer(b"executable"));
    std::fs::remove_dir(&folder.0).unwrap();
    let error = cache.draft(&offer).unwrap_err();
    assert!(matches!(error, SyncError::Write { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains(folder.0.to_str().unwrap()), "{error}");
    assert!(error.contains("10 bytes") && error.contains("FLAME_CODE_DIR"), "{error}");
}

#[test]
fn the_newest_executables_and_the_one_in_use_are_kept() {
    let epoch = SystemTime::UNIX_EPOCH;
    let now = epoch + Duration::from_secs(1_000_000);
    let named = |n: u64| format!("{n:064x}");
    let entries = || (0..6).map(|n| (named(n), epoch + Duration::from_secs(n))).collect::<Vec<_>>();
    // The one in use is the newest, as after a fetch; or the oldest, in a folder that is shared.
    for (in_use, removed) in [(5, vec![2, 1, 0]), (0, vec![3, 2, 1])] {
        let surplus = surplus(entries(), &named(in_use), now);
        assert_eq!(surplus, removed.into_iter().map(named).collect::<Vec<_>>());
        assert_eq!(entries().len() - surplus.len(), MAX_KEPT);
    }
}

#[test]
fn abandoned_drafts_are_removed_and_foreign_files_never() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let (fresh, old) = (now - ABANDONED_AFTER / 2, now - ABANDONED_AFTER);
    let draft = |n: u64| format!("{n:064x}.7-0123.part");
    let entries = vec![
        (draft(1), fresh),
        (draft(2), old),
        (draft(3), now + ABANDONED_AFTER),
        ("notes.part".to_owned(), old),
        ("readme".to_owned(), old),
        ("F".repeat(64), old),
    ];
    assert_eq!(surplus(entries, "", now), [draft(2)]);
}

#[test]
fn a_runner_that_fetches_prunes_the_folder() {
    let folder = Folder::new();
    let cache = folder.cache();
    for n in 0_u8..10 {
        let bytes = [n; 10];
        let offer = offer(&bytes);
        let kept = keep(&cache, &offer, &bytes).unwrap();
        cache.prune(&kept);
        assert!(kept.path().exists());
        assert!(folder.names().len() <= MAX_KEPT);
    }
}

#[test]
fn an_unsuitable_offer_is_refused_before_anything_is_fetched() {
    assert!(check_offer(&offer(b"x")).is_ok());
    let other = Offer { target: "plan9-pdp11".to_owned(), ..offer(b"x") };
    let error = check_offer(&other).unwrap_err().to_string();
    assert!(error.contains("plan9-pdp11") && error.contains(&code::target()), "{error}");
    let large = Offer { len: MAX_CODE + 1, ..offer(b"x") };
    assert!(matches!(check_offer(&large), Err(SyncError::TooLarge { .. })));
    assert!(check_offer(&Offer { len: MAX_CODE, ..offer(b"x") }).is_ok());
}

#[test]
fn a_mark_applies_to_the_boot_that_it_names() {
    let mark = |runner: RunnerRef| format!("{}/{runner}", hash(b"x"));
    let (mine, other) = (mark(RUNNER), mark(RunnerRef::from_bytes([2; 16])));
    assert_eq!(unable(RUNNER, HostKind::Process, false, None), None);
    assert_eq!(unable(RUNNER, HostKind::Ecs, false, Some(&other)), None);
    assert_eq!(unable(RUNNER, HostKind::Ecs, false, Some("1")), None);
    assert_eq!(unable(RUNNER, HostKind::Docker, false, None), None);
    assert_eq!(unable(RUNNER, HostKind::Fly, false, None), None);
    assert_eq!(unable(RUNNER, HostKind::Process, false, Some(&mine)), Some(Unable::Again));
    for host in [HostKind::Local, HostKind::Lambda] {
        assert_eq!(unable(RUNNER, host, false, None), Some(Unable::Host(host)));
    }
}

#[test]
fn in_lambda_only_a_supervised_runner_may_become_another_program() {
    let mark = format!("{}/{RUNNER}", hash(b"x"));
    assert_eq!(unable(RUNNER, HostKind::Lambda, true, None), None);
    assert_eq!(unable(RUNNER, HostKind::Lambda, true, Some(&mark)), Some(Unable::Again));
    let local = Some(Unable::Host(HostKind::Local));
    assert_eq!(unable(RUNNER, HostKind::Local, true, None), local);
}

#[test]
fn a_file_that_is_not_a_program_is_not_executed_and_the_error_says_what_must_match() {
    let folder = Folder::new();
    let cache = folder.cache();
    // A shell would run it as a script.
    let kept = keep(&cache, &offer(b"exit 7"), b"exit 7").unwrap();
    let source = kept.exec("a mark");
    let error = SyncError::Exec { file: kept.path().to_owned(), source }.to_string();
    assert!(error.contains(kept.path().to_str().unwrap()), "{error}");
    assert!(error.contains("architecture"), "{error}");
}

#[test]
fn a_failed_exec_comes_with_advice() {
    for (kind, advice) in [
        (io::ErrorKind::PermissionDenied, "noexec"),
        (io::ErrorKind::NotFound, "C library"),
        (io::ErrorKind::InvalidInput, "architecture"),
    ] {
        let error = SyncError::Exec { file: PathBuf::new(), source: kind.into() }.to_string();
        assert!(error.contains(advice) && error.contains("FLAME_CODE_DIR"), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn executables_for_other_machines_are_recognized() {
    use super::cache::same_machine;
    let head = |word, order, machine: u16| {
        let mut head = *b"\x7fELF................";
        (head[4], head[5]) = (word, order);
        head[18..].copy_from_slice(&machine.to_le_bytes());
        head
    };
    let (x86_64, aarch64) = (head(2, 1, 62), head(2, 1, 183));
    assert!(same_machine(&x86_64, &x86_64));
    for other in [aarch64, head(1, 1, 62), head(2, 2, 62), *b"#!/bin/sh...........", [0; 20]] {
        assert!(!same_machine(&other, &x86_64), "{other:?}");
    }
}
