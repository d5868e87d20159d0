//! `hub.*` and `prometheus.*`: what leaves the script for others to see.

use super::args::{Args, Helper};
use crate::local::Local;
use crate::mailbox::Event;
use crate::metrics::Kind;
use rquickjs::{Ctx, Result, String as Text, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

fn text<'js>(ctx: &Ctx<'js>, text: &str) -> Result<Value<'js>> {
    Ok(Text::from_str(ctx.clone(), text)?.into_value())
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    let hub = Helper::named(ctx, "hub")?;
    let mine = Rc::clone(local);
    hub.add("hub.action", move |args| {
        let action = args.text(0, "action")?;
        let object = args.json(1)?;
        mine.host.to_hub(&action, &object);
        Ok(Value::new_undefined(args.ctx.clone()))
    })?;
    let mine = Rc::clone(local);
    hub.add("hub.targeted", move |args| {
        let targeted = mine.outside(|host| host.cluster.targeted());
        let targeted = targeted.map_err(|error| args.fail(format!("hub.targeted: {error}")))?;
        text(&args.ctx, &targeted.to_string())
    })?;
    let mine = Rc::clone(local);
    hub.add("hub.blockPod", move |args| {
        let (pod, namespace) = (args.text(0, "podName")?, args.text(1, "namespace")?);
        let blocked = mine.outside(|host| host.cluster.block_pod(&pod, &namespace));
        let answer = blocked.map_err(|error| args.fail(format!("hub.blockPod: {error}")))?;
        text(&args.ctx, &answer)
    })?;

    let prometheus = Helper::named(ctx, "prometheus")?;
    for name in ["prometheus.vector", "prometheus.metric"] {
        let mine = Rc::clone(local);
        prometheus.add(name, move |args| {
            // called in hot loops: what is wrong is said, and not thrown
            let status = match metric(args) {
                Ok(metric) => {
                    let Metric {
                        name,
                        help,
                        kind,
                        value,
                        labels,
                    } = metric;
                    mine.host.metrics.set(&name, &help, kind, value, labels)
                }
                Err(wrong) => Err(wrong),
            };
            text(&args.ctx, status.as_deref().unwrap_or_else(|wrong| wrong))
        })?;
    }
    Ok(())
}

struct Metric {
    name: String,
    help: String,
    kind: Kind,
    value: f64,
    labels: BTreeMap<String, String>,
}

fn metric(args: &Args<'_>) -> std::result::Result<Metric, String> {
    let text = |at: usize| {
        let value = args.get(at).filter(|value| !value.is_object());
        value.map(|value| crate::engine::text(&args.ctx, value))
    };
    let name = text(0).ok_or("argument 1 (name) must be a string")?;
    let number = |at: usize| text(at).and_then(|text| text.trim().parse::<f64>().ok());
    let kind = match number(2) {
        Some(1.0) => Kind::Counter,
        Some(2.0) => Kind::Gauge,
        Some(3.0) => Kind::Untyped,
        _ => {
            return Err(
                "argument 3 (type) must be 1 (counter), 2 (gauge) or 3 (untyped)".to_owned(),
            );
        }
    };
    let value = number(3).ok_or("argument 4 (value) must be a number")?;
    let labels = match args.json(4) {
        Ok(serde_json::Value::Object(labels)) => labels,
        Ok(_) => serde_json::Map::new(),
        Err(_) => {
            let _ = args.ctx.catch();
            return Err("argument 5 (labels) must be an object".to_owned());
        }
    };
    let labels = labels.into_iter().map(|(key, value)| {
        let value = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        (key, value)
    });
    Ok(Metric {
        name,
        help: text(1).unwrap_or_default(),
        kind,
        value,
        labels: labels.collect(),
    })
}

/// A Kubernetes cluster, as far as scripts ask for it. May block.
pub trait Cluster: Send + Sync {
    /// `hub.targeted()`: pods whose traffic is captured, and pods that are passed over: `{targets: [pod], excluded: [pod]}`.
    ///
    /// # Errors
    /// Why it can't be told.
    fn targeted(&self) -> std::result::Result<serde_json::Value, String>;

    /// `hub.blockPod(pod, namespace)`: keeps a pod from the network; gives what the API server said.
    ///
    /// # Errors
    /// Why it was not done.
    fn block_pod(&self, pod: &str, namespace: &str) -> std::result::Result<String, String>;
}

/// No cluster: a host of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCluster;

impl Cluster for NoCluster {
    fn targeted(&self) -> std::result::Result<serde_json::Value, String> {
        Ok(serde_json::json!({"targets": [], "excluded": []}))
    }

    fn block_pod(&self, _: &str, _: &str) -> std::result::Result<String, String> {
        Err("there is no Kubernetes cluster here".to_owned())
    }
}

impl crate::host::Host {
    /// Hands an action to all scripts on the hub.
    pub(crate) fn to_hub(&self, action: &str, object: &serde_json::Value) {
        self.each(
            crate::hooks::Hook::HubAction,
            crate::host::Side::Hub,
            |mailbox| {
                mailbox.post(Event::Action(action.to_owned(), object.clone()));
            },
        );
    }
}
