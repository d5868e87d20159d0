//! The real binary on broken captures: those that others made to break readers, and good and broken ones cut anywhere.
//! It ends by itself with 0, 1 or 3, does not panic, and its memory stays bounded.

#![allow(clippy::unwrap_used)] // a test that cannot run the binary has failed

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Most anonymous memory, in KiB.
const MOST_MEMORY: u64 = 256 << 10;
/// Places at which each capture is cut.
const CUTS: usize = 50;
/// Captures of each folder of good ones that are cut too.
const GOOD: usize = 4;
/// A run that takes longer hangs.
const HANGS: Duration = Duration::from_secs(120);

/// The folder of captures.
fn captures() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    let folder = std::env::var_os("GILLNET_CAPTURES").map_or(beside, PathBuf::from);
    assert!(
        folder.join("hostile").is_dir(),
        "{} has no folder hostile: GILLNET_CAPTURES names a folder of captures",
        folder.display()
    );
    folder
}

/// The captures in a folder, in order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// Runs `query '' FILES --count`; says what is wrong with how it ended.
fn fault(files: &[PathBuf], home: &Path) -> Option<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gillnet"))
        .args(["query", ""])
        .args(files)
        .arg("--count")
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut said = Vec::new();
        stderr.read_to_end(&mut said).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    });
    let (since, mut most) = (Instant::now(), 0);
    let status = loop {
        most = most.max(anonymous(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > HANGS {
            child.kill().unwrap();
            child.wait().unwrap();
            return Some("hangs".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let said = said.join().unwrap();
    if !matches!(status.code(), Some(0 | 1 | 3)) {
        return Some(format!("ends with {status}: {said}"));
    }
    if said.contains("panicked") {
        return Some(said);
    }
    (most > MOST_MEMORY).then(|| format!("takes {most} KiB"))
}

/// The anonymous memory of a process now, in KiB; 0 when it is gone.
fn anonymous(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0)
}

/// Asks `each` about every file, on all cores, and fails with all that it found.
fn each_of(files: &[PathBuf], each: impl Fn(&Path, &Path) -> Option<String> + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        let home = tempfile::tempdir().unwrap();
        let mut faults = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let fault = each(file, home.path());
            faults.extend(fault.map(|fault| format!("{} {fault}", file.display())));
        }
        faults
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let faults: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let faults = workers.into_iter().map(|worker| worker.join().unwrap());
        faults.flatten().collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// So many pseudo-random lengths up to `most`, the same each time.
fn lengths(most: usize) -> impl Iterator<Item = usize> {
    let mut state = most as u64;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % (most + 1)
    })
    .take(CUTS)
}

#[test]
fn broken_captures() {
    each_of(&files(&captures().join("hostile")), |file, home| {
        fault(&[file.to_owned()], home)
    });
}

#[test]
fn captures_cut_anywhere() {
    let folder = captures();
    let mut all = files(&folder.join("hostile"));
    for good in ["dns", "http1", "l4", "mixed"] {
        all.extend(files(&folder.join(good)).into_iter().take(GOOD));
    }
    each_of(&all, |file, home| {
        let whole = fs::read(file).unwrap();
        let piece = |(n, len)| {
            let piece = home.join(format!("{n:02}_{len}"));
            fs::write(&piece, &whole[..len]).unwrap();
            piece
        };
        let pieces: Vec<_> = lengths(whole.len()).enumerate().map(piece).collect();
        // all in one run; each alone only to tell which one it was
        let found = fault(&pieces, home).map(|all| {
            let alone = pieces.iter().find_map(|piece| {
                let fault = fault(std::slice::from_ref(piece), home)?;
                Some(format!("cut as {}: {fault}", piece.display()))
            });
            alone.unwrap_or_else(|| format!("in pieces, all in a row: {all}"))
        });
        pieces
            .iter()
            .for_each(|piece| fs::remove_file(piece).unwrap());
        found
    });
}
