//! What can be said of a file by looking into it: how large a picture is, how long a sound, and what a picture looks like when it is
//! small. Blocks; whatever cannot be read is left out.

mod mp4;
mod ogg;

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageReader, Limits};

/// The longer side of a thumbnail, in pixels, and how good it is, in percent: phones show it blurred until the file is there.
const THUMBNAIL: (u32, u8) = (100, 60);
/// Larger pictures are not looked into: pixels of a side, and bytes of all pixels in memory.
const LARGEST_SIDE: u32 = 16_384;
const LARGEST_PICTURE: u64 = 128 * 1024 * 1024;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Seconds, rounded up.
    pub duration: Option<u32>,
    /// A JPEG.
    pub thumbnail: Option<Vec<u8>>,
}

/// Looks into a file of this type.
pub fn describe(path: &Path, mime_type: &str) -> Described {
    let found = match mime_type.split(['/', ';']).next() {
        Some("image") => picture(path),
        Some("video") => film(path),
        Some("audio") => sound(path, mime_type),
        _ => None,
    };
    found.unwrap_or_default()
}

fn picture(path: &Path) -> Option<Described> {
    let mut reader = ImageReader::open(path).ok()?.with_guessed_format().ok()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST_SIDE), Some(LARGEST_SIDE));
    limits.max_alloc = Some(LARGEST_PICTURE);
    reader.limits(limits);
    let picture = reader.decode().ok()?;
    let (width, height) = (picture.width(), picture.height());
    Some(Described { width: Some(width), height: Some(height), duration: None, thumbnail: thumbnail(&picture) })
}

fn thumbnail(picture: &DynamicImage) -> Option<Vec<u8>> {
    let mut small = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut small, THUMBNAIL.1);
    let (width, height) = (picture.width().min(THUMBNAIL.0), picture.height().min(THUMBNAIL.0));
    // JPEG has no transparency.
    picture.thumbnail(width, height).to_rgb8().write_with_encoder(encoder).ok()?;
    Some(small.into_inner())
}

fn film(path: &Path) -> Option<Described> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let film = mp4::read(&mut file).ok().flatten()?;
    let (width, height) = film.frame.unzip();
    Some(Described { width, height, duration: Some(film.seconds), thumbnail: None })
}

fn sound(path: &Path, mime_type: &str) -> Option<Described> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let seconds = match mime_type.starts_with("audio/ogg") {
        true => ogg::seconds(&mut file).ok().flatten(),
        false => mp4::read(&mut file).ok().flatten().map(|film| film.seconds),
    };
    Some(Described { duration: seconds, ..Described::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_measured_and_made_small() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mime_type) in [("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.webp", "image/webp")] {
            let path = folder.path().join(name);
            DynamicImage::new_rgb8(300, 200).save(&path).unwrap();
            let found = describe(&path, mime_type);
            assert_eq!((found.width, found.height), (Some(300), Some(200)), "{name}");
            let small = image::load_from_memory(&found.thumbnail.unwrap()).unwrap();
            assert_eq!((small.width(), small.height()), (100, 67));
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for bytes in [&b""[..], b"\xff\xd8\xff\xe0 no picture", b"\0\0\0\x20ftypisom", b"OggS"] {
            std::fs::write(&path, bytes).unwrap();
            for mime_type in ["image/jpeg", "video/mp4", "audio/ogg; codecs=opus", "audio/mpeg", "text/plain", ""] {
                assert_eq!(describe(&path, mime_type), Described::default(), "{mime_type}");
            }
        }
        assert_eq!(describe(&folder.path().join("nothing"), "image/png"), Described::default());
    }
}
