//! The helpers: what stands in a script's globals beside the language.

mod args;
mod basics;
mod cluster;
mod file;
mod jobs;
mod kfl;
#[cfg(test)]
mod tests;
mod timers;
mod vendor;

pub use cluster::{Cluster, NoCluster};
pub(crate) use timers::Timers;

use crate::engine::PRELUDE;
use crate::entry::Shapes;
use crate::local::Local;
use crate::review::Missing;
use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, Function, Object, Result, Value};
use std::rc::Rc;

/// Puts all helpers into an interpreter's globals.
pub(crate) fn install<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    let twice = || rquickjs::Error::Unknown;
    ctx.store_userdata(Shapes::new(ctx)?).map_err(|_| twice())?;
    ctx.store_userdata(kfl::Filters::new(local))
        .map_err(|_| twice())?;
    date(ctx, local)?;
    basics::env(ctx, local)?;
    basics::install(ctx, local)?;
    kfl::install(ctx, local)?;
    file::install(ctx, local)?;
    jobs::install(ctx, local)?;
    timers::install(ctx, local)?;
    cluster::install(ctx, local)?;
    vendor::install(ctx, local)?;
    wrapper(ctx)
}

/// Has `Date` go by the clock that jobs go by, where that is not the system's.
fn date<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    if local.host.clock.date().is_none() {
        return Ok(());
    }
    let make = prelude(ctx, include_str!("date.js"))?;
    let mine = Rc::clone(local);
    #[allow(clippy::cast_precision_loss)] // whole for a while yet
    let now = move || (mine.host.clock.date().unwrap_or_default() / 1_000_000) as f64;
    let date: Value<'js> = make.call((Function::new(ctx.clone(), now)?,))?;
    ctx.globals().set("Date", date)
}

/// A function of the helpers that are written in JavaScript.
fn prelude<'js>(ctx: &Ctx<'js>, text: &str) -> Result<Function<'js>> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(PRELUDE.to_owned());
    ctx.eval_with_options(text, options)
}

/// Has a script's errors name the helpers that it calls and there are none of. Where it calls none such, nothing is
/// changed.
pub(crate) fn name_missing(ctx: &Ctx<'_>, file: &str, missing: &[Missing]) -> Result<()> {
    let install = prelude(ctx, include_str!("missing.js"))?;
    let place = |(line, column): (u32, u32)| [line, column];
    let missing = missing.iter().map(|missing| {
        serde_json::json!({
            "from": place(missing.from), "to": place(missing.to), "message": missing.message,
        })
    });
    let missing = serde_json::Value::from(missing.collect::<Vec<_>>());
    install.call((file, ctx.json_parse(missing.to_string())?))
}

/// `wrapper.*` and `fetch`, which are written in JavaScript over the other helpers: what a script makes of their names later does not
/// matter to it.
fn wrapper(ctx: &Ctx<'_>) -> Result<()> {
    let make = prelude(ctx, include_str!("wrapper.js"))?;
    let globals = ctx.globals();
    // as they are now: a copy, with nothing of the script's
    let helpers = Object::new(ctx.clone())?;
    for name in ["kfl", "file", "pcap", "jobs", "vendor", "console", "env"] {
        helpers.set(name, globals.get::<_, Value<'_>>(name)?)?;
    }
    helpers.set("request", globals.get::<_, Value<'_>>("fetch")?)?;
    let made: Object<'_> = make.call((helpers,))?;
    for name in ["wrapper", "fetch"] {
        globals.set(name, made.get::<_, Value<'_>>(name)?)?;
    }
    Ok(())
}
