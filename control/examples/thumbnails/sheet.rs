//! The contact sheet: a row for each photograph, a column for each look, and beneath each picture a
//! bar in the colour of the runner that made it.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::develop::Developed;
use crate::looks::Look;
use crate::report::{COLOURS, Outcome};

const CELL: (u32, u32) = (240, 160);
const GAP: u32 = 12;
const BAR: u32 = 5;
const PAPER: Rgb<u8> = Rgb([24, 24, 27]);

/// The size of the pictures that go on the sheet: the smallest that fills a cell.
const PICTURE: u32 = 240;

/// A sheet with more rows than this is too long for a person, and for many a viewer.
pub(crate) const MOST_ROWS: usize = 50;

/// Draws the first [`MOST_ROWS`] photographs that could be developed.
pub(crate) fn draw(outcome: &Outcome) -> RgbImage {
    let rows: Vec<_> = outcome
        .rows()
        .filter(|(_, looks)| looks.iter().any(|developed| developed.is_ok()))
        .take(MOST_ROWS)
        .collect();
    let side = |cells: usize, cell: u32| GAP + cells as u32 * (cell + GAP);
    let (width, height) = (side(Look::ALL.len(), CELL.0), side(rows.len(), CELL.1 + BAR));
    let mut sheet = RgbImage::from_pixel(width, height, PAPER);
    for (row, (_, looks)) in rows.iter().enumerate() {
        for (column, developed) in looks.iter().enumerate() {
            if let Ok(developed) = developed {
                let (x, y) = (side(column, CELL.0), side(row, CELL.1 + BAR));
                place(&mut sheet, x, y, developed, outcome.maker_index(developed));
            }
        }
    }
    sheet
}

/// Puts one picture, centred in its cell, and its bar.
fn place(sheet: &mut RgbImage, x: u32, y: u32, developed: &Developed, maker: usize) {
    let picture = developed.pictures.iter().find(|picture| picture.size == PICTURE);
    // Our own encoder made it; were it unreadable all the same, its cell would stay empty.
    let Some(Ok(picture)) = picture.map(|picture| image::load_from_memory(&picture.jpeg)) else {
        return;
    };
    let (width, height) = CELL;
    let picture = picture.resize(width, height, FilterType::Lanczos3).into_rgb8();
    let left = x + (width - picture.width().min(width)) / 2;
    let top = y + (height - picture.height().min(height)) / 2;
    imageops::overlay(sheet, &picture, left.into(), top.into());
    let colour = COLOURS.iter().cycle().nth(maker).map_or(PAPER, |(_, colour)| *colour);
    let bar = RgbImage::from_pixel(width, BAR, colour);
    imageops::overlay(sheet, &bar, x.into(), (y + height).into());
}
