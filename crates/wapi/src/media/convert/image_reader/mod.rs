//! Opens images, upright and within memory limits. Blocks.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

/// Limits for decoding: pixels per side, and bytes of all pixels in memory.
const MAX_SIDE: u32 = 16_384;
const MAX_IMAGE_BYTES: u64 = 128 * 1024 * 1024;

/// Returns the width and height of the upright image.
pub fn image_size(path: &Path) -> Option<(u32, u32)> {
    let mut decoder = image_reader(path)?.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    let is_turned = matches!(
        read_orientation(&mut decoder),
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    Some(if is_turned {
        (height, width)
    } else {
        (width, height)
    })
}

/// Decodes the upright image; of an animated one, the first frame.
pub fn open_image(path: &Path) -> Option<DynamicImage> {
    let mut decoder = image_reader(path)?.into_decoder().ok()?;
    let orientation = read_orientation(&mut decoder);
    let (width, height) = decoder.dimensions();
    // The reader checks its own limits only if it is not used for its decoder.
    if width.max(height) > MAX_SIDE || decoder.total_bytes() > MAX_IMAGE_BYTES {
        return None;
    }
    let mut picture = DynamicImage::from_decoder(decoder).ok()?;
    picture.apply_orientation(orientation);
    Some(picture)
}

/// Cameras store the rotation of an image as metadata.
fn read_orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

/// Puts an image on a white background, for formats without transparency.
pub fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let mut picture = picture.into_rgba8();
    for pixel in picture.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0.map(u32::from);
        let seen = |part: u32| {
            u8::try_from((part * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(u8::MAX)
        };
        pixel.0 = [seen(red), seen(green), seen(blue), u8::MAX];
    }
    DynamicImage::from(picture).into_rgb8()
}

fn image_reader(path: &Path) -> Option<ImageReader<BufReader<File>>> {
    let mut reader = ImageReader::open(path).ok()?.with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_IMAGE_BYTES);
    reader.limits(limits);
    Some(reader)
}

#[cfg(test)]
mod tests;
