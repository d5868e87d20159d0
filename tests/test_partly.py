"""A bucket of which not all can be read: that is named and counted, and everything else is answered."""

import hashlib
import json
import shutil
import struct

import duckdb
import pytest

from conftest import objects, query
from test_dashboard import Tap
from test_pages import START, exchange
from test_upkeep import run, verify

HOURS, EACH = 4, 5


@pytest.fixture(scope="module")
def indexed(tmp_path_factory, gillnet):
    """A bucket of an object an hour."""
    folder = tmp_path_factory.mktemp("indexed")
    capture, bucket = folder / "hours.pcap", folder / "bucket"
    with open(capture, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for k in range(HOURS * EACH):
            for at, data in enumerate(exchange(20_000 + k, f"/{k}")):
                out.write(struct.pack("<IIII", START + k // EACH * 3600 + k % EACH * 60, at * 1000, len(data), len(data)) + data)
    made = run(gillnet, "index", capture, "--to", f"file://{bucket}", "--data-dir", folder / "job")
    assert made.returncode == 0, made.stderr
    assert len(objects(bucket)) == HOURS
    return bucket


@pytest.fixture
def bucket(indexed, tmp_path):
    shutil.copytree(indexed, tmp_path / "bucket")
    return tmp_path / "bucket"


def paths(gillnet, *arguments):
    asked = query(gillnet, "http", *arguments, "--columns", "path", "-o", "jsonl")
    return [json.loads(line)["path"] for line in asked.stdout.splitlines()], asked


ALL = [f"/{k}" for k in range(HOURS * EACH)]


def says(bucket, **more):
    (bucket / "gillnet.json").write_text(json.dumps({"format": "gillnet", **more}))


def test_a_later_version_is_read_with_a_warning(bucket, gillnet, tmp_path):
    says(bucket, version=2)
    found, asked = paths(gillnet, bucket)
    assert found == ALL and asked.returncode == 0
    assert "version 2" in asked.stderr and "later Gillnet" in asked.stderr and str(bucket) in asked.stderr
    out = tmp_path / "out.pcap"
    done = run(gillnet, "export", "http", bucket, "--out", out)
    assert done.returncode == 0 and "version 2" in done.stderr and out.stat().st_size > 1000
    # what an earlier version does not know it must not lose
    done = run(gillnet, "compact", bucket, "--before", "2100-01-01T00:00:00Z")
    assert done.returncode == 1 and "version 2" in done.stderr and len(objects(bucket)) == HOURS


def test_a_version_that_can_not_be_read_here_is_refused_alone(bucket, indexed, gillnet):
    says(bucket, version=3, minReader=2)
    found, asked = paths(gillnet, bucket)
    assert found == [] and asked.returncode == 1
    assert "version 3" in asked.stderr and "version 2" in asked.stderr and "later Gillnet" in asked.stderr
    found, asked = paths(gillnet, bucket, indexed)
    assert found == ALL and asked.returncode == 1
    assert "version 3" in asked.stderr and "1 of 2 sources" in asked.stderr, asked.stderr
    findings, _ = verify(gillnet, bucket)
    assert [finding["key"] for finding in findings] == ["gillnet.json"]


def of_version(path, version):
    """Makes a file of the index one of another version, with its own checksum."""
    data = path.read_bytes()
    data = data.replace(b"gillnet.version\x18\x011", b"gillnet.version\x18\x01%d" % version)
    at = data.index(b"gillnet.sha256") + len(b"gillnet.sha256") + 2
    data = data[:at] + b"0" * 64 + data[at + 64:]
    data = data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + 64:]
    path.write_bytes(data)


@pytest.mark.parametrize("kinds", [["entries"], ["streams"], ["entries", "streams"]])
def test_packets_are_read_where_an_index_is_of_a_later_version(bucket, gillnet, tmp_path, kinds):
    files = [sorted((bucket / kind).rglob("*.parquet"))[k] for kind in kinds for k in (1, 2)]
    for file in files:
        of_version(file, 2)
    found, asked = paths(gillnet, bucket)
    assert found == ALL and asked.returncode == 0
    if "entries" in kinds:
        assert files[0].name in asked.stderr and "version 2" in asked.stderr, asked.stderr
        assert "1 more" in asked.stderr and "packets are read instead" in asked.stderr
    counts = query(gillnet, "http", bucket, "--by", "status", "--measure", "count", "-o", "jsonl")
    assert json.loads(counts.stdout)["count"] == len(ALL), counts.stderr
    out = tmp_path / "out.jsonl"
    done = run(gillnet, "export", "http", bucket, "--out", out, "--columns", "path")
    assert [json.loads(line)["path"] for line in out.read_text().splitlines()] == ALL, done.stderr
    findings, _ = verify(gillnet, bucket)
    for file in files:
        assert "version 2" in [finding["what"] for finding in findings if finding["key"] == str(file.relative_to(bucket))][0], findings
    # what names one of them can't be compared with it
    assert all("version 2" in finding["what"] or "can't be read" in finding["what"] for finding in findings), findings


def test_packets_are_read_from_where_an_index_says_less(bucket, gillnet):
    """What an earlier version recorded has no columns for newer fields."""
    file = sorted((bucket / "entries").rglob("*.parquet"))[2]
    less = file.with_name("less")
    duckdb.sql(f"""COPY (SELECT * EXCLUDE ("http.request.path") FROM read_parquet('{file}', hive_partitioning = false))
                   TO '{less}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{"gillnet.version": '1'}})""")
    less.rename(file)
    kfl = 'http and request.path != "/3" and request.path != "/17"'
    expected = [path for path in ALL if path not in ("/3", "/17")]
    for limit in (*range(8, 12), 100):
        asked = query(gillnet, kfl, bucket, "--columns", "path", "-o", "jsonl", "--limit", limit, "-v")
        assert [json.loads(line)["path"] for line in asked.stdout.splitlines()] == expected[:limit], asked.stderr
        # nine are in the hours before that file
        assert ("left streams to be read" in asked.stderr) == (limit > 9), asked.stderr
    assert query(gillnet, kfl, bucket, "--count").stdout.strip() == str(len(expected))


def test_a_source_that_can_not_be_read_among_others(bucket, gillnet, tmp_path):
    empty = tmp_path / "empty"
    (empty / "packets").mkdir(parents=True)
    for missing, code in ((f"file://{tmp_path}/nowhere", 4), (tmp_path / "nowhere.pcap", 1), (empty, 1)):
        found, asked = paths(gillnet, missing)
        assert found == [] and asked.returncode == code
        for sources in ((missing, bucket), (bucket, missing)):
            found, asked = paths(gillnet, *sources)
            assert found == ALL and asked.returncode == code, asked.stderr
            assert str(missing).removeprefix("file://") in asked.stderr and "1 of 2 sources" in asked.stderr, asked.stderr
        out = tmp_path / "out.pcap"
        done = run(gillnet, "export", "http", missing, bucket, "--out", out)
        assert done.returncode == code and out.stat().st_size > 1000, done.stderr
        out.unlink()
        # an index would be believed to have all
        done = run(gillnet, "index", missing, bucket, "--to", f"file://{tmp_path}/made", "--data-dir", tmp_path / "job")
        assert done.returncode == code and "1 of 2 sources" in done.stderr
        assert not list((tmp_path / "made").rglob("*.parquet"))


def test_a_bucket_that_may_not_be_listed_among_others(host, gillnet, gcs, bucket):
    asked = query(gillnet, "http", "gs://flights/", bucket, "--count", host=host, env=gcs.env("recorder"))
    assert int(asked.stdout) == len(ALL) and asked.returncode == 4, asked.stderr
    assert "gs://flights" in asked.stderr and "1 of 2 sources" in asked.stderr, asked.stderr


def test_packets_that_are_gone_are_named_and_counted(host, bucket, gillnet, tmp_path):
    lost = objects(bucket)[1:3]
    for path in lost:
        path.unlink()
    left = ALL[:EACH] + ALL[3 * EACH:]
    named = lambda done: "2 packet objects are gone" in done.stderr and all(path.name in done.stderr for path in lost)
    # the index has the rows all the same
    found, asked = paths(gillnet, bucket)
    assert found == ALL and asked.returncode == 0 and named(asked), asked.stderr
    # what only packets have
    asked = query(gillnet, "http", bucket, "-o", "jsonl")
    assert [json.loads(line)["request"]["path"] for line in asked.stdout.splitlines()] == left and named(asked), asked.stderr
    for name in ("out.pcap", "out.har"):
        out = tmp_path / name
        done = run(gillnet, "export", "http", bucket, "--out", out)
        assert done.returncode == 1 and named(done) and out.stat().st_size > 1000, done.stderr
    tap = Tap(host, gillnet, tmp_path, "--pcap", bucket, "--pcap", tmp_path / "nowhere.pcap")
    drops = json.loads(tap.get("/api/status"))["drops"]
    assert (drops["gone-objects"], drops["unreadable-sources"]) == (2, 1)
    page = json.loads(tap.get("/api/entries?kfl=http&limit=50&order=asc"))
    assert [row["summary"] for row in page["entries"]] == ALL
    assert named(type("done", (), {"stderr": tap.log.read_text()}))
    # nothing but the index
    for path in objects(bucket):
        path.unlink()
    found, asked = paths(gillnet, bucket)
    assert found == ALL and "4 packet objects are gone" in asked.stderr
