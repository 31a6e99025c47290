//! The container that this process runs in.

/// The length of a container's id, in hexadecimal digits.
const ID: usize = 64;

/// The id of the container that this process runs in, found in `/proc`; `None` outside of a
/// container, and on systems other than Linux.
pub(super) fn container_id() -> Option<String> {
    let read = |file: &str| std::fs::read_to_string(file).ok();
    container_id_in(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup").unwrap_or_default())
}

/// The engine mounts files from the container's own folder on `/etc/hostname` and other files, and
/// that folder is named by the id. On cgroups v1 the path of the control group has the id as well.
fn container_id_in(mountinfo: &str, cgroup: &str) -> Option<String> {
    let mounted = mountinfo.lines().filter_map(|line| {
        // Fields of proc(5): id, parent, device, root, mount point.
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        matches!(point, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf").then_some(root)
    });
    let groups = cgroup.lines().filter_map(|line| line.rsplit(':').next());
    mounted.chain(groups).find_map(id_in)
}

/// The part of a path that is an id, with or without a prefix such as `libpod-` or a suffix such as
/// `.scope`.
fn id_in(path: &str) -> Option<String> {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_id = |word: &&str| word.len() == ID && word.bytes().all(is_digit);
    words.rev().find(is_id).map(str::to_owned)
}

#[cfg(test)]
mod tests;
