//! HTTP API and dashboard, for what is live and for what was recorded.
//!
//! [`serve`] puts a [`Backend`] behind the doors (loopback, token, Host and Origin); the dashboard's files are part
//! of the binary. A backend answers from memory ([`LiveStore`]) or by reading recordings again.

mod backend;
mod doors;
mod export;
mod filters;
mod live;
mod metrics;
mod page;
mod queried;
mod redacted;
mod routes;
mod rows;
mod scripts;
mod stats;
mod ui;
mod values;

pub use backend::{
    Backend, EntryKey, News, NoStats, PcapFormat, Progress, RecordingStatus, RecordingWindow,
    Refused, Span, Speech, StatsQuery, Status, StreamKey,
};
pub use doors::{Doors, Token};
pub use export::{ExportQuery, NoExport, Outlet};
pub use filters::{errors, validation};
pub use live::{LiveStore, Since};
pub use metrics::{Extra, Source as MetricsSource, metrics_text, serve_metrics};
pub use page::{Cursor, Page, PageQuery, Pager};
pub use queried::queried;
pub use routes::serve;
pub use rows::write_row;
