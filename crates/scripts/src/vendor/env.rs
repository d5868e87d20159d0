//! Values of `scripting.env` by reference, so that keys need not stand in the configuration:
//! `GCS_SA_KEY_JSON: {file: /etc/keys/gcs.json}`, `SLACK_TOKEN: {env: SLACK_TOKEN}`.

use std::{fs, io::Read};

use serde_json::{Map, Value};

/// The longest file that is taken as a value, in bytes.
const MAX_VALUE: u64 = 256 << 10;

/// A value of `scripting.env` that can't be had. Shows names and paths, never a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// The file can't be read.
    #[error("scripting.env.{key}: {file} can't be read: {error}")]
    File {
        /// Key of `scripting.env`.
        key: String,
        /// The path.
        file: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is too long, or no text.
    #[error("scripting.env.{key}: {file} {why}")]
    Content {
        /// Key of `scripting.env`.
        key: String,
        /// The path.
        file: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The variable is not set.
    #[error("scripting.env.{key}: the environment variable {name} is not set")]
    Variable {
        /// Key of `scripting.env`.
        key: String,
        /// Its name.
        name: String,
    },
    /// Neither a scalar nor a reference.
    #[error("scripting.env.{key}: give a value, {{file: PATH}} or {{env: NAME}}")]
    Shape {
        /// Key of `scripting.env`.
        key: String,
    },
}

/// A value of `scripting.env` as scripts see it: scalars as they are, `{file: PATH}` as that file's
/// text without line ends at its end, `{env: NAME}` as that variable, which `variable` looks up.
///
/// # Errors
/// See [`EnvError`]; each names the key.
pub fn resolve_value(
    key: &str,
    value: &Value,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Value, EnvError> {
    let shape = || EnvError::Shape {
        key: key.to_owned(),
    };
    let object = match value {
        Value::Object(object) => object,
        Value::Array(_) => return Err(shape()),
        scalar => return Ok(scalar.clone()),
    };
    let mut parts = object.iter();
    match (parts.next(), parts.next()) {
        (Some((kind, Value::String(path))), None) if kind == "file" => {
            read(key, path).map(Value::String)
        }
        (Some((kind, Value::String(name))), None) if kind == "env" => {
            let found = variable(name).ok_or_else(|| EnvError::Variable {
                key: key.to_owned(),
                name: name.clone(),
            })?;
            Ok(Value::String(found))
        }
        _ => Err(shape()),
    }
}

/// All values, by [`resolve_value`], with the variables of this process.
///
/// # Errors
/// The first that can't be had.
pub fn resolve_env(env: &Map<String, Value>) -> Result<Map<String, Value>, EnvError> {
    let variable = |name: &str| std::env::var(name).ok();
    env.iter()
        .map(|(key, value)| Ok((key.clone(), resolve_value(key, value, &variable)?)))
        .collect()
}

fn read(key: &str, path: &str) -> Result<String, EnvError> {
    let content = |why| EnvError::Content {
        key: key.to_owned(),
        file: path.to_owned(),
        why,
    };
    let failed = |error| EnvError::File {
        key: key.to_owned(),
        file: path.to_owned(),
        error,
    };
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_VALUE + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_VALUE {
        return Err(content("is longer than 256 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| content("is not UTF-8 text"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(value: Value) -> Result<Value, String> {
        let variable = |name: &str| (name == "TOKEN").then(|| "of-the-environment".to_owned());
        resolve_value("KEY", &value, &variable).map_err(|error| error.to_string())
    }

    #[test]
    fn scalars_files_and_variables() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        fs::write(&file, "{\"a\": 1}\n").unwrap();
        for (value, expected) in [
            (json!("text"), json!("text")),
            (json!(10), json!(10)),
            (json!(null), json!(null)),
            (json!({"file": file}), json!("{\"a\": 1}")),
            (json!({"env": "TOKEN"}), json!("of-the-environment")),
        ] {
            assert_eq!(resolved(value).unwrap(), expected);
        }
        let large = folder.path().join("large");
        fs::write(&large, vec![b'x'; 300 << 10]).unwrap();
        fs::write(&file, [0xff]).unwrap();
        for (value, says) in [
            (
                json!({"file": folder.path().join("none")}),
                "none can't be read",
            ),
            (json!({"file": large}), "longer than 256 KiB"),
            (json!({"file": file}), "not UTF-8"),
            (json!({"env": "NONE"}), "variable NONE is not set"),
            (
                json!({"file": "a", "env": "b"}),
                "{file: PATH} or {env: NAME}",
            ),
            (json!({"secret": "b"}), "{file: PATH}"),
            (json!(["x"]), "{file: PATH}"),
        ] {
            let error = resolved(value).unwrap_err();
            assert!(
                error.contains(says) && error.contains("scripting.env.KEY"),
                "{error}"
            );
        }
    }
}
