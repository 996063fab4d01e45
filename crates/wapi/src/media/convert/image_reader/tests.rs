//! Images of all kinds, opened in one way.

use std::io::Cursor;
use std::path::PathBuf;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use tempfile::TempDir;

use crate::media::convert::avatar::make_avatar;
use crate::media::convert::image_reader::*;
use crate::media::probe::{MediaProperties, make_sticker, read_properties};

struct ImageFolder(TempDir);

impl ImageFolder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("picture");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn bytes(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A blue image with a red corner at the top left: 40 wide, 20 high.
fn marked() -> DynamicImage {
    ImageBuffer::from_fn(40, 20, |x, y| {
        if x < 20 && y < 10 {
            Rgb([255u8, 0, 0])
        } else {
            Rgb([0, 0, 255])
        }
    })
    .into()
}

/// The same image as a JPEG with an orientation.
fn held(orientation: u8) -> Vec<u8> {
    let jpeg = bytes(&marked(), ImageFormat::Jpeg);
    let tiff = [
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(),
        &[orientation, 0, 0, 0],
        &[0; 4],
    ]
    .concat();
    let note = [b"Exif\0\0".as_slice(), &tiff].concat();
    let length = (note.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &note, &jpeg[2..]].concat()
}

fn is_red(picture: &DynamicImage, x: u32, y: u32) -> bool {
    let [red, _, blue] = picture.to_rgb8().get_pixel(x, y).0;
    red > 150 && blue < 100
}

fn thumbnail(found: &MediaProperties) -> DynamicImage {
    image::load_from_memory(found.thumbnail.as_ref().expect("a thumbnail")).unwrap()
}

#[test]
fn a_picture_is_seen_as_it_was_held() {
    let folder = ImageFolder::new();
    // The resulting position of the red corner: right, below.
    for (orientation, is_upright, right, below) in [
        (1, false, false, false),
        (2, false, true, false),
        (3, false, true, true),
        (4, false, false, true),
        (5, true, false, false),
        (6, true, true, false),
        (7, true, true, true),
        (8, true, false, true),
    ] {
        let path = folder.file(&held(orientation));
        let (width, height) = if is_upright { (20, 40) } else { (40, 20) };
        let found = read_properties(&path, "image/jpeg");
        assert_eq!(
            (found.width, found.height),
            (Some(width), Some(height)),
            "{orientation}"
        );
        let sticker = folder.0.path().join("sticker");
        assert!(make_sticker(&path, &sticker));
        let sticker = open_image(&sticker).unwrap();
        let avatar = image::load_from_memory(&make_avatar(&path).unwrap()).unwrap();
        for (what, picture, (width, height), (left, top)) in [
            (
                "the picture",
                open_image(&path).unwrap(),
                (width, height),
                (0, 0),
            ),
            ("its thumbnail", thumbnail(&found), (width, height), (0, 0)),
            (
                "the sticker",
                sticker,
                (width * 512 / 40, height * 512 / 40),
                ((40 - width) * 256 / 40, (40 - height) * 256 / 40),
            ),
            ("the portrait", avatar, (192, 192), (0, 0)),
        ] {
            let at = |is_far: bool, length: u32| {
                if is_far {
                    length - 1 - length / 8
                } else {
                    length / 8
                }
            };
            for (is_right, is_below) in [(false, false), (true, false), (false, true), (true, true)]
            {
                let (x, y) = (left + at(is_right, width), top + at(is_below, height));
                let expected = (is_right, is_below) == (right, below);
                assert_eq!(
                    is_red(&picture, x, y),
                    expected,
                    "{what} held {orientation} at {x}, {y}"
                );
            }
        }
    }
}

#[test]
fn what_cannot_be_seen_is_white() {
    let folder = ImageFolder::new();
    let clear = DynamicImage::from(ImageBuffer::from_pixel(30, 20, Rgba([0u8, 0, 0, 0])));
    let half = DynamicImage::from(ImageBuffer::from_pixel(30, 20, Rgba([0u8, 0, 0, 128])));
    let deep = DynamicImage::from(ImageBuffer::from_pixel(30, 20, Rgba([0u16, 0, 0, 0])));
    let grey = DynamicImage::from(ImageBuffer::from_pixel(30, 20, LumaA([0u8, 0])));
    for (picture, format, white) in [
        (&clear, ImageFormat::Png, 255u8),
        (&clear, ImageFormat::WebP, 255),
        (&clear, ImageFormat::Gif, 255),
        (&half, ImageFormat::Png, 127),
        (&deep, ImageFormat::Png, 255),
        (&grey, ImageFormat::Png, 255),
    ] {
        let path = folder.file(&bytes(picture, format));
        let found = read_properties(&path, "image/png");
        let small = thumbnail(&found).to_rgb8();
        let avatar = image::load_from_memory(&make_avatar(&path).unwrap())
            .unwrap()
            .to_rgb8();
        for pixel in [small.get_pixel(15, 10), avatar.get_pixel(96, 96)] {
            assert!(
                pixel.0.iter().all(|part| part.abs_diff(white) < 4),
                "{format:?}: {pixel:?}"
            );
        }
    }
}

#[test]
fn every_sort_of_picture_is_opened() {
    let folder = ImageFolder::new();
    let deep = DynamicImage::from(ImageBuffer::from_pixel(30, 20, Rgb([u16::MAX, 0, 0])));
    let grey = DynamicImage::from(ImageBuffer::from_pixel(30, 20, Luma([200u8])));
    let deep_grey = DynamicImage::from(ImageBuffer::from_pixel(30, 20, Luma([51_400u16])));
    let palette = {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 30, 20);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(vec![255, 0, 0, 0, 0, 255]);
        encoder.set_trns(vec![0, 255]);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&[0; 600])
            .unwrap();
        bytes
    };
    for (what, bytes, expected) in [
        ("16 bits", bytes(&deep, ImageFormat::Png), [255, 0, 0]),
        ("grey", bytes(&grey, ImageFormat::Png), [200; 3]),
        ("a grey JPEG", bytes(&grey, ImageFormat::Jpeg), [200; 3]),
        (
            "16 bits of grey",
            bytes(&deep_grey, ImageFormat::Png),
            [200; 3],
        ),
        ("a palette, clear", palette, [255; 3]),
        (
            "a GIF",
            bytes(&DynamicImage::from(deep.to_rgba8()), ImageFormat::Gif),
            [255, 0, 0],
        ),
    ] {
        let found = read_properties(&folder.file(&bytes), "image/png");
        assert_eq!((found.width, found.height), (Some(30), Some(20)), "{what}");
        let seen = thumbnail(&found).to_rgb8().get_pixel(15, 10).0;
        assert!(
            seen.iter()
                .zip(expected)
                .all(|(seen, expected)| seen.abs_diff(expected) < 6),
            "{what}: {seen:?}"
        );
    }
}

#[test]
fn what_breaks_off_is_measured_all_the_same() {
    let folder = ImageFolder::new();
    let noise = ImageBuffer::from_fn(300, 200, |x, y| {
        Rgb([
            (x * 7 % 256) as u8,
            (y * 13 % 256) as u8,
            (x * y % 256) as u8,
        ])
    });
    for format in [ImageFormat::Jpeg, ImageFormat::Png] {
        let whole = bytes(&noise.clone().into(), format);
        let found = read_properties(&folder.file(&whole[..whole.len() * 2 / 3]), "image/png");
        assert_eq!(
            (found.width, found.height),
            (Some(300), Some(200)),
            "{format:?}"
        );
        let behind = read_properties(
            &folder.file(&[&whole[..], b"what somebody added"].concat()),
            "image/png",
        );
        assert!(behind.thumbnail.is_some(), "{format:?}");
    }
    let huge = folder.0.path().join("huge.png");
    image::GrayImage::new(12_000, 12_000).save(&huge).unwrap();
    let found = read_properties(&huge, "image/png");
    assert_eq!(
        (found.width, found.height, found.thumbnail),
        (Some(12_000), Some(12_000), None)
    );
}
