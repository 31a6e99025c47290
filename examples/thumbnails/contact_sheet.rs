//! The contact sheet: one row for each photograph, one column for each look. The bar below a
//! picture has the colour of the runner that made it.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::develop::Developed;
use crate::looks::Look;
use crate::outcome::Outcome;

const CELL: (u32, u32) = (240, 160);
const GAP: u32 = 12;
const BAR_HEIGHT: u32 = 5;
const BACKGROUND: Rgb<u8> = Rgb([24, 24, 27]);

/// The runners' colours in the order of the runners' first results.
pub(crate) const COLOURS: [(&str, Rgb<u8>); 8] = [
    ("amber", Rgb([245, 176, 65])),
    ("blue", Rgb([82, 152, 219])),
    ("green", Rgb([88, 190, 110])),
    ("red", Rgb([224, 92, 80])),
    ("violet", Rgb([165, 120, 210])),
    ("teal", Rgb([60, 190, 185])),
    ("pink", Rgb([235, 130, 175])),
    ("grey", Rgb([170, 170, 170])),
];

/// The size of the pictures on the sheet: the smallest of the sizes that fills a cell.
const PICTURE_SIZE: u32 = 240;

/// A sheet with more rows would be too long for a person, and for many image viewers.
pub(crate) const MAX_ROWS: usize = 50;

/// Draws the first [`MAX_ROWS`] photographs that were developed.
pub(crate) fn draw(outcome: &Outcome) -> RgbImage {
    let rows: Vec<_> = outcome
        .rows()
        .filter(|(_, looks)| looks.iter().any(|developed| developed.is_ok()))
        .take(MAX_ROWS)
        .collect();
    let offset = |cells: usize, cell: u32| GAP + cells as u32 * (cell + GAP);
    let (width, height) =
        (offset(Look::ALL.len(), CELL.0), offset(rows.len(), CELL.1 + BAR_HEIGHT));
    let mut sheet = RgbImage::from_pixel(width, height, BACKGROUND);
    for (row, (_, looks)) in rows.iter().enumerate() {
        for (column, developed) in looks.iter().enumerate() {
            if let Ok(developed) = developed {
                let (x, y) = (offset(column, CELL.0), offset(row, CELL.1 + BAR_HEIGHT));
                draw_cell(&mut sheet, x, y, developed, outcome.worker_index(developed));
            }
        }
    }
    sheet
}

/// Draws one picture, centred in its cell, and the bar below it.
fn draw_cell(sheet: &mut RgbImage, x: u32, y: u32, developed: &Developed, worker: usize) {
    let picture = developed.pictures.iter().find(|picture| picture.size == PICTURE_SIZE);
    // This program encoded the picture, so it can be decoded. If not, its cell stays empty.
    let Some(Ok(picture)) = picture.map(|picture| image::load_from_memory(&picture.jpeg)) else {
        return;
    };
    let (width, height) = CELL;
    let picture = picture.resize(width, height, FilterType::Lanczos3).into_rgb8();
    let left = x + (width - picture.width().min(width)) / 2;
    let top = y + (height - picture.height().min(height)) / 2;
    imageops::overlay(sheet, &picture, left.into(), top.into());
    let colour = COLOURS.iter().cycle().nth(worker).map_or(BACKGROUND, |(_, colour)| *colour);
    let bar = RgbImage::from_pixel(width, BAR_HEIGHT, colour);
    imageops::overlay(sheet, &bar, x.into(), (y + height).into());
}
