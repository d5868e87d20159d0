//! `env`, `console`, `test`, `utils`: what needs nothing but the script's place.

use super::args::Helper;
use crate::engine;
use crate::local::Local;
use rquickjs::{Ctx, Result, String as Text, Value};
use std::rc::Rc;

/// `env`, and each of its keys as a global, as older scripts read them. To be installed before the helpers, whose names
/// go first.
pub(super) fn env<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    let globals = ctx.globals();
    let given = local.host.given();
    for (key, value) in &given.env {
        // what the language has stays
        if !globals.contains_key(key.as_str())? {
            globals.set(key.as_str(), ctx.json_parse(value.to_string())?)?;
        }
    }
    let all = serde_json::to_string(&given.env).unwrap_or_default();
    globals.set("env", ctx.json_parse(all)?)
}

fn joined<'js>(ctx: &Ctx<'js>, values: &[Value<'js>]) -> String {
    let texts: Vec<_> = values
        .iter()
        .map(|value| engine::text(ctx, value))
        .collect();
    texts.join(" ")
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    // nothing of the interpreter's is held by its helpers: that would be a cycle that it does not see
    let console = Helper::named(ctx, "console")?;
    let mine = Rc::clone(local);
    console.add("console.log", move |args| {
        mine.log(&joined(&args.ctx, args.from(0)));
        Ok(Value::new_undefined(args.ctx.clone()))
    })?;
    let mine = Rc::clone(local);
    console.add("console.error", move |args| {
        mine.error(&joined(&args.ctx, args.from(0)));
        Ok(Value::new_undefined(args.ctx.clone()))
    })?;
    let mine = Rc::clone(local);
    console.add("console.clear", move |args| {
        mine.host.console.clear();
        Ok(Value::new_undefined(args.ctx.clone()))
    })?;

    let test = Helper::named(ctx, "test")?;
    for (name, member) in [("test.pass", "passed"), ("test.fail", "failed")] {
        test.add(name, move |args| {
            let data = args.get(0).and_then(Value::as_object);
            let Some(data) = data else {
                return Err(args.wrong(0, "data", "must be an entry"));
            };
            data.set(member, true)?;
            Ok(data.clone().into_value())
        })?;
    }

    let utils = Helper::named(ctx, "utils")?;
    let mine = Rc::clone(local);
    utils.add("utils.nodeName", move |args| {
        Ok(Text::from_str(args.ctx.clone(), &mine.node().name)?.into_value())
    })?;
    utils.add("utils.json2Yaml", |args| {
        let text = args.text(0, "json")?;
        let json: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| args.fail(format!("utils.json2Yaml: {error}")))?;
        let yaml = serde_saphyr::to_string(&sorted(json))
            .map_err(|error| args.fail(format!("utils.json2Yaml: {error}")))?;
        Ok(Text::from_str(args.ctx.clone(), &yaml)?.into_value())
    })
}

/// With the keys of objects in order, as the original writes them.
fn sorted(json: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match json {
        Json::Object(members) => {
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Json::Object(
                members
                    .into_iter()
                    .map(|(key, value)| (key, sorted(value)))
                    .collect(),
            )
        }
        Json::Array(items) => Json::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
