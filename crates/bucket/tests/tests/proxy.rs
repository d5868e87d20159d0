//! Starts the emulator and its proxy for a test, and ends them with it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use gillnet_bucket::{Credentials, Destination, Environment, Key};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const BUCKET: &str = "test-11-12";
pub(crate) const RECORDER: &str = "recorder@gillnet-test.iam.gserviceaccount.com";
pub(crate) const READER: &str = "reader@gillnet-test.iam.gserviceaccount.com";
pub(crate) const STRANGER: &str = "stranger@gillnet-test.iam.gserviceaccount.com";

/// A running proxy with an emulator behind it and one bucket.
pub(crate) struct Proxy {
    process: Child,
    url: String,
    keys: TempDir,
}

/// The Python of the environment that `make test` sets up.
fn python() -> PathBuf {
    let venv = std::env::var_os("GILLNET_VENV").expect(
        "GILLNET_VENV must name a Python environment with crates/testkit/gcs/requirements.txt installed; `make test` makes one",
    );
    PathBuf::from(venv).join("bin/python")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testkit/gcs")
        .join(name)
}

/// Makes the key of a service account.
pub(crate) fn make_key(email: &str) -> String {
    let made = Command::new(python())
        .arg(script("make_key.py"))
        .args(["--email", email])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    String::from_utf8(made.stdout).unwrap()
}

impl Proxy {
    /// With a recorder that may only create, a reader that may only get and list, and a stranger
    /// whose key the proxy does not know.
    pub(crate) fn with_accounts() -> Self {
        Self::start(&[
            (RECORDER, Some("create")),
            (READER, Some("get,list")),
            (STRANGER, None),
        ])
    }

    /// One that lets everybody do everything.
    pub(crate) fn open() -> Self {
        Self::start(&[])
    }

    /// The same, with few objects on a page of a list.
    pub(crate) fn with_pages(objects: usize) -> Self {
        Self::start_with(&[], &["--page", &objects.to_string()])
    }

    /// The key of an account as it would be given where no variable names the emulator: it says
    /// itself where the store is.
    pub(crate) fn key_with_address(&self, email: &str) -> Key {
        let text = fs::read_to_string(key_file(self.keys.path(), email)).unwrap();
        let mut key: Value = serde_json::from_str(&text).unwrap();
        key["gcs_base_url"] = self.url.clone().into();
        Key::of_text(&key.to_string())
    }

    fn start(accounts: &[(&str, Option<&str>)]) -> Self {
        Self::start_with(accounts, &[])
    }

    fn start_with(accounts: &[(&str, Option<&str>)], arguments: &[&str]) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let mut command = Command::new(python());
        command
            .arg(script("gcs_proxy.py"))
            .args(["--until-stdin-closes", "--bucket", BUCKET])
            .args(arguments);
        for (email, rights) in accounts {
            let file = key_file(keys.path(), email);
            fs::write(&file, make_key(email)).unwrap();
            if let Some(rights) = rights {
                command
                    .arg("--account")
                    .arg(format!("{}:{rights}", file.display()));
            }
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).expect("the proxy says when it is ready");
        Self {
            process,
            url: ready["url"].as_str().unwrap().to_owned(),
            keys,
        }
    }

    pub(crate) fn environment(&self) -> Environment {
        Environment {
            emulator_host: Some(self.url.clone()),
            ..Environment::default()
        }
    }

    /// Credentials of an account that was made at the start.
    pub(crate) fn as_account(&self, email: &str) -> Credentials {
        let key = Key::File(key_file(self.keys.path(), email));
        Credentials {
            key: Some(key),
            anonymous: false,
            environment: self.environment(),
        }
    }

    /// No credentials at all.
    pub(crate) fn as_nobody(&self) -> Credentials {
        Credentials {
            environment: self.environment(),
            ..Credentials::default()
        }
    }

    pub(crate) fn control(&self, what: &str, body: &Value) -> Value {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let body = body.to_string();
        write!(
            stream,
            "POST /__proxy/{what} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    pub(crate) fn fault(&self, fault: Value) {
        self.control("fault", &fault);
    }

    /// Requests of one method since the log was last emptied.
    pub(crate) fn log(&self, method: &str) -> Vec<Value> {
        let log = self.control("log", &json!({}));
        log.as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["method"] == method)
            .cloned()
            .collect()
    }

    pub(crate) fn forget(&self) {
        self.control("forget", &json!({}));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // it ends when its standard input does, and its emulator with it
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn key_file(folder: &Path, email: &str) -> PathBuf {
    folder.join(format!("{}.json", email.split('@').next().unwrap()))
}

pub(crate) fn destination(prefix: &str) -> Destination {
    Destination::parse(&format!("gs://{BUCKET}/{prefix}")).unwrap()
}
