"""The index beside recorded packets: what it says is what the packets say, and any engine can read it."""

import gzip
import json
import shutil
import struct
import subprocess

import duckdb
import pytest
from conftest import count, objects, query, talk
from test_pages import exchange

FLUSH = "*/4 * * * * *"
FILTERS = [
    "http", "dns", "http && status_code >= 500", 'http && path.startsWith("/1")', 'http && dst.name != ""',
    "http && elapsed_time > 1", "dns && request_size > 30", "http && src.port > 40000", "http || dns", "error != nil",
    'error.type == "pair-not-found"', 'error.type != "timeout"', 'error.msg.contains("response")',
    'worker.contains(":")', 'node.name != ""', 'node.ip != ""', 'id.contains("/")', 'dst.name == ""', 'src.name == ""', 'src.namespace == ""',
    'dst.namespace == "shop"', 'dst.service.name == "catalogue"', 'dst.pod.name == "catalogue"', 'src.pod.name == ""', 'capture_backend == "af_packet"',
    'method == "GET" && url.contains("n=7")', 'response.status == 200 and request.path == "/3.json"', "http and !(response.status == 200)",
]


def sql(bucket, what, where="true"):
    """What DuckDB reads out of the entries of a bucket."""
    files = f"read_parquet('{bucket}/entries/**/*.parquet', hive_partitioning = true, union_by_name = true)"
    return duckdb.sql(f"SELECT {what} FROM {files} WHERE {where}").fetchall()


def test_the_index_says_what_the_packets_say(host, web, dns, recorder, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    names = [{"address": web.removeprefix("http://"), "name": "catalogue", "namespace": "shop", "service": "catalogue"}]
    flights = recorder(recording={"flush": FLUSH, "index": True}, names={"static": names},
                       scripting={"env": {"RECORDING_KFL": "http or dns", "GCS_BUCKET": f"file://{bucket}"}})
    talk(host, web)
    assert flights.stop() == 0, flights.log.read_text()

    # the same bucket without its index
    plain = tmp_path / "plain"
    shutil.copytree(bucket, plain, ignore=shutil.ignore_patterns("entries", "streams"))
    for kfl in FILTERS:
        counted = [query(gillnet, kfl, where, "--count", host=host).stdout.strip() for where in (bucket, plain)]
        assert counted[0] == counted[1], f"{kfl}: {counted[0]} by the index, {counted[1]} by the packets"
    debug = query(gillnet, "http", bucket, "--count", host=host, env={"GILLNET_LOG": "debug"})
    assert "an index was read" in debug.stderr, debug.stderr

    assert sql(bucket, "protocol, count(*)", "true GROUP BY 1 ORDER BY 1") == [("dns", 20), ("http", 210)]
    assert sql(bucket, "count(*)", "\"http.response.status\" = 500") == [(10,)]
    assert sql(bucket, "count(DISTINCT (transport, stream, \"index\"))") == [(230,)]

    # each stream's range, behind the object's first member, is a capture that has its packets
    for packets in objects(bucket):
        index = str(packets).replace("/packets/", "/streams/").replace(".pcapng.gz", ".parquet")
        rows = duckdb.sql(f"SELECT stream, transport, \"offset\", length, packets, \"src.port\" FROM read_parquet('{index}')").fetchall()
        whole = packets.read_bytes()
        head = min(row[2] for row in rows)
        assert sum(row[4] for row in rows) == count(packets, "frame")
        for stream, transport, offset, length, packets_there, port in rows:
            part = tmp_path / "part.pcapng"
            part.write_bytes(gzip.decompress(whole[:head] + whole[offset:offset + length]))
            assert count(part, f"{transport}.port == {port}") == packets_there, (stream, transport, port)


def lookup(port, response):
    """A name that is asked for or, as a response, not known."""
    name = b"\4shop\7example\0" + struct.pack(">HH", 1, 1)
    message = struct.pack(">HHHHHH", 1, 0x8183 if response else 0x0100, 1, 0, 0, 0) + name
    ports = (53, port) if response else (port, 53)
    udp = struct.pack(">HHHH", *ports, 8 + len(message), 0) + message
    ends = (bytes([10, 0, 0, 53]), bytes([10, 0, 0, 1]))
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, *(ends if response else ends[::-1])) + udp
    return b"\x02" * 12 + b"\x08\x00" + ip


@pytest.mark.parametrize("silence", [200, 7200])
def test_what_waits_times_out_in_silence(gillnet, tmp_path, silence):
    """As it does where a recorder captures, which does not wait for the next packet to see that time goes by."""
    capture, config = tmp_path / "capture.pcap", tmp_path / "gillnet.yaml"
    slow, quick = exchange(20_001, "/slow"), exchange(20_002, "/quick")
    frames = [*[(0, frame) for frame in slow[:3]], (0, lookup(1111, False)),
              *[(silence, frame) for frame in quick], (silence, lookup(2222, False)), (silence, lookup(2222, True)),
              *[(silence + 1, frame) for frame in slow[3:]], (silence + 1, lookup(1111, True))]
    records = [struct.pack("<IIII", 1_795_000_000 + seconds, 0, len(frame), len(frame)) + frame for seconds, frame in frames]
    capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records))
    places = [capture]
    for index in True, False:
        bucket = tmp_path / f"bucket-{index}"
        config.write_text(json.dumps({"dataDir": str(tmp_path / f"data-{index}"), "recording": {"index": index},
                                      "scripting": {"env": {"RECORDING_KFL": "http or dns", "GCS_BUCKET": f"file://{bucket}"}}}))
        subprocess.run([gillnet, "--config", config, "worker", "-r", capture], check=True, capture_output=True)
        places.append(bucket)
    for place in places:
        run = query(gillnet, "", place, "-o", "jsonl")
        assert "not everything was seen" not in run.stderr
        entries = [json.loads(line) for line in run.stdout.splitlines()]
        found = sorted((entry["protocol"]["name"], (entry.get("error") or {}).get("type", "")) for entry in entries)
        assert found == [("dns", ""), ("dns", "pair-not-found"), ("dns", "pair-not-found"),
                         ("http", ""), ("http", "pair-not-found"), ("http", "timeout")], f"{place.name}: {run.stdout}{run.stderr}"
