//! A script in its interpreter: loaded, its hooks called, its jobs and timers run. On one thread.

use crate::engine::{Engine, Fault, FaultKind, text};
use crate::entry::{entry_object, go_object};
use crate::helpers::{self, Timers};
use crate::hooks::{Hook, HookSet};
use crate::host::{Host, Side};
use crate::jobs::Due;
use crate::local::Local;
use crate::mailbox::{Mailbox, Queried};
use crate::review;
use gillnet_entry::OwnedEntry;
use gillnet_entry::time::Rfc3339;
use gillnet_pipeline::PacketSeen;
use rquickjs::function::Args;
use rquickjs::{Ctx, Function, Object, Persistent, Result, Value};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Which functions are there, those that `let` and `const` name included.
fn probe() -> String {
    let each = Hook::ALL.map(|hook| {
        let name = hook.name();
        format!("typeof {name} === 'function' ? {name} : undefined")
    });
    format!("[{}]", each.join(", "))
}

/// A script at work.
pub(crate) struct Script {
    hooks: RefCell<[Option<Persistent<Function<'static>>>; Hook::COUNT]>,
    local: Rc<Local>,
    // dropped last: the others are its values
    engine: Engine,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.local.timers.borrow_mut().clear();
        self.local.tasks.borrow_mut().clear();
    }
}

impl Script {
    /// An interpreter with all helpers and nothing of the script.
    pub(crate) fn new(
        host: &Arc<Host>,
        side: Side,
        number: u32,
        mailbox: &Arc<Mailbox>,
    ) -> std::result::Result<Script, Fault> {
        let engine = Engine::new(host.limits.memory)?;
        let local = Rc::new(Local {
            host: Arc::clone(host),
            side,
            number,
            mailbox: Arc::clone(mailbox),
            guard: Rc::clone(engine.guard()),
            timers: RefCell::new(Timers::default()),
            tasks: RefCell::default(),
        });
        engine.enter(host.limits.job, |ctx| helpers::install(ctx, &local))?;
        Ok(Script {
            hooks: RefCell::default(),
            local,
            engine,
        })
    }

    /// Runs the whole text, top to bottom; then its hooks are known.
    pub(crate) fn load(&self, file: &str, text: &str) -> std::result::Result<(), Fault> {
        let limit = self.local.host.limits.job;
        let missing = review::missing(text);
        if !missing.is_empty() {
            let name = |ctx: &Ctx<'_>| helpers::name_missing(ctx, file, &missing);
            self.engine.enter(limit, name)?;
        }
        self.engine.run(file, text, limit)?;
        self.find_hooks()
    }

    /// Looks which hooks are defined by now.
    pub(crate) fn find_hooks(&self) -> std::result::Result<(), Fault> {
        let found = self.engine.enter(self.local.host.limits.hook, |ctx| {
            let mut options = rquickjs::context::EvalOptions::default();
            options.strict = false;
            let functions: Vec<Value<'_>> = ctx.eval_with_options(probe(), options)?;
            let mut found = [const { None }; Hook::COUNT];
            for (place, function) in found.iter_mut().zip(functions) {
                *place = function
                    .into_function()
                    .map(|function| Persistent::save(ctx, function));
            }
            Ok(found)
        })?;
        let set = Hook::ALL
            .into_iter()
            .zip(&found)
            .filter(|(_, function)| function.is_some());
        let set = set.fold(HookSet::default(), |set, (hook, _)| set.with(hook));
        *self.hooks.borrow_mut() = found;
        if self.local.mailbox.set_hooks(set) {
            self.local.host.changed.ring();
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn local(&self) -> &Rc<Local> {
        &self.local
    }

    /// Whether it can't go on and must be loaded anew.
    pub(crate) fn is_spoiled(&self) -> bool {
        self.engine.is_spoiled()
    }

    /// Bytes that its interpreter holds.
    pub(crate) fn memory(&self) -> usize {
        self.engine.memory()
    }

    /// Calls a hook, if it is there. `args` puts its arguments.
    fn call<T>(
        &self,
        hook: Hook,
        args: impl for<'js> FnOnce(&Ctx<'js>, &mut Args<'js>) -> Result<()>,
        answer: impl for<'js> FnOnce(&Ctx<'js>, Value<'js>) -> Result<T>,
    ) -> std::result::Result<Option<T>, Fault> {
        let Some(function) = self.hooks.borrow().get(hook as usize).cloned().flatten() else {
            return Ok(None);
        };
        self.local.mailbox.count_call(hook);
        self.engine.enter(self.local.host.limits.hook, |ctx| {
            let function = function.restore(ctx)?;
            let mut call = Args::new(ctx.clone(), 4);
            args(ctx, &mut call)?;
            let value: Value<'_> = function.call_arg(call)?;
            answer(ctx, value).map(Some)
        })
    }

    /// `onItemCaptured(data)`
    pub(crate) fn item_captured(&self, entry: Arc<OwnedEntry>) -> std::result::Result<(), Fault> {
        self.call(
            Hook::ItemCaptured,
            |ctx, args| push_entry(ctx, args, entry),
            |_, _| Ok(()),
        )
        .map(drop)
    }

    /// `onPacketCaptured(info)`
    pub(crate) fn packet_captured(&self, seen: &PacketSeen) -> std::result::Result<(), Fault> {
        self.call(
            Hook::PacketCaptured,
            |ctx, args| push_packet(ctx, args, seen),
            |_, _| Ok(()),
        )
        .map(drop)
    }

    /// `onItemQueried(data, filter)`: the JSON of what is shown instead, where the hook gave anything.
    pub(crate) fn item_queried(
        &self,
        queried: &Queried,
    ) -> std::result::Result<Option<String>, Fault> {
        let answer = self.call(
            Hook::ItemQueried,
            |ctx, args| push_queried(ctx, args, queried),
            |ctx, value| {
                if !value.is_object() {
                    return Ok(None);
                }
                let json = ctx.json_stringify(value)?;
                Ok(json.map(|json| crate::engine::whole(&json)))
            },
        );
        answer.map(Option::flatten)
    }

    /// `onJobPassed(tag, cron, limit)`, or `onJobFailed(tag, cron, limit, err)`.
    pub(crate) fn job_ended(
        &self,
        tag: &str,
        cron: &str,
        limit: u32,
        failed: Option<&str>,
    ) -> std::result::Result<(), Fault> {
        let hook = if failed.is_some() {
            Hook::JobFailed
        } else {
            Hook::JobPassed
        };
        let called = self.call(
            hook,
            |_, args| {
                args.push_args([tag, cron])?;
                args.push_arg(limit)?;
                match failed {
                    Some(error) => args.push_arg(error),
                    None => Ok(()),
                }
            },
            |_, _| Ok(()),
        );
        called.map(drop)
    }

    /// `onHubAction(action, object)`
    pub(crate) fn hub_action(&self, action: &str, object: &Json) -> std::result::Result<(), Fault> {
        self.call(
            Hook::HubAction,
            |ctx, args| push_json(ctx, args, action, object),
            |_, _| Ok(()),
        )
        .map(drop)
    }

    /// `onPodEvent(event, pod)`
    pub(crate) fn pod_event(&self, event: &str, pod: &Json) -> std::result::Result<(), Fault> {
        self.call(
            Hook::PodEvent,
            |ctx, args| push_pod(ctx, args, event, pod),
            |_, _| Ok(()),
        )
        .map(drop)
    }

    /// `onLogCall(level, msg)`
    pub(crate) fn log_call(&self, level: &str, message: &Json) -> std::result::Result<(), Fault> {
        self.call(
            Hook::LogCall,
            |ctx, args| push_json(ctx, args, level, message),
            |_, _| Ok(()),
        )
        .map(drop)
    }

    /// Runs a job of its.
    pub(crate) fn run_job(&self, due: &Due) -> std::result::Result<(), Fault> {
        let task = self.local.tasks.borrow().get(&due.id).cloned();
        let Some(task) = task else {
            return Err(Fault::plain(
                FaultKind::Throw,
                "Error: the script that gave this job is gone",
            ));
        };
        self.engine.enter(self.local.host.limits.job, |ctx| {
            let function = task.function.restore(ctx)?;
            let Some(function) = function.as_function() else {
                let message = format!("the task of the job \"{}\" must be a function", due.tag);
                return Err(rquickjs::Exception::throw_type(ctx, &message));
            };
            let mut args = Args::new(ctx.clone(), task.args.len());
            for arg in task.args {
                args.push_arg(arg.restore(ctx)?)?;
            }
            function.call_arg::<Value<'_>>(args).map(drop)
        })
    }

    /// Runs the timer that is due longest. `None` where none is.
    pub(crate) fn run_timer(&self) -> Option<std::result::Result<(), Fault>> {
        let now = self.local.host.clock.now();
        let timer = self.local.timers.borrow_mut().take_due(now)?;
        Some(self.engine.enter(self.local.host.limits.job, |ctx| {
            let mut args = Args::new(ctx.clone(), timer.args.len());
            for arg in timer.args {
                args.push_arg(arg.restore(ctx)?)?;
            }
            timer
                .function
                .restore(ctx)?
                .call_arg::<Value<'_>>(args)
                .map(drop)
        }))
    }

    /// When its next timer is due.
    pub(crate) fn next_timer(&self) -> Option<i64> {
        self.local.timers.borrow().next()
    }

    #[cfg(test)]
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What an expression comes to, as text: for tests.
    pub(crate) fn evaluate(&self, expression: &str) -> std::result::Result<String, Fault> {
        self.engine.enter(self.local.host.limits.job, |ctx| {
            let mut options = rquickjs::context::EvalOptions::default();
            options.strict = false;
            options.filename = Some("expression".to_owned());
            let value: Value<'_> = ctx.eval_with_options(expression, options)?;
            Ok(text(ctx, &value))
        })
    }
}

fn push_entry<'js>(ctx: &Ctx<'js>, args: &mut Args<'js>, entry: Arc<OwnedEntry>) -> Result<()> {
    args.push_arg(entry_object(ctx, entry)?)
}

fn push_queried<'js>(ctx: &Ctx<'js>, args: &mut Args<'js>, queried: &Queried) -> Result<()> {
    let filter = match queried {
        Queried::Entry(entry, filter) => {
            push_entry(ctx, args, Arc::clone(entry))?;
            filter
        }
        Queried::Json(json, filter) => {
            args.push_arg(ctx.json_parse(json.as_str())?)?;
            filter
        }
    };
    args.push_arg(&**filter)
}

fn push_packet<'js>(ctx: &Ctx<'js>, args: &mut Args<'js>, seen: &PacketSeen) -> Result<()> {
    let info = Object::new(ctx.clone())?;
    info.set("timestamp", Rfc3339(seen.ts).to_string())?;
    info.set("captureLength", seen.captured)?;
    info.set("length", seen.wire)?;
    info.set("truncated", seen.captured < seen.wire)?;
    info.set("fragmented", seen.fragmented)?;
    args.push_arg(info)
}

fn push_json<'js>(ctx: &Ctx<'js>, args: &mut Args<'js>, first: &str, json: &Json) -> Result<()> {
    args.push_arg(first)?;
    args.push_arg(ctx.json_parse(json.to_string())?)
}

fn push_pod<'js>(ctx: &Ctx<'js>, args: &mut Args<'js>, event: &str, pod: &Json) -> Result<()> {
    args.push_arg(event)?;
    args.push_arg(go_object(ctx, pod)?)
}
