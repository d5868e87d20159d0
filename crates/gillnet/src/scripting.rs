//! Scripts of this process, as the configuration says.

use crate::config::{Config, EnvValue};
use crate::exit;
use crate::identity::Identity;
use anyhow::Context;
use gillnet_scripts::{Doors, Scripts, Sources, vendor};
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
        ..usual
    })
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
