//! The work itself: develops one photograph in one look and in every size.
//!
//! Nothing here knows about pools or processes. [`develop`] is an ordinary function. `#[remote]`
//! turns a call of it into a value that can be awaited here or sent to a runner.

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

/// The longest side of each picture that is made, in pixels, largest first.
pub(crate) const SIZES: [u32; 4] = [960, 480, 240, 120];

/// The longest side, in pixels, to which a photograph is scaled before it is developed.
const WORKING_SIZE: u32 = SIZES[0];

const JPEG_QUALITY: u8 = 88;

/// The result of one call: the pictures, and the process that made them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Developed {
    /// One for each of [`SIZES`], in that order.
    pub(crate) pictures: Vec<Picture>,
    pub(crate) took: Duration,
    pub(crate) worker: Worker,
}

/// A JPEG. As a [`Blob`], its bytes are sent beside the encoded result and not copied into it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Picture {
    pub(crate) size: u32,
    pub(crate) jpeg: Blob,
}

/// The process that made the pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Worker {
    /// `None` if the process is not a runner.
    pub(crate) runner: Option<String>,
    pub(crate) pid: u32,
}

/// Develops one photograph: scales it to [`WORKING_SIZE`], removes noise but keeps edges, applies
/// the look, and then scales, sharpens and compresses one picture for each of [`SIZES`].
///
/// This is a plain function, so it runs on a blocking thread, both here and on a runner.
#[remote]
pub(crate) fn develop(photo: Blob, look: Look) -> anyhow::Result<Developed> {
    let started = Instant::now();
    let decoded = decode(&photo)?;
    let scaled = decoded.resize(WORKING_SIZE, WORKING_SIZE, FilterType::Lanczos3).into_rgb8();
    let developed = look.apply(&denoise(&scaled));
    let pictures = SIZES.iter().map(|size| picture(&developed, *size)).collect::<Result<_, _>>()?;
    let runner = CallContext::current().map(|call| call.runner.to_string());
    let worker = Worker { runner, pid: std::process::id() };
    Ok(Developed { pictures, took: started.elapsed(), worker })
}

/// Decodes a JPEG or PNG, and rotates it upright according to its metadata.
///
/// The decoder's own limits apply, so a file that claims to be enormous is an error and not a
/// crash. A truncated JPEG is an error as well: the decoder alone would accept it and fill the rest
/// with grey.
fn decode(photo: &[u8]) -> anyhow::Result<DynamicImage> {
    let reader = ImageReader::new(Cursor::new(photo)).with_guessed_format()?;
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    ensure!(!is_jpeg || jpeg::is_complete(photo), "the photograph is damaged: its end is missing");
    // The text of each of these errors already includes its source's text. A chain would repeat it.
    let damaged = |error| anyhow!("the photograph is damaged: {error}");
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Makes a sharpened JPEG whose longest side is `size` pixels.
fn picture(image: &RgbImage, size: u32) -> anyhow::Result<Picture> {
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

/// A bilateral filter: each pixel becomes the mean of its neighbours, weighted by distance and by
/// similarity of colour. This removes noise but keeps edges. It is expensive: it reads a window of
/// 7 x 7 pixels for every pixel.
fn denoise(image: &RgbImage) -> RgbImage {
    const RADIUS: i64 = 3;
    const DISTANCE_SIGMA: f32 = 2.0;
    const COLOUR_SIGMA: f32 = 18.0;
    let gaussian = |x: f32, sigma: f32| (-x * x / (2.0 * sigma * sigma)).exp();
    let window: Vec<(i64, i64, f32)> = (-RADIUS..=RADIUS)
        .flat_map(|dy| (-RADIUS..=RADIUS).map(move |dx| (dx, dy)))
        .map(|(dx, dy)| (dx, dy, gaussian(((dx * dx + dy * dy) as f32).sqrt(), DISTANCE_SIGMA)))
        .collect();
    // The weight of a neighbour, indexed by the sum of the differences of its three channels.
    let similarity: Vec<f32> =
        (0..=3 * 255).map(|sum| gaussian(sum as f32 / 3.0, COLOUR_SIGMA)).collect();

    let (width, height) = (i64::from(image.width()), i64::from(image.height()));
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let Rgb(centre) = *image.get_pixel(x, y);
        let mut sum = [0.0; 3];
        let mut weights = 0.0;
        for &(dx, dy, closeness) in &window {
            let (nx, ny) = (i64::from(x) + dx, i64::from(y) + dy);
            if nx < 0 || ny < 0 || nx >= width || ny >= height {
                continue;
            }
            let Rgb(pixel) = *image.get_pixel(nx as u32, ny as u32);
            let difference: u16 =
                centre.iter().zip(pixel).map(|(a, b)| u16::from(a.abs_diff(b))).sum();
            let weight =
                closeness * similarity.get(usize::from(difference)).copied().unwrap_or(0.0);
            weights += weight;
            for (sum, channel) in sum.iter_mut().zip(pixel) {
                *sum += weight * f32::from(channel);
            }
        }
        // The window includes the centre itself, so the sum of the weights is never zero.
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
    fn a_picture_has_the_requested_size_and_keeps_its_orientation() {
        for (width, height) in [(300, 200), (200, 300), (50, 50), (400, 1), (1, 1)] {
            let image = RgbImage::from_pixel(width, height, Rgb([10, 120, 240]));
            for size in [120, 240] {
                let decoded = decode(&picture(&image, size).unwrap().jpeg).unwrap();
                assert_eq!(decoded.width().max(decoded.height()), size);
                assert_eq!(decoded.width() > decoded.height(), width > height);
            }
        }
    }

    #[test]
    fn a_file_that_is_not_a_photograph_is_an_error() {
        for bytes in [&b""[..], b"plain text", &b"\x89PNG\r\n\x1a\nrubbish"[..]] {
            assert!(decode(bytes).is_err());
        }
    }

    #[test]
    fn a_truncated_file_is_an_error_at_every_length() {
        let image = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
        let mut png = Vec::new();
        image.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
        // The decoder ignores the last 4 bytes of a PNG: the checksum of its empty last chunk.
        for (whole, ignored) in [(jpeg_of(&image), 0), (png, 4)] {
            assert!(decode(&whole).is_ok());
            for length in 0..whole.len() - ignored {
                assert!(decode(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
            }
        }
    }

    #[test]
    fn denoising_removes_a_speck_and_keeps_an_edge() {
        let mut image = RgbImage::from_fn(20, 20, |x, _| Rgb([if x < 10 { 40 } else { 220 }; 3]));
        image.put_pixel(4, 4, Rgb([52; 3]));
        let clean = denoise(&image);
        assert!(clean.get_pixel(4, 4).0[0] < 44, "the speck was not removed");
        assert!(clean.get_pixel(9, 9).0[0] < 45 && clean.get_pixel(10, 9).0[0] > 215);
    }
}
