use super::*;

const A: &str = "90a6480bb4f39ee047f0dc0b038409e7d2322dfe37866acbb69c4cf6eff3d322";
const B: &str = "75d3851b9894113fcaa8090e14948ccd914e5527784015fa490c28fbf6212c5a";

#[test]
fn the_id_is_found_in_the_mounts_of_docker_and_podman() {
    let docker = format!(
        "714 700 0:52 / / rw - overlay overlay lowerdir=/l/{B}/diff\n\
         735 714 254:1 /var/lib/docker/containers/{A}/resolv.conf /etc/resolv.conf rw - ext4 x rw\n\
         736 714 254:1 /var/lib/docker/containers/{A}/hostname /etc/hostname rw - ext4 x rw\n"
    );
    assert_eq!(container_id_in(&docker, "0::/").as_deref(), Some(A));
    let podman = format!(
        "87 77 254:0 /run/overlay-containers/{A}/userdata/hosts /etc/hosts rw - ext4 /dev/vda rw\n"
    );
    assert_eq!(container_id_in(&podman, "0::/").as_deref(), Some(A));
}

#[test]
fn the_id_is_found_in_the_control_group() {
    for cgroup in [
        format!("9:memory:/docker/{A}\n"),
        format!("9:name=systemd:/\n8:pids:/libpod_parent/libpod-{A}\n"),
        format!("0::/system.slice/docker-{A}.scope\n"),
    ] {
        assert_eq!(container_id_in("", &cgroup).as_deref(), Some(A), "{cgroup}");
    }
}

#[test]
fn a_process_outside_of_a_container_has_no_id() {
    let mounts =
        format!("25 1 254:0 / / rw - ext4 /dev/vda rw\n26 25 0:5 /{B}/x /mnt rw - tmpfs t\n");
    assert_eq!(container_id_in(&mounts, "0::/user.slice/session-1.scope\n"), None);
    assert_eq!(container_id_in(&format!("1 1 0:1 /{B}0/hosts /etc/hosts rw\n"), ""), None);
}

fn place(container: Option<&str>, namespace: &str, pid: u32) -> Place {
    Place {
        container: container.map(str::to_owned),
        process: Some(ProcessPlace {
            boot: "kernel".to_owned(),
            namespace: namespace.to_owned(),
            pid,
            started: 100,
        }),
    }
}

#[test]
fn a_place_survives_its_encoding() {
    for place in [
        place(Some(A), "1", 7),
        place(None, "1", 7),
        Place { container: Some(A.to_owned()), process: None },
    ] {
        assert_eq!(Place::decode(&place.encode().unwrap()), Some(place));
    }
    assert_eq!(Place { container: None, process: None }.encode(), None);
    assert_eq!(Place::decode("nonsense"), None);
    assert_eq!(Place::decode("/a,b,c,d"), None);
}

#[test]
fn this_process_lives_and_can_be_looked_up() {
    let me = Place::of_this_process(None);
    if cfg!(target_os = "linux") {
        let again = Place::decode(&me.encode().unwrap()).unwrap();
        assert_eq!(again.status(&me, |_| None, started), Some(ParentStatus::Alive));
    }
}

#[test]
fn a_parent_in_another_container_lives_as_long_as_its_container_runs() {
    let (me, parent) = (place(Some(B), "2", 1), place(Some(A), "1", 1));
    let status = |runs| parent.status(&me, |_| runs, |_| panic!("another namespace"));
    assert_eq!(status(Some(true)), Some(ParentStatus::Alive));
    assert_eq!(status(Some(false)), Some(ParentStatus::Dead));
    assert_eq!(status(None), None, "the engine did not say");
}

#[test]
fn a_parent_on_the_same_machine_lives_while_its_process_does() {
    let (me, parent) = (place(None, "1", 1), place(None, "1", 7));
    let status = |started| parent.status(&me, |_| panic!("no container"), |_| started);
    assert_eq!(status(Some(100)), Some(ParentStatus::Alive));
    assert_eq!(status(None), Some(ParentStatus::Dead));
    assert_eq!(status(Some(101)), Some(ParentStatus::Dead), "its id was given to another process");
}

#[test]
fn a_parent_that_can_not_be_looked_up_is_never_presumed_dead() {
    let me = place(None, "1", 1);
    let elsewhere = |place: Place| place.status(&me, |_| None, |_| panic!("not to be looked up"));
    assert_eq!(elsewhere(place(None, "2", 7)), None, "another PID namespace");
    let mut other = place(None, "1", 7);
    other.process.as_mut().unwrap().boot = "other".to_owned();
    assert_eq!(elsewhere(other), None, "another machine");
    assert_eq!(elsewhere(Place { container: None, process: None }), None);
}

#[test]
fn an_earlier_run_of_the_same_container_is_dead() {
    let (me, earlier) = (place(Some(A), "2", 1), place(Some(A), "1", 1));
    let status = earlier.status(&me, |_| panic!("it is this container"), |_| None);
    assert_eq!(status, Some(ParentStatus::Dead));
    let sibling = place(Some(A), "2", 9);
    assert_eq!(sibling.status(&me, |_| None, |_| Some(100)), Some(ParentStatus::Alive));
}

#[test]
fn a_start_time_is_read_whatever_the_processs_name() {
    let stat =
        |state: &str| format!("7 (a) b) {state} 1 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 4711 9 9");
    assert_eq!(started_in(&stat("S")), Some(4711));
    assert_eq!(started_in(&stat("Z")), None);
    assert_eq!(started_in("7 (a"), None);
}
