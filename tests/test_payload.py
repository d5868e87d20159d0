"""Recordings that keep less of packets than all: what is there of them, and what is answered."""

import gzip
import json
import re
import urllib.parse

import pytest
from conftest import count, query, tshark, wait_for
from test_dashboard import Tap
from test_upkeep import NOW, run, verify

FOUND, LOST = 10, 3
PATHS = sorted([f"/{i}.json" for i in range(FOUND)] + [f"/lost/{i}" for i in range(LOST)])
SECRET = "hush"


@pytest.fixture
def recorded(host, web, recorder, tmp_path):
    """Buckets of one run: `mixed` with all headers and whole errors, `first` with 64 bytes of each payload, `none`."""
    rule = lambda name, bucket, payload, kfl="http": {
        "name": name, "kfl": kfl, "destination": f"file://{tmp_path}/{bucket}", "payload": payload}
    rules = [rule("heads", "mixed", "headers"), rule("errors", "mixed", "full", "http and response.status >= 400"),
             rule("first", "first", 64), rule("none", "none", "none")]
    flights = recorder(recording={"flush": "2s", "index": True, "rules": rules})
    for path in PATHS:
        host.run("curl", "-s", "-o", "/dev/null", "-H", f"X-Secret: {SECRET}{path}", web + path)
    buckets = {name: tmp_path / name for name in ("mixed", "first", "none")}
    wait_for("all entries", lambda: all(counted(flights.gillnet, bucket) == len(PATHS) for bucket in buckets.values()), seconds=30)
    assert flights.stop() == 0, flights.log.read_text()
    return buckets


def counted(gillnet, bucket):
    return int(query(gillnet, "http", bucket, "--count").stdout or 0) if bucket.exists() else 0


def packets(bucket, recording):
    return sorted(path for path in (bucket / "packets").rglob("*_*") if f"recording={recording}" in str(path) and path.is_file())


def test_what_is_not_to_be_kept_is_nowhere(recorded, gillnet):
    whole = packets(recorded["mixed"], "errors")
    assert whole and all(path.name.endswith(".pcapng.gz") for path in whole)
    assert any(SECRET.encode() in gzip.decompress(path.read_bytes()) for path in whole)
    for bucket, recording, end in (("mixed", "heads", "headers"), ("first", "first", "first64"), ("none", "none", "none")):
        objects = packets(recorded[bucket], recording)
        assert objects and all(path.name.endswith(f".pcapng.gz.{end}") for path in objects), objects
        sizes = []
        for path in objects:
            content = gzip.decompress(path.read_bytes())
            assert SECRET.encode() not in content and b"item" not in content
            assert f"payload={end.removeprefix('first')}".encode() in content
            rows = tshark(path, "-T", "fields", "-e", "frame.cap_len", "-e", "frame.len", "-e", "tcp.len", "-e", "tcp.hdr_len")
            sizes += [[int(cell) for cell in row.split()] for row in rows.splitlines()]
        if end == "none":
            assert not sizes
            continue
        most = 64 if end == "first64" else 0
        # Ethernet of the loopback, IPv4, TCP
        assert all(kept == 14 + 20 + head + min(payload, most) and wire == 14 + 20 + head + payload for kept, wire, payload, head in sizes)
        assert sum(payload > 0 for _, _, payload, _ in sizes) >= 2 * len(PATHS)
    for bucket in recorded.values():
        findings, summary = verify(gillnet, bucket)
        assert not findings and summary["entries"] >= len(PATHS)
        # what the index has of it says so, too
        footers = {re.search(rb"gillnet\.payload\x18.([a-z0-9]+)", path.read_bytes()) is None for path in bucket.rglob("*.parquet")
                   if "recording=errors" not in str(path)}
        assert footers == {False}


def test_what_the_index_has_is_answered_and_what_it_has_not_is_said(recorded, gillnet):
    mixed = recorded["mixed"]
    for bucket in recorded.values():
        asked = query(gillnet, "http", bucket, "--columns", "path", "-o", "jsonl")
        assert sorted(json.loads(line)["path"] for line in asked.stdout.splitlines()) == PATHS and asked.returncode == 0
        assert "gone" not in asked.stderr and "payload" not in asked.stderr, asked.stderr
        assert query(gillnet, "http and response.status == 404", bucket, "--count").stdout.strip() == str(LOST)
    # whole entries: of those that another rule keeps whole from packets, of the others what the index has
    asked = query(gillnet, "http", mixed, "-o", "jsonl")
    entries = [json.loads(line) for line in asked.stdout.splitlines()]
    assert sorted(entry["request"]["path"] for entry in entries) == PATHS and asked.returncode == 0
    for entry in entries:
        is_whole = entry["request"]["path"].startswith("/lost")
        assert entry.get("payload") == (None if is_whole else "not recorded")
        assert ("headers" in entry["request"]) == is_whole and not entry["error"]
        assert entry["response"]["status"] == (404 if is_whole else 200)
    assert f"{FOUND} entries are as the index has them" in asked.stderr
    # a header is in no index
    for bucket, answers in ((mixed, ["/lost/1"]), (recorded["first"], []), (recorded["none"], [])):
        kfl = f'http and (request.headers["X-Secret"] == "{SECRET}/lost/1" or request.headers["X-Secret"] == "{SECRET}/1.json")'
        asked = query(gillnet, kfl, bucket, "--columns", "path", "-o", "jsonl")
        assert [json.loads(line)["path"] for line in asked.stdout.splitlines()] == answers, asked.stderr
        open_, name = (FOUND, "heads") if answers else (len(PATHS), bucket.name)
        assert f"{open_} entries may match" in asked.stderr and f"(recording {name})" in asked.stderr, asked.stderr
        assert asked.returncode == (0 if answers else 1)
    assert query(gillnet, 'record("heads") and http', mixed, "--count").stdout.strip() == str(len(PATHS))
    listed = json.loads(run(gillnet, "recordings", mixed, "-o", "json").stdout)["recordings"]
    assert {one["recording"]: one["payload"] for one in listed} == {"heads": ["headers"], "errors": ["full"]}
    assert not any(one["faults"] for one in listed), listed


def test_exports_have_what_there_is(recorded, gillnet, tmp_path):
    for name, whole in (("mixed", LOST), ("first", 0)):
        out = tmp_path / f"{name}.pcapng"
        done = run(gillnet, "export", "http", recorded[name], "--out", out)
        assert done.returncode == 0, done.stderr
        assert f"{len(PATHS) - whole} streams have only the beginnings of their packets" in done.stderr, done.stderr
        assert count(out, "tcp.flags.syn == 1 and tcp.flags.ack == 0") == len(PATHS)
        # whole frames with payload are there of the whole streams alone
        assert len(set(tshark(out, "-Y", "tcp.len > 64 and frame.cap_len == frame.len", "-T", "fields", "-e", "tcp.stream").split())) == whole
    out = tmp_path / "none.pcapng"
    done = run(gillnet, "export", "http", recorded["none"], "--out", out)
    assert done.returncode == 1 and "were not recorded (payload: none)" in done.stderr and not out.exists()
    out = tmp_path / "mixed.har"
    done = run(gillnet, "export", "http", recorded["mixed"], "--out", out)
    assert done.returncode == 1 and f"{FOUND} entries are left out" in done.stderr, done.stderr
    assert len(json.loads(out.read_text())["log"]["entries"]) == LOST


def test_compaction_leaves_it_and_a_file_that_is_missing_is_told(recorded, gillnet):
    mixed = recorded["mixed"]
    heads = packets(mixed, "heads")
    done = run(gillnet, "compact", mixed, *NOW)
    assert done.returncode == 0 and packets(mixed, "heads") == heads, done.stderr
    assert not verify(gillnet, mixed)[0] and counted(gillnet, mixed) == len(PATHS)
    # an index that is made again would lack what can't be read again
    done = run(gillnet, "index", mixed, "--to", f"file://{mixed}-again", "--data-dir", f"{mixed}-job")
    assert done.returncode == 2 and "was not recorded" in done.stderr, done.stderr
    # without its entries nothing is known of an object
    gone = next(path for path in (mixed / "entries").rglob("*.parquet") if "recording=heads" in str(path)
                and heads[0].name.split(".")[0] == path.name.split(".")[0])
    gone.unlink()
    asked = query(gillnet, "http", mixed, "--count")
    assert "1 packet objects without their payload" in asked.stderr and heads[0].name in asked.stderr, asked.stderr
    assert [finding["key"] for finding in verify(gillnet, mixed)[0]] == [str(heads[0].relative_to(mixed))]


def test_the_dashboard_says_so(recorded, host, gillnet, tmp_path):
    tap = Tap(host, gillnet, tmp_path, "--pcap", recorded["mixed"])
    rows = json.loads(tap.get("/api/entries?kfl=http&limit=50"))["entries"]
    assert sorted(row["summary"] for row in rows) == PATHS
    for row in rows:
        is_whole = row["summary"].startswith("/lost")
        entry = json.loads(tap.get(f"/api/entries/{urllib.parse.quote(row['id'], safe='')}"))
        assert entry["request"]["path"] == row["summary"]
        assert any("was not recorded" in note for note in entry["notes"]) != is_whole
        assert ("headers" in entry["request"]) == is_whole


def test_a_rule_without_an_index_is_refused(gillnet, tmp_path):
    rule = {"name": "heads", "kfl": "http", "destination": f"file://{tmp_path}/bucket", "payload": "headers"}
    config = tmp_path / "gillnet.yaml"

    def refused(recording):
        config.write_text(json.dumps({"dataDir": str(tmp_path / "data"), "recording": recording}))
        done = run(gillnet, "--config", config, "worker", "-i", "lo")
        assert done.returncode == 2, done.stderr
        return done.stderr

    said = refused({"index": False, "rules": [rule]})
    assert "`heads`" in said and "payload: headers" in said and "recording.index: false" in said
    said = refused({"index": False, "payload": "none", "rules": [{**rule, "payload": "full"}, {**rule, "name": "other", "payload": None}]})
    assert "`other`" in said and "payload: none" in said
    said = refused({"rules": [{**rule, "payload": "some"}]})
    assert "`some`" in said and "full, headers, none" in said and "line" in said
