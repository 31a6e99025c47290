//! The heavy work: views of the Mandelbrot set, whole or row by row.

use std::fmt::Write as _;
use std::io::Cursor;

use flame_aws::{Blob, remote};
use futures_util::{Stream, StreamExt, stream};
use image::{ImageFormat, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use crate::db::Db;

/// Every picture's size, in pixels.
pub(crate) const WIDTH: u32 = 720;
pub(crate) const HEIGHT: u32 = 480;

/// Deeper than this, neighbouring pixels are the same number to an `f64`.
const DEEPEST: f64 = 1e13;

/// What part of the plane to draw: its centre, and how far to go in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct View {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) zoom: f64,
}

/// A finished picture, and by whom.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Picture {
    pub(crate) png: Blob,
    pub(crate) made_by: String,
}

/// One row of a picture, from the top.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) y: u32,
    pub(crate) of: u32,
    /// Six hexadecimal digits for each pixel.
    pub(crate) pixels: String,
}

/// Draws a view. A plain function, so it runs on a blocking thread of the runner; `db` is not sent,
/// it is the runner's own.
#[remote]
pub(crate) fn picture(view: View, #[state] db: Db) -> anyhow::Result<Picture> {
    let image = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| view.pixel(x, y));
    let mut png = Vec::new();
    image.write_to(&mut Cursor::new(&mut png), ImageFormat::Png)?;
    let made_by = format!(
        "process {}, its drawing number {}, with {} database connections",
        std::process::id(),
        db.record_drawing(),
        db.connections()
    );
    Ok(Picture { png: png.into(), made_by })
}

/// Draws a view row by row. The reader's pace is the drawer's: a stream that nobody reads waits, and
/// one that is dropped ends the work, which the server's log then tells.
#[remote]
pub(crate) fn rows(view: View, #[state] db: Db) -> impl Stream<Item = anyhow::Result<Row>> {
    db.record_drawing();
    let mut drawing = Drawing { rows: 0 };
    stream::iter(0..HEIGHT)
        .map(move |y| tokio::task::spawn_blocking(move || view.row(y)))
        .buffered(2)
        .map(move |row| {
            drawing.has_another_row();
            row.map_err(anyhow::Error::from)
        })
}

/// Lives as long as the stream of a picture's rows.
struct Drawing {
    rows: u32,
}

impl Drawing {
    fn has_another_row(&mut self) {
        self.rows += 1;
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        if self.rows < HEIGHT {
            println!(
                "drawing stopped after row {} of {HEIGHT}: nobody reads it any more",
                self.rows
            );
        }
    }
}

impl View {
    /// Refuses what can't be drawn, with a reason for the person who asked.
    pub(crate) fn check(self) -> Result<Self, String> {
        if !self.x.is_finite() || !self.y.is_finite() {
            return Err("x and y must be numbers".to_owned());
        }
        if !(0.5..=DEEPEST).contains(&self.zoom) {
            return Err(format!("zoom must be from 0.5 to {DEEPEST:e}"));
        }
        Ok(self)
    }

    fn row(&self, y: u32) -> Row {
        let mut pixels = String::with_capacity(WIDTH as usize * 6);
        for x in 0..WIDTH {
            let Rgb([red, green, blue]) = self.pixel(x, y);
            // Writing to a string can't fail.
            let _ = write!(pixels, "{red:02x}{green:02x}{blue:02x}");
        }
        Row { y, of: HEIGHT, pixels }
    }

    /// The colour of one pixel: how soon its point leaves the set, or black where it never does.
    fn pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        let step = 3.0 / (f64::from(WIDTH) * self.zoom);
        let cx = self.x + (f64::from(x) - f64::from(WIDTH) / 2.0) * step;
        let cy = self.y + (f64::from(y) - f64::from(HEIGHT) / 2.0) * step;
        let patience = 300.0 + 150.0 * self.zoom.log2().max(0.0);
        let (mut zx, mut zy, mut turns) = (0.0_f64, 0.0_f64, 0.0_f64);
        while turns < patience {
            let (xx, yy) = (zx * zx, zy * zy);
            if xx + yy > 256.0 {
                // Between whole turns, so that colours have no steps.
                return colour(turns + 1.0 - ((xx + yy).ln() / 2.0).log2());
            }
            zy = 2.0 * zx * zy + cy;
            zx = xx - yy + cx;
            turns += 1.0;
        }
        Rgb([0, 0, 0])
    }
}

/// A slow walk round the colours; `as` saturates.
fn colour(turns: f64) -> Rgb<u8> {
    let wave =
        |phase: f64| (127.5 + 127.5 * (0.35 * turns.max(0.0).sqrt() * 2.0 + phase).sin()) as u8;
    Rgb([wave(4.2), wave(5.0), wave(5.8)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: View = View { x: -0.6, y: 0.0, zoom: 1.0 };

    #[test]
    fn the_heart_of_the_set_is_black_and_what_is_far_from_it_is_not() {
        assert_eq!(WHOLE.pixel(WIDTH / 2, HEIGHT / 2), Rgb([0, 0, 0]));
        assert_ne!(WHOLE.pixel(0, 0), Rgb([0, 0, 0]));
    }

    #[test]
    fn a_row_holds_the_same_pixels_as_the_picture() {
        let row = WHOLE.row(17);
        assert_eq!((row.y, row.of, row.pixels.len()), (17, HEIGHT, WIDTH as usize * 6));
        let Rgb([red, green, blue]) = WHOLE.pixel(3, 17);
        assert_eq!(row.pixels[18..24], format!("{red:02x}{green:02x}{blue:02x}"));
    }

    #[test]
    fn views_that_can_not_be_drawn_are_refused() {
        for (x, zoom) in [(f64::NAN, 1.0), (f64::INFINITY, 1.0), (0.0, 0.0), (0.0, 1e14)] {
            assert!(View { x, y: 0.0, zoom }.check().is_err());
        }
        assert_eq!(WHOLE.check(), Ok(WHOLE));
        assert!(View { zoom: f64::NAN, ..WHOLE }.check().is_err());
    }
}
