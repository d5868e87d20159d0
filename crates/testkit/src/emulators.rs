//! Starts emulators that others wrote, most of them once for all tests, and ends them with the tests.

// helpers of tests may panic as tests do
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// The folder of a tool of this crate.
fn tools(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The Python of the environment that `make test` sets up.
fn python() -> PathBuf {
    let venv = std::env::var_os("GILLNET_VENV").expect(
        "GILLNET_VENV must name a Python environment with crates/testkit/gcs/requirements.txt installed; `make test` makes one",
    );
    PathBuf::from(venv).join("bin/python")
}

/// A port that nobody listens at.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A process that ends with this one: it is told so by the kernel, through `setpriv`.
pub fn start(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Waits for something that has to come.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "waited in vain for {what}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// Starts something on a thread that lives as long as the tests: the kernel's word of a parent's
/// death is that of its thread.
pub fn once<T: Send + Sync + 'static>(
    place: &'static OnceLock<T>,
    make: impl FnOnce() -> T + Send + 'static,
) -> &'static T {
    place.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || {
            sender.send(make()).unwrap();
            loop {
                thread::park();
            }
        });
        receiver.recv().unwrap()
    })
}

/// Google Cloud Storage: fake-gcs-server behind the project's proxy, which verifies signatures.
pub struct Gcs {
    _process: Child,
    /// Where it is.
    pub url: String,
    /// The key of an account that may do everything.
    pub key: String,
    /// That of one that may only read.
    pub poor: String,
    /// That of one that it does not know.
    pub stranger: String,
}

/// Its bucket.
pub const BUCKET: &str = "flights";

/// That of Google for all tests.
pub fn gcs() -> &'static Gcs {
    static GCS: OnceLock<Gcs> = OnceLock::new();
    once(&GCS, || {
        let tools = tools("gcs");
        let folder = TempDir::new().unwrap().keep();
        let key = |name: &str| {
            let made = Command::new(python())
                .arg(tools.join("make_key.py"))
                .args(["--email", &format!("{name}@test.iam.gserviceaccount.com")])
                .output()
                .unwrap();
            let file = folder.join(name);
            fs::write(&file, &made.stdout).unwrap();
            (file, String::from_utf8(made.stdout).unwrap())
        };
        let (file, whole) = key("script");
        let (poor_file, poor) = key("poor");
        let (_, stranger) = key("stranger");
        let mut process = start(&python())
            .arg(tools.join("gcs_proxy.py"))
            .args(["--until-stdin-closes", "--page", "3", "--bucket", BUCKET])
            .arg("--account")
            .arg(format!("{}:create,get,list,delete", file.display()))
            .arg("--account")
            .arg(format!("{}:get", poor_file.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ready = first_line(&mut process);
        Gcs {
            _process: process,
            url: ready["url"].as_str().unwrap().to_owned(),
            key: whole,
            poor,
            stranger,
        }
    })
}

/// The id of a key of S3 that may do everything.
pub const KEY_ID: &str = "AKTESTTESTTEST";
/// Of one that may write into another bucket alone.
pub const POOR_ID: &str = "AKPOORPOORPOOR";
/// Of one that may write into the buckets that were made at the start, and nothing else.
pub const RECORDER_ID: &str = "AKRECORDERTEST";
/// Of one that may read and list those.
pub const READER_ID: &str = "AKREADERREADER";
/// The secret of all of them.
pub const SECRET: &str = "s3cr3t/of+tests";

/// The account of the emulator of Azure.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its well-known key.
pub const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// An emulator of S3 (SeaweedFS) or Azure's storage (Azurite), which verify signatures.
pub struct Emulator {
    process: Mutex<Option<Child>>,
    kind: &'static str,
    folder: TempDir,
    /// Where it is: of Azure the account's URL.
    pub url: String,
    /// Shared access signatures of Azure's first container that may create alone, and that may read
    /// and list.
    pub signatures: Vec<String>,
}

impl Emulator {
    /// One of S3 with these buckets. It ends with the thread that starts it.
    #[must_use]
    pub fn s3(buckets: &[&str]) -> Self {
        Self::run("s3", buckets)
    }

    /// One of Azure with these containers. It ends with the thread that starts it.
    #[must_use]
    pub fn azure(containers: &[&str]) -> Self {
        Self::run("azure", containers)
    }

    fn run(kind: &'static str, buckets: &[&str]) -> Self {
        let mut arguments: Vec<&str> = buckets.iter().flat_map(|name| ["--bucket", name]).collect();
        if kind == "azure" && !buckets.is_empty() {
            arguments.extend(["--signature", "c", "--signature", "rl"]);
        }
        let folder = TempDir::new().unwrap();
        let (process, ready) = launch(kind, folder.path(), &arguments);
        let signatures = ready["signatures"].as_array().into_iter().flatten();
        Self {
            process: Mutex::new(Some(process)),
            kind,
            folder,
            url: ready["url"].as_str().unwrap().to_owned(),
            signatures: signatures
                .map(|text| text.as_str().unwrap().to_owned())
                .collect(),
        }
    }

    /// Kills it; what it holds stays.
    pub fn stop(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut process) = process.take() {
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }

    /// Starts it again at the same address, with these buckets.
    pub fn start_again(&self, buckets: &[&str]) {
        let port = self.url.trim_start_matches("http://127.0.0.1:");
        let port = port.split('/').next().unwrap();
        let mut arguments = vec!["--port", port];
        arguments.extend(buckets.iter().flat_map(|name| ["--bucket", name]));
        let (process, _) = launch(self.kind, self.folder.path(), &arguments);
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop();
    }
}

fn launch(kind: &str, folder: &Path, arguments: &[&str]) -> (Child, Value) {
    std::env::var_os("GILLNET_EMULATORS").expect(
        "GILLNET_EMULATORS must name the folder with the emulators of S3 and Azure; `make test` makes one",
    );
    let mut process = start(&python())
        .arg(tools("clouds").join("emulator.py"))
        .arg(kind)
        .arg("--folder")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let ready = first_line(&mut process);
    (process, ready)
}

/// What a process prints first: JSON, when it is ready.
fn first_line(process: &mut Child) -> Value {
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    serde_json::from_str(&line).expect("it says when it is ready")
}

/// That of S3 for all tests, with no buckets at first.
pub fn s3() -> &'static Emulator {
    static S3: OnceLock<Emulator> = OnceLock::new();
    once(&S3, || Emulator::s3(&[]))
}

/// That of Azure for all tests, with no containers at first.
pub fn azure() -> &'static Emulator {
    static AZURE: OnceLock<Emulator> = OnceLock::new();
    once(&AZURE, || Emulator::azure(&[]))
}
