"""Recordings: when they record, what is listed of them, and what is kept of them how long."""

import datetime
import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.parse

import duckdb
from conftest import Recorder, count, objects, query, wait_for


def moment(seconds):
    """RFC 3339, so many seconds after the Unix epoch."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def state(flights, name):
    """What a recording does, as the metrics say."""
    text = flights.host.run("curl", "-sf", "http://127.0.0.1:49100/metrics").stdout
    wanted = f'gillnet_recording_state{{recording="{name}",state="'
    return [line.removeprefix(wanted).split('"')[0] for line in text.splitlines() if line.startswith(wanted)]


def test_a_rule_records_in_its_window_and_is_uploaded_at_its_end(host, web, recorder, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    start = int(time.time()) + 5
    rule = {"kfl": "http", "destination": f"file://{bucket}", "flush": "1h"}
    windowed = {"name": "windowed", "start": moment(start), "duration": "6s", **rule}
    expired = {"name": "expired", "expiry": moment(start - 3600), **rule}
    daily = {"name": "daily", "start": moment(start - 86400), "duration": "6s", "daily": 2, **rule}
    flights = recorder(recording={"rules": [windowed, expired, daily]})
    ask = lambda what: host.run("curl", "-s", "-o", "/dev/null", f"{web}/1.json?{what}")
    assert [state(flights, rule["name"]) for rule in (windowed, expired, daily)] == [["waiting"], ["expired"], ["waiting"]]
    for i in range(3):
        ask(f"before={i}")
    assert time.time() < start, "this machine is too slow for this window"
    wait_for("the window", lambda: state(flights, "windowed") == ["recording"])
    time.sleep(0.6)
    for i in range(3):
        ask(f"within={i}")
    assert time.time() < start + 6, "this machine is too slow for this window"
    wait_for("its end", lambda: state(flights, "windowed") == ["done"])
    time.sleep(0.6)
    for i in range(3):
        ask(f"after={i}")
    # long before its flush, and while it runs
    wait_for("its objects", lambda: len(objects(bucket)) == 2)
    assert state(flights, "daily") == ["done"]
    assert flights.stop() == 0, flights.log.read_text()
    for name in ("windowed", "daily"):
        folder = bucket / "packets"
        kept = [path for path in objects(folder) if f"recording={name}" in str(path)]
        found = [json.loads(line) for line in query(gillnet, "http", *kept).stdout.splitlines()]
        assert sorted(entry["request"]["url"].split("?")[1] for entry in found) == [f"within={i}" for i in range(3)], name
    assert not list(bucket.rglob("recording=expired"))


def shifted(capture, folder, hours):
    """A capture again, so many hours later each time."""
    made = []
    for hour in hours:
        made.append(folder / f"{hour}.pcap")
        subprocess.run(["editcap", "-F", "pcap", "-t", str(hour * 3600), capture, made[-1]], check=True)
    return made


def run(gillnet, *arguments, env=None):
    return subprocess.run([gillnet, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **(env or {})})


def indexed(gillnet, folder, to, *, hours, recording="all", env=None):
    """A bucket with an index, made of one capture in these hours after its own, and the hour of its first packet."""
    capture = pathlib.Path(__file__).parent.parent / "crates/protocols/src/http1/fixtures/nginx_and_python.pcap"
    first = float(subprocess.run(["tshark", "-r", capture, "-c", "1", "-T", "fields", "-e", "frame.time_epoch"], capture_output=True, text=True, check=True).stdout)
    folder.mkdir()
    config = folder / "gillnet.yaml"
    config.write_text(json.dumps({"capture": {"ring": {"size": "64Mi"}}}))
    done = run(gillnet, "--config", config, "index", *shifted(capture, folder, hours), "--to", to, "--recording", recording,
               "--data-dir", folder / "data", env=env)
    assert done.returncode == 0, done.stderr
    return first // 3600 * 3600


def hours_of(paths):
    return sorted({str(path).split("date=")[1].split("/")[0] + "T" + str(path).split("hour=")[1][:2] for path in paths})


def test_prune_deletes_old_hours_and_leaves_the_rest_whole(gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    first = indexed(gillnet, tmp_path / "a", f"file://{bucket}", hours=range(5))
    indexed(gillnet, tmp_path / "b", f"file://{bucket}", hours=range(5), recording="other")
    before = hours_of(objects(bucket))
    rows = lambda: int(query(gillnet, "http", bucket, "--count").stdout)
    each = rows() // 5
    # two hours and a half
    age = f"{int(time.time() - first - 2.5 * 3600)}s"
    would = run(gillnet, "recordings", "prune", bucket, "--older-than", age, "--recording", "all", "--dry-run")
    assert would.returncode == 0 and would.stdout.splitlines()[-1].startswith("2 hours with 8 files"), would
    assert hours_of(objects(bucket)) == before and rows() == each * 5
    pruned = run(gillnet, "recordings", "prune", bucket, "--older-than", age, "--recording", "all")
    assert pruned.returncode == 0 and pruned.stdout.replace("would be ", "") == would.stdout.replace("would be ", "")
    of = lambda name: hours_of(path for path in bucket.rglob("*.parquet") if f"recording={name}" in str(path))
    assert (of("all"), of("other")) == (before[2:], before)
    checked = run(gillnet, "verify", bucket)
    assert checked.returncode == 0, checked.stdout
    # the retention of the configuration's rules with this destination
    config = tmp_path / "gillnet.yaml"
    rule = {"name": "other", "kfl": "http", "destination": f"file://{bucket}", "retention": age}
    config.write_text(json.dumps({"recording": {"rules": [rule]}}))
    pruned = run(gillnet, "--config", config, "recordings", "prune", bucket)
    assert pruned.returncode == 0 and of("other") == before[2:], pruned
    assert rows() == each * 3
    nothing = run(gillnet, "recordings", "prune", bucket)
    assert nothing.returncode == 2 and "--older-than 7d" in nothing.stderr, nothing


def test_a_worker_deletes_what_is_older_than_its_retention(host, recorder, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    indexed(gillnet, tmp_path / "a", f"file://{bucket}", hours=range(3), recording="kept")
    cluster = next(iter(bucket.glob("packets/*"))).name.removeprefix("cluster=")
    rule = {"name": "kept", "kfl": "http", "destination": f"file://{bucket}", "retention": "1h"}
    flights = recorder(cluster=cluster, recording={"rules": [rule]})
    wait_for("what is old to be deleted", lambda: not objects(bucket), 120)
    assert flights.metric('recording_pruned_files_total{recording="kept"}') == 12
    assert flights.stop() == 0, flights.log.read_text()


def test_a_key_that_may_not_delete_is_said_and_counted(host, web, gcs, recorder, gillnet, tmp_path):
    rule = {"name": "kept", "kfl": "http", "destination": "gs://flights", "retention": "1h"}
    flights = recorder(env=gcs.env("recorder"), recording={"flush": "2s", "rules": [rule]})
    wait_for("its error", lambda: flights.metric('recording_failed_prunes_total{recording="kept"}') == 1, 120)
    assert "retention needs the rights to list and to delete" in flights.log.read_text()
    # recording goes on
    host.run("curl", "-s", "-o", "/dev/null", f"{web}/1.json")
    wait_for("an upload", lambda: flights.metric('recording_uploaded_objects_total{recording="kept"}') >= 1)
    assert flights.metric('recording_failed_prunes_total{recording="kept"}') == 1, "it is not tried again and again"
    assert flights.stop() == 0, flights.log.read_text()


def test_prune_over_google(host, gcs, gillnet, tmp_path):
    """The emulator itself lets everybody do everything."""
    env = {"STORAGE_EMULATOR_HOST": gcs.emulator}
    inside = lambda *arguments: subprocess.run(host.command(gillnet, *map(str, arguments)), capture_output=True, text=True, env={**os.environ, **env})
    bucket = tmp_path / "bucket"
    indexed(gillnet, tmp_path / "a", f"file://{bucket}", hours=range(3))
    for path in bucket.rglob("*.*"):
        if path.is_file():
            key = urllib.parse.quote(str(path.relative_to(bucket)), safe="")
            host.run("curl", "-sf", "-X", "POST", "--data-binary", f"@{path}", "-H", "Content-Type: application/octet-stream",
                     f"{gcs.emulator}/upload/storage/v1/b/flights/o?uploadType=media&name={key}")
    pruned = inside("recordings", "prune", "gs://flights", "--older-than", "1h", "--anonymous", "--dry-run")
    assert pruned.returncode == 0 and pruned.stdout.splitlines()[-1].startswith("3 hours with 12 files"), pruned
    refused = subprocess.run(host.command(gillnet, "recordings", "prune", "gs://flights", "--older-than", "1h"), capture_output=True, text=True,
                             env={**os.environ, **gcs.env("reader")})
    assert refused.returncode == 4 and "403" in refused.stderr or "may not" in refused.stderr, refused
    pruned = inside("recordings", "prune", "gs://flights", "--older-than", "1h", "--anonymous")
    assert pruned.returncode == 0, pruned
    again = inside("recordings", "prune", "gs://flights", "--older-than", "1h", "--anonymous")
    assert again.stdout.startswith("0 hours"), again


def test_a_snapshot_is_deleted_over_google_by_who_may(host, gcs, gillnet):
    for file in ("snapshot.json", "packets.pcapng.gz"):
        key = urllib.parse.quote(f"snapshots/far/{file}", safe="")
        host.run("curl", "-sf", "-X", "POST", "--data-binary", "{}", "-H", "Content-Type: application/octet-stream",
                 f"{gcs.emulator}/upload/storage/v1/b/flights/o?uploadType=media&name={key}")
    delete = [gillnet, "snapshot", "delete", "far", "--from", "gs://flights"]
    as_who = lambda env, *arguments: subprocess.run(host.command(*map(str, delete + list(arguments))), capture_output=True, text=True, env={**os.environ, **env})
    refused = as_who(gcs.env("reader"))
    assert refused.returncode == 4 and "storage.objects.delete" in refused.stderr, refused
    anyone = {"STORAGE_EMULATOR_HOST": gcs.emulator}
    would = as_who(anyone, "--anonymous", "--dry-run")
    assert would.returncode == 0 and would.stdout.count("would be deleted") == 2, would
    done = as_who(anyone, "--anonymous")
    assert done.returncode == 0 and done.stdout.count("2 bytes deleted") == 2, done
    again = as_who(anyone, "--anonymous")
    assert again.returncode == 2 and "no snapshot" in again.stderr, again


def listed(gillnet, *arguments, code=0, **options):
    done = run(gillnet, "recordings", *arguments, "-o", "json", **options)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout), done.stderr


def test_recordings_of_buckets_are_listed(gillnet, tmp_path):
    bucket, other = tmp_path / "bucket", tmp_path / "other"
    first = indexed(gillnet, tmp_path / "a", f"file://{bucket}", hours=range(3), recording="http or dns")
    indexed(gillnet, tmp_path / "b", f"file://{bucket}", hours=[1], recording="second")
    indexed(gillnet, tmp_path / "c", f"file://{other}", hours=[0])
    found, _ = listed(gillnet, bucket, other)
    assert found["atWork"] == []
    assert [of["recording"] for of in found["recordings"]] == ["http or dns", "second", "all"]
    size = lambda pattern: sum(path.stat().st_size for path in bucket.glob(pattern) if path.is_file())
    of = found["recordings"][0]
    name = "recording=http%20or%20dns"
    assert (of["packetBytes"], of["indexBytes"]) == (size(f"packets/*/{name}/**/*"), sum(size(f"{part}/*/{name}/**/*") for part in ("entries", "streams", "names")))
    assert (of["objects"], of["faulty"], of["bucket"]) == (3, 0, str(bucket))
    table = lambda part: f"read_parquet('{bucket}/{part}/*/{name}/**/*.parquet', union_by_name = true)"
    assert of["entries"] == duckdb.sql(f"SELECT count(*) FROM {table('entries')}").fetchall()[0][0] > 0
    assert of["streams"] == duckdb.sql(f"SELECT count(*) FROM {table('streams')}").fetchall()[0][0] > 0
    ends = duckdb.sql(f"SELECT epoch_ns(min(first)), epoch_ns(max(last)) FROM {table('streams')}").fetchall()[0]
    at = lambda text: datetime.datetime.fromisoformat(text.split(".")[0] + "+00:00").timestamp()
    assert (at(of["first"]), at(of["last"])) == (ends[0] // 10**9, ends[1] // 10**9) and at(of["first"]) >= first
    assert of["nodes"] == sorted({path.name.rsplit("_", 2)[0] for path in bucket.glob(f"packets/*/{name}/**/*.gz")})
    # for people, and what is wrong
    next(bucket.glob(f"packets/*/{name}/**/*.gz")).unlink()
    broken = next(bucket.glob("entries/*/recording=second/**/*.parquet"))
    broken.write_bytes(broken.read_bytes()[:-20])
    shown = run(gillnet, "recordings", "list", bucket)
    rows = [line.split("  ") for line in shown.stdout.splitlines()]
    assert shown.returncode == 0 and len(rows) == 3 and rows[0][0] == "RECORDING", shown.stdout
    assert "its packets are not there" in shown.stderr and str(broken.relative_to(bucket)) in shown.stderr, shown.stderr
    found, _ = listed(gillnet, bucket)
    # entries, names and streams without packets
    assert [of["faulty"] for of in found["recordings"]] == [3, 1]
    # without an index, packets say what they are
    for part in ("entries", "streams", "names"):
        shutil.rmtree(other / part)
    bare = listed(gillnet, other)[0]["recordings"][0]
    assert (bare["kfl"], bare["entries"], bare["objects"], bare["faulty"]) == ("", None, 1, 0), bare
    assert bare["packets"] == sum(count(path, "frame") for path in objects(other)) and bare["streams"] > 0
    # one that is away keeps nothing from being said of the others
    found, said = listed(gillnet, tmp_path / "nowhere", bucket, code=4)
    assert len(found["recordings"]) == 2 and "nowhere" in said
    for least, code in ((1, 0), (99, 1)):
        (other / "gillnet.json").write_text(json.dumps({"format": "gillnet", "version": 99, "minReader": least}))
        done = run(gillnet, "recordings", other)
        assert done.returncode == code and "version 99" in done.stderr, done.stderr
    assert run(gillnet, "recordings", tmp_path / "a").returncode == 3


def test_recordings_at_work_are_listed(host, web, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    start = int(time.time()) + 3600
    rules = [{"name": "now", "kfl": "http", "destination": f"file://{bucket}", "duration": "1h", "flush": "1s"},
             {"name": "later", "kfl": "dns", "destination": f"file://{bucket}", "start": moment(start), "duration": "1h", "daily": 7}]
    flights = Recorder(host, gillnet, tmp_path, ["tap", "--local", "-i", "lo", "--filter", "tcp port 8080", "--no-browser"],
                       {"GILLNET_TOKEN": "a-token-of-one-s-own-0123456789abcdef"}, dataDir=str(tmp_path / "data"),
                       capture={"ring": {"size": "64Mi", "kernel": "16Mi"}}, recording={"rules": rules, "index": True})
    for i in range(5):
        host.run("curl", "-s", "-o", "/dev/null", f"{web}/1.json")
    ask = lambda *arguments: subprocess.run(host.command(gillnet, "recordings", *map(str, arguments)), capture_output=True, text=True,
                                            env={**os.environ, "GILLNET_TOKEN": "a-token-of-one-s-own-0123456789abcdef"})
    wait_for("its entries", lambda: json.loads(ask("-o", "json").stdout)["atWork"][1]["indexedEntries"] >= 5)
    wait_for("its upload", lambda: json.loads(ask("-o", "json").stdout)["atWork"][1]["uploadedObjects"] >= 1)
    both = ask(bucket, "--worker", "-o", "json")
    assert both.returncode == 0, both.stderr
    both = json.loads(both.stdout)
    assert [of["recording"] for of in both["recordings"]] == ["now"]
    later, now = both["atWork"]
    assert (later["state"], later["window"]["of"], later["window"]["from"][:19]) == ("waiting", 7, moment(start)[:19])
    assert now["state"] == "recording" and 0 < now["window"]["progress"] < 0.5 and now["recordedPackets"] > 0
    shown = ask()
    assert shown.returncode == 0 and [line.split()[0] for line in shown.stdout.splitlines()] == ["AT", "later", "now"], shown
    flights.stop()
    assert ask().returncode == 4


def test_record_asks_for_one_recording(host, web, gillnet, tmp_path):
    """Live, where several rules keep the same entry, and in the bucket that comes of it, with and without its index."""
    bucket, token = tmp_path / "bucket", "a-token-of-one-s-own-0123456789abcdef"
    rule = lambda name, kfl: {"name": name, "kfl": kfl, "destination": f"file://{bucket}"}
    rules = [rule("all", "http"), rule("errors", "http and response.status >= 500"), rule("none", "dst.port == 1")]
    flights = Recorder(host, gillnet, tmp_path, ["tap", "--local", "-i", "lo", "--filter", "tcp port 8080", "--no-browser"],
                       {"GILLNET_TOKEN": token}, dataDir=str(tmp_path / "data"), capture={"ring": {"size": "64Mi", "kernel": "16Mi"}},
                       recording={"rules": rules, "index": True})
    for i in range(9):
        host.run("curl", "-s", "-o", "/dev/null", f"{web}/broken" if i % 3 == 0 else f"{web}/1.json")

    def live(kfl):
        url = f"http://127.0.0.1:8899/api/entries?limit=100&kfl={urllib.parse.quote(kfl)}"
        return json.loads(host.run("curl", "-sf", "-H", f"Authorization: Bearer {token}", url).stdout)["entries"]

    wait_for("its entries", lambda: len(live("http")) == 9)
    wanted = (('record("all")', 9), ('record("errors")', 3), ('record("errors") and request.method == "GET"', 3),
              ('record("errors") && status_code == 200', 0), ('record("none")', 0), ('record("other")', 0))
    for kfl, n in (*wanted, ('record("all") && !record("errors")', 6), ('record("errors") or record("all")', 9), ('record("")', 0)):
        assert len(live(kfl)) == n, kfl
    assert flights.stop() == 0, flights.log.read_text()

    def counted(kfl, *options):
        done = query(gillnet, kfl, bucket, *options, "--count")
        assert done.returncode in (0, 3), done.stderr
        return int(done.stdout)

    def kept():
        for kfl, n in wanted:
            assert counted(kfl) == n, kfl
        # each is still shown once where nobody asks
        assert counted("http") == 9
        shown = [json.loads(line)["record"] for line in query(gillnet, 'record("errors")', bucket).stdout.splitlines()]
        assert shown == ["errors"] * 3
        refused = query(gillnet, '!record("all")', bucket)
        assert refused.returncode == 2 and "all, errors" in refused.stderr and 'write record("all")' in refused.stderr, refused
        out = tmp_path / f"{len(list(tmp_path.glob('*.jsonl')))}.jsonl"
        exported = run(gillnet, "export", 'record("errors")', bucket, "--out", out)
        assert exported.returncode == 0 and len(out.read_text().splitlines()) == 3, exported

    kept()
    # read from its packets
    whole = tmp_path / "whole"
    shutil.copytree(bucket, whole)
    for part in ("entries", "streams"):
        shutil.rmtree(bucket / part)
    kept()
    shutil.rmtree(bucket)
    whole.rename(bucket)
    # the others are not opened
    for path in bucket.rglob("*"):
        if path.is_file() and "recording=all" in str(path):
            path.write_bytes(b"x" * path.stat().st_size)
    assert (counted('record("errors")'), counted('record("errors") and response.content.text == r".*misbehaves.*"')) == (3, 3)


def test_what_is_wrong_with_a_lifetime_is_said_at_start(gillnet, tmp_path):
    config = tmp_path / "gillnet.yaml"
    for keys, said in (({"daily": 3}, ["`a`", "daily", "duration: 1h"]),
                       ({"start": "tonight"}, ["`a`", "start", "2026-03-14T22:00:00Z"]),
                       ({"expiry": "0h"}, ["`a`", "expiry", "30d"])):
        rule = {"name": "a", "kfl": "http", "destination": f"file://{tmp_path}/bucket", **keys}
        config.write_text(json.dumps({"dataDir": str(tmp_path / "data"), "recording": {"rules": [rule]}}))
        run = subprocess.run([gillnet, "--config", config, "worker", "-i", "lo"], capture_output=True, text=True)
        assert run.returncode == 2, run.stderr
        assert all(word in run.stderr for word in said), run.stderr
