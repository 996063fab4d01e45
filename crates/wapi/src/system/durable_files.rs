//! Durable files and folders: a call returns once the change and its folder are on the disk.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tokio::fs;

use super::lifecycle::run_blocking;

/// Creates a folder and its parents, accessible to the owner only. An existing one stays.
pub async fn create_folder(folder: &Path) -> io::Result<()> {
    let (mut made, mut parent) = (vec![folder], folder);
    while let Some(above) = parent_folder(parent) {
        if fs::try_exists(above).await? {
            break;
        }
        made.push(above);
        parent = above;
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .await?;
    for folder in made.into_iter().rev() {
        sync_parent(folder).await?;
    }
    Ok(())
}

/// Creates an empty file, accessible to the owner only. An existing one stays.
pub async fn create_file(file: &Path) -> io::Result<()> {
    match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .await
    {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_parent(file).await
}

/// Renames a file, replacing the target. The file's content must be on the disk already, or not
/// matter.
pub async fn rename_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).await?;
    // First the new name: after a power cut in between there are two names instead of none.
    sync_parent(to).await?;
    if from.parent() == to.parent() {
        Ok(())
    } else {
        sync_parent(from).await
    }
}

/// Syncs a file that was just written and gives it its name, so that a file of that name is
/// complete.
pub async fn put_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::File::open(from).await?.sync_all().await?;
    rename_file(from, to).await
}

/// Replaces the content of a file atomically: readers see the old content or the new.
pub async fn write_file(file: &Path, content: &[u8]) -> io::Result<()> {
    let (file, content) = (file.to_owned(), content.to_owned());
    let writing = move || {
        let draft = write_draft_blocking(&file, &content)?;
        rename_file_blocking(&draft, &file)
    };
    let written = run_blocking(writing).await;
    written.unwrap_or_else(|| Err(io::Error::other("writing a file panicked")))
}

/// Writes the new content of a file beside it, accessible to the owner only; it is on the disk on
/// return. Renaming the draft replaces the file. Returns its path. Blocks on the disk.
pub fn write_draft_blocking(file: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let mut writing = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    writing.write_all(content)?;
    writing.sync_all()?;
    Ok(draft)
}

/// Renames a file within its folder, replacing the target. Blocks on the disk.
pub fn rename_file_blocking(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    std::fs::File::open(parent_folder(to).unwrap_or(Path::new(".")))?.sync_all()
}

/// Removes a file durably; a missing one is no error.
pub async fn remove_file(file: &Path) -> io::Result<()> {
    match fs::remove_file(file).await {
        Ok(()) => sync_parent(file).await,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a folder durably, unless it has entries; a missing one is no error.
pub async fn remove_empty_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder).await {
        Ok(()) => sync_parent(folder).await,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The same as [`create_folder`], for when nothing runs yet. Blocks on the disk.
pub fn create_folder_blocking(folder: &Path) -> io::Result<()> {
    let (mut made, mut parent) = (vec![folder], folder);
    while let Some(above) = parent_folder(parent) {
        if above.try_exists()? {
            break;
        }
        made.push(above);
        parent = above;
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for folder in made.into_iter().rev() {
        std::fs::File::open(parent_folder(folder).unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Returns the parent of a folder or file; `None` for the working folder.
fn parent_folder(path: &Path) -> Option<&Path> {
    path.parent().filter(|above| *above != Path::new(""))
}

/// Makes the presence or absence of a path durable.
pub async fn sync_parent(path: &Path) -> io::Result<()> {
    let folder = parent_folder(path).unwrap_or(Path::new("."));
    fs::File::open(folder).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crate::system::durable_files::*;

    #[tokio::test]
    async fn what_is_made_is_there_and_nobody_elses() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b/c");
        create_folder(&folder).await.unwrap();
        create_folder(&folder).await.unwrap();
        let file = folder.join("file");
        create_file(&file).await.unwrap();
        write_file(&file, b"old").await.unwrap();
        write_file(&file, b"new").await.unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "it is the owner's");
        create_file(&file).await.unwrap();
        let other = root.path().join("other");
        rename_file(&file, &other).await.unwrap();
        assert_eq!(
            std::fs::read(&other).unwrap(),
            b"new",
            "a file that is there is not made anew"
        );
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        for parent in ["a", "a/b", "a/b/c"] {
            assert_eq!(
                std::fs::metadata(root.path().join(parent))
                    .unwrap()
                    .permissions()
                    .mode()
                    & 0o777,
                0o700
            );
        }
        remove_file(&other).await.unwrap();
        remove_file(&other).await.unwrap();
        remove_empty_folder(&root.path().join("a")).await.unwrap();
        assert!(folder.exists(), "it is not empty");
        remove_empty_folder(&folder).await.unwrap();
        remove_empty_folder(&folder).await.unwrap();
        create_folder_blocking(&folder).unwrap();
        create_folder_blocking(&folder).unwrap();
        assert_eq!(
            std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert!(
            rename_file(&other, &file).await.is_err(),
            "what is not there has no name to lose"
        );
    }
}
