//! The helpers: what stands in a script's globals beside the language.

mod args;
mod kfl;

pub(crate) use args::{Args, Helper, throw};
pub(crate) use kfl::Filters;

use crate::entry::Shapes;
use crate::local::Local;
use rquickjs::{Ctx, Result};
use std::rc::Rc;

/// Puts all helpers into an interpreter's globals.
pub(crate) fn install<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    ctx.store_userdata(Shapes::new(ctx)?)
        .map_err(|_| rquickjs::Error::Unknown)?;
    ctx.store_userdata(Filters::new(local))
        .map_err(|_| rquickjs::Error::Unknown)?;
    kfl::install(ctx, local)?;
    Ok(())
}
