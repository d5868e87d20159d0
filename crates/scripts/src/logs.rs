//! What Gillnet itself logs, for `onLogCall`. What scripts have it log is left out: it would go round and round.

use crate::clock::lock;
use crate::hooks::Hook;
use crate::host::{Host, Side};
use crate::mailbox::Event;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, Weak};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer};

/// A layer of the log that hands its lines to scripts, once it is attached to them. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct LogLayer(Arc<Mutex<Weak<Host>>>);

impl LogLayer {
    pub(crate) fn attach(&self, host: &Arc<Host>) {
        *lock(&self.0) = Arc::downgrade(host);
    }
}

/// The fields of a line.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl<S: tracing::Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        let Some(host) = lock(&self.0).upgrade() else {
            return;
        };
        // a script that makes Gillnet log is not told of it
        let own = std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with("script "));
        if own || about.target().starts_with("gillnet_scripts") {
            return;
        }
        let level = match *about.level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warning",
            tracing::Level::INFO => "info",
            // more than anyone asked for
            _ => return,
        };
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let now = gillnet_entry::time::Rfc3339(host.clock.now()).to_string();
        let mut message = Map::new();
        message.insert("time".to_owned(), now.into());
        message.insert("level".to_owned(), level.into());
        message.extend(fields.0);
        let message = Arc::new(Value::Object(message));
        for side in [Side::Worker, Side::Hub] {
            host.each(Hook::LogCall, side, |mailbox| {
                mailbox.post(Event::Log(level, Arc::clone(&message)));
            });
        }
    }
}
