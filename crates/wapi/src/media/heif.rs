//! HEIC and AVIF images, which not every phone shows: conversion to JPEG by libheif's program or by
//! ffmpeg.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::describe::mp4;
use super::ffmpeg::{NotConverted, Purpose, as_file};
use super::{Content, File, Spooled, picture, types};

/// JPEG quality, in percent.
const QUALITY: &str = "88";
const ONE: &str = "-map 0:v:0 -map_metadata -1 -frames:v 1 -c:v mjpeg -q:v 3 -f mjpeg";

impl File {
    /// Converts HEIC or AVIF to JPEG; other types stay unchanged.
    pub async fn into_shown(self) -> Result<Self, NotConverted> {
        if !types::is_heif(&self.mime_type) {
            return Ok(self);
        }
        let path = self.path().to_owned();
        let measure =
            move || std::fs::File::open(path).and_then(|mut file| mp4::picture(&mut file));
        let whole = self
            .workshop
            .decode(measure)
            .await
            .and_then(Result::ok)
            .flatten();
        let mut failure = NotConverted::NoHeif(self.mime_type.clone());
        for is_heif in [true, false] {
            let made = self.beside();
            let converted = match is_heif {
                true => self.by_heif(&made).await,
                false => self.by_ffmpeg(&made).await,
            };
            match converted {
                Ok(()) if self.is_whole(&made, whole).await => {
                    let size = tokio::fs::metadata(made.path()).await?.len();
                    let (content, mime_type) = (Content::Made(made), types::JPEG.to_owned());
                    return Ok(Self {
                        content,
                        size,
                        mime_type,
                        ..self
                    });
                }
                Err(passing @ (NotConverted::Passing(_) | NotConverted::TooLong(_))) => {
                    return Err(passing);
                }
                // The right program is installed, so the user gets the error about the image and no
                // advice to install it.
                Err(NotConverted::Unreadable(purpose)) if is_heif => {
                    failure = NotConverted::Unreadable(purpose)
                }
                Ok(()) | Err(_) => {}
            }
        }
        Err(failure)
    }

    /// Runs libheif's program. It writes a single image under the given name, and each of several
    /// under a numbered name.
    async fn by_heif(&self, made: &Spooled) -> Result<(), NotConverted> {
        let program = self
            .workshop
            .ffmpeg()
            .heif()
            .ok_or(NotConverted::NoFfmpeg(Purpose::Picture))?;
        let mut command = Command::new(program);
        command
            .args(["-q", QUALITY])
            .args([self.path(), &with_ending(made.path(), ".jpg")]);
        let converted = self
            .workshop
            .ffmpeg()
            .finish(self.workshop.whose(), Purpose::Picture, command, |_| {})
            .await;
        let mut is_there = false;
        for ending in [".jpg".to_owned()]
            .into_iter()
            .chain((1..=MOST).map(|number| format!("-{number}.jpg")))
        {
            let written = with_ending(made.path(), &ending);
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
            Err(NotConverted::Unreadable(Purpose::Picture))
        })
    }

    async fn by_ffmpeg(&self, made: &Spooled) -> Result<(), NotConverted> {
        let outputs = ONE
            .split(' ')
            .map(OsString::from)
            .chain([as_file(made.path())])
            .collect();
        self.workshop
            .ffmpeg()
            .run(
                self.workshop.whose(),
                Purpose::Picture,
                "mov",
                self.path(),
                outputs,
                |_| {},
            )
            .await
    }

    /// Whether the result has all tiles: programs that cannot combine tiles read only the first
    /// one.
    async fn is_whole(&self, made: &Spooled, whole: Option<(u32, u32)>) -> bool {
        let path = made.path().to_owned();
        let size = self
            .workshop
            .decode(move || picture::size(&path))
            .await
            .flatten();
        size.is_some_and(|size| whole.is_none_or(|whole| is_as_large(size, whole)))
    }
}

/// Compares dimensions. The image may be rotated, and only some programs cut off the padding of its
/// last blocks.
fn is_as_large(made: (u32, u32), whole: (u32, u32)) -> bool {
    /// The smallest and the largest block sizes of image codecs, in pixels per side.
    const BLOCKS: (u32, u32) = (8, 64);
    let sides = |(width, height): (u32, u32)| [width.min(height), width.max(height)];
    let fits = |(made, whole): (u32, u32)| {
        made + BLOCKS.0 > whole && made < whole.saturating_add(BLOCKS.1)
    };
    sides(made).into_iter().zip(sides(whole)).all(fits)
}

/// Maximum number of images of one file that are cleaned up.
const MOST: usize = 1_000;

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(is_as_large(made, whole), "{made:?}");
        }
        for made in [
            (512, 512),
            (4_031, 512),
            (2_048, 1_512),
            (3_023, 3_023),
            (8_064, 6_048),
            (0, 0),
        ] {
            assert!(!is_as_large(made, whole), "{made:?}");
        }
        assert!(is_as_large((5, 3), (5, 3)) && is_as_large((64, 64), (5, 3)));
    }
}
