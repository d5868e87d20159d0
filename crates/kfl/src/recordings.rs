//! Which recordings a filter asks for, so that the others need not be opened.

use crate::ast::Logic;
use crate::predicate::{Const, Fun, Load, Node, Root};
use gillnet_entry::COMMON;

/// What a filter asks of the recordings that an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recordings<'f> {
    /// Nothing.
    Any,
    /// That it is in this one, whatever else it asks.
    One(&'f str),
    /// Something that must be known of all of them.
    Several,
}

pub(crate) fn asked(root: &Node) -> Recordings<'_> {
    let mut asks = 0_usize;
    root.walk(&mut |node| {
        asks += usize::from(is_record(node));
    });
    let mut must = Vec::new();
    terms(root, &mut must);
    match (&*must, asks) {
        (_, 0) => Recordings::Any,
        // that is all it asks
        ([name, others @ ..], asks) if asks == must.len() && others.iter().all(|o| o == name) => {
            Recordings::One(name)
        }
        _ => Recordings::Several,
    }
}

fn is_record(node: &Node) -> bool {
    let (Node::Load(load), Some(record)) = (node, COMMON.json("record")) else {
        return false;
    };
    match load {
        Load::Common(field, _) => *field == record,
        Load::CommonPath(access) => matches!(access.root, Root::Common(field) if field == record),
        _ => false,
    }
}

/// The names of the terms `record("name")` that must hold.
fn terms<'n>(node: &'n Node, must: &mut Vec<&'n str>) {
    match node {
        Node::Call(Fun::Recorded, args) => {
            if let [_, Node::Const(Const::Str(name))] = &**args {
                must.push(name);
            }
        }
        Node::All(nodes) => nodes.iter().for_each(|node| terms(node, must)),
        Node::Chain(nodes, joints) if joints.iter().all(|joint| *joint == Logic::And) => {
            nodes.iter().for_each(|node| terms(node, must));
        }
        Node::Group(node) | Node::Truthy(node) => terms(node, must),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Env, Options, compile};

    #[test]
    fn a_recording_that_must_be_is_known() {
        let one = Recordings::One("a");
        for (kfl, asked) in [
            ("", Recordings::Any),
            ("src.port == 80", Recordings::Any),
            (r#"record("a")"#, one),
            (r#"record("a") and src.port == 80"#, one),
            (r#"src.port == 80 and (record("a") and tls)"#, one),
            (r#"src.port == 80 && record("a") && record("a")"#, one),
            (r#"record("a") && (tls || src.port == 80)"#, one),
            (r#"record("a") or src.port == 80"#, Recordings::Several),
            (r#"!record("a")"#, Recordings::Several),
            (r#"!record("a") and tls"#, Recordings::Several),
            (r#"record("a") && record("b")"#, Recordings::Several),
            (r#"record("a") && !record("b")"#, Recordings::Several),
            (r#"record == "a""#, Recordings::Several),
            (r#"record("a") and record != """#, Recordings::Several),
        ] {
            let env = Env::new(&[]);
            let filter = compile(&env, kfl, &Options::default()).unwrap();
            assert_eq!(filter.recordings(), asked, "{kfl}");
        }
    }

    #[test]
    fn both_filters_count_where_one_is_around_the_other() {
        let env = Env::new(&[]);
        let of = |kfl: &str| compile(&env, kfl, &Options::default()).unwrap();
        let (a, b, none) = (r#"record("a")"#, r#"record("b")"#, "tls");
        for (inner, outer, asked) in [
            (a, none, Recordings::One("a")),
            (none, a, Recordings::One("a")),
            (a, a, Recordings::One("a")),
            (a, b, Recordings::Several),
            (none, none, Recordings::Any),
        ] {
            let outer = of(outer);
            let filter = of(inner).within(&outer);
            assert_eq!(filter.recordings(), asked);
        }
    }
}
