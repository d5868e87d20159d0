//! Names in Go beside those in JSON: `data.Protocol.Name` is `data.protocol.name`.

/// The name in JSON of a field's name in Go; `None` where it is none.
pub(crate) fn json_of(go: &str) -> Option<String> {
    let first = go.chars().next()?;
    if !first.is_ascii_uppercase() {
        return None;
    }
    let special = match go {
        "Source" => Some("src"),
        "Destination" => Some("dst"),
        "Abbreviation" => Some("abbr"),
        "BackgroundColor" => Some("backgroundColor"),
        _ => None,
    };
    if let Some(special) = special {
        return Some(special.to_owned());
    }
    if go.chars().all(|c| c.is_ascii_uppercase()) {
        return Some(go.to_ascii_lowercase());
    }
    let lower = format!("{}{}", first.to_ascii_lowercase(), go.get(1..)?);
    Some(match lower.strip_suffix("ID") {
        Some(stem) => format!("{stem}Id"),
        None => lower,
    })
}

/// The name in Go of a field of a Kubernetes object.
pub(crate) fn go_of(json: &str) -> String {
    match json {
        "metadata" => return "ObjectMeta".to_owned(),
        "uid" => return "UID".to_owned(),
        "podIP" => return "PodIP".to_owned(),
        "apiVersion" => return "APIVersion".to_owned(),
        _ => {}
    }
    let mut letters = json.chars();
    match letters.next() {
        Some(first) => format!("{}{}", first.to_ascii_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

/// The name in JSON of a field of a Kubernetes object; `None` where it is no name in Go.
pub(crate) fn kubernetes_json_of(go: &str) -> Option<String> {
    match go {
        "ObjectMeta" => Some("metadata".to_owned()),
        "UID" => Some("uid".to_owned()),
        "APIVersion" => Some("apiVersion".to_owned()),
        _ => {
            let first = go.chars().next().filter(char::is_ascii_uppercase)?;
            Some(format!("{}{}", first.to_ascii_lowercase(), go.get(1..)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings() {
        for (go, json) in [
            ("Name", "name"),
            ("Source", "src"),
            ("LongName", "longName"),
            ("IP", "ip"),
            ("Ip", "ip"),
            ("ID", "id"),
            ("CgroupID", "cgroupId"),
            ("StartTime", "startTime"),
            ("Abbreviation", "abbr"),
        ] {
            assert_eq!(json_of(go).as_deref(), Some(json));
        }
        assert_eq!((json_of("name"), json_of("")), (None, None));
        for json in ["metadata", "name", "uid", "creationTimestamp", "podIP"] {
            assert_eq!(kubernetes_json_of(&go_of(json)).as_deref(), Some(json));
        }
    }
}
