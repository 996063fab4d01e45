//! Voice notes: Opus in Ogg, with a waveform.

use std::ffi::OsString;
use std::path::Path;

use super::ffmpeg::{NotConverted, Purpose, as_file};
use super::waveform::Waveform;
use super::{Content, File, types};

/// WhatsApp's own limit for voice notes, in MiB. ffmpeg stops slightly above it.
const LARGEST: u64 = 16;
/// Mono, as phones record it. Tags may name people and places, so they are removed.
const OPUS: &str = "-map 0:a:0 -map_metadata -1 -ac 1 -ar 48000 -c:a libopus -b:a 32k -application voip -f ogg -fs 17M";
/// Enough samples for a waveform.
const SAMPLES: &str = "-map 0:a:0 -ac 1 -ar 8000 -c:a pcm_s16le -f s16le pipe:1";

impl File {
    /// Converts the file to a voice note. Also returns its waveform, 64 levels from 0 to 100, if
    /// ffmpeg can compute it.
    pub async fn into_voice(self) -> Result<(Self, Option<Vec<u8>>), NotConverted> {
        let demuxer =
            types::demuxer(&self.mime_type).ok_or(NotConverted::Unreadable(Purpose::VoiceNote))?;
        let mut waveform = Waveform::new();
        if self.mime_type == types::OPUS {
            let listened = self.workshop.ffmpeg().run(
                self.workshop.whose(),
                Purpose::VoiceNote,
                demuxer,
                self.path(),
                samples(),
                |bytes| waveform.take(bytes),
            );
            return match listened.await {
                Err(passing @ NotConverted::Passing(_)) => Err(passing),
                // The file has the right type, and cannot be checked any further here.
                Err(_) => Ok((self, None)),
                Ok(()) => Ok((self, waveform.levels())),
            };
        }
        let note = self.beside();
        let outputs = [opus(note.path()), samples()].concat();
        self.workshop
            .ffmpeg()
            .run(
                self.workshop.whose(),
                Purpose::VoiceNote,
                demuxer,
                self.path(),
                outputs,
                |bytes| waveform.take(bytes),
            )
            .await?;
        let size = tokio::fs::metadata(note.path()).await?.len();
        if size > LARGEST * 1024 * 1024 {
            return Err(NotConverted::TooLarge(Purpose::VoiceNote, LARGEST));
        }
        let (content, mime_type) = (Content::Made(note), types::OPUS.to_owned());
        Ok((
            Self {
                content,
                size,
                mime_type,
                ..self
            },
            waveform.levels(),
        ))
    }
}

fn opus(to: &Path) -> Vec<OsString> {
    OPUS.split(' ')
        .map(OsString::from)
        .chain([as_file(to)])
        .collect()
}

fn samples() -> Vec<OsString> {
    SAMPLES.split(' ').map(OsString::from).collect()
}
