//! Metrics that scripts set, as Prometheus reads them.

use crate::clock::lock;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

/// Time series, at most.
const MOST: usize = 10_000;
/// Bytes of one label's value, at most.
const LONGEST: usize = 1024;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Values are added up.
    Counter,
    /// The last value counts.
    Gauge,
    /// The last value counts; of no declared type.
    Untyped,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Untyped => "untyped",
        }
    }
}

/// The metrics of all scripts. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    families: BTreeMap<String, Family>,
    series: usize,
    refused: u64,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: String,
    series: BTreeMap<Vec<(String, String)>, f64>,
}

/// A name as Prometheus takes it: letters, digits and `_`, no digit first; anything else becomes `_`.
fn clean(name: &str, colon: bool) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    let mut clean: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if clean.chars().next().is_none_or(|c| c.is_ascii_digit()) {
        clean.insert(0, '_');
    }
    clean
}

fn escaped(text: &str, quote: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quote {
        text.replace('"', "\\\"")
    } else {
        text
    }
}

impl Metrics {
    /// Sets a value, or adds it to a counter. Gives what a script is told.
    pub(crate) fn set(
        &self,
        name: &str,
        help: &str,
        kind: Kind,
        value: f64,
        labels: BTreeMap<String, String>,
    ) -> Result<String, String> {
        if !value.is_finite() {
            return Err(format!("{name}: the value must be a finite number"));
        }
        if kind == Kind::Counter && value < 0.0 {
            return Err(format!(
                "{name}: a counter can't go down; {value} is passed over"
            ));
        }
        let name = clean(name, true);
        let cut = |mut text: String| {
            if text.len() > LONGEST {
                let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at));
                text.truncate(end.unwrap_or_default());
            }
            text
        };
        let labels: BTreeMap<_, _> = labels
            .into_iter()
            .map(|(key, value)| (clean(&key, false), cut(value)))
            .collect();
        let labels: Vec<_> = labels.into_iter().collect();
        let mut inner = lock(&self.0);
        let inner = &mut *inner;
        let family = inner.families.get_mut(&name);
        let is_new = family
            .as_ref()
            .is_none_or(|family| !family.series.contains_key(&labels));
        if is_new && inner.series >= MOST {
            inner.refused += 1;
            return Err(format!("{name}: there are {MOST} time series already"));
        }
        let family = match family {
            Some(family) if family.kind != kind => {
                let is = family.kind.name();
                return Err(format!("{name} is a {is}, and no {}", kind.name()));
            }
            Some(family) => family,
            None => inner.families.entry(name.clone()).or_insert(Family {
                kind,
                help: cut(help.to_owned()),
                series: BTreeMap::new(),
            }),
        };
        let held = family.series.entry(labels).or_insert(0.0);
        match kind {
            Kind::Counter => *held += value,
            Kind::Gauge | Kind::Untyped => *held = value,
        }
        inner.series += usize::from(is_new);
        Ok("ok".to_owned())
    }

    /// Values that found no room so far.
    pub fn refused(&self) -> u64 {
        lock(&self.0).refused
    }

    /// All of them in Prometheus' text format (version 0.0.4).
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (name, family) in &lock(&self.0).families {
            // writing to a String cannot fail
            let _ = writeln!(out, "# HELP {name} {}", escaped(&family.help, false));
            let _ = writeln!(out, "# TYPE {name} {}", family.kind.name());
            for (labels, value) in &family.series {
                let labels: Vec<_> = labels
                    .iter()
                    .map(|(key, value)| format!("{key}=\"{}\"", escaped(value, true)))
                    .collect();
                let labels = match labels.len() {
                    0 => String::new(),
                    _ => format!("{{{}}}", labels.join(",")),
                };
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn values_are_printed_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        let set = |name: &str, kind, value, pairs: &[(&str, &str)]| {
            metrics.set(name, "What it \\ is", kind, value, labels(pairs))
        };
        set(
            "performance",
            Kind::Gauge,
            1.5,
            &[("s_pod", "web \"1\"\n"), ("s_namespace", "shop")],
        )
        .unwrap();
        set(
            "performance",
            Kind::Gauge,
            2.5,
            &[("s_pod", "web \"1\"\n"), ("s_namespace", "shop")],
        )
        .unwrap();
        set("dns_requests", Kind::Counter, 2.0, &[]).unwrap();
        set("dns_requests", Kind::Counter, 3.0, &[]).unwrap();
        set(
            "dnscounts_web-1.shop",
            Kind::Untyped,
            1.0,
            &[("s path", "x")],
        )
        .unwrap();
        assert_eq!(
            metrics.text(),
            "# HELP dns_requests What it \\\\ is\n# TYPE dns_requests counter\ndns_requests 5\n\
             # HELP dnscounts_web_1_shop What it \\\\ is\n# TYPE dnscounts_web_1_shop untyped\n\
             dnscounts_web_1_shop{s_path=\"x\"} 1\n\
             # HELP performance What it \\\\ is\n# TYPE performance gauge\n\
             performance{s_namespace=\"shop\",s_pod=\"web \\\"1\\\"\\n\"} 2.5\n"
        );
        assert!(set("dns_requests", Kind::Counter, -1.0, &[]).is_err());
        assert!(set("dns_requests", Kind::Gauge, 1.0, &[]).is_err());
        assert!(set("x", Kind::Gauge, f64::NAN, &[]).is_err());
    }

    #[test]
    fn there_is_room_for_so_many() {
        let metrics = Metrics::default();
        for i in 0..MOST {
            metrics
                .set("m", "", Kind::Gauge, 0.0, labels(&[("i", &i.to_string())]))
                .unwrap();
        }
        assert!(
            metrics
                .set("other", "", Kind::Gauge, 0.0, BTreeMap::new())
                .is_err()
        );
        assert!(
            metrics
                .set("m", "", Kind::Gauge, 1.0, labels(&[("i", "1")]))
                .is_ok()
        );
        assert_eq!(metrics.refused(), 1);
    }
}
