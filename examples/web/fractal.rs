//! The expensive work: draws views of the Mandelbrot set, as one picture or row by row.

use std::fmt::Write as _;
use std::io::Cursor;

use flame_aws::{Blob, remote};
use futures_util::{Stream, StreamExt, stream};
use image::{ImageFormat, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use crate::db::Db;

/// The size of every picture, in pixels.
pub(crate) const WIDTH: u32 = 720;
pub(crate) const HEIGHT: u32 = 480;

/// At a higher zoom, neighbouring pixels have the same coordinates in an `f64`.
const MAX_ZOOM: f64 = 1e13;

/// The part of the complex plane to draw: its centre and the zoom.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct View {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) zoom: f64,
}

/// A finished picture, and a text that says which process drew it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Picture {
    pub(crate) png: Blob,
    pub(crate) made_by: String,
}

/// One row of a picture; row 0 is the top.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) y: u32,
    /// The number of rows of the picture.
    pub(crate) of: u32,
    /// The id of the process that drew the row.
    pub(crate) process: u32,
    /// Six hexadecimal digits for each pixel.
    pub(crate) pixels: String,
}

/// Draws a view as one picture. This is a plain function, so it runs on a blocking thread of the
/// runner. `db` is not sent: it is the runner's own.
#[remote]
pub(crate) fn picture(view: View, #[state] db: Db) -> anyhow::Result<Picture> {
    let draw = || RgbImage::from_fn(WIDTH, HEIGHT, |x, y| view.pixel(x, y));
    let image = tracing::info_span!("draw", view.zoom).in_scope(draw);
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

/// Draws a view row by row, as fast as the stream is read. Dropping the stream stops the drawing,
/// which then prints a line that appears in the server's log.
#[remote]
pub(crate) fn rows(view: View, #[state] db: Db) -> impl Stream<Item = anyhow::Result<Row>> {
    db.record_drawing();
    let mut drawing = Drawing { rows: 0 };
    stream::iter(0..HEIGHT)
        .map(move |y| tokio::task::spawn_blocking(move || view.row(y)))
        .buffered(2)
        .map(move |row| {
            drawing.count_row();
            row.map_err(anyhow::Error::from)
        })
}

/// Counts the rows that were drawn. It is dropped with the stream of rows.
struct Drawing {
    rows: u32,
}

impl Drawing {
    fn count_row(&mut self) {
        self.rows += 1;
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        if self.rows < HEIGHT {
            println!("drawing stopped after row {} of {HEIGHT}: the reader has gone", self.rows);
        }
    }
}

impl View {
    /// Returns the view if it can be drawn, or else a message for the user.
    pub(crate) fn check(self) -> Result<Self, String> {
        if !self.x.is_finite() || !self.y.is_finite() {
            return Err("x and y must be numbers".to_owned());
        }
        if !(0.5..=MAX_ZOOM).contains(&self.zoom) {
            return Err(format!("zoom must be from 0.5 to {MAX_ZOOM:e}"));
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
        Row { y, of: HEIGHT, process: std::process::id(), pixels }
    }

    /// The colour of one pixel. It shows how soon the pixel's point escapes; black means never.
    fn pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        let step = 3.0 / (f64::from(WIDTH) * self.zoom);
        let cx = self.x + (f64::from(x) - f64::from(WIDTH) / 2.0) * step;
        let cy = self.y + (f64::from(y) - f64::from(HEIGHT) / 2.0) * step;
        let max_iterations = 300.0 + 150.0 * self.zoom.log2().max(0.0);
        let (mut zx, mut zy, mut iterations) = (0.0_f64, 0.0_f64, 0.0_f64);
        while iterations < max_iterations {
            let (xx, yy) = (zx * zx, zy * zy);
            if xx + yy > 256.0 {
                // A fraction between whole iterations makes the colours smooth.
                return colour(iterations + 1.0 - ((xx + yy).ln() / 2.0).log2());
            }
            zy = 2.0 * zx * zy + cy;
            zx = xx - yy + cx;
            iterations += 1.0;
        }
        Rgb([0, 0, 0])
    }
}

/// Maps a number of iterations to a colour that changes slowly. `as` saturates.
fn colour(iterations: f64) -> Rgb<u8> {
    let wave = |phase: f64| {
        (127.5 + 127.5 * (0.35 * iterations.max(0.0).sqrt() * 2.0 + phase).sin()) as u8
    };
    Rgb([wave(4.2), wave(5.0), wave(5.8)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: View = View { x: -0.6, y: 0.0, zoom: 1.0 };

    #[test]
    fn the_centre_of_the_set_is_black_and_points_far_from_it_are_not() {
        assert_eq!(WHOLE.pixel(WIDTH / 2, HEIGHT / 2), Rgb([0, 0, 0]));
        assert_ne!(WHOLE.pixel(0, 0), Rgb([0, 0, 0]));
    }

    #[test]
    fn a_row_has_the_same_pixels_as_the_picture() {
        let row = WHOLE.row(17);
        assert_eq!((row.y, row.of, row.pixels.len()), (17, HEIGHT, WIDTH as usize * 6));
        let Rgb([red, green, blue]) = WHOLE.pixel(3, 17);
        assert_eq!(row.pixels[18..24], format!("{red:02x}{green:02x}{blue:02x}"));
    }

    #[test]
    fn views_that_cannot_be_drawn_are_rejected() {
        for (x, zoom) in [(f64::NAN, 1.0), (f64::INFINITY, 1.0), (0.0, 0.0), (0.0, 1e14)] {
            assert!(View { x, y: 0.0, zoom }.check().is_err());
        }
        assert_eq!(WHOLE.check(), Ok(WHOLE));
        assert!(View { zoom: f64::NAN, ..WHOLE }.check().is_err());
    }
}
