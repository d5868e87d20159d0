//! `gillnet.d.ts` against what is there.

use crate::hooks::Hook;
use crate::review::declared;
use crate::testing::Rig;
use std::collections::BTreeSet;

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

/// All that tests of scripts run is in these files; a helper that none of them calls is one that nothing is known of.
#[test]
fn each_helper_and_hook_is_called_by_some_test() {
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.join("tests"), src.join("entry")];
    let mut text = std::fs::read_to_string(src.join("helpers/tests.rs")).unwrap();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let missing: Vec<_> = declared()
        .into_iter()
        .filter(|name| !text.contains(&format!("{name}(")))
        .collect();
    assert_eq!(missing, [] as [String; 0]);
}
