//! The field tables as a tree of objects: `request.headers` is the member `headers` of the object `request`.

use gillnet_entry::{COMMON, Entry, Schema, Value};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// A field of one of both tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// Whether it is of the common part.
    pub(super) common: bool,
    pub(super) index: u16,
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    /// The field that it is.
    pub(super) field: Option<At>,
    /// The object that it is, where no value of the field is there.
    pub(super) level: Option<u16>,
}

/// An object: its members, in the order of the JSON.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) members: Vec<Member>,
    /// Whether names in Go answer, too.
    pub(super) go: bool,
}

/// The objects of an entry of one protocol; the first is the entry itself.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) levels: Vec<Level>,
}

/// The tree of a protocol's table, made once a process.
pub(super) fn tree(schema: &'static Schema) -> &'static Tree {
    static TREES: LazyLock<Mutex<HashMap<usize, &'static Tree>>> = LazyLock::new(Mutex::default);
    let key = std::ptr::from_ref(schema).addr();
    let mut trees = TREES.lock().unwrap_or_else(PoisonError::into_inner);
    trees
        .entry(key)
        // one for each table of the registry, for as long as the process lives
        .or_insert_with(|| Box::leak(Box::new(Tree::of(schema))))
}

impl Tree {
    fn of(schema: &'static Schema) -> Tree {
        let mut tree = Tree {
            levels: vec![Level {
                go: true,
                ..Level::default()
            }],
        };
        for (common, schema) in [(true, &COMMON), (false, schema)] {
            for (index, field) in (0u16..).zip(schema.fields) {
                if !field.json.is_empty() {
                    tree.add(0, field.json, At { common, index });
                }
            }
        }
        tree
    }

    fn add(&mut self, level: u16, path: &'static str, at: At) {
        let Some((name, rest)) = path.split_once('.') else {
            self.member(level, path).field = Some(at);
            return;
        };
        let inner = match self.member(level, name).level {
            Some(inner) => inner,
            None => {
                #[allow(clippy::cast_possible_truncation)] // a table has some dozen fields
                let inner = self.levels.len() as u16;
                self.levels.push(Level {
                    go: at.common,
                    ..Level::default()
                });
                self.member(level, name).level = Some(inner);
                inner
            }
        };
        self.add(inner, rest, at);
    }

    fn member(&mut self, level: u16, name: &'static str) -> &mut Member {
        let members = &mut self.levels[usize::from(level)].members;
        let at = members.iter().position(|member| member.name == name);
        let at = at.unwrap_or_else(|| {
            members.push(Member {
                name,
                field: None,
                level: None,
            });
            members.len() - 1
        });
        &mut members[at]
    }

    /// Whether an object has any member.
    pub(super) fn has_any(&self, level: u16, entry: &Entry<'_>) -> bool {
        let level = self.levels.get(usize::from(level));
        level.is_some_and(|level| level.members.iter().any(|member| self.has(member, entry)))
    }

    /// Whether a member is there.
    pub(super) fn has(&self, member: &Member, entry: &Entry<'_>) -> bool {
        let value = member.field.map(|at| read(entry, at));
        !matches!(value, None | Some(Value::Missing))
            || member.level.is_some_and(|level| self.has_any(level, entry))
    }
}

/// The value of a field.
pub(super) fn read<'a>(entry: &Entry<'a>, at: At) -> Value<'a> {
    if at.common {
        entry.common(at.index)
    } else {
        entry.own(at.index)
    }
}
