//! HEIC and AVIF images, which not every phone shows: conversion to JPEG by libheif's program or by
//! ffmpeg.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::ffmpeg::{ConversionError, ConversionPurpose, file_argument};
use super::image_reader;
use crate::media::probe::mp4;
use crate::media::{FileContent, MediaFile, SpooledFile, types};

/// JPEG quality, in percent.
const JPEG_QUALITY: &str = "88";
const JPEG_ARGUMENTS: &str = "-map 0:v:0 -map_metadata -1 -frames:v 1 -c:v mjpeg -q:v 3 -f mjpeg";

impl MediaFile {
    /// Converts HEIC or AVIF to JPEG; other types stay unchanged.
    pub async fn into_displayable(self) -> Result<Self, ConversionError> {
        if !types::is_heif(&self.mime_type) {
            return Ok(self);
        }
        let path = self.path().to_owned();
        let measure = move || {
            std::fs::File::open(path).and_then(|mut file| mp4::primary_image_size(&mut file))
        };
        let whole = self
            .pool
            .run_decoder(measure)
            .await
            .and_then(Result::ok)
            .flatten();
        let mut failure = ConversionError::NoHeifConverter(self.mime_type.clone());
        for is_heif in [true, false] {
            let made = self.reserve_derived();
            let converted = match is_heif {
                true => self.convert_with_libheif(&made).await,
                false => self.convert_with_ffmpeg(&made).await,
            };
            match converted {
                Ok(()) if self.has_all_tiles(&made, whole).await => {
                    return Ok(Self {
                        content: FileContent::Derived(made),
                        mime_type: types::JPEG.to_owned(),
                        ..self
                    });
                }
                Err(passing @ (ConversionError::Transient(_) | ConversionError::TooLong(_))) => {
                    return Err(passing);
                }
                // The right program is installed, so the user gets the error about the image and no
                // advice to install it.
                Err(ConversionError::Unreadable(purpose)) if is_heif => {
                    failure = ConversionError::Unreadable(purpose)
                }
                Ok(()) | Err(_) => {}
            }
        }
        Err(failure)
    }

    /// Runs libheif's program. It writes a single image under the given name, and each of several
    /// under a numbered name.
    async fn convert_with_libheif(&self, made: &SpooledFile) -> Result<(), ConversionError> {
        let program = self
            .pool
            .ffmpeg()
            .heif_program()
            .ok_or(ConversionError::NoFfmpeg(ConversionPurpose::Jpeg))?;
        let mut command = Command::new(program);
        command
            .args(["-q", JPEG_QUALITY])
            .args([self.path(), &append_extension(made.path(), ".jpg")]);
        let converted = self
            .pool
            .ffmpeg()
            .run_program(
                self.pool.session_name(),
                ConversionPurpose::Jpeg,
                command,
                |_| {},
            )
            .await;
        let mut is_there = false;
        for ending in [".jpg".to_owned()]
            .into_iter()
            .chain((1..=MAX_IMAGES).map(|number| format!("-{number}.jpg")))
        {
            let written = append_extension(made.path(), &ending);
            let moved = match is_there {
                false => tokio::fs::rename(&written, made.path()).await,
                true => tokio::fs::remove_file(&written).await,
            };
            match moved {
                Ok(()) => is_there = true,
                Err(_) if ending == ".jpg" => {}
                Err(_) => break,
            }
        }
        converted.and(if is_there {
            Ok(())
        } else {
            Err(ConversionError::Unreadable(ConversionPurpose::Jpeg))
        })
    }

    async fn convert_with_ffmpeg(&self, made: &SpooledFile) -> Result<(), ConversionError> {
        let outputs = JPEG_ARGUMENTS
            .split(' ')
            .map(OsString::from)
            .chain([file_argument(made.path())])
            .collect();
        self.pool
            .ffmpeg()
            .convert_file(
                self.pool.session_name(),
                ConversionPurpose::Jpeg,
                "mov",
                self.path(),
                outputs,
                |_| {},
            )
            .await
    }

    /// Whether the result has all tiles: programs that cannot combine tiles read only the first
    /// one.
    async fn has_all_tiles(&self, made: &SpooledFile, whole: Option<(u32, u32)>) -> bool {
        let path = made.path().to_owned();
        let size = self
            .pool
            .run_decoder(move || image_reader::image_size(&path))
            .await
            .flatten();
        size.is_some_and(|size| whole.is_none_or(|whole| is_same_size(size, whole)))
    }
}

/// Compares dimensions. The image may be rotated, and only some programs cut off the padding of its
/// last blocks.
fn is_same_size(made: (u32, u32), whole: (u32, u32)) -> bool {
    /// The smallest and the largest block sizes of image codecs, in pixels per side.
    const BLOCKS: (u32, u32) = (8, 64);
    let sides = |(width, height): (u32, u32)| [width.min(height), width.max(height)];
    let fits = |(made, whole): (u32, u32)| {
        made + BLOCKS.0 > whole && made < whole.saturating_add(BLOCKS.1)
    };
    sides(made).into_iter().zip(sides(whole)).all(fits)
}

/// Maximum number of images of one file that are cleaned up.
const MAX_IMAGES: usize = 1_000;

fn append_extension(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use crate::media::convert::heif::*;

    #[test]
    fn a_tile_is_not_the_whole_picture_and_what_fills_up_its_blocks_makes_no_difference() {
        let whole = (4_031, 3_023);
        for made in [
            (4_031, 3_023),
            (3_023, 4_031),
            (4_032, 3_024),
            (4_030, 3_022),
            (4_032, 3_072),
            (4_064, 3_040),
        ] {
            assert!(is_same_size(made, whole), "{made:?}");
        }
        for made in [
            (512, 512),
            (4_031, 512),
            (2_048, 1_512),
            (3_023, 3_023),
            (8_064, 6_048),
            (0, 0),
        ] {
            assert!(!is_same_size(made, whole), "{made:?}");
        }
        assert!(is_same_size((5, 3), (5, 3)) && is_same_size((64, 64), (5, 3)));
    }
}
