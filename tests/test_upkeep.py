"""What is in a bucket stays whole: `gillnet verify` tells what is not, `gillnet compact` makes less of it and loses nothing."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import duckdb
import pytest
from conftest import count, frames, merged, objects, query

FLUSH = "*/2 * * * * *"
# all hours are closed
NOW = ("--before", "2100-01-01T00:00:00Z")


def run(gillnet, *arguments, env=None):
    return subprocess.run([gillnet, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **(env or {})})


def verify(gillnet, bucket):
    done = run(gillnet, "verify", bucket, "-o", "json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode in (0, 1), done.stderr
    assert (done.returncode == 1) == (len(lines) > 1), done.stdout
    summary = lines[-1]["summary"]
    assert summary["findings"] == len(lines) - 1
    return lines[:-1], summary


def entries(bucket):
    """The rows of the index, but for how they were numbered by nobody."""
    files = f"read_parquet('{bucket}/entries/**/*.parquet', union_by_name = true)"
    return duckdb.sql(f'SELECT timestamp, stream, "index", transport, protocol, "src.port", summary, status FROM {files} ORDER BY ALL').fetchall()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, gillnet):
    """A bucket of many small objects, with connections that are in several of them."""
    from conftest import Host, Recorder, serve

    folder = tmp_path_factory.mktemp("recorded")
    host = Host(folder)
    try:
        url = serve(host, folder, items=20, unit=4000)
        bucket = folder / "bucket"
        flights = Recorder(host, gillnet, folder, ["worker", "-i", "lo", "--filter", "tcp port 8080"], dataDir=str(folder / "data"),
                           capture={"ring": {"size": "64Mi"}}, recording={"flush": FLUSH, "index": True, "objectSize": "256Ki"},
                           scripting={"env": {"RECORDING_KFL": "http", "GCS_BUCKET": f"file://{bucket}"}})
        # one connection all the while, and many short ones
        long = host.start("sh", "-c", f"for i in $(seq 60); do echo url={url}/$((i % 20)).json; echo output=/dev/null; done | curl -s --rate 240/m -K -")
        for _ in range(12):
            host.run("curl", "-s", *[part for i in range(20) for part in ("-o", "/dev/null", f"{url}/{i}.json")])
            time.sleep(1)
        long.wait()
        time.sleep(3)
        assert flights.stop() == 0, flights.log.read_text()
        assert len(objects(bucket)) >= 6
        yield bucket
    finally:
        host.close()


@pytest.fixture
def bucket(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "bucket")
    return tmp_path / "bucket"


def test_what_a_recorder_left_is_whole(bucket, gillnet, tmp_path):
    findings, summary = verify(gillnet, bucket)
    assert findings == []
    assert summary["objects"] == sum(1 for path in bucket.rglob("*") if path.is_file()) - 1
    assert summary["entries"] == len(entries(bucket))
    # what another program counts
    assert summary["packets"] == sum(count(packets, "frame") for packets in objects(bucket))
    text = run(gillnet, "verify", bucket)
    assert text.returncode == 0 and "0 findings" in text.stdout


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def named(findings, path, bucket):
    return [finding["what"] for finding in findings if finding["key"] == str(path.relative_to(bucket))]


def footer(path):
    """Where a Parquet file's footer begins and ends."""
    data = path.read_bytes()
    return len(data) - 8 - int.from_bytes(data[-8:-4], "little"), len(data) - 8


def test_every_kind_of_damage_is_named_and_nothing_else_is_lost(bucket, gillnet):
    whole = int(query(gillnet, "http", bucket, "--count").stdout)
    of = lambda path, folder: type(path)(str(path).replace("/packets/", f"/{folder}/").replace(".pcapng.gz", ".parquet"))
    # those with the most entries first: an object may hold the end of a connection alone, and then there is no page to damage
    packets = sorted(objects(bucket), key=lambda path: -footer(of(path, "entries"))[0])
    damaged, cut, lost, flipped, renamed = packets[0], packets[1], packets[2], of(packets[3], "entries"), of(packets[4], "streams")
    torn = of(packets[3], "streams")
    flip(damaged, damaged.stat().st_size // 2)
    cut.write_bytes(cut.read_bytes()[:-100])
    lost.unlink()
    # in a page, and in the footer
    assert footer(flipped)[0] > 200
    flip(flipped, 100)
    flip(torn, sum(footer(torn)) // 2)
    strange = renamed.with_name("strange.parquet")
    renamed.rename(strange)
    (bucket / "gillnet.json").unlink()
    findings, summary = verify(gillnet, bucket)
    assert "damaged" in named(findings, damaged, bucket)[0]
    assert "cut short" in named(findings, cut, bucket)[0]
    assert any("packets are not there" in what for what in named(findings, of(lost, "streams"), bucket))
    assert any("which is not there" in what for what in named(findings, of(lost, "entries"), bucket))
    assert any("SHA-256" in what for what in named(findings, flipped, bucket)), findings
    assert any("SHA-256" in what or "footer" in what for what in named(findings, torn, bucket)), findings
    assert any("streams are not there" in what for what in named(findings, packets[4], bucket))
    assert any("none of theirs" in what for what in named(findings, strange, bucket))
    assert any("missing" in what for what in named(findings, bucket / "gillnet.json", bucket))
    touched = {str(path).split("/")[-1].split(".")[0] for path in (damaged, cut, lost, flipped, renamed)}
    for finding in findings:
        assert finding["mend"]
        assert any(name in finding["key"] for name in touched | {"strange", "gillnet.json"}), finding
    # what is not touched is answered
    asked = query(gillnet, "http", bucket, "--count")
    assert 0 < int(asked.stdout) <= whole
    asked = query(gillnet, "http", bucket, "--columns", "path")
    assert 0 < len(asked.stdout.splitlines()) <= whole


def test_a_later_version_is_named(bucket, gillnet):
    (bucket / "gillnet.json").write_text('{"format":"gillnet","version":2}\n')
    findings, summary = verify(gillnet, bucket)
    assert [finding["key"] for finding in findings] == ["gillnet.json"] and "version 2" in findings[0]["what"]
    assert summary["entries"] == len(entries(bucket))


def test_a_folder_that_may_not_be_listed(bucket, gillnet, tmp_path):
    done = run(gillnet, "verify", tmp_path / "nothing")
    assert done.returncode == 4 and "no such folder" in done.stderr


def test_compaction_keeps_all(bucket, gillnet, tmp_path):
    before, rows = objects(bucket), entries(bucket)
    counted = query(gillnet, "http", bucket, "--count").stdout
    sent = frames([merged(before, tmp_path)])
    dry = run(gillnet, "compact", bucket, *NOW, "--dry-run")
    assert dry.returncode == 0 and "would be made" in dry.stdout and objects(bucket) == before
    # the hour of now is open
    assert " 0 objects made" in " " + run(gillnet, "compact", bucket).stdout
    done = run(gillnet, "compact", bucket, *NOW)
    assert done.returncode == 0, done.stderr
    made = [path for path in objects(bucket) if path not in before]
    assert made
    findings, summary = verify(gillnet, bucket)
    assert findings == [] and summary["replaced"] > 0
    assert query(gillnet, "http", bucket, "--count").stdout == counted
    assert len(query(gillnet, "http", bucket, "--columns", "path").stdout.splitlines()) == int(counted)
    # nothing is left to do, and the time of grace is not over
    again = run(gillnet, "compact", bucket, *NOW)
    assert again.stdout.startswith("0 objects made of 0; 0 files deleted"), again.stdout
    gone = run(gillnet, "compact", bucket, *NOW, "--grace", "0")
    assert gone.returncode == 0, gone.stderr
    after = objects(bucket)
    assert set(made) <= set(after) and len(after) < len(before)
    findings, summary = verify(gillnet, bucket)
    assert findings == [] and summary["replaced"] == 0
    assert entries(bucket) == rows
    assert query(gillnet, "http", bucket, "--count").stdout == counted
    assert sorted(frames([merged(after, tmp_path)])) == sorted(sent)


def test_a_compaction_that_is_killed_loses_nothing(bucket, gillnet, tmp_path):
    rows, counted = entries(bucket), query(gillnet, "http", bucket, "--count").stdout
    chance = random.Random(7)
    kills = 0
    for attempt in range(40):
        process = subprocess.Popen([gillnet, "compact", str(bucket), *NOW, "--grace", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.01, 0.25))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        findings, _ = verify(gillnet, bucket)
        assert findings == [], attempt
        assert query(gillnet, "http", bucket, "--count").stdout == counted, attempt
        if kills >= 8:
            break
    assert kills > 0
    for _ in range(2):
        assert run(gillnet, "compact", bucket, *NOW, "--grace", "0").returncode == 0
    findings, summary = verify(gillnet, bucket)
    assert findings == [] and summary["replaced"] == 0
    assert entries(bucket) == rows


def test_on_google_a_killed_compaction_loses_nothing(host, gillnet, gcs, tmp_path):
    from versions.make import capture

    captured = tmp_path / "turns.pcap"
    # where time goes back and forth, each turn is an object
    capture(captured, [0, 3] * 8)
    gcs.control("policy", {"reader@test.iam.gserviceaccount.com": ["get", "list", "create", "delete"]})
    env, url = {**os.environ, **gcs.env("reader")}, "gs://flights/"
    made = subprocess.run(host.command(gillnet, "index", captured, "--to", url, "--data-dir", tmp_path / "job"), capture_output=True, text=True, env=env)
    assert made.returncode == 0, made.stderr
    shown = lambda: query(gillnet, "", url, "--columns", "startTime,summary,src.port", host=host, env=env).stdout

    def verified():
        done = subprocess.run(host.command(gillnet, "verify", url, "-o", "json"), capture_output=True, text=True, env=env)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0 and len(lines) == 1, done.stdout + done.stderr
        return lines[0]["summary"]

    whole, before = shown(), verified()
    assert len(whole.splitlines()) == 16 * 6 == before["entries"] and before["objects"] >= 8 * 4
    chance, kills = random.Random(7), 0
    command = host.command(gillnet, "compact", url, *NOW, "--grace", "0")
    for _ in range(12):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True)
        try:
            process.wait(chance.uniform(0.05, 0.6))
        except subprocess.TimeoutExpired:
            # whoever entered the namespace may be its parent
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        verified()
        assert shown() == whole
    assert kills > 0
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
    after = verified()
    assert after["replaced"] == 0 and after["entries"] == before["entries"] and after["objects"] < before["objects"]
    assert shown() == whole
