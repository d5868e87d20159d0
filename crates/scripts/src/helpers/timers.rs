//! `setTimeout`, `setInterval`: calls later, on the script's own thread.

use super::args::{Args, Helper};
use crate::local::Local;
use rquickjs::{Ctx, Function, Persistent, Result, Value};
use std::rc::Rc;

/// Timers of one script, at most.
const MOST: usize = 10_000;

/// A call that is to be made.
pub(crate) struct Timer {
    pub(crate) id: u32,
    /// ns since the epoch.
    pub(crate) due: i64,
    /// Made again after so many ns.
    pub(crate) every: Option<i64>,
    pub(crate) function: Persistent<Function<'static>>,
    pub(crate) args: Vec<Persistent<Value<'static>>>,
}

/// The timers of one script.
#[derive(Default)]
pub(crate) struct Timers {
    next: u32,
    list: Vec<Timer>,
}

impl Timers {
    /// When the next is due.
    pub(crate) fn next(&self) -> Option<i64> {
        self.list.iter().map(|timer| timer.due).min()
    }

    /// Takes the one that is due longest; one that repeats stays, for its next time.
    pub(crate) fn take_due(&mut self, now: i64) -> Option<Timer> {
        let due = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, timer)| timer.due <= now);
        let (at, _) = due.min_by_key(|(_, timer)| (timer.due, timer.id))?;
        let timer = self.list.get_mut(at)?;
        let Some(every) = timer.every else {
            return Some(self.list.swap_remove(at));
        };
        // what was missed is not made up for
        timer.due = (timer.due + every).max(now + 1);
        Some(Timer {
            id: timer.id,
            due: timer.due,
            every: timer.every,
            function: timer.function.clone(),
            args: timer.args.clone(),
        })
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }
}

fn set<'js>(args: &Args<'js>, local: &Local, again: bool) -> Result<Value<'js>> {
    let function = args.function(0, "callback")?;
    let ms = match args.get(1) {
        Some(_) => args.number(1, "ms")?,
        None => 0.0,
    };
    // a year, and whole ms
    #[allow(clippy::cast_possible_truncation)]
    let ms = ms.clamp(0.0, 31_536_000_000.0) as i64;
    let ms = if again { ms.max(1) } else { ms };
    let mut timers = local.timers.borrow_mut();
    if timers.list.len() >= MOST {
        return Err(args.fail(format!("{}: there are {MOST} timers already", args.helper)));
    }
    timers.next += 1;
    let id = timers.next;
    let ctx = &args.ctx;
    timers.list.push(Timer {
        id,
        due: local.host.clock.now().saturating_add(ms * 1_000_000),
        every: again.then_some(ms * 1_000_000),
        function: Persistent::save(ctx, function),
        args: args
            .from(2)
            .iter()
            .map(|arg| Persistent::save(ctx, arg.clone()))
            .collect(),
    });
    Ok(Value::new_number(ctx.clone(), f64::from(id)))
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    let globals = Helper::globals(ctx);
    for (name, again) in [("setTimeout", false), ("setInterval", true)] {
        let mine = Rc::clone(local);
        globals.add(name, move |args| set(args, &mine, again))?;
    }
    for name in ["clearTimeout", "clearInterval"] {
        let mine = Rc::clone(local);
        globals.add(name, move |args| {
            if let Some(id) = args.get(0).and_then(Value::as_number) {
                let mut timers = mine.timers.borrow_mut();
                timers.list.retain(|timer| f64::from(timer.id) != id);
            }
            Ok(Value::new_undefined(args.ctx.clone()))
        })?;
    }
    Ok(())
}
