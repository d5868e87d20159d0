//! The exotic class behind `data`: an object that owns its entry and makes a field when it is read.
//!
//! What a script writes or takes away stands over the entry's own fields; what is an object (headers, a list) is made
//! once and kept there, so that changes in it stay.

#![allow(elided_lifetimes_in_paths)] // what JsLifetime's derive writes

use super::names::{self, json_of};
use super::tree::{self, At, Member, Tree};
use super::value::to_js;
use gillnet_entry::{Bump, COMMON, OwnedEntry, Value as Field};
use rquickjs::atom::PredefinedAtom;
use rquickjs::class::{
    Borrow, ClassKind, JsCell, JsClass, PropertyDescriptor, PropertyName, Readable, Trace, Tracer,
};
use rquickjs::function::Constructor;
use rquickjs::{Atom, Class, Ctx, JsLifetime, Object, Result, Value};
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

/// Scratch space that is kept between reads, in bytes; more is given back.
const KEPT: usize = 256 << 10;

/// What the objects of one interpreter share.
#[derive(JsLifetime)]
pub(crate) struct Shapes<'js> {
    /// What all objects inherit from.
    proto: Object<'js>,
    /// Keeps the names' numbers theirs.
    names: RefCell<Vec<Atom<'js>>>,
    known: RefCell<Vec<Rc<Shape>>>,
    arena: RefCell<Bump>,
}

/// A level of a tree whose names have this interpreter's numbers.
struct Shape {
    tree: &'static Tree,
    level: u16,
    /// Member by the number of its name.
    members: hashbrown::HashMap<u32, u16, foldhash::fast::FixedState>,
    /// The number of each member's name.
    ids: Vec<u32>,
}

impl<'js> Shapes<'js> {
    /// What objects of a fresh interpreter share; to be stored in it before the first entry.
    pub(crate) fn new(ctx: &Ctx<'js>) -> Result<Shapes<'js>> {
        let object: Object<'js> = ctx.globals().get(PredefinedAtom::Object)?;
        Ok(Shapes {
            proto: object.get(PredefinedAtom::Prototype)?,
            names: RefCell::default(),
            known: RefCell::default(),
            arena: RefCell::default(),
        })
    }

    fn shape(&self, ctx: &Ctx<'js>, tree: &'static Tree, level: u16) -> Result<Rc<Shape>> {
        let is = |shape: &&Rc<Shape>| std::ptr::eq(shape.tree, tree) && shape.level == level;
        if let Some(shape) = self.known.borrow().iter().find(is) {
            return Ok(Rc::clone(shape));
        }
        let mut shape = Shape {
            tree,
            level,
            members: hashbrown::HashMap::default(),
            ids: Vec::new(),
        };
        for (at, member) in (0u16..).zip(shape.level().members.iter()) {
            let name = Atom::from_str(ctx.clone(), member.name)?;
            shape.members.insert(number(&name), at);
            shape.ids.push(number(&name));
            self.names.borrow_mut().push(name);
        }
        let shape = Rc::new(shape);
        self.known.borrow_mut().push(Rc::clone(&shape));
        Ok(shape)
    }

    /// Reads of an entry.
    fn with<T>(&self, entry: &OwnedEntry, read: impl FnOnce(&gillnet_entry::Entry<'_>) -> T) -> T {
        match self.arena.try_borrow_mut() {
            Ok(mut arena) => {
                let done = entry.with(&arena, read);
                if arena.allocated_bytes() > KEPT {
                    *arena = Bump::new();
                } else {
                    arena.reset();
                }
                done
            }
            Err(_) => entry.with(&Bump::new(), read),
        }
    }
}

impl Shape {
    fn level(&self) -> &'static tree::Level {
        // a shape is only made of a level that is there
        &self.tree.levels[usize::from(self.level)]
    }
}

/// The number that an interpreter gives a name: what [`Atom`] hashes as.
fn number(atom: &Atom<'_>) -> u32 {
    struct Number(u32);
    impl Hasher for Number {
        fn finish(&self) -> u64 {
            u64::from(self.0)
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = self.0.rotate_left(8) ^ u32::from(*byte);
            }
        }
        fn write_u32(&mut self, number: u32) {
            self.0 = number;
        }
    }
    let mut hasher = Number(0);
    atom.hash(&mut hasher);
    hasher.0
}

/// One object: an entry, an object in it, or an object whose names have two spellings.
#[derive(JsLifetime)]
pub(crate) struct Data<'js> {
    of: Of,
    over: RefCell<Vec<Over<'js>>>,
}

enum Of {
    /// Members are fields of an entry.
    Entry {
        entry: Arc<OwnedEntry>,
        shape: Rc<Shape>,
    },
    /// All members stand in `over`; the other spelling of a name is known by this.
    Map {
        other: fn(&str) -> Option<String>,
        /// Members that answer and are not listed.
        hidden: fn(&OwnedEntry, &str) -> Field<'static>,
        entry: Option<Arc<OwnedEntry>>,
    },
}

/// A member that stands over the entry's own.
#[derive(JsLifetime)]
struct Over<'js> {
    id: u32,
    name: Atom<'js>,
    /// `None` where it was taken away.
    value: Option<Value<'js>>,
}

impl<'js> Trace<'js> for Data<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        // borrowed only while the object itself is at work: it is in use then
        if let Ok(over) = self.over.try_borrow() {
            for over in over.iter() {
                over.name.trace(tracer);
                over.value.trace(tracer);
            }
        }
    }
}

/// The object of an entry.
pub(crate) fn entry_object<'js>(ctx: &Ctx<'js>, entry: Arc<OwnedEntry>) -> Result<Value<'js>> {
    let shape = {
        let shapes = shapes(ctx)?;
        shapes.shape(ctx, tree::tree(entry.record.schema()), 0)?
    };
    object(ctx, Of::Entry { entry, shape }, Vec::new())
}

/// The entry behind an object that [`entry_object`] gave.
pub(crate) fn entry_of(value: &Value<'_>) -> Option<Arc<OwnedEntry>> {
    let class = Class::<Data<'_>>::from_object(value.as_object()?)?;
    let data = class.try_borrow().ok()?;
    match &data.of {
        Of::Entry { entry, shape } if shape.level == 0 => Some(Arc::clone(entry)),
        _ => None,
    }
}

/// A Kubernetes object: names in Go are listed, those of its JSON answer, too.
pub(crate) fn go_object<'js>(ctx: &Ctx<'js>, value: &serde_json::Value) -> Result<Value<'js>> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::Object(members) => {
            let mut over = Vec::new();
            for (key, value) in members {
                // keys of these are people's own
                let free = matches!(
                    key.as_str(),
                    "labels" | "annotations" | "nodeSelector" | "matchLabels"
                );
                let value = if free {
                    ctx.json_parse(value.to_string())?
                } else {
                    go_object(ctx, value)?
                };
                push(ctx, &mut over, &names::go_of(key), value)?;
            }
            let of = Of::Map {
                other: kubernetes_other,
                hidden: |_, _| Field::Missing,
                entry: None,
            };
            object(ctx, of, over)?
        }
        Json::Array(items) => {
            let array = rquickjs::Array::new(ctx.clone())?;
            for (at, item) in items.iter().enumerate() {
                array.set(at, go_object(ctx, item)?)?;
            }
            array.into_value()
        }
        other => ctx.json_parse(other.to_string())?,
    })
}

fn kubernetes_other(name: &str) -> Option<String> {
    match names::kubernetes_json_of(name) {
        Some(_) => None,
        None => Some(names::go_of(name)),
    }
}

fn object<'js>(ctx: &Ctx<'js>, of: Of, over: Vec<Over<'js>>) -> Result<Value<'js>> {
    let data = Data {
        of,
        over: RefCell::new(over),
    };
    Ok(Class::instance(ctx.clone(), data)?.into_value())
}

fn push<'js>(
    ctx: &Ctx<'js>,
    over: &mut Vec<Over<'js>>,
    name: &str,
    value: Value<'js>,
) -> Result<()> {
    let name = Atom::from_str(ctx.clone(), name)?;
    over.push(Over {
        id: number(&name),
        name,
        value: Some(value),
    });
    Ok(())
}

fn shapes<'a, 'js>(ctx: &'a Ctx<'js>) -> Result<rquickjs::runtime::UserDataGuard<'a, Shapes<'js>>> {
    ctx.userdata().ok_or(rquickjs::Error::Unknown)
}

/// What a name means in an object.
enum Found<'js> {
    /// It stands over the entry's own.
    Over(Value<'js>),
    /// A member of the entry.
    Member(Rc<Shape>, u16),
    /// It answers, and is not listed.
    Hidden(Value<'js>),
    /// It is not there, or was taken away.
    Nothing,
}

impl<'js> Data<'js> {
    fn find(&self, ctx: &Ctx<'js>, atom: &Atom<'js>) -> Result<Found<'js>> {
        let id = number(atom);
        match self.listed(id) {
            Found::Nothing => {}
            found => return Ok(found),
        }
        if self.over.borrow().iter().any(|over| over.id == id) {
            return Ok(Found::Nothing);
        }
        // the other spelling
        let other = match &self.of {
            Of::Entry { shape, .. } if !shape.level().go => return Ok(Found::Nothing),
            Of::Entry { .. } => json_of,
            Of::Map { other, .. } => *other,
        };
        let Ok(name) = atom.to_string() else {
            return Ok(Found::Nothing);
        };
        if let Some(other) = other(&name) {
            let other = Atom::from_str(ctx.clone(), &other)?;
            match self.listed(number(&other)) {
                Found::Over(value) => return Ok(Found::Hidden(value)),
                Found::Member(shape, at) => {
                    return Ok(match self.member(ctx, &shape, at)? {
                        Some(value) => Found::Hidden(value),
                        None => Found::Nothing,
                    });
                }
                _ => {}
            }
        }
        Ok(match &self.of {
            Of::Map {
                hidden,
                entry: Some(entry),
                ..
            } => match hidden(entry, &name) {
                Field::Missing => Found::Nothing,
                field => Found::Hidden(to_js(ctx, &field)?),
            },
            _ => Found::Nothing,
        })
    }

    /// What a name means without its other spelling.
    #[inline]
    fn listed(&self, id: u32) -> Found<'js> {
        let over = self.over.borrow();
        if let Some(over) = over.iter().find(|over| over.id == id) {
            return over.value.clone().map_or(Found::Nothing, Found::Over);
        }
        match &self.of {
            Of::Entry { shape, .. } => match shape.members.get(&id) {
                Some(at) => Found::Member(Rc::clone(shape), *at),
                None => Found::Nothing,
            },
            Of::Map { .. } => Found::Nothing,
        }
    }

    /// The value of a member of the entry; `None` where it is not there. What is an object is kept.
    fn member(&self, ctx: &Ctx<'js>, shape: &Rc<Shape>, at: u16) -> Result<Option<Value<'js>>> {
        let Of::Entry { entry, .. } = &self.of else {
            return Ok(None);
        };
        let Some(member) = shape.level().members.get(usize::from(at)) else {
            return Ok(None);
        };
        let shapes = shapes(ctx)?;
        let made = shapes.with(entry, |read| made(ctx, entry, shape, member, read))?;
        let value = match made {
            Made::Nothing => return Ok(None),
            Made::Value(value) => value,
            Made::Level(level) => {
                let inner = shapes.shape(ctx, shape.tree, level)?;
                let of = Of::Entry {
                    entry: Arc::clone(entry),
                    shape: inner,
                };
                object(ctx, of, Vec::new())?
            }
        };
        if value.is_object() {
            let name = Atom::from_str(ctx.clone(), member.name)?;
            self.over.borrow_mut().push(Over {
                id: number(&name),
                name,
                value: Some(value.clone()),
            });
        }
        Ok(Some(value))
    }

    /// Puts a value over a member, or takes the member away.
    fn put(&self, atom: Atom<'js>, value: Option<Value<'js>>) -> Result<()> {
        // under the name that is listed
        let name = self.own_name(&atom)?.unwrap_or(atom);
        let id = number(&name);
        let mut over = self.over.borrow_mut();
        match over.iter_mut().find(|over| over.id == id) {
            Some(over) => over.value = value,
            None => over.push(Over { id, name, value }),
        }
        Ok(())
    }

    /// The listed name of one that is the other spelling.
    fn own_name(&self, atom: &Atom<'js>) -> Result<Option<Atom<'js>>> {
        let other = match &self.of {
            Of::Entry { shape, .. } if !shape.level().go => return Ok(None),
            Of::Entry { .. } => json_of,
            Of::Map { other, .. } => *other,
        };
        let has = |id: u32| {
            let is_member = match &self.of {
                Of::Entry { shape, .. } => shape.members.contains_key(&id),
                Of::Map { .. } => false,
            };
            is_member || self.over.borrow().iter().any(|over| over.id == id)
        };
        if has(number(atom)) {
            return Ok(None);
        }
        let Some(other) = atom.to_string().ok().and_then(|name| other(&name)) else {
            return Ok(None);
        };
        let other = Atom::from_str(atom_ctx(atom)?, &other)?;
        Ok(has(number(&other)).then_some(other))
    }

    fn names(&self, ctx: &Ctx<'js>) -> Result<Vec<PropertyName<'js>>> {
        let mut names = Vec::new();
        let mut add = |atom| {
            names.push(PropertyName {
                atom,
                is_enumerable: true,
            });
        };
        let over = self.over.borrow();
        let mut members: &[u32] = &[];
        if let Of::Entry { entry, shape } = &self.of {
            members = &shape.ids;
            let there: Vec<bool> = shapes(ctx)?.with(entry, |read| {
                let all = shape.level().members.iter();
                all.map(|member| shape.tree.has(member, read)).collect()
            });
            for ((member, id), there) in shape.level().members.iter().zip(&shape.ids).zip(there) {
                let there = match over.iter().find(|over| over.id == *id) {
                    Some(over) => over.value.is_some(),
                    None => there,
                };
                if there {
                    add(Atom::from_str(ctx.clone(), member.name)?);
                }
            }
        }
        let rest = over
            .iter()
            .filter(|over| over.value.is_some() && !members.contains(&over.id));
        for over in rest {
            add(over.name.clone());
        }
        Ok(names)
    }
}

fn atom_ctx<'js>(atom: &Atom<'js>) -> Result<Ctx<'js>> {
    Ok(atom.to_js_string()?.ctx().clone())
}

/// What a member turned out to be.
enum Made<'js> {
    Nothing,
    Value(Value<'js>),
    Level(u16),
}

fn made<'js>(
    ctx: &Ctx<'js>,
    entry: &Arc<OwnedEntry>,
    shape: &Shape,
    member: &Member,
    read: &gillnet_entry::Entry<'_>,
) -> Result<Made<'js>> {
    if let Some(at) = member.field {
        match tree::read(read, at) {
            Field::Missing => {}
            // the common part's objects are structs of Kubeshark: both spellings answer
            Field::Map(members) if at.common => {
                let mut over = Vec::with_capacity(members.len());
                for (key, value) in members {
                    if !matches!(value, Field::Missing) {
                        push(ctx, &mut over, key, to_js(ctx, value)?)?;
                    }
                }
                let of = Of::Map {
                    other: json_of,
                    hidden: hidden(at),
                    entry: Some(Arc::clone(entry)),
                };
                return Ok(Made::Value(object(ctx, of, over)?));
            }
            value => return Ok(Made::Value(to_js(ctx, &value)?)),
        }
    }
    Ok(match member.level {
        Some(level) if shape.tree.has_any(level, read) => Made::Level(level),
        _ => Made::Nothing,
    })
}

/// What an end answers beside what is listed: that of processes, which is known only where something tells it.
fn hidden(at: At) -> fn(&OwnedEntry, &str) -> Field<'static> {
    const SRC: usize = COMMON.index("src");
    const DST: usize = COMMON.index("dst");
    match usize::from(at.index) {
        SRC | DST if at.common => |_, name| match name {
            "processName" | "processPath" | "containerId" => Field::Str(""),
            "cgroupId"
            | "socketId"
            | "processId"
            | "parentProcessId"
            | "hostProcessId"
            | "hostParentProcessId"
            | "cpuUsage"
            | "memoryUsage" => Field::Int(0),
            _ => Field::Missing,
        },
        _ => |_, _| Field::Missing,
    }
}

fn borrowed<'a, 'js>(cell: &'a JsCell<'js, Data<'js>>) -> Result<Borrow<'a, 'js, Data<'js>>> {
    cell.try_borrow().map_err(rquickjs::Error::ClassBorrow)
}

/// Makes a value that is set ours. The interpreter lends it and frees it itself (quickjs.c, `JS_SetPropertyInternal`);
/// rquickjs 0.14 hands it on as if it had given it away, so that it would be freed twice. Where that is mended, the
/// tests of writes find what leaks here.
#[allow(unsafe_code)] // the one place outside of gillnet-capture
fn own<'js>(ctx: &Ctx<'js>, value: &Value<'js>) {
    // SAFETY: value and context are alive, and of one runtime; one more reference is the one that dropping `value` gives
    // back.
    unsafe { rquickjs::qjs::JS_DupValue(ctx.as_raw().as_ptr(), value.as_raw()) };
}

impl<'js> JsClass<'js> for Data<'js> {
    const NAME: &'static str = "Entry";
    const KIND: ClassKind = ClassKind::Exotic;
    type Mutable = Readable;

    fn constructor(_: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }

    fn exotic_get_property(
        this: &JsCell<'js, Self>,
        ctx: &Ctx<'js>,
        atom: Atom<'js>,
        _: Value<'js>,
    ) -> Result<Value<'js>> {
        let data = borrowed(this)?;
        match data.find(ctx, &atom)? {
            Found::Over(value) | Found::Hidden(value) => Ok(value),
            Found::Member(shape, at) => Ok(data
                .member(ctx, &shape, at)?
                .unwrap_or_else(|| Value::new_undefined(ctx.clone()))),
            Found::Nothing => shapes(ctx)?.proto.get(atom),
        }
    }

    fn exotic_set_property(
        this: &JsCell<'js, Self>,
        ctx: &Ctx<'js>,
        atom: Atom<'js>,
        _: Value<'js>,
        value: Value<'js>,
    ) -> Result<bool> {
        own(ctx, &value);
        borrowed(this)?.put(atom, Some(value))?;
        Ok(true)
    }

    fn exotic_delete_property(
        this: &JsCell<'js, Self>,
        _: &Ctx<'js>,
        atom: Atom<'js>,
    ) -> Result<bool> {
        borrowed(this)?.put(atom, None)?;
        Ok(true)
    }

    fn exotic_has_property(
        this: &JsCell<'js, Self>,
        ctx: &Ctx<'js>,
        atom: Atom<'js>,
    ) -> Result<bool> {
        let data = borrowed(this)?;
        match data.find(ctx, &atom)? {
            Found::Over(_) | Found::Hidden(_) => Ok(true),
            Found::Member(shape, at) => Ok(data.member(ctx, &shape, at)?.is_some()),
            Found::Nothing => shapes(ctx)?.proto.contains_key(atom),
        }
    }

    fn exotic_get_own_property(
        this: &JsCell<'js, Self>,
        ctx: &Ctx<'js>,
        atom: Atom<'js>,
    ) -> Result<Option<PropertyDescriptor<'js>>> {
        let data = borrowed(this)?;
        let (value, listed) = match data.find(ctx, &atom)? {
            Found::Over(value) => (Some(value), true),
            Found::Hidden(value) => (Some(value), false),
            Found::Member(shape, at) => (data.member(ctx, &shape, at)?, true),
            Found::Nothing => (None, false),
        };
        Ok(value.map(|value| PropertyDescriptor::new_value(value, true, listed, true)))
    }

    fn exotic_get_own_property_names(
        this: &JsCell<'js, Self>,
        ctx: &Ctx<'js>,
    ) -> Result<Vec<PropertyName<'js>>> {
        borrowed(this)?.names(ctx)
    }
}
