"""Buckets of every version of the format that was released are read by this one: see versions/README.md."""

import hashlib
import json
import pathlib
import shutil
import tempfile

import duckdb
import pytest

from conftest import frames, query
from test_upkeep import run, verify

VERSIONS = pathlib.Path(__file__).parent / "versions"
ALL = sorted(folder.name for folder in VERSIONS.iterdir() if (folder / "bucket").is_dir())

COLUMNS = "startTime,src.ip,src.port,src.name,src.namespace,dst.ip,dst.port,dst.name,method,path,status,elapsedTime,stream,index"
# what is asked of each recording
QUESTIONS = [
    ["query", "", "--count"],
    ["query", 'http and request.path == "/3"', "--count"],
    ["query", 'dst.name == "web" and dns', "--count"],
    ["query", 'request.headers["Host"] == "shop"', "--count"],
    ["query", "", "-o", "jsonl", "--columns", COLUMNS],
    ["query", "", "--by", "protocol,status", "--measure", "count,errors", "-o", "jsonl"],
    ["export", "", "-o", "csv"],
    ["export", "", "-o", "pcap"],
]


def recordings(bucket):
    """The folders of a bucket that are a recording each, as one can be opened."""
    return sorted({path.name for path in bucket.glob("packets/cluster=*/recording=*")})


def of_one(bucket, recording, folder):
    """A bucket of one of the recordings of another."""
    for path in bucket.rglob("*"):
        if path.is_file() and (f"/{recording}/" in str(path) or path.parent == bucket):
            to = folder / path.relative_to(bucket)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
    return folder


def answer(gillnet, bucket, question):
    command, kfl, *rest = question
    target = bucket.parent / "answer.pcap"
    to = ["--out", target] if rest[-1] == "pcap" else []
    done = run(gillnet, command, kfl, bucket, *rest, *to)
    assert done.returncode == 0, done.stderr
    if not to:
        return done.stdout.splitlines()
    there = frames([target])
    target.unlink()
    return [f"{len(there)} frames, SHA-256 of tshark's lines {hashlib.sha256(chr(10).join(there).encode()).hexdigest()}"]


def answers(gillnet, bucket):
    """What each recording of a bucket answers, and what is found in all of it."""
    found = {}
    for recording in recordings(bucket):
        with tempfile.TemporaryDirectory() as scratch:
            alone = of_one(bucket, recording, pathlib.Path(scratch) / "bucket")
            found[recording] = {" ".join(question): answer(gillnet, alone, question) for question in QUESTIONS}
    findings, summary = verify(gillnet, bucket)
    return {"recordings": found, "findings": findings, "summary": summary}


@pytest.mark.parametrize("version", ALL)
def test_a_bucket_of_a_released_version_is_read(gillnet, version):
    found, said = answers(gillnet, VERSIONS / version / "bucket"), json.loads((VERSIONS / version / "answers.json").read_text())
    # a later Gillnet may count more
    more = found["summary"].keys() - said["summary"].keys()
    assert all(found["summary"].pop(key) == 0 for key in more), found["summary"]
    assert found == said


@pytest.mark.parametrize("version", ALL)
def test_the_answers_are_those_of_the_captures(gillnet, version):
    """So that what stands there is no mistake that was kept."""
    said = json.loads((VERSIONS / version / "answers.json").read_text())["recordings"]
    for recording, found in said.items():
        captures = VERSIONS / version / ("turns.pcap" if recording.endswith("=compacted") else "plain.pcap")
        for question in QUESTIONS[:4]:
            if "dst.name" in question[1]:
                continue  # captures have no names
            assert query(gillnet, *question[1:2], captures, *question[2:]).stdout.splitlines() == found[" ".join(question)], question
        whole = len(frames([captures]))
        assert found[" ".join(QUESTIONS[-1])][0].startswith(f"{whole} frames"), recording


def later(path):
    """Writes a file of the index again as a later version might: with a column and a key that nobody knows yet."""
    pairs = {bytes(key).decode(): bytes(value).decode() for key, value in duckdb.sql(f"SELECT key, value FROM parquet_kv_metadata('{path}')").fetchall()}
    pairs = {key: value for key, value in pairs.items() if key.startswith("gillnet.")}
    pairs |= {"gillnet.sha256": "0" * 64, "gillnet.new": "new"}
    quoted = ", ".join(f"'{key}': '{value.replace(chr(39), chr(39) * 2)}'" for key, value in pairs.items())
    new = path.with_suffix(".new")
    columns = """*, 7 AS "new", 'x' AS "http.request.new", [1, 2] AS "new.list" """
    # it makes one row group of all, whose rows have the order of time
    order = " ORDER BY timestamp" if "/entries/" in str(path) else ""
    duckdb.sql(f"COPY (SELECT {columns} FROM read_parquet('{path}', hive_partitioning = false){order}) TO '{new}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{quoted}}})")
    data = new.read_bytes()
    new.unlink()
    path.write_bytes(data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode()))


@pytest.mark.parametrize("version", ALL)
def test_what_a_later_version_adds_is_passed_over(gillnet, version, tmp_path):
    bucket = tmp_path / "bucket"
    shutil.copytree(VERSIONS / version / "bucket", bucket)
    for path in bucket.rglob("*.parquet"):
        later(path)
    # files of names are Kubeshark's, whose keys are times
    says = json.loads((bucket / "gillnet.json").read_text())
    (bucket / "gillnet.json").write_text(json.dumps({**says, "new": {"of": ["later"]}}))
    (bucket / "new").mkdir()
    (bucket / "new" / "file.bin").write_bytes(b"later")
    found = answers(gillnet, bucket)["recordings"]
    assert found == json.loads((VERSIONS / version / "answers.json").read_text())["recordings"]


@pytest.mark.parametrize("version", ALL)
def test_damage_is_named_in_every_format(gillnet, version, tmp_path):
    bucket = tmp_path / "bucket"
    shutil.copytree(VERSIONS / version / "bucket", bucket)
    damaged = [path for path in bucket.glob("packets/**/*") if path.is_file()]
    assert {path.suffix for path in damaged} == {".gz", ".pcapng", ".pcap"}
    for path in damaged:
        data = bytearray(path.read_bytes())
        # in the last packet, and a cut within it
        for wrong in (data[:-9] + bytes([data[-9] ^ 0x10]) + data[-8:], data[:-5]):
            path.write_bytes(wrong)
            findings, _ = verify(gillnet, bucket)
            assert str(path.relative_to(bucket)) in {finding["key"] for finding in findings}, (path, findings)
        path.write_bytes(data)
    # what is recorded for other programs stays as it is
    done = run(gillnet, "compact", bucket, "--before", "2100-01-01T00:00:00Z")
    assert done.returncode == 0 and done.stdout.startswith("0 objects made"), done.stdout + done.stderr
