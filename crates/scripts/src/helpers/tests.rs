//! Each helper against the facts of the original.

use crate::files::{EachFrame, Readback, StreamFiles, TappedStreams};
use crate::testing::{NOW, Rig, entries};
use gillnet_capture::write::PcapResolution;
use gillnet_capture::{Frame, LinkType};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[test]
fn env_is_an_object_and_bare_globals_that_never_hide_helpers() {
    let env = json!({"RECORDING_KFL": "http", "KINESIS_MIN_BATCH_SIZE": 10, "kfl": "x", "JSON": "y", "wrapper": 1});
    let rig = Rig::with_env(&env, Arc::new(crate::NoStreams));
    rig.run(
        r#"
        is(env.RECORDING_KFL, 'http'); is(RECORDING_KFL, 'http'); is(env.NOTHING, undefined); is(5 < env.KINESIS_MIN_BATCH_SIZE, true);
        is(typeof kfl.match, 'function'); is(typeof JSON.parse, 'function'); is(typeof wrapper.joinMaps, 'function'); is(env.kfl, 'x');
        is(JSON.stringify(env), '{"RECORDING_KFL":"http","KINESIS_MIN_BATCH_SIZE":10,"kfl":"x","JSON":"y","wrapper":1}');
        "#,
    )
    .unwrap();
}

#[test]
fn the_console_converts_as_strings_and_joins_by_spaces() {
    let rig = Rig::new();
    rig.run(
        r#"
        is(console.log('a', 1, true, null, undefined, { a: 1 }, [1, 2], '\u001b[0mraw\nline'), undefined);
        console.error('Caught an error!', new TypeError('bad')); console.log(); console.log('\ud800');
        "#,
    )
    .unwrap();
    assert_eq!(
        rig.said(),
        [
            "[node-0] a 1 true null undefined [object Object] 1,2 \u{1b}[0mraw\nline",
            "[node-0:ERROR] Caught an error! TypeError: bad",
            "[node-0] ",
            "[node-0] \u{fffd}",
        ]
    );
    rig.run("console.log('x'); console.clear(); console.log('y')")
        .unwrap();
    assert_eq!(rig.said(), ["[node-0] y"]);
}

#[test]
fn tests_mark_entries() {
    let rig = Rig::new();
    let entry = entries("http1/one_exchange").remove(0);
    rig.with(
        &entry,
        "is(test.pass(data) === data, true); is(data.passed, true); is(test.fail(data).failed, true); delete data.passed; is('passed' in data, false); fails(function () { test.pass(1); }, 'TypeError: test.pass: argument 1 (data) must be an entry');",
    )
    .unwrap();
}

#[test]
fn utils() {
    let rig = Rig::new();
    rig.run(
        r#"
        is(utils.nodeName(), 'node');
        is(utils.json2Yaml(JSON.stringify({ b: [1, { c: 'x' }], a: 'text', z: null })), 'a: text\nb:\n- 1\n- c: x\nz: null\n');
        fails(function () { utils.json2Yaml('{'); }, 'utils.json2Yaml: EOF');
        "#,
    )
    .unwrap();
}

#[test]
fn files_are_written_moved_copied_and_removed() {
    let rig = Rig::new();
    rig.run(
        r#"
        is(file.write('a.txt', 'one'), undefined); file.append('a.txt', ' two'); file.append('new.txt', 1); file.write('json.txt', { a: 1 });
        file.mkdir('x/y'); file.mkdir('x/y'); file.copy('a.txt', 'x/y/b.txt'); file.write('x/y/b.txt', 'short'); file.copy('a.txt', 'a.txt');
        file.move('x/y', 'z'); file.mkdir('into'); file.move('new.txt', 'into');
        file.delete('nothing'); file.delete('x'); file.move('z', 'into');
        var dir = file.mkdirTemp('snap'), temp = file.temp('data', dir, 'json'), plain = file.temp('t', '', ''), bare = file.mkdirTemp();
        is(/^snap\d+$/.test(dir), true); is(temp.indexOf(dir + '/data') === 0 && /\.json$/.test(temp), true); is(/^t\d+\.txt$/.test(plain), true); is(/^\d+$/.test(bare), true);
        file.write(dir + '/content.json', '{}');
        tar = file.tar('into'); is(/^kubeshark_\d+\.tar\.gz$/.test(tar), true); is(file.tar('into') !== tar, true);
        file.move(tar, 'named_' + tar);
        fails(function () { file.copy('nothing', 'b'); }, 'Error: file.copy: nothing: no such file or directory');
        fails(function () { file.move('nothing', 'b'); }, 'Error: file.move: nothing: no such file or directory');
        fails(function () { file.write('no/such/dir', ''); }, 'Error: file.write: no/such/dir: no such file or directory');
        fails(function () { file.copy('into', 'b'); }, 'Error: file.copy: into: is a directory');
        fails(function () { file.write(); }, 'TypeError: file.write: argument 1 (path) is missing');
        fails(function () { file.write({}); }, 'TypeError: file.write: argument 1 (path) must be a string');
        fails(function () { file.nothing(); }, 'TypeError');
        "#,
    )
    .unwrap();
    let read = |path: &str| std::fs::read_to_string(rig.dir.path().join(path)).unwrap();
    assert_eq!(
        (
            read("a.txt"),
            read("json.txt"),
            read("into/new.txt"),
            read("into/z/b.txt")
        ),
        (
            "one two".into(),
            "{\"a\":1}".into(),
            "1".into(),
            "short".into()
        )
    );
    assert!(!rig.dir.path().join("x").exists());
    let name = format!("named_kubeshark_{}.tar.gz", NOW / 1_000_000_000);
    let packed = std::fs::File::open(rig.dir.path().join(name)).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let members = archive.entries().unwrap();
    let members: Vec<_> = members
        .map(|e| e.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(members, ["new.txt", "z/b.txt"]);
}

#[test]
fn nothing_leads_out_of_the_data_directory() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "key").unwrap();
    let rig = Rig::new();
    let link = |name: &str, to: &std::path::Path| {
        std::os::unix::fs::symlink(to, rig.dir.path().join(name)).unwrap();
    };
    link("dir", outside.path());
    link("file", &outside.path().join("secret"));
    link("up", std::path::Path::new(".."));
    for path in [
        "../../etc",
        "/etc",
        "a/../../etc",
        "dir/secret",
        "file",
        "up/x",
    ] {
        for call in [
            format!("file.write('{path}', 'x')"),
            format!("file.append('{path}', 'x')"),
            format!("file.copy('{path}', 'mine')"),
            format!("file.mkdir('{path}/new')"),
            format!("file.tar('{path}')"),
            format!("pcap.snapshot([], '{path}')"),
            format!("file.temp('x', '{path}', '')"),
            format!("file.mkdirTemp('x', '{path}')"),
            format!(
                "file.copy('{HISTORY}', '{path}')",
                HISTORY = crate::files::HISTORY
            ),
        ] {
            let refused = rig.run(&format!("{call};"));
            assert!(refused.is_err(), "{call}");
        }
    }
    for path in ["../../etc", "/etc", "", ".", "a/../.."] {
        let refused = rig.run(&format!("file.delete('{path}');")).unwrap_err();
        assert!(refused.text.contains("data directory"), "{refused}");
        assert!(rig.run(&format!("file.move('a', '../{path}');")).is_err());
    }
    // a link goes, and not what it leads to
    rig.run("file.delete('dir'); file.delete('file'); file.delete('up');")
        .unwrap();
    assert_eq!(
        std::fs::read_to_string(outside.path().join("secret")).unwrap(),
        "key"
    );
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(rig.run("file.write('a\\0b', '')").is_err());
}

/// Streams whose frames tell stream and time.
fn streams() -> TappedStreams {
    let streams = TappedStreams::default();
    let mut tap = streams.tap();
    for (stream, udp, ts) in [
        (7, false, 30),
        (7, false, 10),
        (9, true, 20),
        (7, false, 40),
        (11, false, 5),
    ] {
        let frame = Frame {
            ts: ts * 1_000_000_000,
            iface: 0,
            link: LinkType::Ethernet,
            direction: Default::default(),
            wire_len: 100,
            data: &[stream as u8; 60],
            pos: 0,
            comment: None,
        };
        tap(stream, udp, &frame);
    }
    streams
}

/// Stream and time (s) of each frame of a capture.
fn frames(rig: &Rig, name: &str) -> Vec<(u8, i64)> {
    let path = rig.dir.path().join(name);
    let first = std::fs::read(&path).unwrap();
    let magic: [u8; 4] = first[..4].try_into().unwrap();
    assert_eq!(
        u32::from_le_bytes(magic),
        0xa1b2_3c4d,
        "classic pcap, {:?}",
        PcapResolution::Nano
    );
    let mut source = gillnet_capture::open_files(vec![gillnet_capture::Input::File(path)]).unwrap();
    let mut found = Vec::new();
    loop {
        match source.next().unwrap() {
            gillnet_capture::Event::Frame(frame) => {
                found.push((frame.data[0], frame.ts / 1_000_000_000))
            }
            gillnet_capture::Event::Tick(_) => {}
            gillnet_capture::Event::End => return found,
        }
    }
}

#[test]
fn captures_of_streams_are_written_when_they_are_opened() {
    let rig = Rig::with_env(&json!({}), Arc::new(streams()));
    rig.run(
        r#"
        var path = pcap.path('000000000007.pcap'); is(path, 'pcaps/master/000000000007.pcap'); is(pcap.path(undefined), 'pcaps/master/undefined');
        file.mkdir('dfir'); file.copy(path, 'dfir/000000000007.pcap'); file.copy('pcaps/000000000009_udp.pcap', 'dfir/u.pcap'); file.move(pcap.path('000000000011.pcap'), 'moved.pcap');
        fails(function () { file.copy(pcap.path('000000000099.pcap'), 'x'); }, 'Error: file.copy: pcaps/master/000000000099.pcap: no such file or directory');
        fails(function () { file.copy(pcap.path(undefined), 'x'); }, 'Error: file.copy: pcaps/master/undefined: no such file or directory');
        all = pcap.snapshot(); is(/^\d+\.pcap$/.test(all), true);
        some = pcap.snapshot(['000000000009_udp.pcap', '000000000011.pcap']); is(/^\d+\.pcap$/.test(some) && some !== all, true);
        folder = pcap.snapshot([], 'dfir'); one = pcap.snapshot(['u.pcap'], 'dfir'); old = pcap.snapshot('ignored');
        fails(function () { pcap.snapshot([], 'no'); }, 'Error: pcap.snapshot: no: no such file or directory');
        fails(function () { pcap.snapshot(['no.pcap'], 'dfir'); }, 'Error: pcap.snapshot: dfir/no.pcap: no such file or directory');
        "#,
    )
    .unwrap();
    assert_eq!(
        frames(&rig, "dfir/000000000007.pcap"),
        [(7, 10), (7, 30), (7, 40)]
    );
    assert_eq!(frames(&rig, "moved.pcap"), [(11, 5)]);
    let name = |variable: &str| rig.script.evaluate(variable).unwrap();
    let every = [(11, 5), (7, 10), (9, 20), (7, 30), (7, 40)];
    assert_eq!(frames(&rig, &name("all")), every);
    assert_eq!(frames(&rig, &name("old")), every);
    assert_eq!(frames(&rig, &name("some")), [(11, 5), (9, 20)]);
    assert_eq!(
        frames(&rig, &name("folder")),
        [(7, 10), (9, 20), (7, 30), (7, 40)]
    );
    assert_eq!(frames(&rig, &name("one")), [(9, 20)]);
    let counts = &rig.host.files.counts;
    assert_eq!(
        (
            counts.missed.load(Ordering::Relaxed),
            counts.cut.load(Ordering::Relaxed)
        ),
        (1, 0)
    );
    assert_eq!(
        std::fs::read_dir(rig.dir.path().join("pcaps/master"))
            .unwrap()
            .count(),
        0,
        "nothing is kept"
    );
}

#[test]
fn a_stream_whose_beginning_is_gone_is_counted() {
    struct Late;
    impl StreamFiles for Late {
        fn read(&self, _: u64, _: &mut EachFrame<'_>) -> std::io::Result<Readback> {
            Ok(Readback::Cut)
        }
        fn streams(&self) -> Vec<String> {
            Vec::new()
        }
    }
    let rig = Rig::with_env(&json!({}), Arc::new(Late));
    rig.run("file.copy(pcap.path('000000000001.pcap'), 'x')")
        .unwrap();
    assert_eq!(rig.host.files.counts.cut.load(Ordering::Relaxed), 1);
}

#[test]
fn the_names_are_there_whenever_they_are_opened() {
    let rig = Rig::new();
    rig.run(
        r#"
        file.copy('name_resolution_history.json', 'copy.json'); file.delete('name_resolution_history.json'); file.copy('name_resolution_history.json', 'again.json');
        var names = pcap.nameResolutionHistory(), keys = Object.keys(names); is(keys.length, 1); is(/^\d+$/.test(keys[0]), true);
        is(names[keys[0]]['127.0.0.1:80'].FullAddress, 'web.shop'); is(names[keys[0]]['127.0.0.1:80'].Namespace, 'shop');
        "#,
    )
    .unwrap();
    let read = |name: &str| std::fs::read_to_string(rig.dir.path().join(name)).unwrap();
    assert!(read("copy.json").contains("web.shop") && read("again.json") == read("copy.json"));
    rig.clock.advance(Duration::from_secs(3));
    rig.host.files.refresh_history(false).unwrap();
    assert!(rig.dir.path().join(crate::files::HISTORY).exists());
}

#[test]
fn jobs_are_scheduled_listed_run_and_removed() {
    let rig = Rig::new();
    rig.run(
        r#"
        n = 0; is(jobs.schedule('My Job', '*/5 * * * * *', function (flag) { n++; given = flag; }, 0, true), undefined);
        jobs.schedule('once', '0 * * * * *', function () {}, 1); is(jobs.list().join(), 'my-job,once');
        fails(function () { jobs.schedule('x', '61 * * * * *', function () {}); }, 'Error: jobs.schedule: cron "61 * * * * *": field 1 (second)');
        fails(function () { jobs.remove('x'); }, 'Error: jobs.remove: there is no job "x"'); fails(function () { jobs.run('x'); }, 'there is no job');
        jobs.remove('Once'); is(jobs.list().length, 1);
        is(jobs.scheduler.isRunning(), true); is(jobs.scheduler.stop(), undefined); is(jobs.scheduler.isRunning(), false); jobs.scheduler.start();
        jobs.schedule('bad', '* * * * * *', 'no function');
        "#,
    )
    .unwrap();
    let said = rig.said();
    assert_eq!(
        said[..2],
        [
            "[node-0] Scheduled the job: \"my-job\" for cron: \"*/5 * * * * *\" (limit: infinite)",
            "[node-0] Scheduled the job: \"once\" for cron: \"0 * * * * *\" (limit: 1)",
        ]
    );
    rig.clock.advance(Duration::from_secs(5));
    let mailbox = &rig.script.local().mailbox;
    let scheduler = &rig.host.worker.scheduler;
    let mut outcomes = Vec::new();
    while let Some(due) = scheduler.take_due(mailbox) {
        outcomes.push((
            due.tag.clone(),
            rig.script.run_job(&due).map_err(|fault| fault.text),
        ));
        scheduler.ended(&due);
    }
    outcomes.sort();
    let bad = "TypeError: the task of the job \"bad\" must be a function".to_owned();
    assert_eq!(
        outcomes,
        [("bad".to_owned(), Err(bad)), ("my-job".to_owned(), Ok(()))]
    );
    rig.run("is(n, 1); is(given, true); jobs.run('my job'); jobs.removeAll(); is(jobs.list().length, 0);").unwrap();
}

#[test]
fn timers_run_at_their_time() {
    let rig = Rig::new();
    rig.run(
        r#"
        order = []; setTimeout(function (a, b) { order.push(a + b); }, 1000, 'a', 'b'); setTimeout(function () { order.push('soon'); });
        var gone = setTimeout(function () { throw 'cleared'; }, 10); clearTimeout(gone); clearTimeout(undefined);
        ticks = setInterval(function () { order.push('tick'); if (order.length > 4) clearInterval(ticks); }, 400);
        setTimeout(function () {}, 172800000); fails(function () { setTimeout('code', 1); }, 'TypeError: setTimeout: argument 1 (callback) must be a function');
        "#,
    )
    .unwrap();
    for _ in 0..20 {
        while let Some(outcome) = rig.script.run_timer() {
            outcome.unwrap();
        }
        rig.clock.advance(Duration::from_millis(200));
    }
    rig.run("is(order.join(), 'soon,tick,tick,ab,tick');")
        .unwrap();
    assert!(rig.script.next_timer().unwrap() > NOW + 172_000_000_000_000);
}

#[test]
fn metrics_never_throw() {
    let rig = Rig::new();
    rig.run(
        r#"
        is(prometheus.vector('performance', 'Mean', 2, 12.5, { s_pod: 'web', s_namespace: null }), 'ok');
        is(prometheus.metric('dnscounts_web-1', 'Count', 1, '3'), 'ok'); is(prometheus.metric('dnscounts_web-1', 'Count', 1, 4), 'ok');
        is(typeof prometheus.vector(), 'string'); is(typeof prometheus.metric('x', '', 9, 1), 'string'); is(prometheus.metric('dnscounts_web-1', '', 1, -1).indexOf('ok'), -1);
        "#,
    )
    .unwrap();
    let text = rig.host.metrics.text();
    assert!(
        text.contains("performance{s_namespace=\"\",s_pod=\"web\"} 12.5\n"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE dnscounts_web_1 counter\ndnscounts_web_1 7\n"),
        "{text}"
    );
}

#[test]
fn there_is_no_cluster_here() {
    let rig = Rig::new();
    rig.run(
        r#"
        is(JSON.parse(hub.targeted()).targets.length, 0); fails(function () { hub.blockPod('p', 'n'); }, 'Error: hub.blockPod: there is no Kubernetes cluster here');
        is(hub.action('x', { a: 1 }), undefined); fails(function () { hub.action(); }, 'TypeError: hub.action: argument 1 (action) is missing');
        "#,
    )
    .unwrap();
}

#[test]
fn maps_are_joined_and_hars_built() {
    let rig = Rig::new();
    let all = entries("http1/nginx_and_python");
    rig.run(
        r#"
        is(JSON.stringify(wrapper.joinMaps({ a: 1, b: { x: 2, z: { n: 1 } }, s: 'x' }, { a: 2, b: { x: 1, y: 5, z: { n: 2 } }, c: 3 })), '{"a":3,"b":{"x":3,"z":{"n":3},"y":5},"s":"x","c":3}');
        is(JSON.stringify(wrapper.joinMaps(undefined, { a: 1 })), '{"a":1}'); is(JSON.stringify(wrapper.joinMaps({ a: { b: 1 } }, { a: 2 })), '{"a":2}');
        all = [];
        "#,
    )
    .unwrap();
    for entry in &all {
        rig.with(
            entry,
            "data.dst.name = data.dst.name || 'server'; all.push(data);",
        )
        .unwrap();
    }
    rig.run(
        r#"
        var text = wrapper.buildHAR(all.concat([{}, null])), har = JSON.parse(text); is(typeof text, 'string'); is(har.log.version, '1.2');
        var whole = all.filter(function (d) { return d.request && d.response && d.request.method; }); is(har.log.entries.length, whole.length); is(whole.length > 0, true);
        var e = har.log.entries[0], d = whole[0];
        is(e.request.method, d.request.method); is(e.request.url, 'http://' + d.dst.name + d.request.url); is(e.response.status, d.response.status); is(e.startedDateTime, d.startTime);
        is(e.timings.wait, d.elapsedTime / 1000); is(e.request.headers.length, Object.keys(d.request.headers).length); is(typeof e.request.headers[0].value, 'string');
        is(e.response.content.size, d.response.content.size);
        "#,
    )
    .unwrap();
    let said = rig.said();
    assert!(
        said.iter().any(|line| line
            == "[node-0:ERROR] wrapper.buildHAR: an entry without request.method is left out"),
        "{said:?}"
    );
}

#[test]
fn the_recorder_of_kfls_refuses_to_work_without_its_settings() {
    let rig = Rig::new();
    let entry = entries("http1/one_exchange").remove(0);
    rig.with(&entry, "wrapper.kflPcapS3(data, { kflArr: ['http'] }); wrapper.kflPcapS3(data, { kflArr: ['http'] });").unwrap();
    assert_eq!(
        rig.said(),
        [
            "[node-0:ERROR] wrapper.kflPcapS3: awsRegion, awsAccessKeyId, awsSecretAccessKey, s3Bucket must be given; nothing is recorded"
        ]
    );
}

#[test]
fn files_may_take_so_much_and_no_more() {
    let limits = crate::Limits {
        disk: 1 << 20,
        ..crate::Limits::default()
    };
    let rig = Rig::with_limits(limits);
    rig.run(
        r#"
        var says = 'the files of all scripts would take more than 1 MiB (scripting.limits.disk); delete some';
        var noise = ''; for (var i = 0; noise.length < 300000; i++) noise += Math.random();
        file.write('a', noise); file.copy('a', 'b'); file.mkdir('d'); file.move('b', 'd');
        fails(function () { file.write('c', noise + noise); }, 'Error: file.write: c: ' + says);
        fails(function () { file.append('a', noise + noise); }, 'Error: file.append: a: ' + says);
        file.copy('d/b', 'c');
        fails(function () { file.copy('a', 'e'); }, 'Error: file.copy: e: ' + says);
        fails(function () { file.tar('d'); }, says);
        fails(function () { for (;;) file.temp('t', 'd', 'x'); }, says);
        fails(function () { for (;;) file.mkdirTemp('t', 'd'); }, says);
        fails(function () { for (var i = 0; ; i++) file.mkdir('d/m' + i); }, says);
        fails(function () { pcap.snapshot([], 'd'); }, 'Error: pcap.snapshot: ');
        file.delete('d'); file.delete('c');
        file.write('c', noise); file.write('c', noise); file.write('c', noise); file.write('c', noise);
        "#,
    )
    .unwrap();
    let mut left: Vec<_> = std::fs::read_dir(rig.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        ["a", "c", "e", "pcaps"],
        "what could not be written whole is not there"
    );
}

#[test]
fn all_jobs_run_at_once() {
    let rig = Rig::new();
    rig.run("n = 0; ['a', 'b'].forEach(function (tag) { jobs.schedule(tag, '@yearly', function () { n++; }); }); is(jobs.runAll(), undefined);")
        .unwrap();
    let mailbox = &rig.script.local().mailbox;
    while let Some(crate::mailbox::Event::RunJob(tag)) = mailbox.take() {
        let due = rig.host.worker.scheduler.take(&tag).unwrap();
        rig.script.run_job(&due).unwrap();
        rig.host.worker.scheduler.ended(&due);
    }
    rig.run("is(n, 2); is(jobs.list().join(), 'a,b');").unwrap();
}

#[test]
fn dates_go_by_the_clock_of_jobs() {
    let rig = Rig::new();
    let text = r#"
        var day = '2026-01-02T03:04:'; is(new Date().toISOString().slice(0, 17), day); is(new Date(Date.now()).toISOString().slice(0, 17), day);
        is(typeof Date(), 'string'); is(Date().indexOf('2026') > 0, true); is(new Date(0).getTime(), 0); is(new Date(2020, 1).getFullYear(), 2020);
        is(Date.UTC(1970, 0, 2), 86400000); is(Date.parse('1970-01-02'), 86400000); is(new Date() instanceof Date, true); is(new Date().constructor, Date);
        is(Date.name + Date.length, 'Date7'); class Day extends Date { day() { return this.getUTCDate(); } } is(new Day().day(), 2); is(new Day() instanceof Day, true);
        is(JSON.stringify({ d: new Date(0) }), '{"d":"1970-01-01T00:00:00.000Z"}'); is(Object.prototype.toString.call(new Date()), '[object Date]');
        for (var until = Date.now() + 5; Date.now() < until;) {}
        before = Date.now();
    "#;
    rig.run(text).unwrap();
    rig.clock.advance(Duration::from_secs(3600));
    rig.run("is(Math.abs(Date.now() - before - 3600000) < 60000, true);")
        .unwrap();
}
