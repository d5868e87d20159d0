//! Scripts of this process, as the configuration says.

use crate::config::{self, Config, EnvValue, ScriptLimits, Size};
use crate::exit;
use crate::identity::Identity;
use anyhow::Context;
use gillnet_scripts::{Doors, Limits, Scripts, Sources, vendor};
use serde_json::{Map, Value};
use std::path::Path;

/// Folder in the data directory that scripts' paths are in.
const FILES: &str = "data";
/// Folder in the data directory of scripts that were added through the API.
const ADDED: &str = "scripts";

/// Where scripts are, and which are active.
pub fn sources(config: &Config, dir: &Path) -> Sources {
    let scripting = &config.scripting;
    let folders = scripting.source.iter().chain(&scripting.sources);
    Sources {
        folders: folders
            .filter(|folder| !folder.is_empty())
            .map(Into::into)
            .collect(),
        added: Some(dir.join(ADDED)),
        active: scripting.active.clone(),
        enabled: scripting.enabled,
    }
}

/// What scripts are started with.
pub fn config(
    config: &Config,
    dir: &Path,
    identity: &Identity,
) -> anyhow::Result<gillnet_scripts::Config> {
    let files = dir.join(FILES);
    let ip = identity.node_ip.to_string();
    let usual = gillnet_scripts::Config::new(&identity.node, &ip, &identity.run, files);
    let scripting = &config.scripting;
    Ok(gillnet_scripts::Config {
        sources: sources(config, dir),
        watch: scripting.watch_scripts.unwrap_or(usual.watch),
        console: scripting.console.unwrap_or(usual.console),
        env: env(config)?,
        allow_hosts: scripting.allow_hosts.clone(),
        endpoints: scripting.endpoints.clone(),
        limits: limits(&scripting.limits)?,
        ..usual
    })
}

/// `scripting.limits` over the usual ones.
fn limits(given: &ScriptLimits) -> anyhow::Result<Limits> {
    let mut limits = Limits::default();
    if let Some(time) = &given.time {
        let time = config::duration(time).context("scripting.limits.time");
        limits = limits
            .with_time(time.map_err(exit::usage)?)
            .map_err(exit::usage)?;
    }
    if let Some(Size(memory)) = given.memory {
        limits = limits.with_memory(memory).map_err(exit::usage)?;
    }
    if let Some(queue) = given.queue {
        limits = limits.with_queue(queue).map_err(exit::usage)?;
    }
    if let Some(Size(disk)) = given.disk {
        limits = limits.with_disk(disk).map_err(exit::usage)?;
    }
    Ok(limits)
}

/// `scripting.env` with what it refers to. The process's own variables of recording go before it.
pub fn env(config: &Config) -> anyhow::Result<Map<String, Value>> {
    let values = config.scripting.env.iter();
    let given = values.map(|(key, value)| (key.clone(), plain(value)));
    let mut env = vendor::resolve_env(&given.collect()).map_err(exit::usage)?;
    for name in ["RECORDING_KFL", "GCS_BUCKET", "GCS_SA_KEY_JSON"] {
        if let Ok(value) = std::env::var(name)
            && !value.is_empty()
        {
            env.insert(name.to_owned(), Value::String(value));
        }
    }
    Ok(env)
}

fn plain(value: &EnvValue) -> Value {
    match value {
        EnvValue::File { file } => serde_json::json!({ "file": file }),
        EnvValue::Variable { env } => serde_json::json!({ "env": env }),
        EnvValue::Text(text) => Value::String(text.clone()),
        EnvValue::Number(number) => Value::Number(number.clone()),
        EnvValue::Flag(flag) => Value::Bool(*flag),
        EnvValue::Null(()) => Value::Null,
    }
}

/// Whether an active script records by itself what `RECORDING_KFL` says, and which.
pub fn records(sources: &Sources) -> Option<String> {
    // what can't be read is said where scripts are started, and runs no script that would record
    let files = sources.recording().ok()?;
    let names = files.iter().map(|file| file.display().to_string());
    Some(names.collect::<Vec<_>>().join(", ")).filter(|names| !names.is_empty())
}

/// Starts them.
pub fn start(config: gillnet_scripts::Config, doors: Doors) -> anyhow::Result<Scripts> {
    Scripts::start(config, doors)
        .map_err(exit::usage)
        .context("scripts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn read(text: &str) -> anyhow::Result<Limits> {
        limits(&Config::parse(text)?.scripting.limits)
    }

    #[test]
    fn limits_are_those_of_the_configuration() {
        assert_eq!(read("").unwrap(), Limits::default());
        let given = read("scripting: {limits: {time: 250ms, memory: 32Mi, queue: 100, disk: 2Gi}}");
        let given = given.unwrap();
        assert_eq!(
            (given.hook, given.job, given.memory, given.queue, given.disk),
            (
                Duration::from_millis(250),
                Duration::from_millis(2500),
                32 << 20,
                100,
                2 << 30
            )
        );
        let config = Config::parse("scripting: {limits: {tme: 1s}}").unwrap();
        assert_eq!(config.unknown_keys(), ["scripting.limits.tme"]);
    }

    #[test]
    fn limits_that_are_none_are_named() {
        for (given, says) in [
            (
                "time: soon",
                "scripting.limits.time: `soon` is no duration; write 30s, 5m, 1h30m",
            ),
            (
                "time: -1s",
                "scripting.limits.time: `-1s` is not a positive duration",
            ),
            ("time: 0s", "scripting.limits.time: 0ns is too little"),
            (
                "memory: 1k",
                "scripting.limits.memory: 1000 bytes is too little; a script may hold from 4Mi to 16Gi",
            ),
            ("memory: much", "`much` is no size"),
            ("queue: 0", "scripting.limits.queue: 0 is too little"),
            (
                "disk: 100",
                "scripting.limits.disk: 100 bytes is too little",
            ),
        ] {
            let error = read(&format!("scripting: {{limits: {{{given}}}}}")).unwrap_err();
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
    }
}
