//! The command line: what can be asked, and the help that says so.

use crate::config::{Config, duration};
use crate::exit;
use crate::sql::{ClickHouse, Engine};
use clap::{Args, Parser, Subcommand, ValueEnum};
use gillnet_api::Speech;
use gillnet_entry::Workload;
use gillnet_kfl::{Env, Filter, Lang, Options};
use gillnet_names::{NamesConfig, StaticName};
use gillnet_scripts::LogLayer;
use std::net::SocketAddr;
use std::path::PathBuf;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A flight recorder for Kubernetes network traffic.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    max_term_width = 110,
    after_help = "Examples:\n  \
        gillnet worker                                   record this host, as the configuration says\n  \
        gillnet tap --local                              record this host and show it in the dashboard\n  \
        gillnet tap --pcap gs://bucket/                  open a recording in the dashboard\n  \
        gillnet query 'http and response.status == 500' gs://bucket/ -o table\n  \
        gillnet export 'dns' gs://bucket/ --out dns.pcapng       its packets as one capture\n\n\
        Exit codes: 0 ok, 1 failure, 2 usage, 3 nothing matched, 4 not reachable or not allowed, 130 interrupted."
)]
pub struct Cli {
    #[command(flatten)]
    pub shared: Shared,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
pub struct Shared {
    /// Configuration file [default: ./gillnet.yaml, then ~/.config/gillnet/config.yaml]
    #[arg(long, global = true, env = "GILLNET_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say more on standard error (twice: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// The log as scripts are told of it.
    #[arg(skip)]
    log: LogLayer,
}

impl Shared {
    /// The log as scripts are told of it.
    pub fn log(&self) -> LogLayer {
        self.log.clone()
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open recordings, or record this host, and show it in the dashboard
    Tap(TapArgs),
    /// Record this host: no dashboard, hub, proxy or cluster needed
    Worker(WorkerArgs),
    /// Print the entries of captures and recordings that a filter matches
    Query(QueryArgs),
    /// Write what a filter matches to one file: packets in the order of time, or entries
    Export(ExportArgs),
    /// Write a filter as SQL over the index of a bucket, for engines that exist
    Sql(SqlArgs),
    /// Dissect captures and recordings into a bucket, as a recorder would have written it
    Index(crate::index::IndexArgs),
    /// Keep windows of the raw ring: what was captured before anyone asked
    Snapshot(crate::snapshot::SnapshotArgs),
    /// Write the last part of the raw ring into a file
    Pcapdump(crate::snapshot::PcapdumpArgs),
    /// The filter language: check, explain and format filters, and list what they may speak of
    Kfl(crate::kfl::KflArgs),
    /// Scripts: list, add and change those of a running Gillnet; check and try them on captures
    Scripts(crate::scripts::ScriptsArgs),
    /// Print the console of a running Gillnet's scripts
    Console(crate::console::ConsoleArgs),
    /// Check that all that is in a bucket is whole and says the same
    Verify(crate::verify::VerifyArgs),
    /// Make few large objects of the many small ones of closed hours
    Compact(crate::compact::CompactArgs),
    /// Recordings: those in a bucket and those at work, and how long they are kept
    Recordings(crate::recordings::RecordingsArgs),
    /// Show what crosses the boxes of the pipeline for a capture
    Debug(DebugArgs),
}

/// `gillnet query`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet query http capture.pcap --count\n  \
    gillnet query 'dns and response.rcode != 0' day.pcapng.gz -o table\n  \
    gillnet query 'http and response.status >= 500' gs://bucket/prefix --since 2h --columns method,url,status\n  \
    gillnet query 'http and response.status >= 500' gs://bucket/prefix --count --engine clickhouse://ch:8123\n  \
    gillnet query http gs://bucket/prefix --by dst.service --measure count,errors,p99 -o table\n  \
    gillnet query http gs://bucket/prefix --every 1m --by statusCode --measure count --since 6h\n  \
    gillnet query '' gs://bucket/prefix --by src.name,dst.name --measure count,errors,p50,p99   (the map of services)\n  \
    gillnet query http gs://bucket/prefix --by path --measure count --top 10\n  \
    tcpdump -w - | gillnet query http -\n\n\
    With -v, the last line on standard error says how much of a bucket was read.")]
pub struct QueryArgs {
    /// Filter in either spelling of KFL; '' matches everything
    pub kfl: String,
    /// Captures and recordings: files, folders, globs, tar.gz, `-`, gs://bucket/prefix, s3://bucket/prefix,
    /// az://container/prefix, file:///folder. Captures that overlap in time are merged
    #[arg(required = true)]
    pub sources: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "jsonl")]
    pub output: Format,
    /// Columns, separated by commas: a KFL2 name, a JSON path, or the end of one
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub columns: Vec<String>,
    /// Print the number of matching entries alone
    #[arg(long)]
    pub count: bool,
    /// Stop after so many entries; of what one recorder kept with an index these are the earliest, and little more is read
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Let a ClickHouse server look for the entries of a bucket: clickhouse://host:8123 [user, password: in it, or CLICKHOUSE_USER, CLICKHOUSE_PASSWORD]
    #[arg(long, value_name = "URL")]
    pub engine: Option<ClickHouse>,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub stats: StatsArgs,
    #[command(flatten)]
    pub time: TimeArgs,
    #[command(flatten)]
    pub language: Language,
    #[command(flatten)]
    pub access: Access,
}

/// Counts, sums and percentiles in the place of entries.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Statistics in the place of entries")]
pub struct StatsArgs {
    /// Group by these fields, separated by commas: dst.service, statusCode, path, or any other single value
    #[arg(long, value_delimiter = ',', value_name = "FIELDS", conflicts_with_all = ["count", "columns", "limit", "engine"])]
    pub by: Vec<String>,
    /// Group by spans of time (UTC): 10s, 1m, 1h
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["count", "columns", "limit", "engine"])]
    pub every: Option<String>,
    /// What to measure, separated by commas: count, errors, errorRate, bytes, requestBytes, responseBytes; of the time from
    /// request to response, in µs, avg, min, max and percentiles within 1 % (p50, p99, p99.9) [default: count,errors,p50,p99]
    #[arg(long, value_delimiter = ',', value_name = "NAMES", conflicts_with_all = ["count", "columns", "limit", "engine"])]
    pub measure: Vec<String>,
    /// Only the first N groups; with --every, of the whole time
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Sort by this field or measure; `-` before it: descending, as measures are anyway, `+`: ascending
    /// [default: time, then the first measure]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub sort: Option<String>,
}

impl StatsArgs {
    /// Whether statistics are asked for.
    pub fn is_asked(&self) -> anyhow::Result<bool> {
        let asked = !self.by.is_empty() || self.every.is_some() || !self.measure.is_empty();
        if !asked && (self.top.is_some() || self.sort.is_some()) {
            return Err(exit::usage(anyhow::anyhow!(
                "--top and --sort are for groups; say which by --by, --every or --measure"
            )));
        }
        Ok(asked)
    }
}

/// `gillnet export`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet export 'http && status_code >= 500' gs://bucket/prefix --since 2h --out failing.pcapng\n  \
    gillnet export '' gs://bucket/prefix --stream 000000017720.pcap -o pcap --out one.pcap\n  \
    gillnet export dns recordings/ -o pcapng | wireshark -k -i -\n  \
    gillnet export http day.pcapng -o har --out day.har\n\n\
    Captures have the whole streams of the entries that match, within --since and --until. While a file is made it is\n\
    FILE.part; interrupted, the same command goes on with it. What is missing is said, and the exit code is 1 then.")]
pub struct ExportArgs {
    /// Filter in either spelling of KFL; '' matches everything
    pub kfl: String,
    /// Captures and recordings: files, folders, globs, tar.gz, `-`, gs://bucket/prefix, file:///folder
    #[arg(required = true)]
    pub sources: Vec<String>,
    /// Output format [default: what FILE ends with]
    #[arg(short, long, value_enum)]
    pub output: Option<ExportFormat>,
    /// Where to: a file, or `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
    /// Only these streams: 000000017720.pcap, of UDP 000000025277_udp.pcap
    #[arg(long = "stream", value_delimiter = ',', value_name = "ID")]
    pub streams: Vec<String>,
    /// Columns of csv and jsonl, separated by commas: a KFL2 name, a JSON path, or the end of one
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub columns: Vec<String>,
    #[command(flatten)]
    pub time: TimeArgs,
    #[command(flatten)]
    pub language: Language,
    #[command(flatten)]
    pub access: Access,
}

/// Formats of `export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Packets, all on Ethernet, for programs that read nothing else
    Pcap,
    /// Packets with their interfaces, the names of addresses, and the entries in comments
    Pcapng,
    /// HTTP Archive 1.2: the entries of HTTP
    Har,
    /// Entries, one JSON object a line, as `query` prints them
    Jsonl,
    /// Entries as rows of columns (RFC 4180)
    Csv,
}

impl ExportFormat {
    /// Whether packets are written.
    pub fn is_capture(self) -> bool {
        matches!(self, ExportFormat::Pcap | ExportFormat::Pcapng)
    }
}

impl std::fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl ExportArgs {
    /// The format: as it is asked for, or as the file is named.
    pub fn format(&self) -> anyhow::Result<ExportFormat> {
        let end = self.out.extension().and_then(|end| end.to_str());
        let named = end.and_then(|end| ExportFormat::from_str(end, true).ok());
        self.output.or(named).ok_or_else(|| {
            exit::usage(anyhow::anyhow!(
                "the name of the file does not say its format; give -o pcap, pcapng, har, jsonl or csv"
            ))
        })
    }
}

/// Where an engine finds a bucket.
#[derive(Args, Debug, Default)]
pub struct Place {
    /// What the engine knows the bucket by, where it is not by its URL or path
    #[arg(long, value_name = "URL")]
    pub location: Option<String>,
    /// A table or view over the bucket that the engine has, as `gillnet sql --define` makes one
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
}

/// `gillnet sql`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet sql 'http && status_code >= 500' gs://bucket/prefix --dialect duckdb --since 24h --count\n  \
    gillnet sql 'http && elapsed_time > 500000' /var/recordings --dialect clickhouse --by dst.name,status_code\n  \
    gillnet sql '' s3://bucket/prefix --dialect trino --define hive.net.entries\n  \
    gillnet sql 'dns' s3://bucket/prefix --dialect trino --table hive.net.entries --columns startTime,src.ip,dns.response.code")]
pub struct SqlArgs {
    /// Filter in either spelling of KFL; '' matches everything
    pub kfl: String,
    /// The bucket: gs://bucket/prefix, s3://bucket/prefix, file:///folder, a folder
    pub bucket: String,
    /// Whose SQL
    #[arg(long, value_enum, value_name = "ENGINE")]
    pub dialect: Engine,
    /// How many entries match
    #[arg(long, group = "what")]
    pub count: bool,
    /// How many entries match, by values of these columns
    #[arg(long, value_delimiter = ',', value_name = "NAMES", group = "what")]
    pub by: Vec<String>,
    /// These columns of the entries that match: a KFL2 name, a JSON path, or the end of one
    #[arg(long, value_delimiter = ',', value_name = "NAMES", group = "what")]
    pub columns: Vec<String>,
    /// The definition of a table or view of this name over the bucket, instead of a question
    #[arg(long, value_name = "NAME", group = "what")]
    pub define: Option<String>,
    /// So many entries at most
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub time: TimeArgs,
    #[command(flatten)]
    pub language: Language,
}

/// Output formats of `query`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line
    Jsonl,
    /// Columns separated by tabs, under a head line
    Table,
}

/// A span of time.
#[derive(Args, Debug, Default)]
pub struct TimeArgs {
    /// Only entries that began at or after this: RFC 3339, or a duration before now (`2h`)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only entries that began before this: RFC 3339, or a duration before now
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// How a filter is read.
#[derive(Args, Debug, Default)]
pub struct Language {
    /// Read the filter in this spelling only
    #[arg(long, value_enum, value_name = "LANG")]
    pub lang: Option<LangArg>,
    /// Take a field that is not there for no match, not for an error: KFL1 as it was, KFL2 without its types checked first
    #[arg(long)]
    pub lenient: bool,
}

/// Spellings of KFL.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LangArg {
    /// `http and response.status == 500`
    Kfl1,
    /// `http && status_code == 500` (CEL)
    Kfl2,
}

/// How a bucket is read.
#[derive(Args, Clone, Debug, Default)]
pub struct Access {
    /// Read the bucket without credentials
    #[arg(long)]
    pub anonymous: bool,
    /// Key to read the bucket with: of Google a service account's, of AWS a file as ~/.aws/credentials is, of Azure a
    /// connection string, an account's key or a shared access signature [default: the usual places]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// File with the secret key of age that encrypted recordings are read with, as age-keygen writes it; may be given
    /// several times
    #[arg(long, env = "GILLNET_IDENTITY", value_name = "FILE")]
    pub identity: Vec<PathBuf>,
}

/// `gillnet tap`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet tap --local\n  \
    gillnet tap --local -i eth0 --filter 'tcp port 80'\n  \
    gillnet tap --pcap gs://bucket/prefix --since 24h\n  \
    gillnet tap --pcap 's3://bucket?region=eu-west-1' --key-file keys.ini\n  \
    gillnet tap --pcap kubeshark_1700000000.tar.gz")]
pub struct TapArgs {
    /// Open recordings and captures: file, folder, tar.gz, gs://bucket/prefix, s3://bucket/prefix,
    /// az://container/prefix, file:///folder
    #[arg(short, long, value_name = "SOURCE", conflicts_with = "local")]
    pub pcap: Vec<String>,
    /// Record this host and show it, in one process
    #[arg(long)]
    pub local: bool,
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub time: TimeArgs,
    #[command(flatten)]
    pub access: Access,
    /// Address of dashboard and API [default: 127.0.0.1:8899, or the next free port]
    #[arg(long, env = "GILLNET_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// File that holds the token of dashboard and API
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Address of the metrics
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// Do not open a browser
    #[arg(long)]
    pub no_browser: bool,
}

/// `gillnet worker`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    RECORDING_KFL='http or dns' GCS_BUCKET=my-bucket GCS_SA_KEY_JSON=\"$(cat key.json)\" gillnet worker\n  \
    RECORDING_KFL=http GCS_BUCKET=file:///var/recordings gillnet worker -i eth0")]
pub struct WorkerArgs {
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// Address of the metrics [default: 127.0.0.1:49100]
    #[arg(long, env = "GILLNET_METRICS", value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
}

/// What is captured.
#[derive(Args, Clone, Debug, Default)]
pub struct CaptureArgs {
    /// Interfaces, or `any` [default: any]
    #[arg(short, long = "interface", value_name = "NAME")]
    pub interfaces: Vec<String>,
    /// Packet filter, in the syntax of tcpdump
    #[arg(short, long, value_name = "EXPRESSION")]
    pub filter: Option<String>,
    /// Data directory
    #[arg(long, env = "GILLNET_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Read frames from captures instead of interfaces, and record what they hold
    #[arg(short, long, value_name = "FILE")]
    pub read: Vec<String>,
}

/// `gillnet debug`.
#[derive(Args, Debug)]
pub struct DebugArgs {
    /// Which box's output
    #[arg(value_enum)]
    pub what: DebugWhat,
    /// Captures
    #[arg(required = true)]
    pub sources: Vec<String>,
}

/// What `debug` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DebugWhat {
    /// Frames as they come from the source
    Frames,
    /// Chunks, gaps and ends of streams
    Streams,
    /// Entries, whole
    Entries,
}

impl Shared {
    /// The configuration and its file; keys without meaning are named in a warning.
    pub fn config(&self) -> anyhow::Result<(Config, Option<PathBuf>)> {
        let (config, path) = Config::load(self.config.as_deref()).map_err(exit::usage)?;
        let unknown = config.unknown_keys();
        if !unknown.is_empty() {
            tracing::warn!(
                "the configuration has keys that mean nothing here: {}",
                unknown.join(", ")
            );
        }
        Ok((config, path))
    }

    /// Compiles a filter; the error shows the place with a caret.
    pub fn filter(
        &self,
        config: &Config,
        kfl: &str,
        language: &Language,
    ) -> anyhow::Result<Filter> {
        let options = language.options();
        let filter = gillnet_kfl::compile(&env(config), kfl, &options).map_err(|errors| {
            exit::usage(anyhow::anyhow!(
                "the filter is wrong\n{}",
                errors.render(kfl)
            ))
        })?;
        for warning in filter.warnings() {
            tracing::warn!("{}", warning.render(kfl));
        }
        if let Some(names) = unread(&filter) {
            tracing::warn!("the filter matches nothing: nothing reads {names} yet");
        }
        Ok(filter)
    }
}

/// The protocols that a filter asks for, where no dissector reads any of them.
fn unread(filter: &Filter) -> Option<String> {
    let asked = (0u8..).zip(gillnet_protocols::REGISTRY);
    let asked = asked.filter(|(i, _)| filter.protocols().contains(*i));
    let mut names = Vec::new();
    for (_, protocol) in asked {
        if protocol.dissection.is_some() {
            return None;
        }
        names.push(protocol.name);
    }
    (!names.is_empty()).then(|| names.join(", "))
}

impl Language {
    /// How a filter is compiled now.
    pub fn options(&self) -> Options {
        Options {
            lang: match self.lang {
                None => Lang::Auto,
                Some(LangArg::Kfl1) => Lang::Kfl1,
                Some(LangArg::Kfl2) => Lang::Kfl2,
            },
            lenient: self.lenient,
            now: crate::scan::now(),
        }
    }
}

/// The language's names: all protocols, and the macros of the configuration.
pub fn env(config: &Config) -> Env {
    let env = Env::new(&gillnet_protocols::env());
    let macros = &config.tap.custom_macros;
    macros
        .iter()
        .fold(env, |env, (name, text)| env.with_macro(name, text))
}

/// What filters may speak of, and what holds for all of them; what is wrong with `tap` is an error that names the key.
/// A macro that is wrong is warned of: it is an error only where a filter uses it.
pub fn speech(config: &Config) -> anyhow::Result<Speech> {
    let (env, tap) = (env(config), &config.tap);
    let options = Language::default().options();
    let wrong = |key: &str, text: &str| {
        let found = gillnet_kfl::compile(&env, text, &options).err();
        found.map(|errors| anyhow::anyhow!("{key} is wrong\n{}", errors.render(text)))
    };
    for (name, text) in &tap.custom_macros {
        let key = format!("tap.customMacros.{name}");
        if !gillnet_kfl::is_macro_name(name) {
            return Err(exit::usage(anyhow::anyhow!(
                "{key}: a macro's name is a word of letters, digits and _ that means nothing else"
            )));
        }
        if let Some(error) = wrong(&key, text).or_else(|| wrong(&key, name)) {
            tracing::warn!("{error}");
        }
    }
    for (key, text) in [
        ("tap.globalFilter", &tap.global_filter),
        ("tap.defaultFilter", &tap.default_filter),
    ] {
        if let Some(error) = wrong(key, text) {
            return Err(exit::usage(error));
        }
    }
    Ok(Speech {
        global: tap.global_filter.clone(),
        default: tap.default_filter.clone(),
        env,
    })
}

/// What addresses are called: configured names, and what was seen on the wire; of a live host also its own files.
pub fn names(config: &Config, live: bool) -> NamesConfig {
    let statics = config.names.statics.iter().map(|n| StaticName {
        address: n.address.clone(),
        name: n.name.clone(),
        namespace: n.namespace.clone(),
        pod: n.pod.clone(),
        service: n.service.clone(),
        workload: Workload {
            node: n.node.clone(),
            process: n.process.clone(),
            labels: n.labels.clone().into_iter().collect(),
            annotations: n.annotations.clone().into_iter().collect(),
        },
    });
    NamesConfig {
        statics: statics.collect(),
        hosts_file: live.then(|| PathBuf::from("/etc/hosts")),
        own_host: live,
        dns: true,
        ..NamesConfig::default()
    }
}

impl TimeArgs {
    /// The span in ns since the epoch, open ends where they are not given.
    pub fn within(&self) -> anyhow::Result<(i64, i64)> {
        let edge = |text: &Option<String>, open: i64| match text {
            None => Ok(open),
            Some(text) => moment(text).map_err(exit::usage),
        };
        Ok((edge(&self.since, i64::MIN)?, edge(&self.until, i64::MAX)?))
    }
}

impl QueryArgs {
    /// The span of time asked for.
    pub fn within(&self) -> anyhow::Result<(i64, i64)> {
        self.time.within()
    }
}

/// A moment as people write it, in ns since the epoch.
pub fn moment(text: &str) -> anyhow::Result<i64> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(i64::try_from(at.as_nanosecond())?);
    }
    let before = duration(text).map_err(|_| {
        anyhow::anyhow!("`{text}` is no time; write 2026-03-14T22:00:00Z, or 2h for two hours ago")
    })?;
    Ok(crate::scan::now() - i64::try_from(before.as_nanos())?)
}

/// Sends log lines to standard error; `GILLNET_LOG` chooses as `RUST_LOG` does elsewhere.
pub fn log(cli: &Cli) {
    let level = match cli.shared.verbose {
        0 => "gillnet=info,warn",
        1 => "gillnet=debug,info",
        _ => "trace",
    };
    let level = std::env::var("GILLNET_LOG").unwrap_or_else(|_| level.into());
    let filter = tracing_subscriber::EnvFilter::try_new(level).unwrap_or_else(|_| "info".into());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(cli.shared.log())
        .init();
}
