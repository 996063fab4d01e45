//! Session files: `sessions/NAME.session` has the credentials of a linked device, and its presence
//! says that the session is linked. All else of the device is in the database.
//!
//! ```text
//! wapi session 1
//! {"life":7,"own_proxy":false,"sha256":"…"}
//! the device, as in its row of the database
//! ```
//!
//! The device begins with a zero byte, or with a one and is sealed with the master key itself, so
//! that the file works without the database and under any name.
//!
//! Earlier versions kept a database for each session, `sessions/NAME.db`; one that has not been
//! converted stands for the session, see [`database_file`](super::database_file).

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::database_file;
use crate::model::ids::to_hex;
use crate::store::sealing::envelope::Binding;
use crate::store::sealing::{NOT_SEALED, Sealer};
use crate::system::durable_files;

/// First line of a file; the number is that of the format.
const TITLE: &str = "wapi session 1\n";
/// Larger files are not read: a device has a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;
/// First byte of a device that is sealed with the master key.
const BY_MASTER_KEY: u8 = 1;

/// The result of inspecting the path of a session's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionFile {
    /// No file.
    Absent,
    /// The database of a session whose QR code was never scanned.
    NeverPaired,
    /// The credentials of a linked device.
    Paired,
    /// A foreign or damaged file; it must be left as it is. The text explains the problem, for the
    /// operator.
    Unusable(String),
    /// It cannot be read now, which may pass: locked, no file descriptors, no permission. The text
    /// gives the reason.
    Unreadable(String),
}

/// A linked device, as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedDevice {
    /// The number of the life whose rows belong to the device.
    pub life: i64,
    /// Whether the session leaves through a proxy of its own. The database has the proxy; without
    /// the database, the session must not leave by another way.
    pub has_own_proxy: bool,
    pub device: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct FileHead {
    life: i64,
    own_proxy: bool,
    sha256: String,
}

/// Why a file was not read.
enum ReadError {
    Io(io::Error),
    Foreign(String),
}

impl ReadError {
    /// The text for the operator.
    fn into_text(self) -> String {
        match self {
            Self::Foreign(problem) => problem,
            Self::Io(error) => format!("its file cannot be read now: {error}"),
        }
    }
}

/// Inspects a session's file, or the database in its place.
pub async fn inspect_file(path: &Path, sealer: &Sealer) -> SessionFile {
    match try_read(path, sealer).await {
        Ok(Some(_)) => SessionFile::Paired,
        Ok(None) => database_file::inspect_file(&path.with_extension("db")).await,
        Err(ReadError::Foreign(problem)) => SessionFile::Unusable(problem),
        Err(ReadError::Io(error)) => {
            SessionFile::Unreadable(format!("its file cannot be read now: {error}"))
        }
    }
}

/// Reads a session's file; `None` if there is none.
///
/// # Errors
///
/// A text for the operator.
pub async fn read_file(path: &Path, sealer: &Sealer) -> Result<Option<SavedDevice>, String> {
    try_read(path, sealer).await.map_err(ReadError::into_text)
}

/// Replaces a session's file; it is on the disk on return.
pub async fn write_file(path: &Path, saved: &SavedDevice, sealer: &Sealer) -> io::Result<()> {
    durable_files::write_file(path, &encode(saved, sealer)?).await
}

/// Writes a session's next file beside it; see [`durable_files::write_draft_blocking`].
pub fn write_draft(path: &Path, saved: &SavedDevice, sealer: &Sealer) -> io::Result<PathBuf> {
    durable_files::write_draft_blocking(path, &encode(saved, sealer)?)
}

/// Why a file was not written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResealError {
    /// It is damaged, or sealed with another key: the master key and the former one do not open it.
    Unusable(String),
    /// It cannot be read or written now: it may need either key.
    Failed(String),
}

/// Writes a session's file anew if it is not sealed as it should be: the master key was given,
/// changed, or is to be taken away. Returns whether it did.
///
/// # Errors
///
/// With a text for the operator.
pub async fn reseal_file(path: &Path, sealer: &Sealer) -> Result<bool, ResealError> {
    let Some(parts) = read_parts(path).await? else {
        return Ok(false);
    };
    let is_sealed = parts.device.first() == Some(&BY_MASTER_KEY);
    if !sealer.wants_file_anew(is_sealed, &parts.head.binding(), &parts.device) {
        return Ok(false);
    }
    let saved = parts.open(sealer)?;
    let written = write_file(path, &saved, sealer).await;
    written.map_err(|error| ResealError::Failed(format!("its file cannot be written: {error}")))?;
    Ok(true)
}

/// Returns whether a session's file is whole, and sealed with a master key that is neither of the
/// sealer's.
pub async fn is_sealed_otherwise(path: &Path, sealer: &Sealer) -> bool {
    let Ok(Some(parts)) = read_parts(path).await else {
        return false;
    };
    let is_sealed = parts.device.first() == Some(&BY_MASTER_KEY);
    is_sealed && parts.open(sealer).is_err()
}

impl From<ReadError> for ResealError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Foreign(problem) => Self::Unusable(problem),
            ReadError::Io(_) => Self::Failed(error.into_text()),
        }
    }
}

fn encode(saved: &SavedDevice, sealer: &Sealer) -> io::Result<Vec<u8>> {
    let binding = file_binding(saved.life, saved.has_own_proxy);
    let sealed = sealer.seal_file(BY_MASTER_KEY, &binding, &saved.device);
    let device = sealed.unwrap_or_else(|| {
        let mut device = vec![NOT_SEALED];
        device.extend(&saved.device);
        device
    });
    let head = FileHead {
        life: saved.life,
        own_proxy: saved.has_own_proxy,
        sha256: to_hex(&Sha256::digest(&device)),
    };
    let mut content = TITLE.as_bytes().to_vec();
    serde_json::to_writer(&mut content, &head)?;
    content.push(b'\n');
    content.extend(device);
    Ok(content)
}

/// What a sealed device is bound to: the kind of file, and what its head says of it. Not the name,
/// since files may be copied.
fn file_binding(life: i64, has_own_proxy: bool) -> Binding {
    let binding = Binding::new("wapi session file 1").number(life);
    binding.number(has_own_proxy.into())
}

/// The parts of a file that is whole.
struct FileParts {
    head: FileHead,
    device: Vec<u8>,
}

impl FileHead {
    fn binding(&self) -> Binding {
        file_binding(self.life, self.own_proxy)
    }
}

impl FileParts {
    fn open(self, sealer: &Sealer) -> Result<SavedDevice, ReadError> {
        let device = match self.device.split_first() {
            Some((&NOT_SEALED, device)) => device.to_vec(),
            Some((&BY_MASTER_KEY, _)) => sealer
                .open_file(&self.head.binding(), &self.device)
                .map_err(ReadError::Foreign)?,
            _ => {
                let problem = "its file is sealed by a newer wapi; start that one";
                return Err(ReadError::Foreign(problem.to_owned()));
            }
        };
        Ok(SavedDevice {
            life: self.head.life,
            has_own_proxy: self.head.own_proxy,
            device,
        })
    }
}

async fn try_read(path: &Path, sealer: &Sealer) -> Result<Option<SavedDevice>, ReadError> {
    let parts = read_parts(path).await?;
    parts.map(|parts| parts.open(sealer)).transpose()
}

async fn read_parts(path: &Path) -> Result<Option<FileParts>, ReadError> {
    match tokio::fs::metadata(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReadError::Io(error)),
        Ok(found) if !found.is_file() => {
            return Err(ReadError::Foreign("its path is not a file".to_owned()));
        }
        Ok(found) if found.len() > MAX_BYTES => return Err(foreign("it is too large")),
        Ok(_) => {}
    }
    let content = tokio::fs::read(path).await.map_err(ReadError::Io)?;
    parse(&content).map(Some)
}

fn parse(content: &[u8]) -> Result<FileParts, ReadError> {
    let rest = content
        .strip_prefix(TITLE.as_bytes())
        .ok_or_else(|| foreign("it does not begin as one"))?;
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (head, device) = rest.split_at(end.ok_or_else(|| foreign("it is cut off"))?);
    let head: FileHead = serde_json::from_slice(head).map_err(foreign)?;
    let device = device[1..].to_vec();
    if to_hex(&Sha256::digest(&device)) != head.sha256 {
        return Err(foreign("its checksum is wrong"));
    }
    Ok(FileParts { head, device })
}

fn foreign(problem: impl std::fmt::Display) -> ReadError {
    ReadError::Foreign(format!(
        "its file is damaged or not a session: {problem}; put back the right one, or remove it and scan anew"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let saved = SavedDevice {
            life: 7,
            has_own_proxy: true,
            device: b"{\"lines\":\"\n\"}".to_vec(),
        };
        assert_eq!(
            read_file(&path("shop.session"), &Sealer::none()).await,
            Ok(None)
        );
        assert_eq!(
            inspect_file(&path("shop.session"), &Sealer::none()).await,
            SessionFile::Absent
        );
        write_file(&path("shop.session"), &saved, &Sealer::none())
            .await
            .unwrap();
        assert_eq!(
            read_file(&path("shop.session"), &Sealer::none()).await,
            Ok(Some(saved))
        );
        assert_eq!(
            inspect_file(&path("shop.session"), &Sealer::none()).await,
            SessionFile::Paired
        );

        let good = std::fs::read(path("shop.session")).unwrap();
        let mut torn = good.clone();
        *torn.last_mut().unwrap() ^= 1;
        for (name, content) in [
            ("diary", &b"dear diary"[..]),
            ("torn", &torn),
            ("short", &good[..good.len() - 1]),
            ("title", TITLE.as_bytes()),
            ("empty", b""),
            ("large", &vec![0; MAX_BYTES as usize + 1]),
        ] {
            let path = path(name).with_extension("session");
            std::fs::write(&path, content).unwrap();
            let found = inspect_file(&path, &Sealer::none()).await;
            assert!(
                matches!(found, SessionFile::Unusable(_)),
                "{name}: {found:?}"
            );
            assert_eq!(std::fs::read(&path).unwrap(), content, "it is left alone");
        }
        std::fs::create_dir(path("folder.session")).unwrap();
        let found = inspect_file(&path("folder.session"), &Sealer::none()).await;
        assert!(matches!(found, SessionFile::Unusable(_)), "{found:?}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_now_is_not_called_broken() {
        let folder = tempfile::tempdir().unwrap();
        let circle = folder.path().join("circle.session");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        let found = inspect_file(&circle, &Sealer::none()).await;
        assert!(matches!(found, SessionFile::Unreadable(_)), "{found:?}");
    }

    #[tokio::test]
    async fn a_database_of_an_earlier_version_stands_for_its_session() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.session");
        std::fs::write(path.with_extension("db"), b"").unwrap();
        assert_eq!(
            inspect_file(&path, &Sealer::none()).await,
            SessionFile::NeverPaired
        );
        let saved = SavedDevice {
            life: 1,
            has_own_proxy: false,
            device: Vec::new(),
        };
        write_file(&path, &saved, &Sealer::none()).await.unwrap();
        assert_eq!(
            inspect_file(&path, &Sealer::none()).await,
            SessionFile::Paired
        );
    }
}
