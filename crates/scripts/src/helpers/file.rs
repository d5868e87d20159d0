//! `file.*` and `pcap.*`: the scripts' data directory, and the packets of streams.

use super::args::{Args, Helper};
use crate::engine;
use crate::files::{FileError, PCAPS};
use crate::local::Local;
use rquickjs::{Ctx, Result, String as Text, Value};
use std::rc::Rc;

/// What a helper of files gives back.
fn done<'js, T>(
    args: &Args<'js>,
    result: std::result::Result<T, FileError>,
    give: impl FnOnce(&Ctx<'js>, T) -> Result<Value<'js>>,
) -> Result<Value<'js>> {
    match result {
        Ok(value) => give(&args.ctx, value),
        Err(error) => Err(args.fail(format!("{}: {error}", args.helper))),
    }
}

fn nothing<'js>(ctx: &Ctx<'js>, (): ()) -> Result<Value<'js>> {
    Ok(Value::new_undefined(ctx.clone()))
}

fn path<'js>(ctx: &Ctx<'js>, path: String) -> Result<Value<'js>> {
    Ok(Text::from_str(ctx.clone(), &path)?.into_value())
}

/// What is written: text as it is, objects as JSON.
pub(super) fn content<'js>(ctx: &Ctx<'js>, value: Option<&Value<'js>>) -> Result<String> {
    let Some(value) = value else {
        return Ok(String::new());
    };
    if value.is_object() && !value.is_function() {
        return Ok(super::args::json(ctx, value)?.to_string());
    }
    Ok(engine::text(ctx, value))
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    let file = Helper::named(ctx, "file")?;
    for (name, append) in [("file.write", false), ("file.append", true)] {
        let mine = Rc::clone(local);
        file.add(name, move |args| {
            let path = args.text(0, "path")?;
            let text = content(&args.ctx, args.from(1).first())?;
            done(
                args,
                mine.host.files.write(&path, text.as_bytes(), append),
                nothing,
            )
        })?;
    }
    let mine = Rc::clone(local);
    file.add("file.move", move |args| {
        let (from, to) = (args.text(0, "oldPath")?, args.text(1, "newPath")?);
        done(
            args,
            mine.outside(|host| host.files.rename(&from, &to)),
            nothing,
        )
    })?;
    let mine = Rc::clone(local);
    file.add("file.copy", move |args| {
        let (from, to) = (args.text(0, "srcPath")?, args.text(1, "dstPath")?);
        done(
            args,
            mine.outside(|host| host.files.copy(&from, &to)),
            nothing,
        )
    })?;
    let mine = Rc::clone(local);
    file.add("file.delete", move |args| {
        let path = args.text(0, "path")?;
        done(args, mine.outside(|host| host.files.delete(&path)), nothing)
    })?;
    let mine = Rc::clone(local);
    file.add("file.mkdir", move |args| {
        let path = args.text(0, "path")?;
        done(args, mine.host.files.mkdir(&path), nothing)
    })?;
    let mine = Rc::clone(local);
    file.add("file.mkdirTemp", move |args| {
        let name = args.maybe_text(0, "name")?.unwrap_or_default();
        let dir = args.maybe_text(1, "dir")?.unwrap_or_default();
        done(args, mine.host.files.mkdir_temp(&name, &dir), path)
    })?;
    let mine = Rc::clone(local);
    file.add("file.temp", move |args| {
        let name = args.maybe_text(0, "name")?.unwrap_or_default();
        let dir = args.maybe_text(1, "dir")?.unwrap_or_default();
        let ext = args.maybe_text(2, "ext")?.unwrap_or_default();
        done(args, mine.host.files.temp(&name, &dir, &ext), path)
    })?;
    let mine = Rc::clone(local);
    file.add("file.tar", move |args| {
        let dir = args.text(0, "dir")?;
        done(args, mine.outside(|host| host.files.tar(&dir)), path)
    })?;

    let pcap = Helper::named(ctx, "pcap")?;
    pcap.add("pcap.path", |args| {
        let none = Value::new_undefined(args.ctx.clone());
        let stream = engine::text(&args.ctx, args.from(0).first().unwrap_or(&none));
        path(&args.ctx, format!("{PCAPS}/{stream}"))
    })?;
    let mine = Rc::clone(local);
    pcap.add("pcap.snapshot", move |args| {
        // one page of the documentation gives the folder first, which then means all
        let selected = args.get(0).and_then(Value::as_array);
        let mut names = Vec::new();
        for name in selected.iter().flat_map(|names| names.iter::<Value<'_>>()) {
            names.push(engine::text(&args.ctx, &name?));
        }
        let dir = args.maybe_text(1, "dir")?;
        let snapshot = mine.outside(|host| host.files.snapshot(&names, dir.as_deref()));
        done(args, snapshot, path)
    })?;
    let mine = Rc::clone(local);
    pcap.add("pcap.nameResolutionHistory", move |args| {
        let names = mine.outside(|host| host.files.names());
        args.ctx.json_parse(names.to_string())
    })
}
