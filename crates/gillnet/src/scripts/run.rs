//! `gillnet scripts run`: scripts over captures, and what comes of it.

use super::table::bytes;
use super::{ReportFormat, text_of};
use crate::cli::{self, Shared};
use crate::config::Config;
use crate::console::Screen;
use crate::exit::{self, Done};
use crate::identity::Identity;
use crate::output::Output;
use crate::scripting;
use anyhow::Context;
use clap::Args;
use gillnet_entry::time::Rfc3339;
use gillnet_names::Names;
use gillnet_scripts::{Rehearsal, RehearsalError, Report, Said, ScriptStatus, Sources, State};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

/// `gillnet scripts run`.
#[derive(Args, Debug)]
#[command(
    after_help = "Scripts run as in a recording Gillnet, with scripting.env of the configuration; time is the \
    packets', so that jobs and timers run when the capture has come so far. Shown are the console, then what hooks \
    were called, jobs, files that were made, and metrics. With --dry-run, what would be sent to vendors is said on the \
    console and not sent.\n\n\
    Examples:\n  \
    gillnet scripts run recorder.js --pcap traffic.pcap --dry-run --jobs\n  \
    gillnet scripts run latency.js --pcap monday.pcap tuesday.pcap -o json | jq .metrics\n  \
    gillnet scripts run recorder.js --pcap traffic.pcap --dry-run --data-dir out\n\n\
    Exit codes: 0 ok, 1 a script failed, or threw in a hook or job, 2 usage."
)]
pub struct RunArgs {
    /// Scripts
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Captures: files, folders, globs, tar.gz, `-`
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE")]
    pcap: Vec<String>,
    /// Say what would be sent to vendors, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Run every job once more at the end
    #[arg(long)]
    jobs: bool,
    /// Folder for the files that scripts make [default: one that is removed afterwards]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: ReportFormat,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &RunArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let home = tempfile::tempdir().context("there is no place for files that scripts make")?;
    let data = args
        .data_dir
        .clone()
        .unwrap_or_else(|| home.path().join("data"));
    let before = files(&data);
    let rehearsal = rehearsal(&config, args, home.path(), &data)?;
    // what is said is shown at once, and by nobody who could hold a script up
    let quiet = args.output == ReportFormat::Json;
    let (report, said) = std::thread::scope(|scope| {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let mut printer = None;
        let report = rehearsal.watched(|scripts| {
            let listener = scripts.console().listen();
            printer = Some(scope.spawn(move || follow(&listener, &ended, quiet)));
        });
        drop(end);
        let said = printer.map(|printer| printer.join().unwrap_or_default());
        (report, said.unwrap_or_default())
    });
    let report = report.map_err(|error| match error {
        error @ (RehearsalError::Capture(_) | RehearsalError::Scripts(_)) => exit::usage(error),
        error => anyhow::Error::new(error),
    })?;
    let made = made(&before, files(&data));
    let mut out = Output::stdout();
    match args.output {
        ReportFormat::Json => {
            let shown = as_json(&report, &said, &made);
            serde_json::to_writer_pretty(&mut *out.buffer(), &shown)?;
            out.buffer().push(b'\n');
        }
        // writing to a Vec cannot fail
        ReportFormat::Text => as_text(&report, &made, args, out.buffer()).unwrap_or(()),
    }
    out.finish()?;
    let failed = |script: &ScriptStatus| {
        let mut runs = script.runs.iter();
        runs.any(|run| run.errors > 0 || matches!(run.state, State::Failed(_) | State::Paused(_)))
    };
    Ok(match report.scripts.iter().any(failed) {
        true => Done::Refused,
        false => Done::Ok,
    })
}

fn rehearsal(
    config: &Config,
    args: &RunArgs,
    home: &Path,
    data: &Path,
) -> anyhow::Result<Rehearsal> {
    let identity = Identity::find(config.cluster.as_deref());
    let mut scripts = gillnet_scripts::Config {
        data_dir: data.to_path_buf(),
        // what runs is what is given, whatever else is configured
        sources: Sources::default(),
        watch: false,
        console: true,
        dry_run: args.dry_run,
        ..scripting::config(config, home, &identity)?
    };
    for (number, file) in args.files.iter().enumerate() {
        // a folder each: two may have the same name
        let folder = home.join(number.to_string());
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = match name.strip_suffix(".js") {
            Some(_) => name.into_owned(),
            None => format!("{name}.js"),
        };
        let text = text_of(file)?;
        std::fs::create_dir(&folder)
            .and_then(|()| std::fs::write(folder.join(name), text))
            .context("the scripts cannot be put in place")?;
        scripts.sources.folders.push(folder);
    }
    let speech = cli::speech(config)?;
    Ok(Rehearsal {
        config: scripts,
        env: Arc::new(speech.env),
        names: Arc::new(Names::new(cli::names(config, false)).map_err(exit::usage)?),
        captures: args.pcap.clone(),
        jobs_at_end: args.jobs,
    })
}

/// Time between two looks at whether the scripts have ended.
const LOOK: Duration = Duration::from_millis(20);

/// Prints what is said until the scripts have ended; gives all lines where they are not printed.
fn follow(listener: &Receiver<Said>, ended: &Receiver<()>, quiet: bool) -> Vec<String> {
    let mut screen = Screen::new();
    let mut lines = Vec::new();
    let mut last = false;
    loop {
        match listener.recv_timeout(if last { Duration::ZERO } else { LOOK }) {
            Ok(Said::Line { text, .. }) if quiet => lines.push(text.to_string()),
            Ok(Said::Line { text, .. }) => {
                // where nobody reads, the rest is still counted
                screen.line(&text);
            }
            Ok(Said::Clear) if quiet => lines.clear(),
            // what is rehearsed is to be seen whole
            Ok(Said::Clear) => {
                screen.line("(the console is cleared here)");
            }
            Ok(Said::Lost(lost)) => {
                let note =
                    format!("({lost} lines were lost: they came faster than they were shown)");
                tracing::warn!("{note}");
                lines.push(note);
            }
            Err(RecvTimeoutError::Disconnected) => return lines,
            // what was said before the end was seen is there by then
            Err(RecvTimeoutError::Timeout) if last => return lines,
            Err(RecvTimeoutError::Timeout) => {
                last = matches!(
                    ended.try_recv(),
                    Err(std::sync::mpsc::TryRecvError::Disconnected)
                );
            }
        }
    }
}

type Files = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// The files below a folder, with size and time; links are not followed.
fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        // one that is not there has no files
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.metadata() {
                Ok(about) if about.is_dir() => folders.push(path),
                Ok(about) => {
                    let name = path.strip_prefix(folder).unwrap_or(&path).to_path_buf();
                    found.insert(name, (about.len(), about.modified().ok()));
                }
                Err(_) => {}
            }
        }
    }
    found
}

/// Files that are new or changed, with their sizes.
fn made(before: &Files, after: Files) -> Vec<(PathBuf, u64)> {
    let new = after
        .into_iter()
        .filter(|(name, about)| before.get(name) != Some(about));
    new.map(|(name, (size, _))| (name, size)).collect()
}

fn state(state: &State) -> String {
    match state {
        State::Loading => "still loading".to_owned(),
        State::Running => "ran".to_owned(),
        State::Failed(why) => format!("failed to load: {why}"),
        State::Paused(_) => "paused: it kept failing".to_owned(),
        State::Stopped => "stopped".to_owned(),
    }
}

fn as_text(
    report: &Report,
    made: &[(PathBuf, u64)],
    args: &RunArgs,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    let counters = &report.counters;
    writeln!(
        out,
        "\ncapture  {} frames, {} streams, {} entries",
        counters.frames, counters.streams, counters.entries
    )?;
    for script in &report.scripts {
        let records = if script.records {
            "; records what RECORDING_KFL says"
        } else {
            ""
        };
        writeln!(out, "script {}  {}{records}", script.number, script.title)?;
        for run in &script.runs {
            writeln!(
                out,
                "  {}  {}; {} errors, {}",
                run.side.name(),
                state(&run.state),
                run.errors,
                bytes(run.memory)
            )?;
            for (hook, called, dropped) in &run.calls {
                writeln!(
                    out,
                    "    {}  {called} calls, {dropped} dropped",
                    hook.name()
                )?;
            }
        }
    }
    for job in &report.jobs {
        let limit = match job.limit {
            0 => String::new(),
            limit => format!(" of {limit}"),
        };
        let next = job.next.map_or_else(
            || "never again".to_owned(),
            |at| format!("next {}", Rfc3339(at)),
        );
        writeln!(
            out,
            "job {}  {}  {} runs{limit}, {next}",
            job.tag, job.cron, job.runs
        )?;
    }
    let streams = report.streams;
    writeln!(
        out,
        "captures of streams  {} written, {} cut, {} missed",
        streams.written, streams.cut, streams.missed
    )?;
    for (name, size) in made {
        writeln!(out, "file {}  {}", name.display(), bytes(*size))?;
    }
    if !made.is_empty() && args.data_dir.is_none() {
        writeln!(out, "the files were removed again; --data-dir keeps them")?;
    }
    for line in report.metrics.lines() {
        writeln!(out, "metric {line}")?;
    }
    Ok(())
}

fn as_json(report: &Report, console: &[String], made: &[(PathBuf, u64)]) -> Value {
    let run = |run: &gillnet_scripts::RunStatus| {
        let calls = run.calls.iter().map(|(hook, called, dropped)| {
            json!({ "hook": hook.name(), "called": called, "dropped": dropped })
        });
        json!({
            "side": run.side.name(),
            "state": state(&run.state),
            "calls": calls.collect::<Vec<_>>(),
            "errors": run.errors,
            "lastError": run.last_error,
            "memory": run.memory,
        })
    };
    let script = |script: &ScriptStatus| {
        json!({
            "number": script.number,
            "title": script.title,
            "file": script.path.file_name().unwrap_or_default().to_string_lossy(),
            "records": script.records,
            "runs": script.runs.iter().map(run).collect::<Vec<_>>(),
        })
    };
    let job = |job: &gillnet_scripts::JobStatus| {
        json!({
            "tag": job.tag,
            "script": job.script,
            "side": job.side.name(),
            "cron": job.cron,
            "limit": job.limit,
            "runs": job.runs,
            "next": job.next.map(|at| Rfc3339(at).to_string()),
        })
    };
    let files = made
        .iter()
        .map(|(name, size)| json!({ "name": name, "bytes": size }));
    let (counters, streams) = (&report.counters, report.streams);
    json!({
        "console": console,
        "capture": { "frames": counters.frames, "streams": counters.streams, "entries": counters.entries },
        "scripts": report.scripts.iter().map(script).collect::<Vec<_>>(),
        "jobs": report.jobs.iter().map(job).collect::<Vec<_>>(),
        "streams": { "written": streams.written, "cut": streams.cut, "missed": streams.missed },
        "files": files.collect::<Vec<_>>(),
        "metrics": report.metrics,
    })
}
