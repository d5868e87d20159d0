//! `kfl.match`, `kfl.validate`: filters on entries, compiled once a text.

#![allow(elided_lifetimes_in_paths)] // what JsLifetime's derive writes

use super::args::{Helper, json, throw};
use crate::engine;
use crate::entry::{from_json, with_entry};
use crate::local::Local;
use gillnet_entry::{Bump, OwnedEntry};
use gillnet_kfl::{Filter, Options, compile};
use rquickjs::function::Opt;
use rquickjs::{Ctx, Function, JsLifetime, Result, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Filters that are kept compiled; past so many all are let go.
const MOST: usize = 256;

/// Filters that are found by their string itself, without reading it.
const RECENT: usize = 8;

/// Scratch space that is kept between filters, in bytes.
const KEPT: usize = 256 << 10;

/// What a text came to.
enum Compiled {
    Filter(Filter),
    /// Its first mistake, as KFL1 always said it.
    Wrong(String),
}

/// A string of the script's, and what it came to.
#[derive(JsLifetime)]
struct Recent<'js> {
    query: Value<'js>,
    compiled: Rc<Compiled>,
}

/// The compiled filters of one script.
#[derive(JsLifetime)]
pub(crate) struct Filters<'js> {
    recent: RefCell<Vec<Recent<'js>>>,
    known: RefCell<HashMap<String, Rc<Compiled>>>,
    /// The macros and fields that they were compiled with.
    generation: std::cell::Cell<u64>,
    arena: RefCell<Bump>,
    local: Rc<Local>,
}

impl<'js> Filters<'js> {
    pub(crate) fn new(local: &Rc<Local>) -> Filters<'js> {
        Filters {
            recent: RefCell::default(),
            known: RefCell::default(),
            generation: std::cell::Cell::new(0),
            arena: RefCell::default(),
            local: Rc::clone(local),
        }
    }

    fn of(&self, ctx: &Ctx<'js>, query: &Value<'js>) -> Rc<Compiled> {
        let generation = self.local.host.speech.generation();
        if self.generation.replace(generation) != generation {
            self.recent.borrow_mut().clear();
            self.known.borrow_mut().clear();
        }
        let mut recent = self.recent.borrow_mut();
        if let Some(recent) = recent.iter().find(|recent| recent.query == *query) {
            return Rc::clone(&recent.compiled);
        }
        let text = engine::text(ctx, query);
        let mut known = self.known.borrow_mut();
        if known.len() >= MOST {
            known.clear();
        }
        let compiled = match known.get(&text) {
            Some(compiled) => Rc::clone(compiled),
            None => {
                let compiled = Rc::new(self.compiled(&text));
                // one that asks for the time is of its own moment
                if text.contains("now(") {
                    return compiled;
                }
                known.insert(text, Rc::clone(&compiled));
                compiled
            }
        };
        if recent.len() >= RECENT {
            recent.remove(0);
        }
        recent.push(Recent {
            query: query.clone(),
            compiled: Rc::clone(&compiled),
        });
        compiled
    }

    fn compiled(&self, text: &str) -> Compiled {
        let host = &self.local.host;
        let options = Options {
            lenient: true,
            now: host.clock.now(),
            ..Options::default()
        };
        match compile(&host.speech.env(), text, &options) {
            Ok(filter) => Compiled::Filter(filter),
            Err(errors) => Compiled::Wrong(errors.kfl1()),
        }
    }

    fn matches(&self, filter: &Filter, entry: &OwnedEntry) -> bool {
        let Ok(mut arena) = self.arena.try_borrow_mut() else {
            return entry.with(&Bump::new(), |entry| filter.matches(entry));
        };
        let matches = entry.with(&arena, |entry| filter.matches(entry));
        if arena.allocated_bytes() > KEPT {
            *arena = Bump::new();
        } else {
            arena.reset();
        }
        matches
    }
}

fn filters<'a, 'js>(
    ctx: &'a Ctx<'js>,
) -> Result<rquickjs::runtime::UserDataGuard<'a, Filters<'js>>> {
    ctx.userdata().ok_or(rquickjs::Error::Unknown)
}

/// Whether an entry matches: one of ours as it was captured, any other object by its JSON.
fn matches<'js>(ctx: Ctx<'js>, query: Opt<Value<'js>>, data: Opt<Value<'js>>) -> Result<bool> {
    let none = || Value::new_undefined(ctx.clone());
    let (mut query, mut data) = (query.0.unwrap_or_else(none), data.0.unwrap_or_else(none));
    // one page of the documentation has them the other way round
    if query.is_object() && data.is_string() {
        std::mem::swap(&mut query, &mut data);
    }
    if query.is_object() || query.is_undefined() {
        let message = "kfl.match: argument 1 (query) must be a string";
        return Err(rquickjs::Exception::throw_type(&ctx, message));
    }
    let filters = filters(&ctx)?;
    let compiled = filters.of(&ctx, &query);
    let filter = match &*compiled {
        Compiled::Filter(filter) => filter,
        Compiled::Wrong(message) => return Err(throw(&ctx, message)),
    };
    Ok(
        match with_entry(&data, |entry| filters.matches(filter, entry)) {
            Some(matches) => matches,
            None if data.is_object() => filters.matches(filter, &from_json(json(&ctx, &data)?)),
            None => {
                let message = "kfl.match: argument 2 (data) must be an entry";
                return Err(rquickjs::Exception::throw_type(&ctx, message));
            }
        },
    )
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    let kfl = Helper::named(ctx, "kfl")?;
    // not by way of Args: it is called for every entry
    let function = Function::new(ctx.clone(), matches)?;
    kfl.set("match", function.with_name("match")?)?;
    let local = Rc::clone(local);
    kfl.add("kfl.validate", move |args| {
        let ctx = &args.ctx;
        let none = Value::new_undefined(ctx.clone());
        let query = args.from(0).first().unwrap_or(&none);
        let compiled = filters(ctx)?.of(ctx, query);
        let quiet = args
            .get(1)
            .is_some_and(|quiet| quiet.as_bool() == Some(true));
        if let Compiled::Wrong(message) = &*compiled
            && !quiet
        {
            local.error(message);
        }
        let valid = matches!(*compiled, Compiled::Filter(_));
        Ok(Value::new_bool(ctx.clone(), valid))
    })
}
