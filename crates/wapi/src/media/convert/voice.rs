//! Voice notes: Opus in Ogg, with a waveform.

use std::ffi::OsString;
use std::path::Path;

use super::ffmpeg::{ConversionError, ConversionPurpose, file_argument};
use super::waveform::Waveform;
use crate::media::{FileContent, MediaFile, types};

/// WhatsApp's own limit for voice notes, in MiB. ffmpeg stops slightly above it.
const MAX_VOICE_MIB: u64 = 16;
/// Mono, as phones record it. Tags may name people and places, so they are removed.
const OPUS_ARGUMENTS: &str = "-map 0:a:0 -map_metadata -1 -ac 1 -ar 48000 -c:a libopus -b:a 32k -application voip -f ogg -fs 17M";
/// Enough samples for a waveform.
const SAMPLE_ARGUMENTS: &str = "-map 0:a:0 -ac 1 -ar 8000 -c:a pcm_s16le -f s16le pipe:1";

impl MediaFile {
    /// Converts the file to a voice note. Also returns its waveform, 64 levels from 0 to 100, if
    /// ffmpeg can compute it.
    pub async fn into_voice_note(self) -> Result<(Self, Option<Vec<u8>>), ConversionError> {
        let demuxer = types::audio_demuxer(&self.mime_type)
            .ok_or(ConversionError::Unreadable(ConversionPurpose::VoiceNote))?;
        let mut waveform = Waveform::new();
        if self.mime_type == types::OPUS {
            let listened = self.pool.ffmpeg().convert_file(
                self.pool.session_name(),
                ConversionPurpose::VoiceNote,
                demuxer,
                self.path(),
                sample_arguments(),
                |bytes| waveform.add_bytes(bytes),
            );
            return match listened.await {
                Err(passing @ ConversionError::Transient(_)) => Err(passing),
                // The file has the right type, and cannot be checked any further here.
                Err(_) => Ok((self, None)),
                Ok(()) => Ok((self, waveform.levels())),
            };
        }
        let note = self.reserve_derived();
        let outputs = [opus_arguments(note.path()), sample_arguments()].concat();
        self.pool
            .ffmpeg()
            .convert_file(
                self.pool.session_name(),
                ConversionPurpose::VoiceNote,
                demuxer,
                self.path(),
                outputs,
                |bytes| waveform.add_bytes(bytes),
            )
            .await?;
        let size = tokio::fs::metadata(note.path()).await?.len();
        if size > MAX_VOICE_MIB * 1024 * 1024 {
            return Err(ConversionError::TooLarge(
                ConversionPurpose::VoiceNote,
                MAX_VOICE_MIB,
            ));
        }
        Ok((
            Self {
                content: FileContent::Derived(note),
                mime_type: types::OPUS.to_owned(),
                ..self
            },
            waveform.levels(),
        ))
    }
}

fn opus_arguments(to: &Path) -> Vec<OsString> {
    OPUS_ARGUMENTS
        .split(' ')
        .map(OsString::from)
        .chain([file_argument(to)])
        .collect()
}

fn sample_arguments() -> Vec<OsString> {
    SAMPLE_ARGUMENTS.split(' ').map(OsString::from).collect()
}
