//! The store of scripts: which there are, what they are called, which are active.
//!
//! Scripts are the `*.js` files directly in the folders of the configuration, and those that were added by the API,
//! which are files of a folder of their own. What the API says of a script's activity goes before the configuration.

mod title;

pub(crate) use title::{names_recording_kfl, title};

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The longest script, in bytes.
const LONGEST: u64 = 4 << 20;
/// Scripts, at most.
const MOST: usize = 200;
/// What the API said of scripts' activity.
const ACTIVE: &str = "active.json";

/// Where scripts are, and which are active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Folders: `scripting.source` and `scripting.sources`.
    pub folders: Vec<PathBuf>,
    /// The folder of those that are added through the API.
    pub added: Option<PathBuf>,
    /// Titles of those that are active; all, where it is empty: `scripting.active`.
    pub active: Vec<String>,
    /// `scripting.enabled`: nothing is active where it is `Some(false)`.
    pub enabled: Option<bool>,
}

/// A script as it lies in its file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: Arc<str>,
    pub(crate) title: String,
    pub(crate) active: bool,
    pub(crate) added: bool,
    /// Whether it records by itself what `RECORDING_KFL` says.
    pub(crate) records: bool,
    stamp: Stamp,
}

/// What a file looked like when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

/// A folder or file of scripts that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It can't be read.
    #[error("{path}: the scripts can't be read: {why}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// It can't be written.
    #[error("{path}: the script can't be written: {why}")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// There is none with this number.
    #[error("there is no script {0}")]
    NoSuch(u32),
    /// There is no folder that scripts could be added to.
    #[error("no script can be added: there is no folder for it")]
    NoFolder,
    /// There are too many.
    #[error("there are {MOST} scripts already; delete one first")]
    TooMany,
    /// Those behind the most that there may be.
    #[error("{0} scripts are passed over: there are at most {MOST}")]
    PassedOver(usize),
    /// It is too long.
    #[error("a script has at most {} MiB", LONGEST >> 20)]
    TooLong,
}

impl Sources {
    /// All scripts, in the order of their numbers; and what could not be read.
    pub(crate) fn read(&self, before: &[Source]) -> (Vec<Source>, Vec<StoreError>) {
        let (mut sources, mut faults) = (Vec::new(), Vec::new());
        let said = self.said();
        let folders = self.folders.iter().map(|folder| (folder, false));
        let folders = folders.chain(self.added.iter().map(|folder| (folder, true)));
        for (folder, added) in folders {
            let paths = match scripts_in(folder) {
                Ok(paths) => paths,
                // nothing was added yet
                Err(error) if added && error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    faults.push(unreadable(folder, &error));
                    continue;
                }
            };
            for path in paths {
                let known = before.iter().find(|source| source.path == path);
                match Source::read(&path, added, known) {
                    Ok(source) => sources.push(source),
                    Err(fault) => {
                        faults.push(fault);
                        // one that can't be read just now stays as it was
                        sources.extend(known.cloned());
                    }
                }
            }
        }
        if sources.len() > MOST {
            faults.push(StoreError::PassedOver(sources.len() - MOST));
            sources.truncate(MOST);
        }
        for source in &mut sources {
            source.active = self.is_active(source, &said);
        }
        (sources, faults)
    }

    fn is_active(&self, source: &Source, said: &BTreeMap<String, bool>) -> bool {
        if self.enabled == Some(false) {
            return false;
        }
        if let Some(active) = said.get(&source.name()) {
            return *active;
        }
        let is = |name: &String| name.trim() == source.title || *name == source.name();
        self.active.is_empty() || self.active.iter().any(is)
    }

    /// The scripts that would be active and record by themselves what `RECORDING_KFL` says, by their files.
    ///
    /// # Errors
    /// What of the folders can't be read.
    pub fn recording(&self) -> Result<Vec<PathBuf>, StoreError> {
        let (sources, faults) = self.read(&[]);
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault);
        }
        let records = sources.into_iter().filter(|s| s.active && s.records);
        Ok(records.map(|source| source.path).collect())
    }

    /// What the API said of scripts' activity, by name.
    fn said(&self) -> BTreeMap<String, bool> {
        let Some(folder) = &self.added else {
            return BTreeMap::new();
        };
        let text = fs::read_to_string(folder.join(ACTIVE)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Notes that a script is to be active, or not.
    pub(crate) fn say(&self, source: &Source, active: Option<bool>) -> Result<(), StoreError> {
        let folder = self.added.as_ref().ok_or(StoreError::NoFolder)?;
        let mut said = self.said();
        match active {
            Some(active) => said.insert(source.name(), active),
            None => said.remove(&source.name()),
        };
        let text = serde_json::to_string(&said).unwrap_or_default();
        write(&folder.join(ACTIVE), &text)
    }

    /// Writes a new script; gives its file.
    pub(crate) fn add(&self, text: &str, count: usize) -> Result<PathBuf, StoreError> {
        let folder = self.added.as_ref().ok_or(StoreError::NoFolder)?;
        if count >= MOST {
            return Err(StoreError::TooMany);
        }
        let stem: String = title(text)
            .unwrap_or_default()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .take(60)
            .collect();
        let stem = match stem.trim_matches('-') {
            "" => "script",
            stem => stem,
        };
        let names = (1..).map(|n| match n {
            1 => format!("{stem}.js"),
            n => format!("{stem}-{n}.js"),
        });
        for name in names {
            let path = folder.join(name);
            if !path.exists() {
                write(&path, text)?;
                return Ok(path);
            }
        }
        Err(StoreError::TooMany)
    }
}

impl Source {
    fn read(path: &Path, added: bool, known: Option<&Source>) -> Result<Source, StoreError> {
        let fail = |error: io::Error| unreadable(path, &error);
        let stamp = Stamp::of(path).map_err(fail)?;
        if let Some(known) = known.filter(|known| known.stamp == stamp && !stamp.is_young()) {
            return Ok(known.clone());
        }
        if stamp.len > LONGEST {
            return Err(StoreError::TooLong);
        }
        let bytes = fs::read(path).map_err(fail)?;
        // raw escape bytes are text, too; what is no UTF-8 is replaced
        let text: Arc<str> = String::from_utf8_lossy(&bytes)
            .trim_start_matches('\u{feff}')
            .into();
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Source {
            path: path.to_path_buf(),
            title: title(&text).unwrap_or(stem),
            records: names_recording_kfl(&text),
            text,
            active: false,
            added,
            stamp,
        })
    }

    /// The file's name.
    pub(crate) fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// Puts another text in its place.
    pub(crate) fn write(&self, text: &str) -> Result<(), StoreError> {
        write(&self.path, text)
    }

    /// Removes its file.
    pub(crate) fn delete(&self) -> Result<(), StoreError> {
        fs::remove_file(&self.path).map_err(|error| unwritable(&self.path, &error))
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Stamp> {
        use std::os::unix::fs::MetadataExt;
        let about = fs::metadata(path)?;
        Ok(Stamp {
            len: about.len(),
            modified: about.modified().ok(),
            inode: about.ino(),
        })
    }

    /// Whether it may have changed once more within the resolution of the file system's clock.
    fn is_young(&self) -> bool {
        let age = self.modified.and_then(|at| at.elapsed().ok());
        age.is_none_or(|age| age.as_secs() < 2)
    }
}

/// The `*.js` files directly in a folder, by name.
fn scripts_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "js") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Read {
        path: path.to_path_buf(),
        why: error.to_string(),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Write {
        path: path.to_path_buf(),
        why: error.to_string(),
    }
}

/// Writes a file that appears whole.
fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    if text.len() as u64 > LONGEST {
        return Err(StoreError::TooLong);
    }
    let fail = |error: io::Error| unwritable(path, &error);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(fail)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(folder: &Path) -> Sources {
        Sources {
            folders: vec![folder.to_path_buf()],
            ..Sources::default()
        }
    }

    fn titles(sources: &Sources) -> Vec<(String, bool)> {
        let (found, faults) = sources.read(&[]);
        assert_eq!(faults, []);
        found
            .into_iter()
            .map(|source| (source.title, source.active))
            .collect()
    }

    #[test]
    fn only_js_files_directly_in_the_folder_are_scripts() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("b.js", "//podtraffic\nvar x;"),
            ("a.js", "var no = 'comment';"),
            ("processes.js1", "//no"),
            ("perf.js-old", "//no"),
            ("notes.txt", "//no"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        fs::create_dir(dir.path().join("deeper")).unwrap();
        fs::write(dir.path().join("deeper/c.js"), "//no").unwrap();
        fs::create_dir(dir.path().join("folder.js")).unwrap();
        let mut sources = sources(dir.path());
        let all = |a, b| vec![("a".to_owned(), a), ("podtraffic".to_owned(), b)];
        assert_eq!(titles(&sources), all(true, true));
        sources.active = vec![" podtraffic ".into()];
        assert_eq!(titles(&sources), all(false, true));
        sources.active = vec!["a.js".into()];
        assert_eq!(titles(&sources), all(true, false));
        sources.enabled = Some(false);
        assert_eq!(titles(&sources), all(false, false));
        sources.enabled = Some(true);
        sources.active.clear();
        assert_eq!(titles(&sources), all(true, true));
    }

    #[test]
    fn scripts_that_record_by_themselves_are_found_before_anything_runs() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("a.js"),
            "// dfir\nif (!env.RECORDING_KFL) x;",
        )
        .unwrap();
        fs::write(dir.path().join("b.js"), "var MY_RECORDING_KFL_X;").unwrap();
        let mut sources = sources(dir.path());
        assert_eq!(sources.recording().unwrap(), [dir.path().join("a.js")]);
        sources.active = vec!["b".into()];
        assert!(sources.recording().unwrap().is_empty());
        sources.folders.push(dir.path().join("missing"));
        assert!(
            sources
                .recording()
                .unwrap_err()
                .to_string()
                .contains("missing")
        );
    }

    #[test]
    fn added_scripts_are_files_and_what_is_said_of_activity_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut sources = Sources {
            added: Some(dir.path().join("added")),
            active: vec!["only this".into()],
            ..Sources::default()
        };
        assert_eq!(titles(&sources), []);
        let path = sources.add("// My Script!\n1", 0).unwrap();
        assert_eq!(path.file_name().unwrap(), "my-script.js");
        assert_eq!(
            sources
                .add("// My Script!\n2", 1)
                .unwrap()
                .file_name()
                .unwrap(),
            "my-script-2.js"
        );
        assert_eq!(
            sources.add("2", 1).unwrap().file_name().unwrap(),
            "script.js"
        );
        let (found, _) = sources.read(&[]);
        assert!(found.iter().all(|source| source.added && !source.active));
        sources.say(&found[0], Some(true)).unwrap();
        let (again, _) = sources.read(&found);
        assert_eq!(again.iter().filter(|source| source.active).count(), 1);
        again[0].write("// other\n").unwrap();
        again[1].delete().unwrap();
        let (again, _) = sources.read(&again);
        assert_eq!(again.len(), 2);
        assert!(again.iter().any(|source| source.title == "other"));
        sources.added = None;
        assert_eq!(sources.add("x", 0), Err(StoreError::NoFolder));
    }
}
