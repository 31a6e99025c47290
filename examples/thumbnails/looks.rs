//! The looks in which a photograph can be developed.

use image::imageops;
use image::{Rgb, RgbImage};
use serde::{Deserialize, Serialize};

/// A way of developing a photograph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Look {
    /// As it was taken.
    Natural,
    /// More contrast, richer colours.
    Vivid,
    /// A soft glow around bright areas.
    Dream,
    /// Black and white.
    Mono,
    /// The brown of old prints.
    Sepia,
    /// As drawn with a pencil.
    Sketch,
}

impl Look {
    pub(crate) const ALL: [Self; 6] =
        [Self::Natural, Self::Vivid, Self::Dream, Self::Mono, Self::Sepia, Self::Sketch];

    /// The look's name in file names and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural",
            Self::Vivid => "vivid",
            Self::Dream => "dream",
            Self::Mono => "mono",
            Self::Sepia => "sepia",
            Self::Sketch => "sketch",
        }
    }

    /// Returns the image in this look.
    pub(crate) fn apply(self, image: &RgbImage) -> RgbImage {
        match self {
            Self::Natural => image.clone(),
            Self::Vivid => map_pixels(image, |pixel| {
                let grey = luma(pixel);
                pixel.map(|channel| 1.15 * (grey + 1.45 * (channel - grey) - 128.0) + 128.0)
            }),
            Self::Dream => map_pixels_with_blur(image, 14.0, |pixel, glow| {
                let screen = |a: f32, b: f32| 255.0 - (255.0 - a) * (255.0 - b) / 255.0;
                let lit = [
                    screen(pixel[0], glow[0]),
                    screen(pixel[1], glow[1]),
                    screen(pixel[2], glow[2]),
                ];
                [0, 1, 2].map(|i| 0.45 * pixel[i] + 0.55 * lit[i])
            }),
            Self::Mono => map_pixels(image, |pixel| [1.25 * (luma(pixel) - 128.0) + 128.0; 3]),
            Self::Sepia => map_pixels(image, |pixel| {
                let grey = luma(pixel);
                [1.08 * grey + 18.0, 0.92 * grey + 10.0, 0.70 * grey]
            }),
            Self::Sketch => map_pixels_with_blur(image, 6.0, |pixel, around| {
                // A pixel is dark if it is darker than its surroundings.
                let light = luma(pixel) / luma(around).max(1.0);
                [255.0 * light.min(1.0).powi(3); 3]
            }),
        }
    }
}

/// How bright a pixel looks to the eye.
fn luma([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// Makes a new image pixel by pixel.
fn map_pixels(image: &RgbImage, look: impl Fn([f32; 3]) -> [f32; 3]) -> RgbImage {
    let mut new = image.clone();
    for pixel in new.pixels_mut() {
        *pixel = to_rgb(look(pixel.0.map(f32::from)));
    }
    new
}

/// Makes a new image from each pixel and the blurred colour around it.
fn map_pixels_with_blur(
    image: &RgbImage,
    sigma: f32,
    look: impl Fn([f32; 3], [f32; 3]) -> [f32; 3],
) -> RgbImage {
    let mut new = imageops::blur(image, sigma);
    for (pixel, original) in new.pixels_mut().zip(image.pixels()) {
        *pixel = to_rgb(look(original.0.map(f32::from), pixel.0.map(f32::from)));
    }
    new
}

/// Rounds a pixel. `as` saturates, so values out of range become black or white.
fn to_rgb(pixel: [f32; 3]) -> Rgb<u8> {
    Rgb(pixel.map(|channel| channel.round() as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_keeps_the_size_and_differs_from_all_others() {
        let image = RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, 90]));
        let developed = Look::ALL.map(|look| look.apply(&image));
        for (index, one) in developed.iter().enumerate() {
            assert_eq!(one.dimensions(), image.dimensions());
            for other in &developed[index + 1..] {
                assert_ne!(one, other);
            }
        }
    }

    #[test]
    fn mono_and_sketch_have_no_colour() {
        let image = RgbImage::from_fn(16, 16, |x, y| Rgb([(x * 15) as u8, (y * 15) as u8, 200]));
        for look in [Look::Mono, Look::Sketch] {
            assert!(look.apply(&image).pixels().all(|Rgb([r, g, b])| r == g && g == b));
        }
    }
}
