//! A record as filters see it.

use gillnet_entry::{
    Bump, Common, Ctx, End, Entry, Name, Nothing, Origin, Record, Transport, Workload,
};
use gillnet_kfl::{Env, Errors, Filter, Lang, Options, Outcome, compile};
use std::sync::Arc;

/// All that filters may speak of.
pub(crate) fn env() -> Env {
    Env::new(&gillnet_protocols::env())
}

/// Compiles strictly.
pub(crate) fn strict(text: &str, lang: Lang) -> Result<Filter, Errors> {
    let options = Options {
        lang,
        ..Options::default()
    };
    compile(&env(), text, &options)
}

/// Where an entry was seen.
pub(crate) struct Scene {
    pub(crate) origin: Origin,
    pub(crate) src: Arc<Name>,
    pub(crate) dst: Arc<Name>,
    pub(crate) tls: bool,
}

impl Scene {
    /// Nothing is known.
    pub(crate) fn bare() -> Scene {
        Scene {
            origin: Origin::default(),
            src: Arc::default(),
            dst: Arc::default(),
            tls: false,
        }
    }

    /// A client on the node calls a service elsewhere.
    pub(crate) fn cluster() -> Scene {
        let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let workload = |node: &str, process: &str, app: &str| {
            Some(Box::new(Workload {
                node: node.into(),
                process: process.into(),
                labels: pair("app", app),
                annotations: pair("team", app),
            }))
        };
        let src = Name {
            name: "cart-1".into(),
            namespace: "shop".into(),
            pod: "cart-1".into(),
            mechanism: gillnet_entry::Mechanism::Ip,
            workload: workload("n1", "curl", "cart"),
            ..Name::default()
        };
        let dst = Name {
            namespace: "pay".into(),
            service: "card".into(),
            workload: workload("n2", "nginx", "card"),
            ..Name::default()
        };
        Scene {
            origin: Origin {
                worker: "10.0.0.1:48999".into(),
                node: "n1".into(),
                node_ip: "10.0.0.1".into(),
                cluster: "c".into(),
                backend: "ebpf",
                kept: true,
                ..Origin::default()
            },
            src: Arc::new(src),
            dst: Arc::new(dst),
            tls: true,
        }
    }

    /// Runs `read` on an entry with this record.
    pub(crate) fn with<T>(&self, record: &dyn Record, read: impl FnOnce(&Entry<'_>) -> T) -> T {
        let arena = Bump::new();
        let end = |ip: [u8; 4], port, name| End {
            ip: ip.into(),
            port,
            name,
        };
        let common = Common {
            origin: &self.origin,
            stream: 5,
            transport: Transport::Tcp,
            index: 3,
            info: record.info(),
            tls: self.tls,
            src: end([10, 0, 0, 1], 40_000, &self.src),
            dst: end([10, 0, 0, 2], 80, &self.dst),
            ts: 1_700_000_000_000_000_000,
            end_ts: None,
            request_size: 0,
            response_size: 0,
            fault: None,
            missing: 0,
            truncated_before: None,
            passed: false,
            failed: false,
            record: "",
        };
        read(&Entry {
            common: &common,
            protocol: index(record),
            record,
            ctx: Ctx {
                store: &Nothing,
                arena: &arena,
            },
        })
    }

    /// What a filter says of an entry with this record, and of the copy that left its shard.
    pub(crate) fn eval(&self, record: &dyn Record, text: &str, lang: Lang) -> Outcome {
        let filter = match strict(text, lang) {
            Ok(filter) => filter,
            Err(errors) => panic!("{text}\n{}", errors.render(text)),
        };
        self.with(record, |entry| {
            let outcome = filter.eval(entry);
            let copy = entry.detach(usize::MAX);
            let of_copy = copy.with(&Bump::new(), |entry| filter.eval(entry));
            assert_eq!(of_copy, outcome, "{text} on the copy");
            outcome
        })
    }
}

/// The index of a record's protocol in the registry.
fn index(record: &dyn Record) -> u8 {
    gillnet_protocols::index_of(record.schema()).unwrap()
}
