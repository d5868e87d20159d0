//! The rules that record: filter and schedule of each, when it records, and since when it is known where that decides.

use crate::cli::Shared;
use crate::config::{self, Config, duration};
use crate::exit;
use anyhow::{Context, bail};
use gillnet_bucket::{Recipients, layout::Payload};
use gillnet_kfl::Filter;
use gillnet_recorder::{DAY, Period, Rule, Schedule};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most rules: scripts and the dashboard have the bits above.
const MOST: usize = 126;

/// A rule with its filter.
pub type Ruled = (Rule, Filter);

/// The rules with their filters; an error shows the place. `seen` says since when a rule is known whose period begins at
/// once.
pub fn compiled(
    shared: &Shared,
    config: &Config,
    a_script_records: bool,
    seen: &mut Seen,
) -> anyhow::Result<Vec<Ruled>> {
    let mut compiled = Vec::new();
    for rule in config.rules(a_script_records).map_err(exit::usage)? {
        let filter = shared
            .filter(config, &rule.kfl, &Default::default())
            .with_context(|| format!("the rule `{}`", rule.name))?;
        let flush = rule.flush.as_deref().or(config.recording.flush.as_deref());
        let flush = flush
            .map_or(Ok(Schedule::default()), str::parse)
            .map_err(exit::usage)?;
        let period = Lifetime::of(&rule)
            .with_context(|| format!("the rule `{}`", rule.name))
            .map_err(exit::usage)?
            .period(|| seen.since(&rule.name));
        let retention = retention(&rule)?;
        let payload = payload(config, &rule)?;
        let recipients = recipients(config, &rule)?;
        let config::Rule {
            name,
            kfl,
            destination,
            ..
        } = rule;
        let rule = Rule {
            name,
            kfl,
            destination,
            flush,
            period,
            retention,
            payload,
            recipients,
        };
        compiled.push((rule, filter));
    }
    if compiled.len() > MOST {
        return Err(exit::usage(anyhow::anyhow!(
            "{} recording rules are too many; there can be {MOST}",
            compiled.len()
        )));
    }
    seen.only(compiled.iter().map(|(rule, _)| &*rule.name));
    Ok(compiled)
}

/// When a rule records, as it is written.
#[derive(Debug)]
struct Lifetime {
    start: Option<i64>,
    duration: Option<Duration>,
    daily: Option<u32>,
    expiry: Option<Expiry>,
}

#[derive(Debug)]
enum Expiry {
    At(i64),
    After(Duration),
}

impl Lifetime {
    fn of(rule: &config::Rule) -> anyhow::Result<Lifetime> {
        let start = rule.start.as_deref().map(moment).transpose();
        let start = start.context("start")?;
        let length = rule.duration.as_deref().map(positive).transpose();
        let length = length.context("duration")?;
        let day = Duration::from_nanos(DAY.unsigned_abs());
        match (rule.daily, length) {
            (Some(_), None) => {
                bail!("daily: a window of each day needs its length; add duration: 1h, say")
            }
            (Some(_), Some(length)) if length > day => {
                bail!(
                    "duration: a window of each day (daily) is at most 24h long; make it shorter, or leave daily out"
                )
            }
            _ => {}
        }
        let expiry = match rule.expiry.as_deref() {
            None => None,
            Some(text) => Some(match (moment(text), positive(text)) {
                (Ok(at), _) => Expiry::At(at),
                (_, Ok(after)) => Expiry::After(after),
                _ => bail!(
                    "expiry: `{text}` is no time; write 2026-03-14T22:00:00Z, or 30d for so long after the start"
                ),
            }),
        };
        if let (Some(start), Some(Expiry::At(end))) = (start, &expiry)
            && *end <= start
        {
            bail!("expiry: it is before the start, so nothing would be recorded; set a later one");
        }
        Ok(Lifetime {
            start,
            duration: length,
            daily: rule.daily,
            expiry,
        })
    }

    /// Its period; `since` is asked where something is told from the moment when the rule was first seen.
    fn period(self, since: impl FnOnce() -> i64) -> Period {
        let relative = self.duration.is_some() || matches!(self.expiry, Some(Expiry::After(_)));
        let start = self.start.or_else(|| relative.then(since));
        let expiry = self.expiry.map(|expiry| match expiry {
            Expiry::At(at) => at,
            Expiry::After(after) => {
                let after = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
                start.unwrap_or(0).saturating_add(after)
            }
        });
        Period {
            start,
            duration: self.duration,
            daily: self.daily,
            expiry,
        }
    }
}

/// What a rule keeps of packets.
fn payload(config: &Config, rule: &config::Rule) -> anyhow::Result<Payload> {
    let recording = &config.recording;
    let payload = rule.payload.or(recording.payload);
    let payload = payload.map_or(Payload::Full, |config::Payload(payload)| payload);
    if payload != Payload::Full && !recording.has_index() {
        return Err(exit::usage(anyhow::anyhow!(
            "the rule `{}`: payload: {payload} leaves packets that entries can't be read from, so it needs the index that has them; take recording.index: false away, or set payload: full",
            rule.name
        )));
    }
    Ok(payload)
}

/// For whom a rule's objects are encrypted.
pub fn recipients(config: &Config, rule: &config::Rule) -> anyhow::Result<Recipients> {
    match &rule.recipients {
        None => usual_recipients(config),
        Some(own) => Recipients::parse(own)
            .with_context(|| format!("the rule `{}`: recipients", rule.name))
            .map_err(exit::usage),
    }
}

/// Those that were given, else those of the configuration.
pub fn given_recipients(given: &[String], config: &Config) -> anyhow::Result<Recipients> {
    match given {
        [] => usual_recipients(config),
        given => Recipients::parse(given)
            .context("--recipient")
            .map_err(exit::usage),
    }
}

/// For whom objects of rules are encrypted that don't say it.
pub fn usual_recipients(config: &Config) -> anyhow::Result<Recipients> {
    Recipients::parse(&config.recording.recipients)
        .context("recording.recipients")
        .map_err(exit::usage)
}

/// How long a rule's objects are kept in the bucket, where that is said.
pub fn retention(rule: &config::Rule) -> anyhow::Result<Option<Duration>> {
    let age = rule.retention.as_deref().map(positive).transpose();
    age.context("retention")
        .with_context(|| format!("the rule `{}`", rule.name))
        .map_err(exit::usage)
}

fn moment(text: &str) -> anyhow::Result<i64> {
    let at: Timestamp = text
        .trim()
        .parse()
        .map_err(|_| anyhow::anyhow!("`{text}` is no time; write 2026-03-14T22:00:00Z"))?;
    Ok(i64::try_from(at.as_nanosecond())?)
}

fn positive(text: &str) -> anyhow::Result<Duration> {
    let length = duration(text)?;
    if length.is_zero() {
        bail!("`{text}` is nothing; write 90m, 24h");
    }
    Ok(length)
}

/// Since when rules are known, so that a process that starts again does not begin their time anew.
#[derive(Debug)]
pub struct Seen {
    file: PathBuf,
    since: BTreeMap<String, i64>,
    /// As it is in the file.
    kept: BTreeMap<String, i64>,
}

impl Seen {
    /// What the data directory says, where it says something.
    pub fn open(data_dir: &Path) -> anyhow::Result<Seen> {
        let file = data_dir.join("recordings.json");
        let since: BTreeMap<String, i64> = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!(
                    "{} says since when rules are known, and can't be read; delete it, and their time begins now",
                    file.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("{}", file.display())),
        };
        let kept = since.clone();
        Ok(Seen { file, since, kept })
    }

    /// Since when a rule is known: since now, where it was not.
    fn since(&mut self, rule: &str) -> i64 {
        let since = self.since.entry(rule.to_owned());
        *since.or_insert_with(crate::scan::now)
    }

    /// Forgets all other rules.
    fn only<'r>(&mut self, rules: impl Iterator<Item = &'r str>) {
        let rules: Vec<&str> = rules.collect();
        self.since.retain(|rule, _| rules.contains(&&**rule));
    }

    /// Notes what has changed.
    pub fn keep(&mut self) -> anyhow::Result<()> {
        if self.since == self.kept {
            return Ok(());
        }
        let fresh = self.file.with_extension("new");
        let text = serde_json::to_vec(&self.since)?;
        std::fs::write(&fresh, text)
            .and_then(|()| std::fs::rename(&fresh, &self.file))
            .with_context(|| format!("{}", self.file.display()))?;
        self.kept.clone_from(&self.since);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime(keys: &str) -> anyhow::Result<Lifetime> {
        let text =
            format!("recording: {{rules: [{{name: a, kfl: http, destination: b, {keys}}}]}}");
        Lifetime::of(&Config::parse(&text).unwrap().recording.rules[0])
    }

    #[test]
    fn what_can_not_be_names_its_key_and_a_mend() {
        for (keys, key, mend) in [
            ("start: soon", "start", "2026-03-14T22:00:00Z"),
            ("duration: long", "duration", "30s, 5m"),
            ("duration: 0s", "duration", "90m"),
            ("daily: 3", "daily", "duration: 1h"),
            ("daily: 3, duration: 25h", "duration", "leave daily out"),
            ("expiry: never", "expiry", "30d"),
            (
                "start: 2026-03-14T22:00:00Z, expiry: 2026-03-14T21:00:00Z",
                "expiry",
                "later",
            ),
        ] {
            let error = format!("{:#}", lifetime(keys).unwrap_err());
            assert!(
                error.starts_with(&format!("{key}: ")) && error.contains(mend),
                "{keys}: {error}"
            );
        }
    }

    #[test]
    fn what_begins_at_once_begins_when_it_was_first_seen() {
        const HOUR: i64 = DAY / 24;
        for (keys, start, expiry) in [
            ("duration: 1h", Some(7), None),
            ("expiry: 1h", Some(7), Some(7 + HOUR)),
            ("expiry: 1970-01-01T01:00:00Z", None, Some(HOUR)),
            ("flush: 5s", None, None),
            (
                "start: 1970-01-01T01:00:00Z, duration: 1h, daily: 0, expiry: 1d",
                Some(HOUR),
                Some(HOUR + DAY),
            ),
        ] {
            let period = lifetime(keys).unwrap().period(|| 7);
            assert_eq!((period.start, period.expiry), (start, expiry), "{keys}");
        }
    }

    #[test]
    fn a_start_anew_does_not_begin_the_time_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen::open(folder.path()).unwrap();
        let (a, _) = (seen.since("a"), seen.since("b"));
        seen.only(["a"].into_iter());
        seen.keep().unwrap();
        let mut again = Seen::open(folder.path()).unwrap();
        assert_eq!(again.since, BTreeMap::from([("a".to_owned(), a)]));
        assert_eq!(again.since("a"), a);
        std::fs::write(folder.path().join("recordings.json"), "{").unwrap();
        let error = format!("{:#}", Seen::open(folder.path()).unwrap_err());
        assert!(error.contains("delete it"), "{error}");
    }
}
