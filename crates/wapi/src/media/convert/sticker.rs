//! Stickers: WebP of 512 pixels, animated if the source is.

use std::ffi::OsString;
use std::path::Path;

use super::ffmpeg::{ConversionError, ConversionPurpose, file_argument};
use crate::media::probe::make_sticker;
use crate::media::{FileContent, MediaFile, SpooledFile, types};

/// Maximum size of an animated sticker on phones, in KiB.
const MAX_ANIMATED_KIB: u64 = 500;
/// Frame rates per second, and quality in percent: if the result is too large, the next pair is
/// tried.
const RATES_AND_QUALITIES: [(u32, u32); 4] = [(15, 60), (12, 30), (8, 15), (5, 5)];

impl MediaFile {
    /// Converts the file to a sticker. WebP stays unchanged, other images are converted, and of
    /// animated ones and videos the first ten seconds are used.
    pub async fn into_sticker(self) -> Result<Self, ConversionError> {
        self.into_displayable().await?.convert_to_sticker().await
    }

    async fn convert_to_sticker(self) -> Result<Self, ConversionError> {
        if self.mime_type == types::WEBP {
            return Ok(self);
        }
        let made = match types::video_demuxer(&self.mime_type) {
            Some(demuxer) => self.make_animated_sticker(demuxer).await?,
            None => self.make_still_sticker().await?,
        };
        Ok(Self {
            content: FileContent::Derived(made),
            mime_type: types::WEBP.to_owned(),
            ..self
        })
    }

    async fn make_still_sticker(&self) -> Result<SpooledFile, ConversionError> {
        let (picture, made) = (self.path().to_owned(), self.reserve_derived());
        let sticker = made.path().to_owned();
        let is_made = self
            .pool
            .run_decoder(move || make_sticker(&picture, &sticker))
            .await;
        is_made
            .filter(|is_made| *is_made)
            .map(|_| made)
            .ok_or(ConversionError::NotAnImage)
    }

    async fn make_animated_sticker(&self, demuxer: &str) -> Result<SpooledFile, ConversionError> {
        for (pictures, quality) in RATES_AND_QUALITIES {
            let made = self.reserve_derived();
            let outputs = sticker_arguments(pictures, quality, made.path());
            self.pool
                .ffmpeg()
                .convert_file(
                    self.pool.session_name(),
                    ConversionPurpose::Sticker,
                    demuxer,
                    self.path(),
                    outputs,
                    |_| {},
                )
                .await?;
            if tokio::fs::metadata(made.path()).await?.len() <= MAX_ANIMATED_KIB * 1024 {
                return Ok(made);
            }
        }
        Err(ConversionError::TooMuchMotion(MAX_ANIMATED_KIB))
    }
}

/// Centres the image in a transparent square.
fn sticker_arguments(pictures: u32, quality: u32, to: &Path) -> Vec<OsString> {
    let filters = format!(
        "fps={pictures},scale=512:512:force_original_aspect_ratio=decrease:flags=bilinear,format=yuva420p,\
         pad=512:512:(ow-iw)/2:(oh-ih)/2:color=black@0"
    );
    let words = format!(
        "-map 0:v:0 -map_metadata -1 -an -t 10 -vf {filters} -c:v libwebp_anim -loop 0 -q:v {quality} -f webp"
    );
    words
        .split(' ')
        .map(OsString::from)
        .chain([file_argument(to)])
        .collect()
}
