//! Files, names and folders that outlast a power cut: what comes back from here is on the disk, with the folder that names it.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tokio::fs;

/// Makes a folder and those above it, for the owner's eyes only. One that is there stays.
pub async fn make_folder(folder: &Path) -> io::Result<()> {
    let (mut made, mut place) = (vec![folder], folder);
    while let Some(above) = above(place) {
        if fs::try_exists(above).await? {
            break;
        }
        made.push(above);
        place = above;
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .await?;
    for folder in made.into_iter().rev() {
        sync_names(folder).await?;
    }
    Ok(())
}

/// Makes an empty file for the owner's eyes only. One that is there stays.
pub async fn make_file(file: &Path) -> io::Result<()> {
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
    sync_names(file).await
}

/// Gives a file another name, in place of whatever has it. What is in the file must be on the disk, or not matter.
pub async fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).await?;
    // First the new name: after a cut in between there are two, and not none.
    sync_names(to).await?;
    if from.parent() == to.parent() {
        Ok(())
    } else {
        sync_names(from).await
    }
}

/// Gives a file that was just written its name: whatever has the name is whole.
pub async fn put(from: &Path, to: &Path) -> io::Result<()> {
    fs::File::open(from).await?.sync_all().await?;
    rename(from, to).await
}

/// Writes a file in place of the one before: whoever looks sees the old or the new one, whole.
pub async fn write(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    fs::write(&draft, content).await?;
    put(Path::new(&draft), file).await
}

/// Removes a file for good; one that is not there is no error.
pub async fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file).await {
        Ok(()) => sync_names(file).await,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a folder for good, unless something is in it; one that is not there is no error.
pub async fn remove_empty_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder).await {
        Ok(()) => sync_names(folder).await,
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

/// The same as [`make_folder`], for when nothing runs yet. Waits for the disk.
pub fn make_folder_first(folder: &Path) -> io::Result<()> {
    let (mut made, mut place) = (vec![folder], folder);
    while let Some(above) = above(place) {
        if above.try_exists()? {
            break;
        }
        made.push(above);
        place = above;
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for folder in made.into_iter().rev() {
        std::fs::File::open(above(folder).unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// What a folder or a file is in; `None`: where the program is.
fn above(path: &Path) -> Option<&Path> {
    path.parent().filter(|above| *above != Path::new(""))
}

/// Whether this is there, or not, will be so after a power cut, too.
pub async fn sync_names(path: &Path) -> io::Result<()> {
    let folder = above(path).unwrap_or(Path::new("."));
    fs::File::open(folder).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn what_is_made_is_there_and_nobody_elses() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b/c");
        make_folder(&folder).await.unwrap();
        make_folder(&folder).await.unwrap();
        let file = folder.join("file");
        make_file(&file).await.unwrap();
        write(&file, b"old").await.unwrap();
        write(&file, b"new").await.unwrap();
        make_file(&file).await.unwrap();
        let other = root.path().join("other");
        rename(&file, &other).await.unwrap();
        assert_eq!(
            std::fs::read(&other).unwrap(),
            b"new",
            "a file that is there is not made anew"
        );
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        for place in ["a", "a/b", "a/b/c"] {
            assert_eq!(
                std::fs::metadata(root.path().join(place))
                    .unwrap()
                    .permissions()
                    .mode()
                    & 0o777,
                0o700
            );
        }
        remove(&other).await.unwrap();
        remove(&other).await.unwrap();
        remove_empty_folder(&root.path().join("a")).await.unwrap();
        assert!(folder.exists(), "it is not empty");
        remove_empty_folder(&folder).await.unwrap();
        remove_empty_folder(&folder).await.unwrap();
        make_folder_first(&folder).unwrap();
        make_folder_first(&folder).unwrap();
        assert_eq!(
            std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert!(
            rename(&other, &file).await.is_err(),
            "what is not there has no name to lose"
        );
    }
}
