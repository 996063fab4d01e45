//! Conversions into the forms that WhatsApp shows.

pub mod avatar;
pub mod conversion_pool;
pub mod ffmpeg;
pub mod gif;
pub mod heif;
pub mod image_reader;
pub mod sticker;
pub mod video;
pub mod voice;
pub mod waveform;
