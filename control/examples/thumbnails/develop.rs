//! The work itself: one photograph, developed in one look, in every size.
//!
//! Nothing here knows of pools or processes. [`develop`] is an ordinary function; `#[remote]` makes
//! a call of it something that can be awaited here or sent to a runner.

use std::io::Cursor;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use flame_aws::{Blob, CallContext, remote};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Rgb, RgbImage};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::jpeg;
use crate::looks::Look;

/// Longest sides of the pictures that are made, in pixels, largest first.
pub(crate) const SIZES: [u32; 4] = [960, 480, 240, 120];

/// The side to which a photograph is scaled before it is worked on.
const MASTER: u32 = SIZES[0];

const JPEG_QUALITY: u8 = 88;

/// What comes back: the pictures, and who made them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Developed {
    /// One for each of [`SIZES`], in that order.
    pub(crate) pictures: Vec<Picture>,
    pub(crate) took: Duration,
    pub(crate) maker: Maker,
}

/// A JPEG. Its bytes travel beside the message, not in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Picture {
    pub(crate) size: u32,
    pub(crate) jpeg: Blob,
}

/// The process that did the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Maker {
    /// `None` when it was no runner.
    pub(crate) runner: Option<String>,
    pub(crate) pid: u32,
}

/// Develops one photograph: scaled up or down to [`MASTER`] with Lanczos, cleaned of noise with its
/// edges kept, given its look, then reduced to every size, sharpened and compressed.
///
/// A plain function: it runs on a blocking thread, here as in a runner.
#[remote]
pub(crate) fn develop(photo: Blob, look: Look) -> anyhow::Result<Developed> {
    let started = Instant::now();
    let master = decode(&photo)?.resize(MASTER, MASTER, FilterType::Lanczos3).into_rgb8();
    let developed = look.apply(&denoise(&master));
    let pictures = SIZES.iter().map(|size| reduce(&developed, *size)).collect::<Result<_, _>>()?;
    let runner = CallContext::current().map(|call| call.runner.to_string());
    let maker = Maker { runner, pid: std::process::id() };
    Ok(Developed { pictures, took: started.elapsed(), maker })
}

/// Reads a JPEG or PNG, upright whichever way the camera was held.
///
/// The decoder's own limits hold: a file that claims to be enormous is an error, not a crash. So is
/// one that breaks off: of a JPEG the decoder would draw what is there, and the rest grey.
fn decode(photo: &[u8]) -> anyhow::Result<DynamicImage> {
    let reader = ImageReader::new(Cursor::new(photo)).with_guessed_format()?;
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    ensure!(!is_jpeg || jpeg::has_its_end(photo), "the photograph is damaged: its end is missing");
    // These errors' texts hold their sources' already, so a chain would say everything twice.
    let damaged = |error| anyhow!("the photograph is damaged: {error}");
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// A picture of the size asked for: its longest side is `size` pixels.
fn reduce(image: &RgbImage, size: u32) -> anyhow::Result<Picture> {
    let (width, height) = image.dimensions();
    let longest = width.max(height).max(1);
    let scaled = |side: u32| (f64::from(side) * f64::from(size) / f64::from(longest)).round();
    let (width, height) = (scaled(width).max(1.0) as u32, scaled(height).max(1.0) as u32);
    let small = imageops::resize(image, width, height, FilterType::Lanczos3);
    let sharp = imageops::unsharpen(&small, 0.8, 2);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY).encode_image(&sharp)?;
    Ok(Picture { size, jpeg: jpeg.into() })
}

/// A bilateral filter: each pixel becomes the mean of its neighbours, weighted by how near they are
/// and by how alike, so that noise goes and edges stay. Dear: a window of 7 x 7 for every pixel.
fn denoise(image: &RgbImage) -> RgbImage {
    const RADIUS: i64 = 3;
    const NEAR: f32 = 2.0;
    const ALIKE: f32 = 18.0;
    let bell = |distance: f32, width: f32| (-distance * distance / (2.0 * width * width)).exp();
    let window: Vec<(i64, i64, f32)> = (-RADIUS..=RADIUS)
        .flat_map(|dy| (-RADIUS..=RADIUS).map(move |dx| (dx, dy)))
        .map(|(dx, dy)| (dx, dy, bell(((dx * dx + dy * dy) as f32).sqrt(), NEAR)))
        .collect();
    // How much a neighbour counts whose three channels differ by so much in all.
    let alike: Vec<f32> = (0..=3 * 255).map(|by| bell(by as f32 / 3.0, ALIKE)).collect();

    let (width, height) = (i64::from(image.width()), i64::from(image.height()));
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let Rgb(centre) = *image.get_pixel(x, y);
        let mut sum = [0.0; 3];
        let mut weights = 0.0;
        for &(dx, dy, near) in &window {
            let (nx, ny) = (i64::from(x) + dx, i64::from(y) + dy);
            if nx < 0 || ny < 0 || nx >= width || ny >= height {
                continue;
            }
            let Rgb(pixel) = *image.get_pixel(nx as u32, ny as u32);
            let by: u16 = centre.iter().zip(pixel).map(|(a, b)| u16::from(a.abs_diff(b))).sum();
            let weight = near * alike.get(usize::from(by)).copied().unwrap_or(0.0);
            weights += weight;
            for (sum, channel) in sum.iter_mut().zip(pixel) {
                *sum += weight * f32::from(channel);
            }
        }
        // The centre is its own neighbour, so the weights never add up to nothing.
        Rgb(sum.map(|channel| (channel / weights).round() as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg_of(image: &RgbImage) -> Vec<u8> {
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, 90).encode_image(image).unwrap();
        jpeg
    }

    #[test]
    fn every_size_fits_its_square_and_keeps_the_proportions() {
        for (width, height) in [(300, 200), (200, 300), (50, 50), (400, 1), (1, 1)] {
            let image = RgbImage::from_pixel(width, height, Rgb([10, 120, 240]));
            for size in [120, 240] {
                let picture = decode(&reduce(&image, size).unwrap().jpeg).unwrap();
                assert_eq!(picture.width().max(picture.height()), size);
                assert_eq!(picture.width() > picture.height(), width > height);
            }
        }
    }

    #[test]
    fn what_is_no_photograph_is_an_error() {
        for bytes in [&b""[..], b"plain text", &b"\x89PNG\r\n\x1a\nrubbish"[..]] {
            assert!(decode(bytes).is_err());
        }
    }

    #[test]
    fn what_is_cut_short_is_an_error_wherever_the_cut_is() {
        let image = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
        let mut png = Vec::new();
        image.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
        // The last 4 bytes of a PNG only check that its end is its end.
        for (whole, spare) in [(jpeg_of(&image), 0), (png, 4)] {
            assert!(decode(&whole).is_ok());
            for length in 0..whole.len() - spare {
                assert!(decode(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
            }
        }
    }

    #[test]
    fn denoising_takes_the_speck_and_keeps_the_edge() {
        let mut image = RgbImage::from_fn(20, 20, |x, _| Rgb([if x < 10 { 40 } else { 220 }; 3]));
        image.put_pixel(4, 4, Rgb([52; 3]));
        let clean = denoise(&image);
        assert!(clean.get_pixel(4, 4).0[0] < 44, "the speck is gone");
        assert!(clean.get_pixel(9, 9).0[0] < 45 && clean.get_pixel(10, 9).0[0] > 215);
    }
}
