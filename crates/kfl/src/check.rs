//! Names: what a filter may speak of, found in the field tables.

use crate::lang::Lang;
use crate::predicate::{Access, Flag, Load, Part, Root, Side, Step};
use crate::stages::ProtocolSet;
use crate::types::Type;
use gillnet_entry::{
    Bump, COMMON, Common, Ctx, End, Fault, FaultKind, Field, Kind, Name, Nothing, Origin,
    ProtocolInfo, Schema, Transport, Value,
};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

/// Protocols that can be told apart; the index of one is its bit in a [`crate::ProtocolSet`].
pub const MAX_PROTOCOLS: usize = 64;

/// What filters may speak of: the common part, the protocols' field tables and flags, and custom macros.
#[derive(Clone, Debug, Default)]
pub struct Env {
    pub(crate) protocols: Vec<Protocol>,
    macros: Vec<(String, String)>,
}

/// One protocol of the registry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    name: &'static str,
    pub(crate) schema: &'static Schema,
    flags: Flags,
}

/// Flags that entries of a protocol can carry, each with its meaning.
type Flags = &'static [(&'static str, &'static str)];

/// A field below `src` or `dst`.
struct EndField {
    /// Below the end in JSON and KFL1; empty where it is not there.
    json: &'static str,
    /// Below the end in KFL2.
    kfl2: &'static str,
    what: EndPart,
}

#[derive(Clone, Copy)]
enum EndPart {
    Ip,
    Port,
    Part(Part),
    /// In KFL1 below an object that is null without this part.
    Held(Part, Part),
}

impl EndField {
    fn load(&self, side: Side, kfl1: bool) -> Load {
        match self.what {
            EndPart::Ip => Load::Ip(side),
            EndPart::Port => Load::Port(side),
            EndPart::Held(part, holder) if kfl1 => Load::Held { side, part, holder },
            EndPart::Held(Part::Pod, _) => Load::Part(side, Part::PodOrService),
            EndPart::Part(part) | EndPart::Held(part, _) => Load::Part(side, part),
        }
    }
}

/// Parts of an end that are read without the field table's detour. A test compares each with the table.
const END_FIELDS: &[EndField] = &[
    EndField {
        json: "ip",
        kfl2: "ip",
        what: EndPart::Ip,
    },
    EndField {
        json: "port",
        kfl2: "port",
        what: EndPart::Port,
    },
    EndField {
        json: "name",
        kfl2: "name",
        what: EndPart::Part(Part::Name),
    },
    EndField {
        json: "namespace",
        kfl2: "namespace",
        what: EndPart::Part(Part::Namespace),
    },
    EndField {
        json: "pod.metadata.name",
        kfl2: "pod.name",
        what: EndPart::Held(Part::Pod, Part::Pod),
    },
    EndField {
        json: "pod.metadata.namespace",
        kfl2: "pod.namespace",
        what: EndPart::Held(Part::Namespace, Part::Pod),
    },
    EndField {
        json: "service.metadata.name",
        kfl2: "service.name",
        what: EndPart::Held(Part::Service, Part::Service),
    },
    EndField {
        json: "service.metadata.namespace",
        kfl2: "service.namespace",
        what: EndPart::Held(Part::Namespace, Part::Service),
    },
    EndField {
        json: "",
        kfl2: "dns",
        what: EndPart::Part(Part::Dns),
    },
];

/// Lists of both ends' parts.
const BOTH: &[(&str, Part)] = &[
    ("namespaces", Part::Namespace),
    ("pods", Part::Pod),
    ("services", Part::Service),
    ("dns_resolutions", Part::Dns),
];

/// Names of KFL2 that are written otherwise here and there in Kubeshark's documentation, and what they mean.
const ALIASES: &[(&str, &str)] = &[
    ("status", "status_code"),
    ("response.latency", "elapsed_time"),
    ("src.pod.namespace.name", "src.pod.namespace"),
    ("dst.pod.namespace.name", "dst.pod.namespace"),
    ("src.svc", "src.service.name"),
    ("dst.svc", "dst.service.name"),
];

/// The end a name begins with, and what of the name lies below it.
fn split_end(name: &str) -> Option<(Side, &str)> {
    let (end, rest) = name.split_once('.')?;
    match end {
        "src" => Some((Side::Src, rest)),
        "dst" => Some((Side::Dst, rest)),
        _ => None,
    }
}

/// What a path of KFL1 leads to.
pub(crate) enum Found {
    /// A value.
    Load(Load),
    /// Nothing: the first words name a field that holds a plain value, so there is nothing below it.
    Below(String, Kind),
    /// Nothing.
    Unknown,
}

impl Env {
    /// An environment over the registry: name, field table and possible flags, with their meaning, of each protocol, in
    /// the registry's order, which is the order of [`gillnet_entry::Entry::protocol`]. A flag that is the protocol's own name holds for
    /// all its entries; any other where the entry's `info().flags` have it. Protocols past [`MAX_PROTOCOLS`] are not
    /// taken.
    pub fn new(protocols: &[(&'static str, &'static Schema, Flags)]) -> Env {
        let protocols = protocols.iter().take(MAX_PROTOCOLS);
        Env {
            protocols: protocols
                .map(|(name, schema, flags)| Protocol {
                    name,
                    schema,
                    flags,
                })
                .collect(),
            macros: Vec::new(),
        }
    }

    /// Adds a custom macro: a name that stands for a filter, in parentheses. A later one of the same name replaces it.
    #[must_use]
    pub fn with_macro(mut self, name: &str, text: &str) -> Env {
        self.macros.retain(|(n, _)| n != name);
        self.macros.push((name.into(), text.into()));
        self
    }

    /// The filter a custom macro stands for.
    pub(crate) fn expansion(&self, name: &str) -> Option<&str> {
        self.macros
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, text)| &**text)
    }

    pub(crate) fn macros(&self) -> impl Iterator<Item = (&str, &str)> {
        self.macros.iter().map(|(name, text)| (&**name, &**text))
    }

    /// The flag of this name.
    pub(crate) fn flag(&self, name: &str) -> Option<Flag> {
        let (mut always, mut asked) = (0, 0);
        for (i, protocol) in self.protocols.iter().enumerate() {
            if protocol.name == name {
                always |= 1 << i;
            } else if protocol.flags.iter().any(|(flag, _)| *flag == name) {
                asked |= 1 << i;
            }
        }
        (always | asked != 0).then(|| Flag {
            name: name.into(),
            always,
            asked,
        })
    }

    /// All flags.
    pub(crate) fn flags(&self) -> Vec<&'static str> {
        let names = self
            .protocols
            .iter()
            .flat_map(|p| std::iter::once(p.name).chain(p.flags.iter().map(|(flag, _)| *flag)));
        let mut flags: Vec<_> = names.collect();
        flags.sort_unstable();
        flags.dedup();
        flags
    }

    /// What a flag means.
    pub(crate) fn flag_doc(&self, name: &str) -> &'static str {
        let mut flags = self.protocols.iter().flat_map(|p| p.flags);
        flags
            .find(|(flag, _)| *flag == name)
            .map_or("", |(_, doc)| doc)
    }

    /// The protocols of which entries can have a flag.
    pub(crate) fn flagged(&self, name: &str) -> Vec<&'static str> {
        let has = |p: &&Protocol| p.name == name || p.flags.iter().any(|(flag, _)| *flag == name);
        self.protocols.iter().filter(has).map(|p| p.name).collect()
    }

    /// The field tables, each with the protocols that have it; the first is every entry's.
    pub(crate) fn tables(&self) -> Vec<(Vec<&'static str>, &'static [Field])> {
        let mut tables: Vec<(Vec<&'static str>, &'static [Field])> =
            vec![(Vec::new(), COMMON.fields)];
        for protocol in &self.protocols {
            let same = |table: &&mut (_, &[Field])| table.1 == protocol.schema.fields;
            match tables.iter_mut().find(same) {
                Some((protocols, _)) => protocols.push(protocol.name),
                None => tables.push((vec![protocol.name], protocol.schema.fields)),
            }
        }
        tables
    }

    /// All fields: of the common part, then of each protocol, with the protocol's name.
    pub(crate) fn fields(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static Field)> + Clone + '_ {
        let common = COMMON.fields.iter().map(|f| ("", f));
        common.chain(
            self.protocols
                .iter()
                .flat_map(|p| p.schema.fields.iter().map(|f| (p.name, f))),
        )
    }

    /// The variable of KFL2 with this name.
    pub(crate) fn variable(&self, name: &str) -> Option<(Load, Type)> {
        if name == "tls" {
            return Some((Load::Tls, Type::Bool));
        }
        if let Some(field) = COMMON.kfl2(name) {
            let kind = kind_of(&COMMON, field);
            let end = split_end(name).and_then(|(side, rest)| {
                END_FIELDS
                    .iter()
                    .find(|f| f.kfl2 == rest)
                    .map(|f| f.load(side, false))
            });
            let both = BOTH
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, part)| Load::Both(*part));
            return Some((
                end.or(both).unwrap_or(Load::Common(field, kind)),
                Type::of(kind),
            ));
        }
        self.own(|schema| schema.kfl2(name))
    }

    /// The variable that a name of the entry's JSON, or one of [`ALIASES`], means in KFL2.
    pub(crate) fn alias(&self, name: &str) -> Option<(Load, Type)> {
        if let Some((_, meant)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            return self.variable(meant);
        }
        if name.is_empty() {
            return None;
        }
        if let Some(field) = COMMON.json(name) {
            let kind = kind_of(&COMMON, field);
            return Some((Load::Common(field, kind), Type::of(kind)));
        }
        self.own(|schema| schema.json(name))
    }

    fn own(&self, find: impl Fn(&Schema) -> Option<u16>) -> Option<(Load, Type)> {
        let fields: Box<[_]> = self.protocols.iter().map(|p| find(p.schema)).collect();
        let kinds = self
            .protocols
            .iter()
            .zip(&fields)
            .filter_map(|(p, f)| f.map(|f| kind_of(p.schema, f)));
        // protocols that disagree make it dynamic
        let kind = kinds.reduce(|a, b| if a == b { a } else { Kind::Any })?;
        Some((Load::Own(fields, kind), Type::of(kind)))
    }

    /// What a path of KFL1 leads to: its first words, and the steps behind them. Strictly, a name must be in the field
    /// tables as far as they go, and header names are compared without regard to case.
    pub(crate) fn path(&self, words: &[&str], steps: &[Step], strict: bool) -> Found {
        let name = words.join(".");
        if let Some((side, rest)) = split_end(&name)
            && steps.is_empty()
            && let Some(field) = END_FIELDS
                .iter()
                .find(|f| f.json == rest && !rest.is_empty())
        {
            return Found::Load(field.load(side, true));
        }
        if name == "tls" && steps.is_empty() {
            return Found::Load(Load::Tls);
        }
        let mut below = None;
        match access(&COMMON, false, &name, steps, strict) {
            Reached::Yes(access) if !strict || known_below(&access, &with_keys(&name, steps)) => {
                return Found::Load(Load::CommonPath(access));
            }
            Reached::Below(field, kind) => below = Some((field, kind)),
            _ => {}
        }
        let mut accesses = Vec::with_capacity(self.protocols.len());
        for protocol in &self.protocols {
            accesses.push(match access(protocol.schema, true, &name, steps, strict) {
                Reached::Yes(access) => Some(access),
                Reached::Below(field, kind) => {
                    below = Some((field, kind));
                    None
                }
                Reached::No => None,
            });
        }
        match below {
            _ if accesses.iter().any(Option::is_some) => {
                Found::Load(Load::OwnPath(accesses.into()))
            }
            Some((field, kind)) => Found::Below(field, kind),
            None => Found::Unknown,
        }
    }

    /// What a value is called in a spelling, its type, and the protocols that have it; none: it belongs to all.
    pub(crate) fn called(&self, load: &Load, lang: Lang) -> Called {
        let kfl1 = lang == Lang::Kfl1;
        let side_name = |side: Side| if side == Side::Src { "src" } else { "dst" };
        let end = |side: Side, what: &dyn Fn(&EndPart) -> bool| {
            let field = END_FIELDS
                .iter()
                .filter(|f| !kfl1 || !f.json.is_empty())
                .find(|f| what(&f.what));
            let below = field.map_or("", |f| if kfl1 { f.json } else { f.kfl2 });
            format!("{}.{below}", side_name(side))
        };
        let of_all = |name: String, of: Type| Called {
            name,
            of,
            protocols: Vec::new(),
        };
        let own = |name: &dyn Fn(usize, &'static Schema) -> Option<(String, Type)>| {
            let had = self.protocols.iter().enumerate();
            let had: Vec<_> = had
                .filter_map(|(i, p)| name(i, p.schema).map(|n| (p.name, n)))
                .collect();
            let of = had.iter().map(|(_, (_, of))| of.clone());
            Called {
                of: of.reduce(|a, b| a.or(&b)).unwrap_or(Type::Dyn),
                protocols: had.iter().map(|(protocol, _)| *protocol).collect(),
                name: had
                    .into_iter()
                    .next()
                    .map(|(_, (name, _))| name)
                    .unwrap_or_default(),
            }
        };
        let field_name = |field: &Field| {
            let (own, other) = if kfl1 {
                (field.json, field.kfl2)
            } else {
                (field.kfl2, field.json)
            };
            String::from(if own.is_empty() { other } else { own })
        };
        match load {
            Load::Ip(side) => of_all(end(*side, &|w| matches!(w, EndPart::Ip)), Type::Str),
            Load::Port(side) => of_all(end(*side, &|w| matches!(w, EndPart::Port)), Type::Int),
            Load::Part(side, part) => of_all(
                end(
                    *side,
                    &|w| matches!(w, EndPart::Part(p) | EndPart::Held(p, _) if p == part),
                ),
                Type::Str,
            ),
            Load::Held { side, part, holder } => of_all(
                end(
                    *side,
                    &|w| matches!(w, EndPart::Held(p, h) if p == part && h == holder),
                ),
                Type::Str,
            ),
            Load::Both(part) => {
                let name = BOTH
                    .iter()
                    .find(|(_, p)| p == part)
                    .map_or("", |(name, _)| name);
                of_all(name.into(), Type::List(Box::new(Type::Str)))
            }
            Load::Tls => of_all("tls".into(), Type::Bool),
            Load::Common(field, kind) => {
                let field = COMMON.fields.get(usize::from(*field));
                of_all(field.map(field_name).unwrap_or_default(), Type::of(*kind))
            }
            Load::Own(fields, _) => own(&|i, schema| {
                let field = schema.fields.get(usize::from((*fields.get(i)?)?))?;
                Some((field_name(field), Type::of(field.kind)))
            }),
            Load::CommonPath(access) => {
                let (name, of) = reached(access, &COMMON);
                of_all(name, of)
            }
            Load::OwnPath(accesses) => own(&|i, schema| {
                accesses
                    .get(i)?
                    .as_ref()
                    .map(|access| reached(access, schema))
            }),
        }
    }

    /// The bit of each protocol.
    pub(crate) fn bits(&self) -> impl Iterator<Item = u64> {
        (0..self.protocols.len().min(MAX_PROTOCOLS)).map(|i| 1u64 << i)
    }

    /// Names of the protocols in a set.
    pub(crate) fn names_of(&self, protocols: ProtocolSet) -> Vec<&'static str> {
        let named = (0u8..).zip(&self.protocols);
        named
            .filter(|(i, _)| protocols.contains(*i))
            .map(|(_, p)| p.name)
            .collect()
    }

    /// All names of fields that KFL1 knows.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = shape().to_vec();
        for (_, field) in self.fields() {
            paths.extend(prefixes(field.json).map(String::from));
        }
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Whether a name below a structured field of the common part is one that it has; below any other field all may be.
    pub(crate) fn is_below(&self, load: &Load, path: &str) -> bool {
        match load {
            Load::Common(_, Kind::Any) => shape().iter().any(|known| known == path),
            Load::Own(fields, Kind::Any) => !self.protocols.iter().zip(fields).any(|(p, field)| {
                let field = field.and_then(|field| p.schema.fields.get(usize::from(field)));
                field.is_some_and(only_tells)
            }),
            _ => true,
        }
    }

    /// The name of a structured field of the common part.
    pub(crate) fn structured(&self, load: &Load) -> Option<String> {
        let Load::Common(_, Kind::Any) = load else {
            return None;
        };
        let name = self.called(load, Lang::Kfl1).name;
        self.is_object(&name).then_some(name)
    }

    /// Whether a path of KFL1 leads to an object (or to null).
    pub(crate) fn is_object(&self, path: &str) -> bool {
        let shaped = shape().iter().map(|p| &**p);
        let mut names = shaped.chain(self.fields().map(|(_, f)| f.json));
        names.any(|name| crate::predicate::below(name, path).is_some_and(|rest| !rest.is_empty()))
    }

    /// What KFL1 calls a variable of KFL2.
    pub(crate) fn kfl1_name(&self, variable: &str) -> Option<String> {
        if let Some((_, rest)) = split_end(variable)
            && let Some(field) = END_FIELDS
                .iter()
                .find(|f| f.kfl2 == rest && !f.json.is_empty())
        {
            return Some(format!("{}.{}", &variable[..3], field.json));
        }
        let field = self
            .fields()
            .find(|(_, f)| f.kfl2 == variable && !f.json.is_empty());
        field.map(|(_, f)| f.json.into())
    }
}

/// Name, type and home of a value.
pub(crate) struct Called {
    pub(crate) name: String,
    pub(crate) of: Type,
    pub(crate) protocols: Vec<&'static str>,
}

/// The path of KFL1 that leads somewhere, and the type of what it leads to.
fn reached(access: &Access, schema: &Schema) -> (String, Type) {
    let (mut path, mut of) = match &access.root {
        Root::Common(field) | Root::Own(field) => {
            let field = schema.fields.get(usize::from(*field));
            let kind = field.map_or(Kind::Any, |f| f.kind);
            (String::from(field.map_or("", |f| f.json)), Type::of(kind))
        }
        Root::Object(prefix, _) => {
            let of = Type::Map(Box::new((Type::Str, Type::Dyn)));
            (String::from(&**prefix), of)
        }
    };
    write_steps(&access.steps, &mut path);
    for step in &access.steps {
        of = match (step, &of) {
            (Step::At(_), Type::List(item)) => (**item).clone(),
            (Step::Key(..), _) => of.pair().map_or(Type::Dyn, |(_, value)| value),
            _ => Type::Dyn,
        };
    }
    (path, of)
}

/// Appends steps as KFL1 writes them.
pub(crate) fn write_steps(steps: &[Step], path: &mut String) {
    let is_word = |key: &str| {
        !key.is_empty()
            && !key.starts_with(|c: char| c.is_ascii_digit())
            && key.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    };
    for step in steps {
        path.push_str(&match step {
            Step::Key(key, _) if is_word(key) => format!(".{key}"),
            Step::Key(key, _) => format!("[\"{key}\"]"),
            Step::At(index) => format!("[{index}]"),
            Step::Wild => ".*".into(),
            Step::Deep(name) => format!("..{name}"),
        });
    }
}

/// All proper and improper prefixes of a dotted path.
fn prefixes(path: &'static str) -> impl Iterator<Item = &'static str> {
    let dots = path.match_indices('.').map(|(i, _)| &path[..i]);
    dots.chain(std::iter::once(path)).filter(|p| !p.is_empty())
}

fn kind_of(schema: &Schema, field: u16) -> Kind {
    schema
        .fields
        .get(usize::from(field))
        .map_or(Kind::Any, |f| f.kind)
}

/// Where a path leads in one table.
enum Reached {
    Yes(Access),
    /// Below a field that holds a plain value.
    Below(String, Kind),
    No,
}

/// Whether a field of a protocol (`request`, `response`) only tells whether an object is there: what is in it are fields of
/// their own.
fn only_tells(field: &Field) -> bool {
    field.kind == Kind::Any && field.kfl2.is_empty() && !field.json.contains('.')
}

fn access(schema: &'static Schema, own: bool, name: &str, steps: &[Step], strict: bool) -> Reached {
    let holds = |f: &&Field| {
        !f.json.is_empty() && (name == f.json || crate::predicate::below(name, f.json).is_some())
    };
    let longest = schema
        .fields
        .iter()
        .filter(holds)
        .max_by_key(|f| f.json.len());
    let Some(field) = longest else {
        let is_object = schema
            .fields
            .iter()
            .any(|f| crate::predicate::below(f.json, name).is_some());
        let root = Root::Object(name.into(), own);
        return if is_object {
            Reached::Yes(Access {
                root,
                steps: steps.into(),
            })
        } else {
            Reached::No
        };
    };
    let rest = crate::predicate::below(name, field.json).unwrap_or("");
    if own && only_tells(field) {
        match steps.split_first() {
            Some((Step::Key(key, _), behind)) if rest.is_empty() => {
                return access(schema, own, &format!("{name}.{key}"), behind, strict);
            }
            None if rest.is_empty() => {}
            _ if strict => return Reached::No,
            _ => {}
        }
    }
    let ignore_case = strict && field.kind == Kind::Headers;
    let keys = rest
        .split('.')
        .filter(|w| !w.is_empty())
        .map(|w| Step::Key(w.into(), ignore_case));
    let steps: Box<[Step]> = keys
        .chain(steps.iter().map(|s| with_case(s, ignore_case)))
        .collect();
    let open = match field.kind {
        Kind::Any | Kind::StrMap | Kind::Headers => true,
        Kind::StrList => rest.is_empty(),
        _ => steps.is_empty(),
    };
    if !open {
        return Reached::Below(field.json.into(), field.kind);
    }
    match schema.json(field.json) {
        Some(index) => Reached::Yes(Access {
            root: if own {
                Root::Own(index)
            } else {
                Root::Common(index)
            },
            steps,
        }),
        None => Reached::No,
    }
}

fn with_case(step: &Step, ignore_case: bool) -> Step {
    match step {
        Step::Key(key, _) => Step::Key(key.clone(), ignore_case),
        step => step.clone(),
    }
}

/// A name with the keys behind it, up to the first other step.
pub(crate) fn with_keys(name: &str, steps: &[Step]) -> String {
    let mut whole = String::from(name);
    for step in steps {
        let Step::Key(key, _) = step else { break };
        whole.push('.');
        whole.push_str(key);
    }
    whole
}

/// Whether a path of words below a structured field of the common part is one that such fields have.
fn known_below(access: &Access, name: &str) -> bool {
    match access.root {
        Root::Common(_) => COMMON.json(name).is_some() || shape().iter().any(|path| path == name),
        _ => true,
    }
}

/// The paths below the structured fields of the common part, read off an entry in which all of them are filled.
fn shape() -> &'static [String] {
    static SHAPE: OnceLock<Vec<String>> = OnceLock::new();
    SHAPE.get_or_init(|| {
        let arena = Bump::new();
        let ctx = Ctx {
            store: &Nothing,
            arena: &arena,
        };
        let (origin, name) = (Origin::default(), full_name());
        let common = sample(&origin, &name);
        let mut paths = Vec::new();
        for (i, field) in (0u16..).zip(COMMON.fields) {
            if field.kind == Kind::Any && !field.json.is_empty() {
                flatten(field.json, &common.get(i, &ctx), &mut paths);
            }
        }
        paths
    })
}

fn flatten(path: &str, value: &Value<'_>, paths: &mut Vec<String>) {
    paths.push(path.into());
    if let Value::Map(map) = value {
        for (key, value) in *map {
            flatten(&format!("{path}.{key}"), value, paths);
        }
    }
}

fn full_name() -> Arc<Name> {
    let filled = || String::from("x");
    Arc::new(Name {
        name: filled(),
        namespace: filled(),
        pod: filled(),
        service: filled(),
        dns: filled(),
        ..Name::default()
    })
}

fn sample<'a>(origin: &'a Origin, name: &'a Arc<Name>) -> Common<'a> {
    static INFO: ProtocolInfo = ProtocolInfo {
        name: "",
        version: "",
        abbr: "",
        long_name: "",
        macro_name: "",
        flags: &[],
        background: "",
        foreground: "",
        reference: "",
        ports: &[],
        layer4: "",
        priority: 0,
    };
    let end = End {
        ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port: 0,
        name,
    };
    Common {
        origin,
        stream: 0,
        transport: Transport::Tcp,
        index: 0,
        info: &INFO,
        tls: false,
        src: end,
        dst: end,
        ts: 0,
        end_ts: None,
        request_size: 0,
        response_size: 0,
        fault: Some(Fault {
            kind: FaultKind::Timeout,
            msg: "",
        }),
        missing: 0,
        truncated_before: None,
        passed: false,
        failed: false,
        record: "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::{EntryFacts, Facts, Val};
    use gillnet_entry::{Entry, Record};

    #[derive(Debug)]
    struct Empty;

    static EMPTY: Schema = Schema {
        name: "empty",
        fields: &[],
        shown: gillnet_entry::ShownBy::NONE,
    };

    impl Record for Empty {
        fn schema(&self) -> &'static Schema {
            &EMPTY
        }
        fn info(&self) -> &'static ProtocolInfo {
            sample(&Origin::default(), &full_name()).info
        }
        fn get<'a>(&'a self, _: u16, _: &Ctx<'a>) -> Value<'a> {
            Value::Missing
        }
        fn write_json<'a>(
            &'a self,
            _: &gillnet_entry::Ctx<'a>,
            _: &mut gillnet_entry::json::Members<'_>,
        ) {
        }
        fn detach(&self, _: &dyn gillnet_entry::Bytes, _: usize) -> Box<dyn Record> {
            Box::new(Empty)
        }
        fn summary<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
            ""
        }
        fn method<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
            ""
        }
        fn status<'a>(&'a self, _: &Ctx<'a>) -> (&'a str, Option<i64>) {
            ("", None)
        }
        fn ok(&self, _: &Ctx<'_>) -> bool {
            true
        }
    }

    #[test]
    fn short_cuts_read_what_the_table_reads() {
        let arena = Bump::new();
        let ctx = Ctx {
            store: &Nothing,
            arena: &arena,
        };
        let origin = Origin::default();
        let name = |n: &str| {
            let part = |what: &str| format!("{n}-{what}");
            Arc::new(Name {
                name: part("name"),
                namespace: part("namespace"),
                pod: part("pod"),
                service: part("service"),
                dns: part("dns"),
                ..Name::default()
            })
        };
        let (src, dst) = (name("a"), name("b"));
        let mut common = sample(&origin, &src);
        common.src = End {
            ip: "10.1.22.233".parse().unwrap(),
            port: 1,
            name: &src,
        };
        common.dst = End {
            ip: "2001:db8::1".parse().unwrap(),
            port: 65535,
            name: &dst,
        };
        let record = Empty;
        let entry = Entry {
            common: &common,
            protocol: 0,
            record: &record,
            ctx,
        };
        let facts = EntryFacts::new(&entry);
        let env = Env::new(&[]);
        let mut short = 0;
        for (i, field) in (0u16..).zip(COMMON.fields) {
            if field.kfl2.is_empty() {
                continue;
            }
            let (load, _) = env.variable(field.kfl2).unwrap();
            short += usize::from(!matches!(load, Load::Common(..)));
            let read = facts.load(&load).unwrap();
            let table = Val::of(common.get(i, &ctx)).unwrap_or(Val::default(field.kind));
            assert!(
                crate::predicate::equal(read, table),
                "{}: {read:?}, {table:?}",
                field.kfl2
            );
        }
        assert_eq!(short, END_FIELDS.len() * 2 + BOTH.len() + 1);
        // and those of KFL1 what JSON shows
        for field in END_FIELDS.iter().filter(|f| !f.json.is_empty()) {
            let path = format!("dst.{}", field.json);
            let words: Vec<&str> = path.split('.').collect();
            let Found::Load(load) = env.path(&words, &[], true) else {
                panic!("{path}")
            };
            let index = COMMON.json("dst").unwrap();
            let mut shown = Val::of(common.get(index, &ctx)).unwrap();
            for word in &words[1..] {
                shown = shown.named(word, false).unwrap();
            }
            let read = facts.load(&load).unwrap();
            assert!(
                crate::predicate::same(read, shown, &ctx) || field.json == "port",
                "{path}: {read:?}, {shown:?}"
            );
        }
    }
}
