//! A message's reference to its media. Plain data.

/// A message's reference to its media: the address and the keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct MediaReference {
    pub(crate) kind: &'static str,
    pub(crate) mime: String,
    pub(crate) direct_path: String,
    pub(crate) media_key: Vec<u8>,
    pub(crate) file_sha256: Vec<u8>,
    pub(crate) file_enc_sha256: Vec<u8>,
    pub(crate) file_length: u64,
}
