//! Starts emulators that others wrote, each once for all tests, and ends them with the tests.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Where `make test` installs the emulators of S3 and Azure.
fn installed(path: &str) -> PathBuf {
    let folder = std::env::var_os("GILLNET_EMULATORS").expect(
        "GILLNET_EMULATORS must name the folder with the emulators of S3 and Azure; `make test` makes one",
    );
    PathBuf::from(folder).join(path)
}

fn python() -> PathBuf {
    let venv = std::env::var_os("GILLNET_VENV").expect(
        "GILLNET_VENV must name a Python environment with crates/testkit/gcs/requirements.txt installed; `make test` makes one",
    );
    PathBuf::from(venv).join("bin/python")
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A process that ends with this one: it is told so by the kernel, through `setpriv`.
pub(crate) fn start(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "waited in vain for {what}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Starts something on a thread that lives as long as the tests: the kernel's word of a parent's
/// death is that of its thread.
fn once<T: Send + Sync + 'static>(
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
pub(crate) struct Gcs {
    _process: Child,
    pub(crate) url: String,
    /// The key of an account that may do everything, of one that may nothing, of a stranger.
    pub(crate) key: String,
    pub(crate) poor: String,
    pub(crate) stranger: String,
}

pub(crate) const BUCKET: &str = "flights";

pub(crate) fn gcs() -> &'static Gcs {
    static GCS: OnceLock<Gcs> = OnceLock::new();
    once(&GCS, || {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/gcs");
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
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).expect("the proxy says when it is ready");
        Gcs {
            _process: process,
            url: ready["url"].as_str().unwrap().to_owned(),
            key: whole,
            poor,
            stranger,
        }
    })
}

/// S3: SeaweedFS, which verifies signatures.
pub(crate) struct S3 {
    _process: Child,
    pub(crate) url: String,
}

pub(crate) const KEY_ID: &str = "AKTESTTESTTEST";
/// Of one that may write into another bucket alone.
pub(crate) const POOR_ID: &str = "AKPOORPOORPOOR";
pub(crate) const SECRET: &str = "s3cr3t/of+tests";

pub(crate) fn s3() -> &'static S3 {
    static S3: OnceLock<S3> = OnceLock::new();
    once(&S3, || {
        let folder = TempDir::new().unwrap().keep();
        let config = folder.join("s3.json");
        let identity = |name: &str, id: &str, actions: &[&str]| {
            let credentials = [serde_json::json!({"accessKey": id, "secretKey": SECRET})];
            serde_json::json!({"name": name, "credentials": credentials, "actions": actions})
        };
        let whole = ["Admin", "Read", "Write", "List", "Tagging"];
        let identity = serde_json::json!({"identities": [
            identity("script", KEY_ID, &whole),
            identity("poor", POOR_ID, &["Write:another"]),
        ]});
        fs::write(&config, identity.to_string()).unwrap();
        // each of its ports has another one, 10000 above
        let low = || loop {
            let port = free_port() % 20_000 + 20_000;
            if !listens(port) && !listens(port + 10_000) {
                break port;
            }
        };
        let port = low();
        let process = start(&installed("venv/bin/weed"))
            .args(["server", "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"])
            .arg("-dir")
            .arg(&folder)
            .args([
                "-master.volumeSizeLimitMB",
                "16",
                "-volume.max",
                "200",
                "-filer",
                "-s3",
            ])
            .arg(format!("-master.port={}", low()))
            .arg(format!("-volume.port={}", low()))
            .arg(format!("-filer.port={}", low()))
            .arg(format!("-s3.port={port}"))
            .arg("-s3.config")
            .arg(&config)
            .spawn()
            .unwrap();
        wait_for("SeaweedFS", || listens(port));
        S3 {
            _process: process,
            url: format!("http://127.0.0.1:{port}"),
        }
    })
}

/// Azure Blob Storage: Azurite, which verifies shared keys and signatures.
pub(crate) struct Azurite {
    _process: Child,
    pub(crate) url: String,
}

pub(crate) const ACCOUNT: &str = "devstoreaccount1";
/// The emulator's well-known key.
pub(crate) const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

pub(crate) fn azure() -> &'static Azurite {
    static AZURE: OnceLock<Azurite> = OnceLock::new();
    once(&AZURE, || {
        let folder = TempDir::new().unwrap().keep();
        let port = free_port();
        let process = start(&installed("node_modules/.bin/azurite-blob"))
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args([
                "--silent",
                "--disableTelemetry",
                "--skipApiVersionCheck",
                "--location",
            ])
            .arg(&folder)
            .spawn()
            .unwrap();
        wait_for("Azurite", || listens(port));
        Azurite {
            _process: process,
            url: format!("http://127.0.0.1:{port}/{ACCOUNT}"),
        }
    })
}
