//! The recorder's threads with a real disk, a real bucket (a folder), real kills and a real full
//! disk. What must not happen in the test's own process is done by a child: the same binary again,
//! told by a variable what to be.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gillnet_bucket::layout::{FORMAT_KEY, ObjectName, Part, Payload};
use gillnet_bucket::{
    Access, Bucket, BucketError, Credentials, Destination, ErrorKind, Recipients, connect,
};
use gillnet_capture::{Interface, LinkType, PacketDirection};
use gillnet_recorder::{
    Buckets, Deps, Disk, Error, Frame, Handle, Left, NameHistory, Period, RecordedName, Recorder,
    RecorderConfig, Rule, RuleState, StreamStart, SystemClock,
};

use crate::object;

/// Long enough for anything that is not stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// Says to a child what it is, and where.
const ROLE: &str = "GILLNET_TEST_ROLE";
const FOLDER: &str = "GILLNET_TEST_FOLDER";
const FIRST: &str = "GILLNET_TEST_FIRST";

struct Connect;

impl Buckets for Connect {
    fn open(&self, destination: &str) -> Result<Arc<dyn Bucket>, BucketError> {
        let parsed = Destination::parse(destination);
        let parsed = parsed
            .map_err(|error| BucketError::new(ErrorKind::Name, destination, error.to_string()))?;
        connect(&parsed, &Credentials::of_process(None), Access::Record)
    }
}

struct NoNames;

impl NameHistory for NoNames {
    fn history(&self, _: &[(IpAddr, u16)], _: &[RecordedName], _: i64, _: i64) -> Vec<u8> {
        Vec::new()
    }
}

fn deps() -> Deps {
    Deps {
        clock: Arc::new(SystemClock::default()),
        fs: Arc::new(Disk),
        buckets: Arc::new(Connect),
        names: Arc::new(NoNames),
        dissection: None,
    }
}

fn start(folder: &Path, rules: &[Rule]) -> Result<(Recorder, Handle), Error> {
    let run = std::collections::hash_map::RandomState::new();
    let run = std::hash::BuildHasher::hash_one(&run, 0);
    let mut config = RecorderConfig::new(folder.join("data"), "c".into(), "n".into(), run);
    config.object_size = 1 << 20;
    config.upload_spread = Duration::from_millis(20);
    let (recorder, mut handles) = Recorder::start(config, rules, deps())?;
    let mut handle = handles.pop().unwrap();
    let interface = Interface {
        name: "eth0".into(),
        link: LinkType::Ethernet,
        description: String::new(),
        snaplen: 0,
    };
    handle.interfaces(&[interface]);
    Ok((recorder, handle))
}

fn rule(folder: &Path, name: &str) -> Rule {
    let destination = format!("file://{}/bucket", folder.display());
    Rule {
        name: name.into(),
        kfl: "http".into(),
        destination,
        flush: "1s".parse().unwrap(),
        period: Period::default(),
        retention: None,
        payload: Payload::Full,
        recipients: Recipients::default(),
    }
}

fn begin(recorder: &Recorder, handle: &mut Handle, stream: u64) -> u128 {
    let ends = [
        (IpAddr::V4(Ipv4Addr::LOCALHOST), 4000),
        (IpAddr::V4(Ipv4Addr::LOCALHOST), 80),
    ];
    let rules = recorder.rules();
    for (id, _) in &rules {
        handle.begin(
            *id,
            &StreamStart {
                number: stream,
                udp: false,
                ends,
                lost_before: None,
            },
        );
    }
    rules.iter().fold(0, |set, (id, _)| set | id.bit())
}

fn frame(handle: &mut Handle, rules: u128, stream: u64, id: u64) -> bool {
    let mut data = [0; 400];
    data[..8].copy_from_slice(&id.to_be_bytes());
    let ts = 1_700_000_000_000_000_000 + id as i64;
    let (link, direction) = (LinkType::Ethernet, PacketDirection::In);
    handle.frame(
        stream,
        rules,
        &Frame {
            ts,
            iface: 0,
            link,
            direction,
            wire_len: 400,
            data: &data,
        },
    )
}

/// Waits for something that has to come.
fn until(what: &str, mut there: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 5 {
        if there() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("never came: {what}");
}

/// The ids of the frames in a bucket, by rule; each may be there once.
fn found(folder: &Path, rule: &str) -> BTreeSet<u64> {
    let mut out = BTreeSet::new();
    let root = folder.join("bucket");
    for path in files(&root) {
        let key = path.strip_prefix(&root).unwrap().to_str().unwrap();
        // what a process was writing when it was killed is no object
        if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
            continue;
        }
        let Some((Part::Packets, name)) = ObjectName::parse(key) else {
            assert_eq!(key, FORMAT_KEY);
            continue;
        };
        for packet in object::packets(&fs::read(&path).unwrap())
            .iter()
            .filter(|_| name.recording == rule)
        {
            let id = u64::from_be_bytes(packet.data[..8].try_into().unwrap());
            assert!(out.insert(id), "frame {id} is in the bucket twice");
        }
    }
    out
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.is_dir() {
            out.extend(files(&entry));
        } else {
            out.push(entry);
        }
    }
    out
}

#[test]
fn what_is_recorded_is_in_the_bucket_and_private_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (rule(folder, "a"), rule(folder, "b"));
    let (recorder, mut handle) = start(folder, &[a.clone(), b.clone()]).unwrap();
    assert!(matches!(start(folder, &[]), Err(Error::InUse { .. })));
    let rules = begin(&recorder, &mut handle, 1);
    assert!((0..5000).all(|id| frame(&mut handle, rules, 1, id)));
    handle.flush_batch();
    until("the frames in the spool", || {
        handle.flush_batch();
        recorder
            .status()
            .rules
            .iter()
            .all(|rule| rule.counters.recorded_packets == 5000)
    });
    for path in files(&folder.join("data")) {
        let mode = |path: &Path| {
            fs::metadata(path).map(|data| Permissions::mode(&data.permissions()) & 0o777)
        };
        // one that was uploaded meanwhile is gone
        assert!(
            mode(&path).is_ok_and(|mode| mode == 0o600) || !path.exists(),
            "{}",
            path.display()
        );
        assert_eq!(mode(path.parent().unwrap()).unwrap(), 0o700);
    }
    // the schedule flushes, nobody asks
    until("the frames in the bucket", || {
        recorder.status().rules[0].counters.uploaded_packets == 5000
    });
    // a rule that is gone leaves what was queued for it, then nothing
    assert!((5000..5010).all(|id| frame(&mut handle, rules, 1, id)));
    until("the last frames in the spool", || {
        handle.flush_batch();
        recorder.status().rules[1].counters.recorded_packets == 5010
    });
    recorder.set_rules(&[a]).unwrap();
    assert!(frame(&mut handle, rules, 1, 5010));
    drop(handle);
    assert_eq!(recorder.shutdown(PATIENCE), Left::default());
    assert_eq!(found(folder, "a"), (0..=5010).collect());
    assert_eq!(found(folder, "b"), (0..5010).collect());
    let left: Vec<_> = files(&folder.join("data/spool"))
        .into_iter()
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(
        left.iter().collect::<BTreeSet<_>>(),
        [&"lock".into(), &"reserve".into()].into()
    );
}

#[test]
fn a_bucket_that_can_not_be_is_said_and_what_is_recorded_waits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // a file where the bucket's folder should be
    fs::write(folder.join("bucket"), "").unwrap();
    let (recorder, mut handle) = start(folder, &[rule(folder, "a")]).unwrap();
    let rules = begin(&recorder, &mut handle, 1);
    assert!(frame(&mut handle, rules, 1, 1));
    drop(handle);
    until("the fault in the status", || {
        let status = recorder.status();
        status.rules[0]
            .counters
            .fault
            .as_ref()
            .is_some_and(|fault| fault.message.contains("bucket"))
    });
    let left = recorder.shutdown(Duration::from_secs(1));
    assert_eq!(left.objects, 1);
    fs::remove_file(folder.join("bucket")).unwrap();
    // what the first one still did when its time was over holds the spool a moment longer
    let mut again = None;
    until("a recorder after the first", || {
        again = start(folder, &[]).ok();
        again.is_some()
    });
    let (recorder, handle) = again.unwrap();
    drop(handle);
    assert_eq!(recorder.shutdown(PATIENCE), Left::default());
    assert_eq!(found(folder, "a"), [1].into());
}

/// Runs this binary again as something else.
fn child(role: &str, folder: &Path, first: u64, before: &[&str]) -> Command {
    let mut words: Vec<_> = before.iter().map(|word| (*word).to_owned()).collect();
    words.push(
        std::env::current_exe()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned(),
    );
    words.extend(["--exact", "real::as_child", "--nocapture"].map(str::to_owned));
    let mut command = Command::new(words.remove(0));
    command
        .args(words)
        .env(ROLE, role)
        .env(FOLDER, folder)
        .env(FIRST, first.to_string());
    command
}

#[test]
fn as_child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    match role.as_str() {
        "record" => record_until_killed(&folder, std::env::var(FIRST).unwrap().parse().unwrap()),
        "fill" => fill_the_disk(&folder),
        other => panic!("{other}"),
    }
}

/// Records frames with ids from `first` on, and says which are written.
fn record_until_killed(folder: &Path, first: u64) {
    let (recorder, mut handle) = start(folder, &[rule(folder, "a")]).unwrap();
    let rules = begin(&recorder, &mut handle, first);
    for id in first.. {
        assert!(frame(&mut handle, rules, first, id));
        if id % 16 == 0 {
            handle.flush_batch();
            thread::sleep(Duration::from_micros(200));
            let written = recorder.status().rules[0].counters.recorded_packets;
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nwritten {}", first + written).unwrap();
            out.flush().unwrap();
        }
    }
}

#[test]
fn ten_kills_under_load_lose_nothing_written_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut sure = BTreeSet::new();
    for kill in 0..10_u64 {
        let first = kill * 1_000_000;
        let mut recorder = child("record", folder, first, &[])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // killed after so many frames, in the midst of writing, sealing or uploading
        let enough = first + 700 + kill * 977;
        let mut written = first;
        let mut lines = BufReader::new(recorder.stdout.take().unwrap()).lines();
        while written < enough {
            let line = lines
                .next()
                .expect("the child runs until it is killed")
                .unwrap();
            written = line
                .strip_prefix("written ")
                .map_or(written, |number| number.parse().unwrap());
        }
        recorder.kill().unwrap();
        recorder.wait().unwrap();
        sure.extend(first..written);
    }
    let (recorder, handle) = start(folder, &[]).unwrap();
    drop(handle);
    assert_eq!(recorder.shutdown(PATIENCE), Left::default());
    let found = found(folder, "a");
    let missing: Vec<_> = sure.difference(&found).collect();
    assert!(
        missing.is_empty(),
        "{} of {} are missing",
        missing.len(),
        sure.len()
    );
}

#[test]
fn a_disk_that_is_really_full() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    // a mount namespace of its own: the small disk is gone with the child
    let done = child("fill", folder.path(), 0, &["unshare", "--mount"])
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

fn fill_the_disk(folder: &Path) {
    let disk = folder.join("data");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"])
        .arg(&disk)
        .status()
        .unwrap();
    assert!(mounted.success());
    let ballast = disk.join("ballast");
    let fill = || {
        while fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&ballast)
            .unwrap()
            .write_all(&[0; 4096])
            .is_ok()
        {}
    };

    fill();
    let refused = start(folder, &[rule(folder, "a")]).unwrap_err();
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
    assert!(refused.to_string().contains("free space"), "{refused}");
    fs::remove_file(&ballast).unwrap();

    let (recorder, mut handle) = start(folder, &[rule(folder, "a")]).unwrap();
    let rules = begin(&recorder, &mut handle, 1);
    let mut offered = 0;
    let mut offer = |handle: &mut Handle, count: u64| {
        for _ in 0..count {
            assert!(frame(handle, rules, 1, offered));
            offered += 1;
        }
        handle.flush_batch();
        offered
    };
    let counters = || recorder.status().rules[0].counters.clone();
    let settled = |offered: u64, handle: &mut Handle| {
        until("all frames written or counted", || {
            handle.flush_batch();
            counters().recorded_packets + counters().dropped_disk == offered
        });
    };
    let count = offer(&mut handle, 500);
    settled(count, &mut handle);
    assert_eq!(counters().dropped_disk, 0);
    until("frames that find no room", || {
        fill();
        let count = offer(&mut handle, 100);
        settled(count, &mut handle);
        counters().dropped_disk > 0
    });
    assert_eq!(recorder.status().rules[0].state, RuleState::DiskFull);
    fs::remove_file(&ballast).unwrap();
    until("frames that find room again", || {
        let before = counters().recorded_packets;
        let count = offer(&mut handle, 10);
        settled(count, &mut handle);
        counters().recorded_packets == before + 10
    });
    assert_eq!(recorder.status().rules[0].state, RuleState::Recording);
    let recorded = counters().recorded_packets;
    drop(handle);
    assert_eq!(recorder.shutdown(PATIENCE), Left::default());
    assert_eq!(found(folder, "a").len() as u64, recorded);
}
