//! `gillnet.d.ts` against what is there.

use crate::hooks::Hook;
use crate::testing::Rig;
use std::collections::BTreeSet;

/// The names of helpers that the declarations have: `vendor.s3.put`, `fetch`.
fn declared() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut path, mut skip): (Vec<String>, usize) = (Vec::new(), 0);
    for line in crate::TYPES.lines() {
        let text = line.trim();
        let opens = text.ends_with('{') || text.ends_with('(');
        let name = || {
            text.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        if skip > 0 {
            skip += usize::from(opens);
            skip -= usize::from(text.starts_with(['}', ')']));
        } else if let Some(rest) = text.strip_prefix("declare const ") {
            let name = rest.split(':').next().unwrap().to_owned();
            if text.ends_with(": {") {
                path = vec![name];
            } else {
                found.insert(name);
            }
        } else if let Some(rest) = text.strip_prefix("declare function ") {
            let name = rest.split('(').next().unwrap();
            found.insert(name.to_owned());
            skip = usize::from(opens);
        } else if text.starts_with("interface ") {
            skip = 1;
        } else if path.is_empty() || text.starts_with(['/', '*']) {
        } else if text.starts_with('}') {
            path.pop();
        } else if text.ends_with(": {") {
            path.push(name());
        } else if let Some(inner) = text.strip_prefix("scheduler: { ") {
            for part in inner.split("; ").filter_map(|part| part.split_once('(')) {
                found.insert(format!("{}.scheduler.{}", path.join("."), part.0));
            }
        } else if text.contains('(') {
            found.insert(format!("{}.{}", path.join("."), name()));
            skip = usize::from(text.ends_with('('));
        }
    }
    found
}

#[test]
fn the_declarations_are_those_of_the_helpers() {
    let bare = crate::engine::Engine::new(16 << 20).unwrap();
    let list = "(function () { var all = []; function walk(o, at) { Object.getOwnPropertyNames(o).forEach(function (k) { if (at === '' && before.indexOf(k) >= 0) return; var path = at ? at + '.' + k : k; var v = o[k]; if (typeof v === 'object' && v !== null && k !== 'env') walk(v, path); else all.push(path); }); } walk(globalThis, ''); return all.join(); })()";
    let before = bare
        .enter(crate::testing::LIMIT, |ctx| {
            ctx.eval::<String, _>("Object.getOwnPropertyNames(globalThis).join()")
        })
        .unwrap();
    let rig = Rig::new();
    let set = format!("before = '{before}'.split(','); before.push('before');");
    rig.script
        .engine()
        .run("x", &set, crate::testing::LIMIT)
        .unwrap();
    let there: BTreeSet<String> = rig
        .script
        .evaluate(list)
        .unwrap()
        .split(',')
        .map(str::to_owned)
        .collect();
    let mut declared = declared();
    for hook in Hook::ALL {
        assert!(declared.remove(hook.name()), "{}", hook.name());
    }
    assert_eq!(there, declared);
    assert!(there.len() > 50, "{}", there.len());
}
