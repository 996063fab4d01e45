//! Animated images (GIF, APNG, WebP), which phones show as looping videos without audio.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, ImageDecoder};

use super::ffmpeg::{ConversionError, ConversionPurpose, file_argument};
use super::video::MAX_VIDEO_MIB;
use crate::media::probe::has_animation_flag;
use crate::media::{FileContent, MediaFile, content_inspection, types};

/// On a white background, since videos have no transparency, and with even dimensions.
const VIDEO_ARGUMENTS: &str = "-filter_complex [0:v:0]format=rgba,split[a][b];[a]lutrgb=r=255:g=255:b=255:a=255[c];\
                    [c][b]overlay=format=auto,scale=trunc(iw/2)*2:trunc(ih/2)*2,setsar=1,format=yuv420p \
                    -map_metadata -1 -an -c:v libx264 -preset veryfast -crf 23 -movflags +faststart -t 60 -fs 17M -f mp4";
/// Limits for unpacking a WebP: its frames, and the pixels of all of them.
const MAX_FRAMES: u32 = 2_000;
const MAX_PIXELS: u64 = 400_000_000;

impl MediaFile {
    /// Whether the file is an animated image.
    pub async fn is_animated_image(&self) -> bool {
        if !types::can_be_animated(&self.mime_type) {
            return false;
        }
        let (path, mime_type) = (self.path().to_owned(), self.mime_type.clone());
        let look = move || match mime_type.as_str() {
            types::APNG => content_inspection::inspect_file(&path) == Some(types::APNG),
            types::WEBP => has_animation_flag(&path) && is_animated_webp(&path).unwrap_or(false),
            "image/gif" => is_animated_gif(&path).unwrap_or(false),
            _ => false,
        };
        self.pool.run_decoder(look).await.unwrap_or(false)
    }

    /// Converts the file to a video without audio.
    pub async fn into_gif_video(self) -> Result<Self, ConversionError> {
        let (made, unpacked) = (self.reserve_derived(), self.reserve_derived());
        let outputs = VIDEO_ARGUMENTS
            .split_whitespace()
            .map(OsString::from)
            .chain([file_argument(made.path())])
            .collect();
        if !self.pool.ffmpeg().is_installed() {
            return Err(ConversionError::NoFfmpeg(ConversionPurpose::Gif));
        }
        let (demuxer, input) = match types::video_demuxer(&self.mime_type) {
            Some(demuxer) => (demuxer, self.path()),
            // ffmpeg does not read animated WebP.
            None => {
                let (from, to) = (self.path().to_owned(), unpacked.path().to_owned());
                let is_unpacked = self
                    .pool
                    .run_decoder(move || unpack_webp(&from, &to))
                    .await
                    .flatten();
                is_unpacked.ok_or(ConversionError::Unreadable(ConversionPurpose::Gif))?;
                ("apng", unpacked.path())
            }
        };
        self.pool
            .ffmpeg()
            .convert_file(
                self.pool.session_name(),
                ConversionPurpose::Gif,
                demuxer,
                input,
                outputs,
                |_| {},
            )
            .await?;
        let size = tokio::fs::metadata(made.path()).await?.len();
        if size > MAX_VIDEO_MIB * 1024 * 1024 {
            return Err(ConversionError::TooLarge(
                ConversionPurpose::Gif,
                MAX_VIDEO_MIB,
            ));
        }
        Ok(Self {
            content: FileContent::Derived(made),
            mime_type: types::MP4.to_owned(),
            ..self
        })
    }
}

fn is_animated_gif(gif: &Path) -> Option<bool> {
    let decoder = GifDecoder::new(BufReader::new(fs::File::open(gif).ok()?)).ok()?;
    let (width, height) = decoder.dimensions();
    let fits = u64::from(width) * u64::from(height) <= MAX_PIXELS / 10;
    Some(fits && decoder.into_frames().take(2).filter(Result::is_ok).count() == 2)
}

fn is_animated_webp(webp: &Path) -> Option<bool> {
    Some(count_frames(&mut BufReader::new(fs::File::open(webp).ok()?)).ok()? > 1)
}

/// Converts an animated WebP to an animated PNG.
fn unpack_webp(webp: &Path, apng: &Path) -> Option<()> {
    let mut file = BufReader::new(fs::File::open(webp).ok()?);
    let pictures = count_frames(&mut file).ok()?;
    file.rewind().ok()?;
    let decoder = WebPDecoder::new(file).ok()?;
    let (width, height) = decoder.dimensions();
    if pictures == 0
        || pictures > MAX_FRAMES
        || u64::from(width) * u64::from(height) * u64::from(pictures) > MAX_PIXELS
    {
        return None;
    }
    let mut encoder =
        png::Encoder::new(BufWriter::new(fs::File::create(apng).ok()?), width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_animated(pictures, 0).ok()?;
    let mut writer = encoder.write_header().ok()?;
    for picture in decoder.into_frames().take(pictures as usize) {
        let picture = picture.ok()?;
        let (thousandths, parts) = picture.delay().numer_denom_ms();
        let delay = u16::try_from(thousandths / parts.max(1)).unwrap_or(u16::MAX);
        writer.set_frame_delay(delay.max(10), 1_000).ok()?;
        writer.write_image_data(picture.buffer()).ok()?;
    }
    writer.finish().ok()
}

/// Counts the frames of a WebP by its chunks.
fn count_frames(webp: &mut (impl Read + Seek)) -> io::Result<u32> {
    webp.seek(SeekFrom::Start(12))?;
    let mut pictures = 0;
    let mut head = [0; 8];
    while pictures <= MAX_FRAMES && webp.read_exact(&mut head).is_ok() {
        let [kind @ .., a, b, c, d] = head;
        pictures += u32::from(kind == *b"ANMF");
        let size = i64::from(u32::from_le_bytes([a, b, c, d]));
        webp.seek(SeekFrom::Current(size + size % 2))?;
    }
    Ok(pictures)
}
