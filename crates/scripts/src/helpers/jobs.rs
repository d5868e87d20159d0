//! `jobs.*`: calls at times.

use super::args::Helper;
use crate::local::{Local, Task};
use rquickjs::{Ctx, Persistent, Result, Value};
use std::rc::Rc;

pub(super) fn install<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    let jobs = Helper::named(ctx, "jobs")?;
    let mine = Rc::clone(local);
    jobs.add("jobs.schedule", move |args| {
        let (tag, cron) = (args.text(0, "tag")?, args.text(1, "cron")?);
        let limit = match args.get(3) {
            Some(_) => args.number(3, "limit")?,
            None => 0.0,
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
        let limit = limit.clamp(0.0, f64::from(u32::MAX)) as u32;
        let scheduler = &mine.node().scheduler;
        let (id, tag) = scheduler
            .schedule(&mine.mailbox, &tag, &cron, limit)
            .map_err(|error| args.fail(format!("jobs.schedule: {error}")))?;
        // what is no function fails when it runs
        let task = args.from(2).first().cloned();
        let task = task.unwrap_or_else(|| Value::new_undefined(args.ctx.clone()));
        let rest = args.from(4).iter();
        let task = Task {
            function: Persistent::save(&args.ctx, task),
            args: rest
                .map(|arg| Persistent::save(&args.ctx, arg.clone()))
                .collect(),
        };
        let mut tasks = mine.tasks.borrow_mut();
        tasks.retain(|id, _| scheduler.has(*id));
        tasks.insert(id, task);
        let limit = if limit == 0 {
            "infinite".to_owned()
        } else {
            limit.to_string()
        };
        mine.log(&format!(
            "Scheduled the job: \"{tag}\" for cron: \"{cron}\" (limit: {limit})"
        ));
        Ok(Value::new_undefined(args.ctx.clone()))
    })?;
    let mine = Rc::clone(local);
    jobs.add("jobs.remove", move |args| {
        let tag = args.text(0, "tag")?;
        match mine.node().scheduler.remove(&tag) {
            Ok(tag) => mine.log(&format!("Removed the job: \"{tag}\"")),
            Err(error) => return Err(args.fail(format!("jobs.remove: {error}"))),
        }
        Ok(Value::new_undefined(args.ctx.clone()))
    })?;
    let mine = Rc::clone(local);
    jobs.add("jobs.removeAll", move |args| {
        mine.node().scheduler.remove_all();
        Ok(Value::new_undefined(args.ctx.clone()))
    })?;
    let mine = Rc::clone(local);
    jobs.add("jobs.list", move |args| {
        let list = serde_json::json!(mine.node().scheduler.list());
        args.ctx.json_parse(list.to_string())
    })?;
    let mine = Rc::clone(local);
    jobs.add("jobs.run", move |args| {
        let tag = args.text(0, "tag")?;
        let run = mine.node().scheduler.run(&tag);
        run.map_err(|error| args.fail(format!("jobs.run: {error}")))?;
        Ok(Value::new_undefined(args.ctx.clone()))
    })?;
    let mine = Rc::clone(local);
    jobs.add("jobs.runAll", move |args| {
        mine.node().scheduler.run_all();
        Ok(Value::new_undefined(args.ctx.clone()))
    })?;
    let scheduler = jobs.within("scheduler")?;
    let mine = Rc::clone(local);
    scheduler.add("jobs.scheduler.isRunning", move |args| {
        Ok(Value::new_bool(
            args.ctx.clone(),
            mine.node().scheduler.is_running(),
        ))
    })?;
    for (name, running) in [
        ("jobs.scheduler.start", true),
        ("jobs.scheduler.stop", false),
    ] {
        let mine = Rc::clone(local);
        scheduler.add(name, move |args| {
            mine.node().scheduler.set_running(running);
            Ok(Value::new_undefined(args.ctx.clone()))
        })?;
    }
    Ok(())
}
