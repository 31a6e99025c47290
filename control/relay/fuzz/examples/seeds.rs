//! Writes valid inputs into `corpus/`: `cargo run --example seeds`.

use std::path::Path;

use flame_wire::ids::RunnerRef;
use flame_wire::relay::ParentToRelay;

fn main() -> std::io::Result<()> {
    let id = "00112233445566778899aabbccddeeff";
    for (name, path) in [
        ("parent", "/v1/parent".to_owned()),
        ("runner", format!("/v1/runner/f-{id}")),
        ("socket", format!("/v1/socket/{id}")),
    ] {
        let request = format!("{path}\nBearer secret\n192.0.2.1, 2001:db8::1\n10.0.0.1");
        write("request", name, request.as_bytes())?;
    }
    // Fragments of a message, a ping in between, and a close.
    let message = masked(&[
        (0x02, b"he"),
        (0x89, b"?"),
        (0x80, b"llo"),
        (0x82, &[7; 300]),
        (0x88, b"\x03\xe8bye"),
    ]);
    write("frames", "message", &[&[5], &*message].concat())?;

    // A parent that registers a runner, and the runner.
    let runner = RunnerRef::from_bytes([0xab; 16]);
    let register = ParentToRelay::Register { runners: vec![runner], expires_in_ms: 60_000 };
    let register = register.encode().map_err(std::io::Error::other)?;
    let parent = [&*upgrade("/v1/parent"), &masked(&[(0x82, &register)])].concat();
    let runner = upgrade(&format!("/v1/runner/{runner}"));
    let socket = upgrade(&format!("/v1/socket/{id}"));
    write("connection", "pair", &[&*parent, &*runner, &*socket].join(&b"~~~~"[..]))?;
    write("connection", "metrics", b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// A request of a parent, with the key of the target `connection`.
fn upgrade(path: &str) -> Vec<u8> {
    let key = "0123456789abcdef0123456789abcdef";
    format!(
        "GET {path} HTTP/1.1\r\nhost: relay\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         authorization: Bearer {key}\r\nx-forwarded-for: 10.0.0.1, 192.0.2.7\r\n\r\n"
    )
    .into_bytes()
}

/// Frames of a client: the first byte of each, and the payload.
fn masked(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut input = Vec::new();
    for &(first, payload) in frames {
        input.push(first);
        match payload.len() {
            len @ 0..126 => input.push(0x80 | len as u8),
            len => input.extend([0x80 | 126, (len >> 8) as u8, len as u8]),
        }
        let mask = [1, 2, 3, 4];
        input.extend(mask);
        input.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    input
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}
