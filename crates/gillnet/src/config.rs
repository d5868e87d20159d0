//! The configuration: flags over environment over file over defaults, and what is wrong with it.

use anyhow::{Context, bail};
use gillnet_bucket::layout;
use gillnet_bucket::{Credentials, Destination, Environment, Key, Secret};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The whole configuration, in the spelling of the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// Name of the cluster; else the host's id.
    pub cluster: Option<String>,
    /// Where state is kept; see [`Config::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// What is captured.
    pub capture: Capture,
    /// What is recorded.
    pub recording: Recording,
    /// What waits for upload.
    pub spool: Spool,
    /// Scripts and their environment, which also switches the built-in recorder on.
    pub scripting: Scripting,
    /// Dashboard and API.
    pub api: Api,
    /// Names of addresses.
    pub names: NamesConfig,
    /// Kubeshark's keys that have a counterpart.
    pub tap: Tap,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// `capture`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Capture {
    /// Interfaces, or `any`.
    pub interfaces: Vec<String>,
    /// Packet filter in pcap-filter syntax.
    pub filter: String,
    /// The byte ring.
    pub ring: RingConfig,
    /// The disk ring of everything.
    pub raw: RawConfig,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

impl Default for Capture {
    fn default() -> Self {
        Capture {
            interfaces: vec!["any".into()],
            filter: String::new(),
            ring: RingConfig::default(),
            raw: RawConfig::default(),
            unknown: BTreeMap::new(),
        }
    }
}

/// `capture.ring`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RingConfig {
    /// Size of the byte ring; 1 GiB where the data directory is on a disk, 256 MiB on tmpfs.
    pub size: Option<Size>,
    /// Size of the kernel's ring, 64 MiB.
    pub kernel: Option<Size>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// `capture.raw`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "camelCase")]
pub struct RawConfig {
    /// Whether every frame is kept, whatever is recorded.
    pub enabled: bool,
    /// The most that is kept of them on the disk; 1 GiB.
    pub size: Option<Size>,
    /// Frames that are older go, such as `24h`; without it only the size counts.
    pub age: Option<String>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// `recording`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Recording {
    /// Rules beside the built-in one.
    pub rules: Vec<Rule>,
    /// Whether `RECORDING_KFL` records: `auto`, `on`, `off`.
    pub builtin: Builtin,
    /// How often objects are sealed: a cron expression with seconds, or a duration; 5 minutes.
    pub flush: Option<String>,
    /// Unpacked size at which an object is sealed; 32 MiB.
    pub object_size: Option<Size>,
    /// Prefix within the bucket of the built-in recorder.
    pub prefix: String,
    /// Whether an index is made of what is recorded; it is, unless this says `false`.
    pub index: Option<bool>,
    /// What packets are written as: `pcapng.gz`, `pcapng`, `pcap`.
    pub format: PacketFormat,
    /// What is kept of packets: `full`, `headers`, `none`, or so many bytes of each payload.
    pub payload: Option<Payload>,
    /// For whom what is uploaded is encrypted: public keys of age. For nobody, and it is not.
    pub recipients: Vec<String>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

impl Recording {
    /// Whether an index is made.
    pub fn has_index(&self) -> bool {
        self.index.unwrap_or(true)
    }
}

/// `recording.format`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum PacketFormat {
    #[default]
    #[serde(rename = "pcapng.gz")]
    PcapngGz,
    #[serde(rename = "pcapng")]
    Pcapng,
    #[serde(rename = "pcap")]
    Pcap,
}

/// `payload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload(pub layout::Payload);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Bytes(u32),
            Text(String),
        }
        match Spelling::deserialize(deserializer)? {
            Spelling::Bytes(bytes) => Ok(Payload(layout::Payload::First(bytes))),
            Spelling::Text(text) => text.parse().map(Payload).map_err(serde::de::Error::custom),
        }
    }
}

/// A rule of `recording.rules`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its name, part of object names.
    pub name: String,
    /// What it records.
    pub kfl: String,
    /// Where to: `gs://…`, `s3://…`, `az://…`, `file://…`.
    pub destination: String,
    /// A flush of its own.
    #[serde(default)]
    pub flush: Option<String>,
    /// When its first window begins, RFC 3339; without it, when the rule is first seen.
    #[serde(default)]
    pub start: Option<String>,
    /// How long its window is, such as `90m`; without it, it does not end.
    #[serde(default)]
    pub duration: Option<String>,
    /// A window each day, at the start's time of day: so many, or 0 for every day from then on.
    #[serde(default)]
    pub daily: Option<u32>,
    /// From when on nothing is recorded any more: RFC 3339, or a time after the start, such as `30d`.
    #[serde(default)]
    pub expiry: Option<String>,
    /// What is older is deleted in the bucket, such as `7d`; without it, nothing is. Needs the rights to list and delete.
    #[serde(default)]
    pub retention: Option<String>,
    /// A payload of its own.
    #[serde(default)]
    pub payload: Option<Payload>,
    /// Recipients of its own; an empty list encrypts nothing of it.
    #[serde(default)]
    pub recipients: Option<Vec<String>>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// `recording.builtin`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Builtin {
    /// On where `RECORDING_KFL` is set and no active script records what it says.
    #[default]
    Auto,
    /// On.
    On,
    /// Off.
    Off,
}

/// `spool`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spool {
    /// Most bytes that wait for upload; 1 GiB.
    pub limit: Option<Size>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// `scripting`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Scripting {
    /// Variables.
    pub env: BTreeMap<String, EnvValue>,
    /// Folder of scripts.
    pub source: Option<String>,
    /// Folders of scripts.
    pub sources: Vec<String>,
    /// Whether scripts are read again when they change.
    pub watch_scripts: Option<bool>,
    /// Titles of scripts to run.
    pub active: Vec<String>,
    /// Whether scripts run.
    pub enabled: Option<bool>,
    /// Whether their console is served.
    pub console: Option<bool>,
    /// Hosts that vendor calls and `fetch` may reach beside the vendors' own.
    pub allow_hosts: Vec<String>,
    /// Other addresses for vendors' endpoints, by their names.
    pub endpoints: BTreeMap<String, String>,
    /// What a script may take.
    pub limits: ScriptLimits,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// `scripting.limits`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ScriptLimits {
    /// What a call of a hook may take of its own time, a job ten times as much; 1s.
    pub time: Option<String>,
    /// What a script may hold in memory; 64 MiB.
    pub memory: Option<Size>,
    /// Entries and packets that may wait for a script; 8192.
    pub queue: Option<u64>,
    /// What the files of all scripts may take in the data directory; 10 GiB.
    pub disk: Option<Size>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// A value of `scripting.env`: any scalar, or a reference to a file or an environment variable that holds it.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum EnvValue {
    /// Held in a file.
    File {
        /// Its path.
        file: PathBuf,
    },
    /// Held in an environment variable.
    Variable {
        /// Its name.
        env: String,
    },
    /// Text.
    Text(String),
    /// A number.
    Number(serde_json::Number),
    /// A truth value.
    Flag(bool),
    /// Nothing.
    Null(()),
}

impl std::fmt::Debug for EnvValue {
    /// Never shows the value: it may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EnvValue::File { file } => write!(f, "{{file: {}}}", file.display()),
            EnvValue::Variable { env } => write!(f, "{{env: {env}}}"),
            _ => f.write_str("…"),
        }
    }
}

/// `api`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Api {
    /// Address of dashboard and API.
    pub listen: Option<SocketAddr>,
    /// Token, needed on any other address than loopback.
    pub token: Option<EnvValue>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// `names`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NamesConfig {
    /// Configured names.
    #[serde(rename = "static")]
    pub statics: Vec<StaticName>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// A name of `names.static`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StaticName {
    /// Address, with or without a port.
    pub address: String,
    /// Name to show.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Service.
    pub service: String,
    /// Node it runs on.
    pub node: String,
    /// Process.
    pub process: String,
    /// Labels of the pod.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pod.
    pub annotations: BTreeMap<String, String>,
}

/// `tap`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Tap {
    /// A filter that holds everywhere.
    pub global_filter: String,
    /// The filter that the dashboard opens with.
    pub default_filter: String,
    /// Macros of one's own.
    pub custom_macros: BTreeMap<String, String>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

/// A number of bytes: `1Gi`, `500MB`, `65536`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let unit = match text[end..].trim() {
            "" | "B" => 1,
            "k" | "kB" | "K" => 1000,
            "M" | "MB" => 1_000_000,
            "G" | "GB" => 1_000_000_000,
            "T" | "TB" => 1_000_000_000_000,
            "Ki" | "KiB" => 1 << 10,
            "Mi" | "MiB" => 1 << 20,
            "Gi" | "GiB" => 1 << 30,
            "Ti" | "TiB" => 1 << 40,
            _ => {
                return Err(format!(
                    "`{text}` is no size; write bytes, or a number with Ki, Mi, Gi, kB, MB, GB"
                ));
            }
        };
        let number: u64 = text[..end]
            .parse()
            .map_err(|_| format!("`{text}` is no size: it has no number"))?;
        number
            .checked_mul(unit)
            .map(Size)
            .ok_or_else(|| format!("`{text}` is too large"))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Number(u64),
            Text(String),
        }
        match Spelling::deserialize(deserializer)? {
            Spelling::Number(bytes) => Ok(Size(bytes)),
            Spelling::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// A duration as people write it: `5m`, `90s`, `1h30m`, `7d`. A day has 24 hours.
pub fn duration(text: &str) -> anyhow::Result<Duration> {
    let wrong = || format!("`{text}` is no duration; write 30s, 5m, 1h30m, 7d");
    let span: jiff::Span = text.trim().parse().with_context(wrong)?;
    let span = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .with_context(wrong)?;
    Duration::try_from(span).with_context(|| format!("`{text}` is not a positive duration"))
}

impl Config {
    /// Reads the file that is named, or the first of the usual ones that is there. Gives its path, if any.
    pub fn load(named: Option<&Path>) -> anyhow::Result<(Config, Option<PathBuf>)> {
        let Some(path) = named.map(Path::to_path_buf).or_else(usual_file) else {
            return Ok((Config::default(), None));
        };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
        let config = Config::parse(&text)
            .with_context(|| format!("in the configuration {}", path.display()))?;
        Ok((config, Some(path)))
    }

    /// Reads a configuration; the error names line and column and shows the place.
    pub fn parse(text: &str) -> anyhow::Result<Config> {
        if text.trim().is_empty() {
            return Ok(Config::default());
        }
        serde_saphyr::from_str(text).map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Keys that mean nothing here, each by its path, for a warning.
    pub fn unknown_keys(&self) -> Vec<String> {
        let groups = [
            ("", &self.unknown),
            ("capture.", &self.capture.unknown),
            ("capture.ring.", &self.capture.ring.unknown),
            ("capture.raw.", &self.capture.raw.unknown),
            ("recording.", &self.recording.unknown),
            ("spool.", &self.spool.unknown),
            ("scripting.", &self.scripting.unknown),
            ("scripting.limits.", &self.scripting.limits.unknown),
            ("api.", &self.api.unknown),
            ("names.", &self.names.unknown),
            ("tap.", &self.tap.unknown),
        ];
        let groups = groups.into_iter();
        let groups = groups.map(|(group, keys)| (group.to_owned(), keys));
        let rules = self.recording.rules.iter();
        let rules = rules.map(|rule| (format!("recording.rules[{}].", rule.name), &rule.unknown));
        groups
            .chain(rules)
            .flat_map(|(group, keys)| keys.keys().map(move |key| format!("{group}{key}")))
            .collect()
    }

    /// A variable: from the process, else from `scripting.env`; one without anything in it is unset.
    pub fn variable(&self, name: &str) -> anyhow::Result<Option<String>> {
        if let Ok(value) = std::env::var(name)
            && !value.trim().is_empty()
        {
            return Ok(Some(value));
        }
        let value = match self.scripting.env.get(name) {
            Some(value) => value
                .read()
                .with_context(|| format!("scripting.env.{name}"))?,
            None => String::new(),
        };
        Ok((!value.trim().is_empty()).then_some(value))
    }

    /// As whom the bucket of a destination is asked: what `key_file` has, else the keys and variables of its cloud, from
    /// the process or `scripting.env`.
    pub fn credentials(
        &self,
        destination: &Destination,
        key_file: Option<&Path>,
    ) -> anyhow::Result<Credentials> {
        let key = match (key_file, destination) {
            (Some(file), _) => Some(Key::File(file.to_owned())),
            (None, Destination::Gcs { .. }) => self
                .variable("GCS_SA_KEY_JSON")?
                .map(|text| Key::of_text(&text)),
            (None, _) => None,
        };
        let mut credentials = Credentials::of_process(key);
        let variables = &mut credentials.environment.variables;
        for name in self.scripting.env.keys() {
            if Environment::is_known(name)
                && !variables.contains_key(name)
                && let Some(value) = self.variable(name)?
            {
                variables.insert(name.clone(), Secret::new(value.trim()));
            }
        }
        Ok(credentials)
    }

    /// The rules that record: the built-in one where its variables are set, unless a script records what they say, then
    /// the configured ones.
    pub fn rules(&self, a_script_records: bool) -> anyhow::Result<Vec<Rule>> {
        let mut rules = Vec::new();
        let kfl = self.variable("RECORDING_KFL")?;
        let bucket = self.variable("GCS_BUCKET")?;
        match (self.recording.builtin, kfl) {
            (Builtin::Off, _) | (Builtin::Auto, None) => {}
            (Builtin::Auto, Some(_)) if a_script_records => {}
            (Builtin::On, None) => {
                bail!("recording.builtin is on, but RECORDING_KFL is not set: say what to record")
            }
            (_, Some(kfl)) => {
                let Some(bucket) = bucket else {
                    bail!(
                        "RECORDING_KFL is set, but there is no destination: set GCS_BUCKET to a bucket's name \
                         (or to gs://bucket/prefix, s3://bucket/prefix, az://container/prefix, file:///folder)"
                    );
                };
                rules.push(Rule {
                    name: "builtin".into(),
                    kfl,
                    destination: destination(&bucket, &self.recording.prefix),
                    ..Rule::default()
                });
            }
        }
        for rule in &self.recording.rules {
            if rule.kfl.trim().is_empty() {
                bail!(
                    "the rule `{}` has no filter (kfl): say what it records; `true` records everything",
                    rule.name
                );
            }
            if rule.destination.is_empty() {
                bail!(
                    "the rule `{}` has no destination: write gs://bucket/prefix, s3://bucket/prefix, az://container/prefix or \
                     file:///folder",
                    rule.name
                );
            }
            if rules.iter().any(|r| r.name == rule.name) {
                bail!(
                    "there are two rules named `{}`: give each its own name",
                    rule.name
                );
            }
            rules.push(rule.clone());
        }
        Ok(rules)
    }

    /// Whether a script that records by itself stands in for the built-in rule, which would record otherwise.
    pub fn builtin_yields(&self) -> anyhow::Result<bool> {
        let auto = matches!(self.recording.builtin, Builtin::Auto);
        Ok(auto && self.variable("RECORDING_KFL")?.is_some())
    }

    /// The data directory: configured, else `/var/lib/gillnet` where that can be written, else the XDG state directory.
    pub fn data_dir(&self) -> PathBuf {
        if let Some(dir) = &self.data_dir {
            return dir.clone();
        }
        let system = PathBuf::from("/var/lib/gillnet");
        if is_root() {
            return system;
        }
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        std::env::var_os("XDG_STATE_HOME")
            .map_or_else(|| home.join(".local/state"), PathBuf::from)
            .join("gillnet")
    }
}

/// Whether this process may write anywhere: the owner of its own `/proc` entry is root.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

fn destination(bucket: &str, prefix: &str) -> String {
    let url = if bucket.contains("://") {
        bucket.to_owned()
    } else {
        format!("gs://{bucket}")
    };
    match prefix.trim_matches('/') {
        "" => url,
        prefix => {
            // the options of s3:// stand behind the folder
            let options = url.find('?').filter(|_| url.starts_with("s3"));
            let (place, options) = url.split_at(options.unwrap_or(url.len()));
            format!("{}/{prefix}{options}", place.trim_end_matches('/'))
        }
    }
}

impl EnvValue {
    /// The value as text.
    pub fn read(&self) -> anyhow::Result<String> {
        Ok(match self {
            EnvValue::File { file } => std::fs::read_to_string(file)
                .with_context(|| format!("the file {} cannot be read", file.display()))?
                .trim_end()
                .to_owned(),
            EnvValue::Variable { env } => std::env::var(env)
                .with_context(|| format!("the environment variable {env} is not set"))?,
            EnvValue::Text(text) => text.clone(),
            EnvValue::Number(number) => number.to_string(),
            EnvValue::Flag(flag) => flag.to_string(),
            EnvValue::Null(()) => String::new(),
        })
    }
}

fn usual_file() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    let usual = [
        Some(PathBuf::from("gillnet.yaml")),
        config.map(|c| c.join("gillnet/config.yaml")),
    ];
    usual.into_iter().flatten().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The article's configuration, its stray last brace included.
    const ARTICLE: &str = include_str!("../fixtures/article.yaml");

    #[test]
    fn the_articles_configuration_parses_as_printed() {
        let text = ARTICLE.trim_end().strip_suffix('}').unwrap();
        let config = Config::parse(text).unwrap();
        assert_eq!(
            config.scripting.source.as_deref(),
            Some("/path/to/scripts/folder")
        );
        let rules = config.rules(false).unwrap();
        assert_eq!((rules.len(), rules[0].kfl.as_str()), (1, "http or dns"));
        assert_eq!(rules[0].destination, "gs://test-11-12");
        let key = config.scripting.env["GCS_SA_KEY_JSON"].read().unwrap();
        let key: serde_json::Value = serde_json::from_str(&key).unwrap();
        assert_eq!(key["project_id"], "cloudstorage-integration");
        assert!(
            key["private_key"]
                .as_str()
                .unwrap()
                .starts_with("-----BEGIN PRIVATE KEY-----\n")
        );
        assert!(config.unknown_keys().is_empty());
    }

    #[test]
    fn a_blank_pattern_records_nothing() {
        for blank in ["", " ", "\"\\t \"", "' '"] {
            let text = format!("scripting: {{env: {{GCS_BUCKET: b, RECORDING_KFL: {blank}}}}}");
            let config = Config::parse(&text).unwrap();
            assert!(config.rules(false).unwrap().is_empty(), "{text}");
        }
    }

    #[test]
    fn a_prefix_stands_in_the_bucket() {
        for (bucket, whole) in [
            ("b-1", "gs://b-1/x/y"),
            ("az://flights/a/", "az://flights/a/x/y"),
            ("s3://b-1?region=eu-west-1", "s3://b-1/x/y?region=eu-west-1"),
            ("file:///var/a?b", "file:///var/a?b/x/y"),
        ] {
            assert_eq!(destination(bucket, "/x/y/"), whole);
        }
    }

    #[test]
    fn the_stray_brace_is_named_and_shown() {
        let error = Config::parse(ARTICLE).unwrap_err().to_string();
        assert!(error.contains("line 19 column 1"), "{error}");
        assert!(error.contains("19 | }"), "{error}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = Config::parse("scripting: {env: {GCS_SA_KEY_JSON: secret}}").unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn sizes_and_durations() {
        for (text, bytes) in [
            ("1Gi", 1 << 30),
            ("500MB", 500_000_000),
            ("7", 7),
            ("64 Mi", 64 << 20),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)));
        }
        assert!("x".parse::<Size>().is_err() && "1Qi".parse::<Size>().is_err());
        assert_eq!(duration("5m").unwrap(), Duration::from_secs(300));
        assert_eq!(duration("7d").unwrap(), Duration::from_secs(7 * 86_400));
        for bad in ["soon", "-5m", "1 month"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_without_a_destination_is_refused() {
        let config = Config::parse("scripting: {env: {RECORDING_KFL: http}}").unwrap();
        assert!(
            config
                .rules(false)
                .unwrap_err()
                .to_string()
                .contains("GCS_BUCKET")
        );
    }

    #[test]
    fn only_a_builtin_rule_that_would_record_yields_to_scripts() {
        const PATTERN: &str = "scripting: {env: {RECORDING_KFL: http}}";
        for (text, yields) in [
            (PATTERN, true),
            ("recording: {builtin: auto}", false),
            (&*format!("recording: {{builtin: on}}\n{PATTERN}"), false),
            (&*format!("recording: {{builtin: off}}\n{PATTERN}"), false),
        ] {
            let config = Config::parse(text).unwrap();
            assert_eq!(config.builtin_yields().unwrap(), yields, "{text}");
        }
    }

    #[test]
    fn unknown_keys_are_named() {
        let config = Config::parse("tap: {docker: {tag: x}}\nfoo: 1").unwrap();
        assert_eq!(config.unknown_keys(), ["foo", "tap.docker"]);
        let text = "recording: {rules: [{name: a, kfl: http, destination: b, retension: 7d}]}";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.unknown_keys(), ["recording.rules[a].retension"]);
    }
}
