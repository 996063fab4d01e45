//! Properties of media files read from their content: dimensions, duration, page count, thumbnail.
//! Blocks; unreadable properties are left out.

pub(super) mod mp4;
mod ogg;
pub(super) mod pdf;

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, RgbaImage};
use lofty::config::ParseOptions;
use lofty::file::{AudioFile, FileType};
use lofty::probe::Probe;

use super::convert::image_reader;

/// The longer side of a thumbnail in pixels, and its quality in percent. Phones show it blurred
/// until they have the file.
const THUMBNAIL_SIZE_QUALITY: (u32, u8) = (100, 60);
/// The sides of a sticker, in pixels.
const STICKER_SIDE: u32 = 512;

/// The properties found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaProperties {
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Seconds, rounded up.
    pub duration: Option<u32>,
    /// A JPEG.
    pub thumbnail: Option<Vec<u8>>,
    /// Waveform of a voice note: 64 levels of loudness over time, from 0 to 100.
    pub waveform: Option<Vec<u8>>,
    /// Pages of a document.
    pub pages: Option<u32>,
    /// Whether it is an animated WebP.
    pub is_animated: bool,
}

/// Reads the properties of a file of this type.
pub fn read_properties(path: &Path, mime_type: &str) -> MediaProperties {
    let found = match mime_type.split(['/', ';']).next() {
        Some("image") => image_properties(path),
        Some("video") => video_properties(path),
        Some("audio") => audio_properties(path, mime_type),
        Some("application") => document_properties(path),
        _ => None,
    };
    found.unwrap_or_default()
}

/// Dimensions are in the header, so they are known even if the rest cannot be read.
fn image_properties(path: &Path) -> Option<MediaProperties> {
    let (width, height) = image_reader::image_size(path)?;
    let thumbnail = image_reader::open_image(path).and_then(make_thumbnail);
    let (width, height) = (Some(width), Some(height));
    Some(MediaProperties {
        width,
        height,
        thumbnail,
        is_animated: has_animation_flag(path),
        ..MediaProperties::default()
    })
}

/// Checks the animation flag in the header of an extended WebP file.
pub(super) fn has_animation_flag(path: &Path) -> bool {
    const ANIMATION: u8 = 0b10;
    let mut head = [0; 21];
    let is_read = File::open(path)
        .and_then(|mut file| file.read_exact(&mut head))
        .is_ok();
    is_read && &head[8..16] == b"WEBPVP8X" && head[20] & ANIMATION != 0
}

/// Makes a sticker of an image: a WebP of 512 pixels, with the image in its centre. Returns `false`
/// if the image cannot be read, or the sticker not written.
pub fn make_sticker(picture: &Path, sticker: &Path) -> bool {
    let Some(picture) = image_reader::open_image(picture) else {
        return false;
    };
    let small = picture
        .resize(STICKER_SIDE, STICKER_SIDE, FilterType::Triangle)
        .to_rgba8();
    let mut canvas = RgbaImage::new(STICKER_SIDE, STICKER_SIDE);
    let (left, top) = (
        (STICKER_SIDE - small.width()) / 2,
        (STICKER_SIDE - small.height()) / 2,
    );
    imageops::overlay(&mut canvas, &small, left.into(), top.into());
    canvas.save_with_format(sticker, ImageFormat::WebP).is_ok()
}

fn make_thumbnail(picture: DynamicImage) -> Option<Vec<u8>> {
    let mut small = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut small, THUMBNAIL_SIZE_QUALITY.1);
    let (width, height) = (
        picture.width().min(THUMBNAIL_SIZE_QUALITY.0),
        picture.height().min(THUMBNAIL_SIZE_QUALITY.0),
    );
    let picture = DynamicImage::from(image_reader::on_white(picture));
    picture
        .thumbnail(width, height)
        .to_rgb8()
        .write_with_encoder(encoder)
        .ok()?;
    Some(small.into_inner())
}

fn video_properties(path: &Path) -> Option<MediaProperties> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let video = mp4::read_info(&mut file).ok().flatten()?;
    let (width, height) = video.frame.unzip();
    Some(MediaProperties {
        width,
        height,
        duration: Some(video.seconds),
        ..MediaProperties::default()
    })
}

fn audio_properties(path: &Path, mime_type: &str) -> Option<MediaProperties> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let seconds = match mime_type.split(';').next() {
        Some("audio/ogg") => ogg::read_duration(&mut file).ok().flatten(),
        Some("audio/mp4") => mp4::read_info(&mut file)
            .ok()
            .flatten()
            .map(|video| video.seconds),
        Some("audio/mpeg") => audio_duration(file, FileType::Mpeg),
        Some("audio/aac") => audio_duration(file, FileType::Aac),
        Some("audio/wav") => audio_duration(file, FileType::Wav),
        Some("audio/flac") => audio_duration(file, FileType::Flac),
        _ => None,
    };
    Some(MediaProperties {
        duration: seconds,
        ..MediaProperties::default()
    })
}

/// A PDF is recognized by its first bytes, regardless of its declared type.
fn document_properties(path: &Path) -> Option<MediaProperties> {
    let pages = pdf::count_pages(&mut File::open(path).ok()?).ok().flatten();
    Some(MediaProperties {
        pages,
        ..MediaProperties::default()
    })
}

/// Returns the duration in seconds, rounded up, without reading tags.
fn audio_duration(file: BufReader<File>, kind: FileType) -> Option<u32> {
    let only_sound = ParseOptions::new().read_tags(false).read_cover_art(false);
    let read = Probe::with_file_type(file, kind)
        .options(only_sound)
        .read()
        .ok()?;
    let length = read.properties().duration().as_millis().div_ceil(1000);
    u32::try_from(length).ok().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use crate::media::probe::*;

    #[test]
    fn a_picture_is_measured_and_made_small() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mime_type) in [
            ("a.png", "image/png"),
            ("a.jpg", "image/jpeg"),
            ("a.webp", "image/webp"),
        ] {
            let path = folder.path().join(name);
            DynamicImage::new_rgb8(300, 200).save(&path).unwrap();
            let found = read_properties(&path, mime_type);
            assert_eq!(
                (found.width, found.height),
                (Some(300), Some(200)),
                "{name}"
            );
            let small = image::load_from_memory(&found.thumbnail.unwrap()).unwrap();
            assert_eq!((small.width(), small.height()), (100, 67));
        }
    }

    #[test]
    fn a_picture_becomes_a_sticker() {
        let folder = tempfile::tempdir().unwrap();
        let (picture, sticker) = (folder.path().join("a.png"), folder.path().join("sticker"));
        DynamicImage::new_rgb8(30, 20).save(&picture).unwrap();
        assert!(make_sticker(&picture, &sticker));
        let found = read_properties(&sticker, "image/webp");
        assert_eq!(
            (found.width, found.height, found.is_animated),
            (Some(512), Some(512), false)
        );
        std::fs::write(&picture, "no picture").unwrap();
        assert!(!make_sticker(&picture, &sticker));
        std::fs::write(&picture, b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0").unwrap();
        assert!(has_animation_flag(&picture));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let sounds = [
            "audio/ogg; codecs=opus",
            "audio/mpeg",
            "audio/aac",
            "audio/wav",
            "audio/flac",
            "audio/mp4",
        ];
        let (huge, endless) = (
            b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff",
            b"fLaC\x84\xff\xff\xff",
        );
        let files = [
            &b""[..],
            b"\xff\xd8\xff\xe0 no picture",
            b"\0\0\0\x20ftypisom",
            b"OggS",
            huge,
            endless,
        ];
        for bytes in files
            .into_iter()
            .chain([&b"ID3\x04\0\0\x7f\x7f\x7f\x7f"[..], b"\xff\xf1\x50\x80"])
        {
            std::fs::write(&path, bytes).unwrap();
            for mime_type in ["image/jpeg", "video/mp4", "text/plain", ""]
                .into_iter()
                .chain(sounds)
            {
                assert_eq!(
                    read_properties(&path, mime_type),
                    MediaProperties::default(),
                    "{mime_type}"
                );
            }
        }
        assert_eq!(
            read_properties(&folder.path().join("nothing"), "image/png"),
            MediaProperties::default()
        );
    }
}
