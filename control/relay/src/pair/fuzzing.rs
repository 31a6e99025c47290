//! What the fuzz targets in `control/relay/fuzz` call. Compiled only for them.

use super::frames::{Control, FrameError, FrameForwarder, MAX_HEADER};

/// The frames of a client, after the relay has read all of them.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// The bytes for the other client.
    pub bytes: Vec<u8>,
    /// The payloads of the pings.
    pub pings: Vec<Vec<u8>>,
    /// How many pongs there were.
    pub pongs: usize,
    /// The payload of the close frame.
    pub close: Option<Vec<u8>>,
}

/// Rewrites the bytes of a client, which arrive in these pieces.
///
/// # Errors
/// If the client breaks the protocol, the reason.
pub fn rewrite<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Rewritten, String> {
    let mut frames = FrameForwarder::default();
    let mut all = Rewritten::default();
    for piece in pieces {
        let mut buffer = vec![0; MAX_HEADER + piece.len()];
        let start = frames.restore(&mut buffer);
        buffer[start..start + piece.len()].copy_from_slice(piece);
        let buffer = &mut buffer[..start + piece.len()];
        let forwarded = frames.forward(buffer).map_err(|error: FrameError| error.to_string())?;
        all.bytes.extend_from_slice(&buffer[forwarded.range]);
        for control in forwarded.control {
            match control {
                Control::Ping(payload) => all.pings.push(payload),
                Control::Pong => all.pongs += 1,
                Control::Close(payload) => all.close = Some(payload),
            }
        }
    }
    Ok(all)
}
