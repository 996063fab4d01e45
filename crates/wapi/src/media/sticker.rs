//! Stickers: WebP of 512 pixels, animated if the source is.

use std::ffi::OsString;
use std::path::Path;

use super::describe::make_sticker;
use super::ffmpeg::{NotConverted, Purpose, as_file};
use super::{Content, File, Spooled, types};

/// Maximum size of an animated sticker on phones, in KiB.
const LARGEST: u64 = 500;
/// Frame rates per second, and quality in percent: if the result is too large, the next pair is
/// tried.
const TRIES: [(u32, u32); 4] = [(15, 60), (12, 30), (8, 15), (5, 5)];

impl File {
    /// Converts the file to a sticker. WebP stays unchanged, other images are converted, and of
    /// animated ones and videos the first ten seconds are used.
    pub async fn into_sticker(self) -> Result<Self, NotConverted> {
        self.into_shown().await?.pasted().await
    }

    async fn pasted(self) -> Result<Self, NotConverted> {
        if self.mime_type == types::WEBP {
            return Ok(self);
        }
        let made = match types::moving(&self.mime_type) {
            Some(demuxer) => self.moving(demuxer).await?,
            None => self.still().await?,
        };
        let size = tokio::fs::metadata(made.path()).await?.len();
        Ok(Self {
            content: Content::Made(made),
            size,
            mime_type: types::WEBP.to_owned(),
            ..self
        })
    }

    async fn still(&self) -> Result<Spooled, NotConverted> {
        let (picture, made) = (self.path().to_owned(), self.beside());
        let sticker = made.path().to_owned();
        let is_made = self
            .workshop
            .decode(move || make_sticker(&picture, &sticker))
            .await;
        is_made
            .filter(|is_made| *is_made)
            .map(|_| made)
            .ok_or(NotConverted::NoPicture)
    }

    async fn moving(&self, demuxer: &str) -> Result<Spooled, NotConverted> {
        for (pictures, quality) in TRIES {
            let made = self.beside();
            let outputs = outputs(pictures, quality, made.path());
            self.workshop
                .ffmpeg()
                .run(
                    self.workshop.whose(),
                    Purpose::Sticker,
                    demuxer,
                    self.path(),
                    outputs,
                    |_| {},
                )
                .await?;
            if tokio::fs::metadata(made.path()).await?.len() <= LARGEST * 1024 {
                return Ok(made);
            }
        }
        Err(NotConverted::TooMuchMotion(LARGEST))
    }
}

/// Centres the image in a transparent square.
fn outputs(pictures: u32, quality: u32, to: &Path) -> Vec<OsString> {
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
        .chain([as_file(to)])
        .collect()
}
