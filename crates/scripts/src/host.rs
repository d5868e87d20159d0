//! What all scripts of a process share.

use crate::clock::{Bell, Clock, lock};
use crate::console::Console;
use crate::files::Files;
use crate::helpers::Cluster;
use crate::hooks::Hook;
use crate::jobs::Scheduler;
use crate::limits::Limits;
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::scripts::Config;
use crate::speech::Speech;
use crate::vendor::{self, Vendors};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// On which side a script runs. In a single process both are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Where traffic is.
    Worker,
    /// Where workers report to.
    Hub,
}

impl Side {
    /// As it is shown: `worker`, `hub`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Side::Worker => "worker",
            Side::Hub => "hub",
        }
    }
}

/// One side: its name, and its jobs.
#[derive(Debug)]
pub(crate) struct Node {
    /// As `utils.nodeName()` gives it and the console shows it: the host's name, or `hub`.
    pub(crate) name: String,
    pub(crate) scheduler: Scheduler,
}

/// What the configuration gives scripts.
pub(crate) struct Given {
    /// `scripting.env`, resolved.
    pub(crate) env: Map<String, Value>,
    pub(crate) vendors: Vendors,
    allow_hosts: Vec<String>,
    endpoints: BTreeMap<String, String>,
}

impl Given {
    pub(crate) fn new(config: &Config) -> Result<Given, vendor::ConfigError> {
        let mut vendors = vendor::Config::new(vendor::Node {
            name: config.node.clone(),
            ip: config.node_ip.clone(),
            run: config.run.clone(),
        });
        vendors.env.clone_from(&config.env);
        vendors.allow_hosts.clone_from(&config.allow_hosts);
        vendors.endpoints.clone_from(&config.endpoints);
        Ok(Given {
            env: config.env.clone(),
            vendors: Vendors::new(vendors)?,
            allow_hosts: config.allow_hosts.clone(),
            endpoints: config.endpoints.clone(),
        })
    }

    /// Whether scripts would see no difference.
    pub(crate) fn is_same(&self, other: &Given) -> bool {
        self.env == other.env
            && self.allow_hosts == other.allow_hosts
            && self.endpoints == other.endpoints
    }
}

/// The process behind the scripts.
pub(crate) struct Host {
    pub(crate) worker: Node,
    pub(crate) hub: Node,
    /// What the configuration gives scripts; may change while they run.
    pub(crate) given: Mutex<Arc<Given>>,
    pub(crate) limits: Limits,
    pub(crate) console: Console,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) speech: Speech,
    pub(crate) files: Files,
    pub(crate) cluster: Arc<dyn Cluster>,
    /// Vendor calls are said and not made.
    pub(crate) dry_run: bool,
    /// Rings when the hooks of a script at work changed.
    pub(crate) changed: Bell,
    /// What scripts at work are reached by.
    pub(crate) mailboxes: Mutex<Vec<(Side, Arc<Mailbox>)>>,
}

impl Host {
    pub(crate) fn given(&self) -> Arc<Given> {
        Arc::clone(&lock(&self.given))
    }

    pub(crate) fn node(&self, side: Side) -> &Node {
        match side {
            Side::Worker => &self.worker,
            Side::Hub => &self.hub,
        }
    }

    /// Posts to each script of a side that has a hook.
    pub(crate) fn each(&self, hook: Hook, side: Side, post: impl Fn(&Mailbox)) {
        for (of, mailbox) in lock(&self.mailboxes).iter() {
            if *of == side && mailbox.has(hook) {
                post(mailbox);
            }
        }
    }
}

impl Node {
    pub(crate) fn new(name: &str, clock: &Arc<dyn Clock>) -> Node {
        Node {
            name: name.to_owned(),
            scheduler: Scheduler::new(Arc::clone(clock)),
        }
    }
}
