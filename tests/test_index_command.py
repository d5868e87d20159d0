"""`gillnet index`: captures of others become a bucket whose entries are those of the captures, however often it is killed."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import duckdb
import pytest
from conftest import ROOT, count, objects, query, tshark

FILTERS = [
    "", "http", "dns", "http or dns", "http && status_code >= 500", "response.status == 200", 'method == "GET"', 'http && path.startsWith("/1")',
    'http && url.contains("n=7")', 'http && map_get(request.headers, "user-agent", "").contains("curl")', 'request.headers["X-Shop"] == "basket"',
    'http and request.postData.text == r"order-1.*"', 'http and response.content.text.json().error == "misbehaves"', 'http && response.headers["Content-Type"] != ""',
    "http && elapsed_time > 1", "dns && request_size > 30", 'dns and request.questions[0].name == "a.shop.example"', "http && src.port > 40000",
    "error != nil", 'src.name == "" and dst.name == ""', "http and !(response.status == 200)",
]
# where an entry comes from, and what its stream is numbered, is of each run's own
OWN = {"id", "stream", "worker", "node", "capture", "entryFile", "streamFile", "index"}


def bare(value):
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if key not in OWN}
    return value


def entries(gillnet, kfl, *sources, **options):
    run = query(gillnet, kfl, *sources, **options)
    assert run.returncode in (0, 3), f"{kfl}: {run.stderr}"
    return sorted(json.dumps(bare(json.loads(line)), sort_keys=True) for line in run.stdout.splitlines())


def index(gillnet, data, *arguments, check=True, **options):
    config = data.parent / "index.yaml"
    config.write_text(json.dumps({"recording": {"objectSize": "256Ki"}, "capture": {"ring": {"size": "64Mi"}}}))
    command = [gillnet, "--config", config, "index", "--data-dir", data, *map(str, arguments)]
    env = {**os.environ, "GCS_SA_KEY_JSON": "", **options.pop("env", {})}
    if host := options.pop("host", None):
        command = host.command(*command)
    run = subprocess.run(command, capture_output=True, text=True, env=env, **options)
    assert not check or run.returncode == 0, run.stderr
    return run


@pytest.fixture
def capture(host, web, dns, tmp_path):
    """What tcpdump saw of real clients and servers."""
    pcap = tmp_path / "day.pcap"
    dump = host.start("tcpdump", "-i", "lo", "-w", pcap, "-U", "-B", "65536", log="tcpdump.out")
    while not pcap.exists() or pcap.stat().st_size < 24:
        time.sleep(0.05)
    time.sleep(0.5)
    for k in range(12):
        urls = [f"{web}/{i % 25}.json?n={k * 20 + i}" for i in range(20)] + [f"{web}/broken"] + [f"{web}/large.txt"] * (k % 4 == 0)
        host.run("curl", "-s", "-H", "X-Shop: basket", *[part for url in urls for part in ("-o", "/dev/null", url)])
        host.run("curl", "-s", "-o", "/dev/null", "-d", f"order-{k}" + "y" * 3000, f"{web}/broken")
        host.run("dig", "+tries=1", "+time=2", "@127.0.0.1", "a.shop.example" if k % 2 else f"n{k}.other.example", "A")
    # a transport that has no streams
    send = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253); [s.sendto(b'x' * 40, ('127.0.0.1', 0)) for _ in range(6)]"
    host.run(sys.executable, "-c", send)
    time.sleep(1)
    dump.send_signal(signal.SIGINT)
    dump.wait(20)
    return pcap


def same_entries(gillnet, source, bucket, filters=FILTERS, **options):
    for kfl in filters:
        wanted, found = entries(gillnet, kfl, source, **options), entries(gillnet, kfl, bucket, **options)
        assert found == wanted, f"{kfl!r}: {len(found)} entries instead of {len(wanted)}"
    assert entries(gillnet, "", source, **options)


def numbers(bucket):
    files = f"read_parquet('{bucket}/entries/**/*.parquet', hive_partitioning = true, union_by_name = true)"
    return duckdb.sql(f"SELECT count(*), count(DISTINCT (transport, stream, \"index\")) FROM {files}").fetchall()[0]


def test_a_capture_becomes_a_bucket_with_its_entries(gillnet, capture, tmp_path):
    bucket, data = tmp_path / "bucket", tmp_path / "data"
    run = index(gillnet, data, capture, "--to", f"file://{bucket}", "--cluster", "lab", "--recording", "day")
    assert "transport 6" in run.stderr, run.stderr  # what has no stream is counted
    same_entries(gillnet, capture, bucket)
    there = [len(tshark(path, "-T", "fields", "-e", "frame.number").split()) for path in objects(bucket)]
    assert len(there) > 10 and sum(there) == count(capture, "tcp or udp")
    total, distinct = numbers(bucket)
    assert total == distinct == len(entries(gillnet, "", capture))
    partition = {str(path.relative_to(bucket).parent) for path in objects(bucket)}
    hours = set(tshark(capture, "-T", "fields", "-e", "frame.time_epoch").split())
    hours = {time.strftime("date=%Y-%m-%d/hour=%H", time.gmtime(float(hour))) for hour in hours}
    assert partition == {f"packets/cluster=lab/recording=day/{hour}" for hour in hours}
    # done once, it is done
    before = {path: path.stat().st_mtime_ns for path in bucket.rglob("*")}
    assert "already" in index(gillnet, data, capture, "--to", f"file://{bucket}", "--cluster", "lab", "--recording", "day").stderr
    assert before == {path: path.stat().st_mtime_ns for path in bucket.rglob("*")}


CAPTURES = pathlib.Path(os.environ.get("GILLNET_CAPTURES", ROOT.parent / "shared/captures"))


@pytest.mark.parametrize("capture", ["mixed/dnscap__frags.pcap", "mixed/ndpi__dns_fragmented.pcap", "dns/dnscap__dnso1tcp.pcap", "dns/ndpi__dropbox.pcap"])
def test_captures_of_others(gillnet, capture, tmp_path):
    """Datagrams in fragments, several in one flow, and DNS over TCP."""
    index(gillnet, tmp_path / "data", CAPTURES / capture, "--to", f"file://{tmp_path}/bucket")
    same_entries(gillnet, CAPTURES / capture, tmp_path / "bucket", ["", "dns && request_size > 30"])


def test_folders_archives_and_standard_input(gillnet, capture, tmp_path):
    folder = tmp_path / "pcaps"
    folder.mkdir()
    frames = count(capture, "frame")
    subprocess.run(["editcap", "-F", "pcap", "-c", str(max(1, frames // 500)), capture, folder / "part.pcap"], check=True)
    assert len(list(folder.iterdir())) >= 500
    archive = tmp_path / "kubeshark_1700000000.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "node_127.0.0.1")
    few = FILTERS[:6] + FILTERS[10:13]
    for name, source, options in [("folder", folder, {}), ("archive", archive, {}), ("stdin", "-", {"stdin": capture.open("rb")})]:
        bucket = tmp_path / name
        index(gillnet, tmp_path / "data", source, "--to", f"file://{bucket}", **options)
        same_entries(gillnet, capture, bucket, few)
        assert numbers(bucket)[0] == numbers(bucket)[1]


def test_a_bucket_on_google_is_written_and_read_as_source(gillnet, capture, gcs, host, tmp_path):
    data = tmp_path / "data"
    shutil.copy(capture, tmp_path / "gcs-source.pcap")
    index(gillnet, data, capture, "--to", "gs://flights/first", "--kfl", "http", env=gcs.env("recorder"), host=host)
    options = {"host": host, "env": gcs.env("reader")}
    same_entries(gillnet, capture, "gs://flights/first", ["http", "http && status_code >= 500"], **options)
    # a foreign bucket is read as a source: here what was just written, without its index
    local = tmp_path / "second"
    index(gillnet, data, "gs://flights/first", "--to", f"file://{local}", env=gcs.env("reader"), host=host)
    same_entries(gillnet, capture, local, ["http", 'request.headers["X-Shop"] == "basket"'])


def test_killed_again_and_again_nothing_is_lost_or_doubled(gillnet, capture, tmp_path):
    bucket, data = tmp_path / "bucket", tmp_path / "data"
    config = tmp_path / "index.yaml"
    config.write_text(json.dumps({"recording": {"objectSize": "256Ki"}, "capture": {"ring": {"size": "64Mi"}}}))
    command = [gillnet, "--config", config, "index", "--data-dir", data, capture, "--to", f"file://{bucket}"]
    chance, kills, there = random.Random(7), 0, 0
    for attempt in range(200):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        # sometimes before anything, sometimes after some more objects came to be, and a moment later
        target = len(objects(bucket)) + chance.randrange(0, 2 if kills < 8 else 4)
        while process.poll() is None and len(objects(bucket)) < target:
            time.sleep(0.002)
        time.sleep(chance.choice([0, 0.003, 0.01, 0.03] if kills < 8 else [0, 0.01, 0.03, 0.1, 0.3]))
        if process.poll() is None:
            process.kill()
            kills += 1
        if process.wait() == 0:
            break
        assert len(objects(bucket)) >= there
        there = len(objects(bucket))
    assert process.returncode == 0 and kills >= 5, (process.returncode, kills)
    same_entries(gillnet, capture, bucket)
    total, distinct = numbers(bucket)
    assert total == distinct == len(entries(gillnet, "", capture))
    assert sum(count(path, "frame") for path in objects(bucket)) == count(capture, "tcp or udp")


def test_other_captures_do_not_go_on_where_these_were(gillnet, capture, tmp_path):
    bucket, data = tmp_path / "bucket", tmp_path / "data"
    moving = tmp_path / "moving.pcap"
    shutil.copy(capture, moving)
    config = tmp_path / "index.yaml"
    config.write_text(json.dumps({"recording": {"objectSize": "256Ki"}, "capture": {"ring": {"size": "64Mi"}}}))
    command = [gillnet, "--config", config, "index", "--data-dir", data, moving, "--to", f"file://{bucket}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(objects(bucket)) < 3:
        time.sleep(0.002)
    process.kill()
    assert process.wait() != 0
    subprocess.run(["editcap", "-F", "pcap", "-r", capture, moving, "40-100000"], check=True)
    run = index(gillnet, data, moving, "--to", f"file://{bucket}", check=False)
    assert run.returncode == 1 and "not what they were" in run.stderr, run.stderr


def test_bad_arguments_are_named(gillnet, tmp_path):
    pcap = tmp_path / "x.pcap"
    pcap.write_bytes(b"")
    data = tmp_path / "data"
    for arguments, code, said in [
        ((tmp_path / "nothing.pcap", "--to", f"file://{tmp_path}/b"), 1, "nothing.pcap"),
        ((pcap, "--to", "bucket"), 2, "gs://"),
        (("snapshot:none", "--to", f"file://{tmp_path}/b"), 2, "no snapshot"),
        ((pcap, "--to", f"file://{tmp_path}/b", "--kfl", "http and"), 2, "the filter is wrong"),
    ]:
        run = index(gillnet, data, *arguments, check=False)
        assert run.returncode == code and said in run.stderr, (arguments, run.returncode, run.stderr)
