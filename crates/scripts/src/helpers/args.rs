//! Arguments of helpers, and errors that name them.

use crate::engine;
use rquickjs::function::Rest;
use rquickjs::{Ctx, Error, Exception, Function, Object, Result, Value};

/// The arguments of one call of a helper.
pub(crate) struct Args<'js> {
    /// The helper's name, as scripts write it.
    pub(crate) helper: &'static str,
    pub(crate) ctx: Ctx<'js>,
    values: Vec<Value<'js>>,
}

/// Throws an `Error` with this message.
pub(crate) fn throw(ctx: &Ctx<'_>, message: &str) -> Error {
    Exception::throw_message(ctx, message)
}

impl<'js> Args<'js> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// An argument, where there is one and it is neither undefined nor null.
    pub(crate) fn get(&self, at: usize) -> Option<&Value<'js>> {
        let value = self.values.get(at)?;
        (!value.is_undefined() && !value.is_null()).then_some(value)
    }

    /// All from one on.
    pub(crate) fn from(&self, at: usize) -> &[Value<'js>] {
        self.values.get(at..).unwrap_or_default()
    }

    /// An argument as text, as `String(value)` gives it. Objects are no text.
    pub(crate) fn text(&self, at: usize, name: &str) -> Result<String> {
        match self.maybe_text(at, name)? {
            Some(text) => Ok(text),
            None => Err(self.wrong(at, name, "is missing")),
        }
    }

    /// As [`Args::text`], where it is there.
    pub(crate) fn maybe_text(&self, at: usize, name: &str) -> Result<Option<String>> {
        match self.get(at) {
            None => Ok(None),
            Some(value) if value.is_object() => Err(self.wrong(at, name, "must be a string")),
            Some(value) => Ok(Some(engine::text(&self.ctx, value))),
        }
    }

    /// An argument as a number.
    pub(crate) fn number(&self, at: usize, name: &str) -> Result<f64> {
        let value = self
            .get(at)
            .ok_or_else(|| self.wrong(at, name, "is missing"))?;
        let number = match value.as_number() {
            Some(number) => Some(number),
            None if value.is_object() => None,
            None => engine::text(&self.ctx, value).trim().parse().ok(),
        };
        number.ok_or_else(|| self.wrong(at, name, "must be a number"))
    }

    /// An argument that is a function.
    pub(crate) fn function(&self, at: usize, name: &str) -> Result<Function<'js>> {
        let function = self.get(at).and_then(Value::as_function).cloned();
        function.ok_or_else(|| self.wrong(at, name, "must be a function"))
    }

    /// An argument that is an object, as JSON.
    pub(crate) fn json(&self, at: usize) -> Result<serde_json::Value> {
        match self.get(at) {
            Some(value) => json(&self.ctx, value),
            None => Ok(serde_json::Value::Null),
        }
    }

    /// A `TypeError` that names helper and argument.
    pub(crate) fn wrong(&self, at: usize, name: &str, what: &str) -> Error {
        let message = format!("{}: argument {} ({name}) {what}", self.helper, at + 1);
        Exception::throw_type(&self.ctx, &message)
    }

    /// An `Error` of the helper.
    pub(crate) fn fail(&self, message: impl std::fmt::Display) -> Error {
        throw(&self.ctx, &message.to_string())
    }
}

/// A value as `JSON.stringify` writes it; null where that writes nothing.
pub(crate) fn json<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<serde_json::Value> {
    let Some(text) = ctx.json_stringify(value.clone())? else {
        return Ok(serde_json::Value::Null);
    };
    let text = engine::whole(&text);
    serde_json::from_str(&text).map_err(|error| throw(ctx, &error.to_string()))
}

/// An object that helpers are put into.
pub(crate) struct Helper<'js> {
    ctx: Ctx<'js>,
    object: Object<'js>,
}

impl<'js> Helper<'js> {
    /// The object of this name in the globals, made where it is not there.
    pub(crate) fn named(ctx: &Ctx<'js>, name: &str) -> Result<Helper<'js>> {
        let globals = ctx.globals();
        // a key of the environment gives way
        let object = match globals.get::<_, Value<'js>>(name)?.into_object() {
            Some(object) => object,
            None => {
                let object = Object::new(ctx.clone())?;
                globals.set(name, object.clone())?;
                object
            }
        };
        Ok(Helper {
            ctx: ctx.clone(),
            object,
        })
    }

    /// The globals themselves.
    pub(crate) fn globals(ctx: &Ctx<'js>) -> Helper<'js> {
        Helper {
            ctx: ctx.clone(),
            object: ctx.globals(),
        }
    }

    /// An object within this one.
    pub(crate) fn within(&self, name: &str) -> Result<Helper<'js>> {
        let object = Object::new(self.ctx.clone())?;
        self.object.set(name, object.clone())?;
        Ok(Helper {
            ctx: self.ctx.clone(),
            object,
        })
    }

    /// Adds a helper. `name` is the whole name (`file.copy`), its last part that in the object.
    pub(crate) fn add(
        &self,
        name: &'static str,
        call: impl Fn(&Args<'js>) -> Result<Value<'js>> + 'js,
    ) -> Result<()> {
        let short = name.rsplit('.').next().unwrap_or(name);
        let function = Function::new(
            self.ctx.clone(),
            move |ctx: Ctx<'js>, Rest(values): Rest<Value<'js>>| {
                call(&Args {
                    helper: name,
                    ctx,
                    values,
                })
            },
        )?;
        self.object.set(short, function.with_name(short)?)
    }

    /// Adds a helper that takes its arguments as they come, without gathering them.
    pub(crate) fn set(&self, name: &str, value: impl rquickjs::IntoJs<'js>) -> Result<()> {
        self.object.set(name, value)
    }
}
