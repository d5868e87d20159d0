//! A whole file as bytes that are read where they lie in the system's cache.

use std::{fs::File, io};

use crate::{Lend, mem::Region};

/// A mapped file. Another's truncation, or a disk that fails, does not end the process: pages that can't be read are
/// zeros, and [`FileView::is_whole`] tells.
pub struct FileView {
    region: Region,
    len: usize,
}

impl std::fmt::Debug for FileView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileView")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl FileView {
    /// Maps a file as long as it is now.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(file: &File) -> io::Result<FileView> {
        let len =
            usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let region = Region::reserve(len)?.guarded();
        if len > 0 {
            region.map(0, file, 0, len, false)?;
        }
        Ok(FileView { region, len })
    }

    /// Whether all that was read of it since this was asked last was really there.
    pub fn is_whole(&self) -> bool {
        !self.region.has_shrunk()
    }
}

impl Lend for FileView {
    fn bytes(&self) -> &[u8] {
        self.region.bytes(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_seen_whole_and_what_is_cut_off_is_told() {
        let mut file = tempfile::tempfile().unwrap();
        assert!(FileView::new(&file).unwrap().bytes().is_empty());
        file.write_all(&[7; 20_000]).unwrap();
        let view = FileView::new(&file).unwrap();
        assert_eq!((view.bytes(), view.is_whole()), (&[7; 20_000][..], true));
        let other = FileView::new(&file).unwrap();
        file.set_len(4096).unwrap();
        assert_eq!(
            other.bytes().iter().filter(|byte| **byte == 7).count(),
            4096
        );
        assert!(!other.is_whole());
    }
}
