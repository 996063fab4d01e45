//! Profile pictures: square JPEGs of an image's centre. Blocks.

use std::io::Cursor;
use std::path::Path;

use image::DynamicImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;

use super::image_reader::{on_white, open_image};

/// Minimum and maximum pixels per side; WhatsApp rejects smaller pictures and shrinks larger ones.
const SIDE_RANGE: (u32, u32) = (192, 640);
/// JPEG quality, in percent.
const JPEG_QUALITY: u8 = 85;

/// Makes a profile picture. `None` if the file is no readable image.
pub fn make_avatar(picture: &Path) -> Option<Vec<u8>> {
    let picture = DynamicImage::from(on_white(open_image(picture)?));
    let side = picture
        .width()
        .min(picture.height())
        .clamp(SIDE_RANGE.0, SIDE_RANGE.1);
    let square = picture
        .resize_to_fill(side, side, FilterType::Triangle)
        .into_rgb8();
    let mut jpeg = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY);
    square.write_with_encoder(encoder).ok()?;
    Some(jpeg.into_inner())
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use crate::media::convert::avatar::*;

    #[test]
    fn a_picture_that_would_fill_the_memory_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        image::GrayImage::new(12_000, 12_000).save(&path).unwrap();
        assert_eq!(make_avatar(&path), None);
    }

    #[test]
    fn a_picture_becomes_a_square_of_its_middle_on_white() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        for (width, height, side) in [(1000, 800, 640), (300, 500, 300), (20, 10, 192)] {
            let mut wide = RgbaImage::new(width, height);
            // Black in the centre, red around it; one corner of the centre is transparent.
            for (x, y, pixel) in wide.enumerate_pixels_mut() {
                let inside =
                    |at: u32, length: u32| at.abs_diff(length / 2) <= width.min(height) / 2;
                *pixel = match inside(x, width) && inside(y, height) {
                    true if x == y => Rgba([0, 0, 0, 0]),
                    true => Rgba([0, 0, 0, 255]),
                    false => Rgba([255, 0, 0, 255]),
                };
            }
            wide.save(&path).unwrap();
            let made = image::load_from_memory(&make_avatar(&path).unwrap())
                .unwrap()
                .to_rgb8();
            assert_eq!((made.width(), made.height()), (side, side));
            let [red, green, _] = made.get_pixel(side - 2, side / 2).0;
            assert!(
                red < 90 && green < 60,
                "what is outside of the middle is seen: {red} {green}"
            );
        }
        RgbaImage::new(300, 300).save(&path).unwrap();
        let made = image::load_from_memory(&make_avatar(&path).unwrap())
            .unwrap()
            .to_rgb8();
        assert!(
            made.get_pixel(150, 150)
                .0
                .into_iter()
                .all(|part| part > 250),
            "what shows nothing is white"
        );
    }

    #[test]
    fn what_is_no_picture_becomes_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        assert_eq!(make_avatar(&path), None);
        std::fs::write(&path, b"\xff\xd8\xff\xe0 no picture").unwrap();
        assert_eq!(make_avatar(&path), None);
    }
}
