//! The exotic class behind `data`: an object that owns its entry and makes a field when it is read.
//!
//! What a script writes or takes away stands over the entry's own fields; what is an object (headers, a list) is made
//! once and kept there, so that changes in it stay.

#![allow(elided_lifetimes_in_paths)] // what JsLifetime's derive writes

use super::names::{self, json_of};
use super::tree::{self, At, Member, Tree};
use super::value::to_js;
use gillnet_entry::{Bump, COMMON, OwnedEntry, Schema, Value as Field};
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
    /// The prototype of the class itself.
    class: Object<'js>,
    /// Keeps the names' numbers theirs.
    names: RefCell<Vec<Atom<'js>>>,
    known: RefCell<Vec<Rc<Shape>>>,
    /// Those of whole entries, by the address of their protocol's table.
    roots: RefCell<Vec<(usize, Rc<Shape>)>>,
    structs: RefCell<Vec<Rc<Keys>>>,
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
        let class = Class::<Data<'js>>::prototype(ctx)?;
        Ok(Shapes {
            proto: object.get(PredefinedAtom::Prototype)?,
            class: class.ok_or(rquickjs::Error::Unknown)?,
            names: RefCell::default(),
            known: RefCell::default(),
            roots: RefCell::default(),
            structs: RefCell::default(),
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

    /// The shape of entries of a protocol.
    fn root(&self, ctx: &Ctx<'js>, schema: &'static Schema) -> Result<Rc<Shape>> {
        let key = std::ptr::from_ref(schema).addr();
        if let Some((_, shape)) = self.roots.borrow().iter().find(|(known, _)| *known == key) {
            return Ok(Rc::clone(shape));
        }
        let shape = self.shape(ctx, tree::tree(schema), 0)?;
        self.roots.borrow_mut().push((key, Rc::clone(&shape)));
        Ok(shape)
    }

    /// The keys of a field of the common part that is an object.
    fn keys(&self, ctx: &Ctx<'js>, at: At, members: &[(&str, Field<'_>)]) -> Result<Rc<Keys>> {
        if let Some(keys) = self.structs.borrow().iter().find(|keys| keys.at == at) {
            return Ok(Rc::clone(keys));
        }
        let mut keys = Keys {
            at,
            names: Vec::new(),
            ids: Vec::new(),
        };
        for (name, _) in members {
            let atom = Atom::from_str(ctx.clone(), name)?;
            keys.names.push((*name).to_owned());
            keys.ids.push(number(&atom));
            self.names.borrow_mut().push(atom);
        }
        let keys = Rc::new(keys);
        self.structs.borrow_mut().push(Rc::clone(&keys));
        Ok(keys)
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

/// The keys of an object that is a value of the common part: they are always the same ones.
struct Keys {
    at: At,
    names: Vec<String>,
    ids: Vec<u32>,
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
    /// Members are those of a field of the common part that is an object.
    Struct {
        entry: Arc<OwnedEntry>,
        keys: Rc<Keys>,
    },
    /// All members stand in `over`: a Kubernetes object.
    Kubernetes,
}

/// A member that stands over the entry's own.
#[derive(JsLifetime)]
struct Over<'js> {
    id: u32,
    /// `None` where it is a member of the entry.
    name: Option<Atom<'js>>,
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
    let shapes = shapes(ctx)?;
    let shape = shapes.root(ctx, entry.record.schema())?;
    object(&shapes, Of::Entry { entry, shape }, Vec::new())
}

/// Reads of the entry behind an object that [`entry_object`] gave; `None` where it is another object.
pub(crate) fn with_entry<T>(value: &Value<'_>, read: impl FnOnce(&OwnedEntry) -> T) -> Option<T> {
    let class = Class::<Data<'_>>::from_object(value.as_object()?)?;
    let data = class.try_borrow().ok()?;
    match &data.of {
        Of::Entry { entry, shape } if shape.level == 0 => Some(read(entry)),
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
            object(&*shapes(ctx)?, Of::Kubernetes, over)?
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

fn object<'js>(shapes: &Shapes<'js>, of: Of, over: Vec<Over<'js>>) -> Result<Value<'js>> {
    let data = Data {
        of,
        over: RefCell::new(over),
    };
    Ok(Class::instance_proto(data, shapes.class.clone())?.into_value())
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
        name: Some(name),
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
    /// The member with this number of the object's shape or keys.
    Member(u16),
    /// It answers, and is not listed.
    Hidden(Value<'js>),
    /// It is not there, or was taken away.
    Nothing,
}

impl Of {
    /// The number of a member, by that of its name.
    #[inline]
    fn member(&self, id: u32) -> Option<u16> {
        match self {
            Of::Entry { shape, .. } => shape.members.get(&id).copied(),
            Of::Struct { keys, .. } => {
                let at = keys.ids.iter().position(|known| *known == id)?;
                u16::try_from(at).ok()
            }
            Of::Kubernetes => None,
        }
    }

    /// The other spelling of a name.
    fn other(&self, name: &str) -> Option<String> {
        match self {
            Of::Entry { shape, .. } if !shape.level().go => None,
            Of::Entry { .. } | Of::Struct { .. } => json_of(name),
            Of::Kubernetes => kubernetes_other(name),
        }
    }
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
        let Ok(name) = atom.to_string() else {
            return Ok(Found::Nothing);
        };
        if let Some(other) = self.of.other(&name) {
            let other = Atom::from_str(ctx.clone(), &other)?;
            match self.listed(number(&other)) {
                Found::Over(value) => return Ok(Found::Hidden(value)),
                Found::Member(at) => {
                    return Ok(match self.member(ctx, at)? {
                        Some(value) => Found::Hidden(value),
                        None => Found::Nothing,
                    });
                }
                _ => {}
            }
        }
        Ok(match &self.of {
            Of::Struct { entry, keys } => match hidden(entry, keys.at, &name) {
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
        self.of.member(id).map_or(Found::Nothing, Found::Member)
    }

    /// The value of a member; `None` where it is not there. What is an object is kept.
    fn member(&self, ctx: &Ctx<'js>, at: u16) -> Result<Option<Value<'js>>> {
        let shapes = shapes(ctx)?;
        let (id, made) = match &self.of {
            Of::Entry { entry, shape } => {
                let at = usize::from(at);
                let (Some(member), Some(id)) = (shape.level().members.get(at), shape.ids.get(at))
                else {
                    return Ok(None);
                };
                let made = shapes.with(entry, |read| made(ctx, &shapes, shape, member, read))?;
                (*id, made)
            }
            Of::Struct { entry, keys } => {
                let at = usize::from(at);
                let (Some(name), Some(id)) = (keys.names.get(at), keys.ids.get(at)) else {
                    return Ok(None);
                };
                let made = shapes.with(entry, |read| {
                    let field = read.common.key(keys.at.index, name, &read.ctx);
                    match field {
                        Field::Missing => Ok(Made::Nothing),
                        field => to_js(ctx, &field).map(Made::Value),
                    }
                })?;
                (*id, made)
            }
            Of::Kubernetes => return Ok(None),
        };
        let value = match (made, &self.of) {
            (Made::Value(value), _) => value,
            (Made::Level(level), Of::Entry { entry, shape }) => {
                let inner = shapes.shape(ctx, shape.tree, level)?;
                let of = Of::Entry {
                    entry: Arc::clone(entry),
                    shape: inner,
                };
                object(&shapes, of, Vec::new())?
            }
            (Made::Struct(keys), Of::Entry { entry, .. }) => {
                let of = Of::Struct {
                    entry: Arc::clone(entry),
                    keys,
                };
                object(&shapes, of, Vec::new())?
            }
            _ => return Ok(None),
        };
        if value.is_object() {
            self.over.borrow_mut().push(Over {
                id,
                name: None,
                value: Some(value.clone()),
            });
        }
        Ok(Some(value))
    }

    /// Puts a value over a member, or takes the member away.
    fn put(&self, ctx: &Ctx<'js>, atom: Atom<'js>, value: Option<Value<'js>>) -> Result<()> {
        // under the name that is listed
        let name = self.own_name(ctx, &atom)?.unwrap_or(atom);
        let id = number(&name);
        let name = self.of.member(id).is_none().then_some(name);
        let mut over = self.over.borrow_mut();
        match over.iter_mut().find(|over| over.id == id) {
            Some(over) => over.value = value,
            None => over.push(Over { id, name, value }),
        }
        Ok(())
    }

    /// The listed name of one that is the other spelling.
    fn own_name(&self, ctx: &Ctx<'js>, atom: &Atom<'js>) -> Result<Option<Atom<'js>>> {
        let has = |id: u32| {
            self.of.member(id).is_some() || self.over.borrow().iter().any(|over| over.id == id)
        };
        if has(number(atom)) {
            return Ok(None);
        }
        let Some(other) = atom.to_string().ok().and_then(|name| self.of.other(&name)) else {
            return Ok(None);
        };
        let other = Atom::from_str(ctx.clone(), &other)?;
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
        let mut member = |name: &str, id: u32, there: bool| {
            let there = match over.iter().find(|over| over.id == id) {
                Some(over) => over.value.is_some(),
                None => there,
            };
            if there {
                add(Atom::from_str(ctx.clone(), name)?);
            }
            Ok::<_, rquickjs::Error>(())
        };
        match &self.of {
            Of::Entry { entry, shape } => {
                let members = &shape.level().members;
                let there: Vec<bool> = shapes(ctx)?.with(entry, |read| {
                    members
                        .iter()
                        .map(|member| shape.tree.has(member, read))
                        .collect()
                });
                for ((of, id), there) in members.iter().zip(&shape.ids).zip(there) {
                    member(of.name, *id, there)?;
                }
            }
            Of::Struct { keys, .. } => {
                for (name, id) in keys.names.iter().zip(&keys.ids) {
                    member(name, *id, true)?;
                }
            }
            Of::Kubernetes => {}
        }
        for over in over.iter().filter(|over| over.value.is_some()) {
            if let Some(name) = &over.name {
                add(name.clone());
            }
        }
        Ok(names)
    }
}

/// What a member turned out to be.
enum Made<'js> {
    Nothing,
    Value(Value<'js>),
    Level(u16),
    Struct(Rc<Keys>),
}

fn made<'js>(
    ctx: &Ctx<'js>,
    shapes: &Shapes<'js>,
    shape: &Shape,
    member: &Member,
    read: &gillnet_entry::Entry<'_>,
) -> Result<Made<'js>> {
    if let Some(at) = member.field {
        match tree::read(read, at) {
            Field::Missing => {}
            // the common part's objects are structs of Kubeshark: both spellings answer
            Field::Map(members) if at.common => {
                return shapes.keys(ctx, at, members).map(Made::Struct);
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
fn hidden<'e>(entry: &'e OwnedEntry, at: At, name: &str) -> Field<'e> {
    const SRC: usize = COMMON.index("src");
    const DST: usize = COMMON.index("dst");
    let (_, _, end) = match usize::from(at.index) {
        SRC if at.common => &entry.src,
        DST if at.common => &entry.dst,
        _ => return Field::Missing,
    };
    match name {
        "processName" => Field::Str(end.workload.as_ref().map_or("", |w| &w.process)),
        "processPath" | "containerId" => Field::Str(""),
        "cgroupId"
        | "socketId"
        | "processId"
        | "parentProcessId"
        | "hostProcessId"
        | "hostParentProcessId"
        | "cpuUsage"
        | "memoryUsage" => Field::Int(0),
        _ => Field::Missing,
    }
}

fn borrowed<'a, 'js>(cell: &'a JsCell<'js, Data<'js>>) -> Result<Borrow<'a, 'js, Data<'js>>> {
    cell.try_borrow().map_err(rquickjs::Error::ClassBorrow)
}

/// Makes a value that is set ours. The interpreter lends it and frees it itself (quickjs.c, `JS_SetPropertyInternal`);
/// rquickjs 0.14 hands it on as if it had given it away, so that it would be freed twice. Where that is mended, the
/// tests of writes find what leaks here.
#[allow(unsafe_code)]
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
            Found::Member(at) => Ok(data
                .member(ctx, at)?
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
        borrowed(this)?.put(ctx, atom, Some(value))?;
        Ok(true)
    }

    fn exotic_delete_property(
        this: &JsCell<'js, Self>,
        ctx: &Ctx<'js>,
        atom: Atom<'js>,
    ) -> Result<bool> {
        borrowed(this)?.put(ctx, atom, None)?;
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
            Found::Member(at) => Ok(data.member(ctx, at)?.is_some()),
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
            Found::Member(at) => (data.member(ctx, at)?, true),
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
