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
