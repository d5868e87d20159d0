//! The object against the facts of Kubeshark's entries.

use crate::testing::{Rig, entries};
use gillnet_entry::{Bump, json};

fn json_of(entry: &gillnet_entry::OwnedEntry) -> String {
    let mut text = Vec::new();
    entry.with(&Bump::new(), |entry| json::write_entry(entry, &mut text));
    String::from_utf8(text).unwrap()
}

#[test]
fn an_object_is_written_as_its_entry_is() {
    let rig = Rig::new();
    let fixtures = [
        "http1/nginx_and_python",
        "http1/print_flags",
        "dns/dnssec",
        "dns/uri",
    ];
    let mut seen = 0;
    for entry in fixtures.into_iter().flat_map(entries) {
        let expected = json_of(&entry);
        let text = format!(
            "expected = {expected}; is(JSON.stringify(data), JSON.stringify(expected)); var order = []; for (var k in data) order.push(k); is(order.join(), Object.keys(expected).join()); is(Object.keys(data).join(), order.join());"
        );
        rig.with(&entry, &text).unwrap();
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn both_spellings_answer_and_go_names_are_not_listed() {
    let rig = Rig::new();
    let entry = entries("http1/one_exchange").remove(0);
    rig.with(
        &entry,
        r#"
        is(data.protocol.name, 'http'); is(data.Protocol.Name, 'http'); is(data.Protocol.LongName, data.protocol.longName);
        is(data.Protocol.Abbreviation, 'HTTP'); is(data.Source.Name, data.src.name); is(data.Destination.IP, data.dst.ip);
        is(data.Request.path, data.request.path); is(data.request.Path, undefined); is(data.ElapsedTime, data.elapsedTime);
        is(data.Node.Name, data.node.name); is(data.Id, data.id); is(data.StartTime, data.startTime);
        is('Protocol' in data, true); is('protocol' in data, true); is('nothing' in data, false); is('toString' in data, true);
        is(Object.keys(data).indexOf('Protocol'), -1); is(Object.keys(data.src).indexOf('Name'), -1);
        is(data.hasOwnProperty('protocol'), true); is(data.hasOwnProperty('nothing'), false);
        is(typeof data.timestamp, 'number'); is(typeof data.src.port, 'string'); is(typeof data.response.status, 'number');
        is(data.src.pod, null); is(data.namespace, undefined); is(String(data), '[object Object]');
        is(data.stream, '000000000000.pcap'); is(data.src.processName, ''); is(data.src.processId, 0);
        "#,
    )
    .unwrap();
}

#[test]
fn writes_and_deletes_stay() {
    let rig = Rig::new();
    let entry = entries("http1/one_exchange").remove(0);
    rig.with(
        &entry,
        r#"
        data.passed = true; is(data.passed, true); is(JSON.parse(JSON.stringify(data)).passed, true);
        data.Failed = true; is(data.failed, true); is(Object.keys(data).indexOf('Failed'), -1);
        is(delete data.passed, true); is(data.passed, undefined); is('passed' in data, false); is('passed' in JSON.parse(JSON.stringify(data)), false);
        data.own = { a: 1 }; is(data.own.a, 1); is(Object.keys(data).pop(), 'own');
        for (var name in data.request.headers) data.request.headers[name] = '[redacted]';
        data.request.headers.extra = 'x';
        is(JSON.parse(JSON.stringify(data)).request.headers.extra, 'x');
        for (var name in data.request.headers) if (name !== 'extra') is(data.request.headers[name], '[redacted]');
        data.request.path = '/other'; is(JSON.parse(JSON.stringify(data)).request.path, '/other');
        data.src.name = 'me'; is(data.Source.Name, 'me'); data.Source.Name = 'you'; is(data.src.name, 'you');
        is(data.request === data.request, true); is(data.request.headers === data.Request.headers, true);
        delete data.request; is(data.request, undefined); is(data.Request, undefined);
        var copy = Object.assign({}, data); is(copy.stream, data.stream); var spread = { ...data.src }; is(spread.ip, data.src.ip);
        "#,
    )
    .unwrap();
}

#[test]
fn entries_stay_valid_after_their_hook_and_go_with_their_script() {
    let all = entries("http1/nginx_and_python");
    let rig = Rig::new();
    rig.run("kept = [];").unwrap();
    for entry in &all {
        rig.with(entry, "kept.push(data); data.self = data; data.all = kept;")
            .unwrap();
    }
    let expected: Vec<_> = all
        .iter()
        .map(|e| e.common().elapsed_us().unwrap_or(0))
        .collect();
    rig.run(&format!(
        "is(JSON.stringify(kept.map(function (d) {{ return d.elapsedTime; }})), '{}');",
        serde_json::to_string(&expected).unwrap()
    ))
    .unwrap();
    // cycles through Rust are found, too
    rig.run("kept = null; data = null;").unwrap();
    rig.script
        .engine()
        .enter(crate::testing::LIMIT, |ctx| {
            ctx.run_gc();
            Ok(())
        })
        .unwrap();
    assert!(
        all.iter()
            .all(|entry| std::sync::Arc::strong_count(entry) == 1)
    );
}

#[test]
fn pods_have_both_spellings_the_other_way_round() {
    let rig = Rig::new();
    let pod = serde_json::json!({
        "metadata": {"name": "web-1", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c"}]},
    });
    rig.script
        .engine()
        .enter(crate::testing::LIMIT, |ctx| {
            ctx.globals().set("pod", super::go_object(ctx, &pod)?)
        })
        .unwrap();
    rig.run(
        r#"
        is(pod.ObjectMeta.Name, 'web-1'); is(pod.metadata.name, 'web-1'); is(pod.ObjectMeta.Labels.app, 'web');
        var meta = JSON.parse(JSON.stringify(pod.ObjectMeta)); is(meta.CreationTimestamp, '2026-01-02T03:04:05Z'); is(meta.name, undefined);
        is(Object.keys(pod).join(), 'ObjectMeta,Spec'); is(pod.Spec.Containers[0].Name, 'c'); is(pod.labels, undefined);
        "#,
    )
    .unwrap();
}

#[test]
fn filters_match_entries_and_what_scripts_made_of_them() {
    let rig = Rig::new();
    let entry = entries("http1/one_exchange").remove(0);
    rig.with(
        &entry,
        r#"
        is(kfl.match('http', data), true); is(kfl.match('dns', data), false); is(kfl.match('', data), true);
        is(kfl.match(data, 'http'), true); is(kfl.match('http and response.status == ' + data.response.status, data), true);
        is(kfl.match('http and dst.port == ' + data.dst.port, data), true);
        var copy = JSON.parse(JSON.stringify(data)); is(kfl.match('http', copy), true); is(kfl.match('dns', copy), false);
        copy.response.status = 599; is(kfl.match('http and response.status == 599', copy), true); is(kfl.match('response.status == 599', data), false);
        is(kfl.match('dst.ip == "' + data.dst.ip + '" and request.path == "' + data.request.path + '"', copy), true);
        is(kfl.match('nothing.like.that == 1', data), false);
        var says; try { kfl.match('htt ??? a : p', data); } catch (e) { says = 'Caught an error! ' + e; }
        is(says, 'Caught an error! Error: 1:5: unexpected token "?"');
        is(kfl.validate('http'), true); is(kfl.validate('htt ??? a : p', true), false);
        try { kfl.match(undefined, data); is(1, 2); } catch (e) { is(String(e), 'TypeError: kfl.match: argument 1 (query) must be a string'); }
        try { kfl.match('http', 1); is(1, 2); } catch (e) { is(String(e), 'TypeError: kfl.match: argument 2 (data) must be an entry'); }
        "#,
    )
    .unwrap();
    assert!(rig.console.lines().is_empty());
    rig.run("is(kfl.validate('put-your-kfl-here ??'), false);")
        .unwrap();
    assert!(
        rig.console.lines()[0].starts_with("[node-0:ERROR] 1:"),
        "{:?}",
        rig.console.lines()
    );
}
