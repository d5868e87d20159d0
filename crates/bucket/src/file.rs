//! A folder of this host as a bucket.
//!
//! Written with the standard library and not through object_store: its local store makes files by
//! the umask, and recordings are for their owner alone (0600 in folders of 0700).

use std::{
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind as Io, Read, Write},
    ops::Range,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use tempfile::NamedTempFile;

use crate::{Body, Bucket, BucketError, ErrorKind, ObjectMeta, PutError};

/// Folders deeper than this are not looked into: symbolic links can make circles.
const MAX_DEPTH: usize = 32;

/// How files that are being written begin; they are no objects.
const PARTIAL: &str = ".gillnet-";

/// A folder as a bucket.
pub(crate) struct FileBucket {
    root: PathBuf,
}

impl FileBucket {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The file of a key; the root itself where the key is empty.
    fn path(&self, key: &str) -> Result<PathBuf, BucketError> {
        if key.is_empty() {
            return Ok(self.root.clone());
        }
        if key.split('/').any(|part| matches!(part, "" | "." | "..")) || key.contains('\0') {
            return Err(BucketError::new(
                ErrorKind::Name,
                key,
                "no file can be named so",
            ));
        }
        Ok(self.root.join(key))
    }

    fn open(&self, key: &str) -> Result<File, BucketError> {
        let path = self.path(key)?;
        File::open(&path).map_err(|error| self.fault(&path, &error))
    }

    /// What the system said about a path, as an error of a bucket.
    fn fault(&self, path: &Path, error: &io::Error) -> BucketError {
        let place = path.display().to_string();
        match error.kind() {
            Io::NotFound if !self.root.exists() => BucketError::new(
                ErrorKind::NoBucket,
                self.root.display().to_string(),
                "there is no such folder",
            )
            .mend("give the folder that a recording was written to"),
            Io::NotFound => BucketError::new(ErrorKind::NotFound, place, "there is no such file"),
            Io::PermissionDenied | Io::ReadOnlyFilesystem => {
                BucketError::new(ErrorKind::Forbidden, place, error.to_string())
                    .mend("let this process's user in there (chown, chmod), or give another folder")
            }
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => {
                BucketError::new(ErrorKind::NoSpace, place, error.to_string())
                    .mend("make room there, or give another folder")
            }
            Io::InvalidFilename => BucketError::new(ErrorKind::Name, place, error.to_string()),
            Io::Interrupted | Io::TimedOut | Io::WouldBlock | Io::StaleNetworkFileHandle => {
                BucketError::new(ErrorKind::Unavailable, place, error.to_string())
            }
            _ => BucketError::new(ErrorKind::Other, place, error.to_string()),
        }
    }

    /// As [`FileBucket::fault`], before the object could be seen by anyone.
    fn not_put(&self, path: &Path, error: &io::Error) -> PutError {
        let fault = self.fault(path, error);
        if fault.is_passing() {
            PutError::Unavailable(fault)
        } else {
            PutError::Refused(fault)
        }
    }
}

impl Bucket for FileBucket {
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
        let path = self.path(key).map_err(PutError::Refused)?;
        let exists = || PutError::Exists {
            place: path.display().to_string(),
        };
        if path.symlink_metadata().is_ok() {
            return Err(exists());
        }
        let folder = path.parent().unwrap_or(&self.root);
        make_folders(folder).map_err(|(at, error)| self.not_put(&at, &error))?;
        // tempfile makes it with mode 0600
        let mut file = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempfile_in(folder)
            .map_err(|error| self.not_put(folder, &error))?;
        fill(&mut file, body).map_err(|error| self.not_put(&path, &error))?;
        file.persist_noclobber(&path)
            .map_err(|refused| match refused.error.kind() {
                Io::AlreadyExists => exists(),
                _ => self.not_put(&path, &refused.error),
            })?;
        // from here on it can be seen
        sync_folder(folder).map_err(|error| PutError::Ambiguous(self.fault(folder, &error)))
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        let path = self.path(key)?;
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => Ok(Some(meta(key.to_owned(), &found))),
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => Ok(None),
            Err(error) => Err(self.fault(&path, &error)),
        }
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        let mut bytes = Vec::new();
        self.open(key)?
            .read_to_end(&mut bytes)
            .map_err(|error| self.fault(&self.root.join(key), &error))?;
        Ok(bytes)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        let file = self.open(key)?;
        let wanted = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let there = file
            .metadata()
            .map_or(0, |found| found.len().saturating_sub(range.start));
        let mut bytes = vec![0; wanted.min(usize::try_from(there).unwrap_or(usize::MAX))];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, range.start + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == Io::Interrupted => {}
                Err(error) => return Err(self.fault(&self.root.join(key), &error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        let folder = self.path(prefix)?;
        match walk(&folder, prefix, 0, each) {
            Err((at, error))
                if at == folder && error.kind() == Io::NotFound && self.root.exists() =>
            {
                Ok(())
            }
            Err((at, error)) => Err(self.fault(&at, &error)),
            Ok(()) => Ok(()),
        }
    }

    fn delete(&self, key: &str) -> Result<(), BucketError> {
        let path = self.path(key)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == Io::NotFound && self.root.exists() => Ok(()),
            Err(error) => Err(self.fault(&path, &error)),
            Ok(()) => {
                // folders are there for their files alone
                let above = path.ancestors().skip(1);
                for folder in above.take_while(|folder| *folder != self.root) {
                    if fs::remove_dir(folder).is_err() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    fn place(&self, key: &str) -> String {
        if key.is_empty() {
            self.root.display().to_string()
        } else {
            self.root.join(key).display().to_string()
        }
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.path(key).ok()
    }
}

fn meta(key: String, found: &fs::Metadata) -> ObjectMeta {
    ObjectMeta {
        key,
        size: found.len(),
        modified: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

fn fill(file: &mut NamedTempFile, body: Body<'_>) -> io::Result<()> {
    match body {
        Body::Bytes(bytes) => file.write_all(bytes)?,
        Body::File(path) => {
            io::copy(&mut File::open(path)?, file.as_file_mut())?;
        }
    }
    file.as_file().sync_all()
}

/// Makes a folder and those above it, and makes sure that they are there after a power cut.
fn make_folders(folder: &Path) -> Result<(), (PathBuf, io::Error)> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|at| !at.as_os_str().is_empty() && !at.is_dir())
        .collect();
    for at in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(at) {
            Err(error) if error.kind() != Io::AlreadyExists => return Err((at.to_owned(), error)),
            _ => {}
        }
        if let Some(above) = at.parent() {
            sync_folder(above).map_err(|error| (above.to_owned(), error))?;
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Goes through a folder in the order of keys: `a-b` stands before `a/b`, as in a bucket.
fn walk(
    folder: &Path,
    key: &str,
    depth: usize,
    each: &mut dyn FnMut(ObjectMeta),
) -> Result<(), (PathBuf, io::Error)> {
    let failed = |error| (folder.to_owned(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            tracing::warn!(file = %entry.path().display(), "passed over: its name is not UTF-8");
            continue;
        };
        // one that was deleted meanwhile, or a dangling link
        let Ok(about) = fs::metadata(entry.path()) else {
            continue;
        };
        if about.is_dir() {
            found.push((name + "/", about));
        } else if about.is_file() && !name.starts_with(PARTIAL) {
            found.push((name, about));
        }
    }
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (name, about) in found {
        let key = if key.is_empty() {
            name.clone()
        } else {
            format!("{}/{name}", key.trim_end_matches('/'))
        };
        match name.strip_suffix('/') {
            Some(_) if depth >= MAX_DEPTH => tracing::warn!(
                folder = key,
                "passed over: too many folders inside each other"
            ),
            Some(name) => walk(&folder.join(name), &key, depth + 1, each)?,
            None => each(meta(key, &about)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn keys(bucket: &FileBucket, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        bucket
            .list(prefix, &mut |meta| keys.push(meta.key))
            .unwrap();
        keys
    }

    #[test]
    fn what_is_put_is_there_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = FileBucket::new(folder.path().join("new/bucket"));
        bucket.put_new("a/b/c.txt", Body::Bytes(b"one")).unwrap();
        let again = bucket.put_new("a/b/c.txt", Body::Bytes(b"two"));
        assert!(matches!(again, Err(PutError::Exists { .. })), "{again:?}");
        assert_eq!(bucket.get("a/b/c.txt").unwrap(), b"one");
        bucket
            .put_new("a/d", Body::File(&bucket.path("a/b/c.txt").unwrap()))
            .unwrap();
        assert_eq!(bucket.get_range("a/d", 1..2).unwrap(), b"n");
        assert_eq!(bucket.get_range("a/d", 2..20).unwrap(), b"e");
        assert_eq!(bucket.get_range("a/d", 20..21).unwrap(), b"");
        let mode = |path: &str| {
            fs::metadata(bucket.root.join(path))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(
            (mode("a/b/c.txt"), mode("a/d"), mode("a/b"), mode("")),
            (0o600, 0o600, 0o700, 0o700)
        );
        assert_eq!(keys(&bucket, ""), ["a/b/c.txt", "a/d"]);
        assert_eq!(bucket.head("a/d").unwrap().unwrap().size, 3);
        assert_eq!(
            (bucket.head("a").unwrap(), bucket.head("x").unwrap()),
            (None, None)
        );
    }

    #[test]
    fn lists_are_in_the_order_of_keys_and_without_partial_files() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = FileBucket::new(folder.path().to_owned());
        for key in ["a/b", "a-b", "a0", "b/a/c", "b.a"] {
            bucket.put_new(key, Body::Bytes(b"")).unwrap();
        }
        fs::write(folder.path().join(".gillnet-x1"), "half").unwrap();
        let listed = keys(&bucket, "");
        assert_eq!(listed, ["a-b", "a/b", "a0", "b.a", "b/a/c"]);
        assert!(listed.is_sorted());
        assert_eq!(keys(&bucket, "b"), ["b/a/c"]);
        assert_eq!(keys(&bucket, "nothing"), Vec::<String>::new());
    }

    #[test]
    fn faults_have_their_kind() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = FileBucket::new(folder.path().join("nowhere"));
        assert_eq!(
            nowhere.list("", &mut |_| {}).unwrap_err().kind,
            ErrorKind::NoBucket
        );
        assert_eq!(nowhere.get("a").unwrap_err().kind, ErrorKind::NoBucket);
        let bucket = FileBucket::new(folder.path().to_owned());
        assert_eq!(bucket.get("a").unwrap_err().kind, ErrorKind::NotFound);
        let error = bucket.put_new("../a", Body::Bytes(b"")).unwrap_err();
        assert!(
            matches!(
                error,
                PutError::Refused(BucketError {
                    kind: ErrorKind::Name,
                    ..
                })
            ),
            "{error:?}"
        );
        let error = bucket
            .put_new(&"x".repeat(300), Body::Bytes(b""))
            .unwrap_err();
        assert!(
            matches!(
                error,
                PutError::Refused(BucketError {
                    kind: ErrorKind::Name,
                    ..
                })
            ),
            "{error:?}"
        );
        // not even root makes folders there
        let closed = FileBucket::new("/sys/kernel/gillnet".into());
        let error = closed.put_new("a", Body::Bytes(b"")).unwrap_err();
        let forbidden = |error: &BucketError| error.kind == ErrorKind::Forbidden;
        assert!(
            matches!(&error, PutError::Refused(error) if forbidden(error)),
            "{error:?}"
        );
        let error = bucket
            .put_new("a", Body::File(Path::new("/nonexistent")))
            .unwrap_err();
        assert!(matches!(error, PutError::Refused(_)), "{error:?}");
    }
}
