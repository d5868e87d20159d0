"""What leaves a bucket: captures as tcpdump saw them, entries as they were, whole files under their names."""

import collections
import csv
import json
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import time

import duckdb
import pytest
from conftest import ROOT, Host, query, tshark, wait_for

FLUSH = "*/2 * * * * *"
# `GILLNET_EXPORT_STREAMS=1000` compares as many streams as a release does
STREAMS = int(os.environ.get("GILLNET_EXPORT_STREAMS", "60"))


def export(gillnet, *arguments, host=None, env=None, check=0, **options):
    command = [gillnet, "export", *map(str, arguments)]
    run = subprocess.run(host.command(*command) if host else command, capture_output=True, env={**os.environ, **(env or {})}, **options)
    assert check is None or run.returncode == check, (run.returncode, run.stderr.decode())
    return run


def frames(pcap):
    """(ns, bytes) of every frame of a classic pcap, in its order."""
    data = pcap if isinstance(pcap, bytes) else pcap.read_bytes()
    unit = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[struct.unpack_from("<I", data)[0]]
    assert struct.unpack_from("<I", data, 20)[0] == 1, "not on Ethernet"
    found, at = [], 24
    while at < len(data):
        seconds, fraction, length, wire = struct.unpack_from("<IIII", data, at)
        assert length == wire
        found.append((seconds * 10**9 + fraction * unit, data[at + 16:at + 16 + length]))
        at += 16 + length
    return found


def flow(frame):
    """Transport and both ends of an IPv4 frame on Ethernet, without its direction."""
    ip = 14
    head = (frame[ip] & 15) * 4
    ports = struct.unpack_from("!HH", frame, ip + head)
    return ("udp" if frame[ip + 9] == 17 else "tcp", *sorted([(frame[ip + 12:ip + 16], ports[0]), (frame[ip + 16:ip + 20], ports[1])]))


LONG = """
import http.client, sys, time
held = http.client.HTTPConnection("10.77.0.1", 8080)
for turn in range(int(sys.argv[1])):
    held.request("GET", f"/{turn % 20}.json?long={turn}")
    held.getresponse().read()
    time.sleep(0.1)
"""


@pytest.fixture
def client(host, tmp_path):
    """A second namespace, 10.77.0.2, with a cable to the host, 10.77.0.1."""
    (tmp_path / "client").mkdir()
    client = Host(tmp_path / "client")
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for space, end, address in ((host, ends[0], "10.77.0.1/24"), (client, ends[1], "10.77.0.2/24")):
        space.start("python3", ROOT / "tests/cable.py", "cable", end.fileno(), pass_fds=[end.fileno()], log="cable.log")
        wait_for("the card", lambda: space.run("ip", "link", "show", "cable", check=False).returncode == 0)
        space.run("ip", "address", "add", address, "dev", "cable")
        space.run("ip", "link", "set", "cable", "up")
        end.close()
    yield client
    client.close()


@pytest.fixture
def recorded(host, web, client, recorder, tmp_path):
    """A bucket with an index that was recorded while tcpdump looked on: (bucket, what tcpdump saw)."""
    host.start("dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--listen-address=10.77.0.1", "--bind-interfaces",
               "--address=/shop.example/10.9.8.7", "--user=root", log="dnsmasq.out")
    ask = ("dig", "+short", "+tries=1", "+time=1", "@10.77.0.1", "a.shop.example")
    wait_for("dnsmasq", lambda: "10.9.8.7" in client.run(*ask, check=False).stdout)
    # on one processor the frames of a flow reach every listener in one order
    servers = host.run("ip", "netns", "pids", host.name).stdout.split()
    for process in servers:
        subprocess.run(["taskset", "-apc", "0", process], capture_output=True, check=True)
    seen = tmp_path / "seen.pcap"
    listener = host.start("tcpdump", "-i", "cable", "-n", "-U", "-B", "65536", "-s", "0", "--time-stamp-precision=nano", "-w", seen,
                          "tcp port 8080 or udp port 53", log="tcpdump.log")
    wait_for("tcpdump to listen", lambda: b"listening" in (tmp_path / "tcpdump.log").read_bytes())
    bucket = tmp_path / "bucket"
    names = [{"address": "10.77.0.1:8080", "name": "catalogue", "namespace": "shop", "service": "catalogue"}]
    flights = recorder(arguments=("-i", "cable"), recording={"flush": FLUSH, "index": True}, names={"static": names},
                       scripting={"env": {"RECORDING_KFL": "http or dns", "GCS_BUCKET": f"file://{bucket}"}})
    one, web = ("taskset", "-c", "0"), "http://10.77.0.1:8080"
    long = [client.start(*one, "python3", "-c", LONG, 20 + STREAMS) for _ in range(3)]
    for start in range(0, STREAMS, 20):
        # a connection each
        for i in range(start, start + 20):
            urls = [f"{web}/{i % 22}.json?n={i}", f"{web}/broken" if i % 5 == 0 else f"{web}/created"]
            client.run(*one, "curl", "-s", *[part for url in urls for part in ("-o", "/dev/null", url)])
        names = [word for i in range(start, start + 20, 2) for word in (f"n{i}.shop.example", "A")]
        client.run(*one, "dig", "+tries=1", "+time=2", "@10.77.0.1", *names)
    client.run(*one, "curl", "-s", "-o", "/dev/null", f"{web}/large.txt")
    assert [process.wait(300) for process in long] == [0, 0, 0]
    time.sleep(1)
    assert flights.stop() == 0, flights.log.read_text()
    listener.send_signal(signal.SIGINT)
    listener.wait(10)
    assert b"0 packets dropped by kernel" in (tmp_path / "tcpdump.log").read_bytes()
    return bucket, seen


def test_a_streams_capture_is_what_tcpdump_saw(recorded, gillnet):
    bucket, seen = recorded
    flows = collections.defaultdict(list)
    for at, frame in frames(seen):
        flows[flow(frame)].append((at, frame))
    rows = duckdb.sql(f"""SELECT transport, stream, "src.ip", "src.port", "dst.ip", "dst.port", count(DISTINCT filename) FROM
        read_parquet('{bucket}/streams/**/*.parquet', filename = true) GROUP BY ALL ORDER BY stream""").fetchall()
    over_many = [row for row in rows if row[6] > 2]
    assert len(over_many) >= 3, rows
    assert len(rows) >= STREAMS
    chosen = over_many[:10] + random.Random(7).sample(rows, STREAMS)
    for transport, stream, src, sport, dst, dport, _ in chosen:
        name = f"{stream:012}{'_udp' if transport == 'udp' else ''}.pcap"
        ends = sorted([(bytes(map(int, ip.split("."))), port) for ip, port in ((src, sport), (dst, dport))])
        wanted = flows[(transport, *ends)]
        found = frames(export(gillnet, "", bucket, "--stream", name, "-o", "pcap").stdout)
        assert len(found) == len(wanted) > 0, name
        for (at, frame), (seen_at, seen_frame) in zip(found, wanted):
            assert frame == seen_frame, name
            assert abs(at - seen_at) <= 1000, (name, at - seen_at)


def test_a_filters_result_is_one_capture_in_the_order_of_time(recorded, gillnet, tmp_path):
    bucket, seen = recorded
    wanted = sorted((at, frame) for at, frame in frames(seen) if flow(frame)[0] == "tcp")
    for where in (bucket, seen):
        found = frames(export(gillnet, "http", where, "-o", "pcap").stdout)
        assert found == sorted(found, key=lambda one: one[0]), "not in the order of time"
        assert sorted(found) == wanted
    # what an index decides is the same without it
    plain = tmp_path / "plain"
    subprocess.run(["cp", "-r", bucket, plain], check=True)
    subprocess.run(["rm", "-r", plain / "entries", plain / "streams"], check=True)
    kfl = "http && status_code >= 500"
    some = export(gillnet, kfl, bucket, "-o", "pcap").stdout
    assert export(gillnet, kfl, plain, "-o", "pcap").stdout == some
    assert 0 < len(frames(some)) < len(wanted)
    assert sorted(frames(export(gillnet, kfl, seen, "-o", "pcap").stdout)) == sorted(frames(some))
    # a span of time
    middle = wanted[len(wanted) // 2][0]
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(middle // 10**9)) + f".{middle % 10**9:09}Z"
    halves = [frames(export(gillnet, "", bucket, edge, text, "-o", "pcap").stdout) for edge in ("--until", "--since")]
    assert all(at < middle for at, _ in halves[0]) and all(at >= middle for at, _ in halves[1])
    assert len(halves[0]) + len(halves[1]) == len(frames(export(gillnet, "", bucket, "-o", "pcap").stdout))

    # what Wireshark shows of pcapng: entries, names, interfaces
    capture = tmp_path / "http.pcapng"
    export(gillnet, "http", bucket, "--out", capture)
    assert not list(tmp_path.glob("http.pcapng.*"))
    shown = [line for line in tshark(capture, "-T", "fields", "-e", "frame.comment").split("\n") if line]
    ids = [part.removeprefix("entry ") for line in shown for part in line.replace("\\n", "\n").split("\n")]
    entries = query(gillnet, "http", bucket, "--columns", "id").stdout.splitlines()
    assert sorted(ids) == sorted(json.loads(line)["id"] for line in entries)
    hosts = subprocess.run(["tshark", "-N", "n", "-r", capture, "-T", "fields", "-e", "ip.host"], capture_output=True, text=True).stdout
    assert "catalogue" in hosts, hosts[:300]
    assert set(tshark(capture, "-T", "fields", "-e", "frame.interface_name").splitlines()) == {"cable"}
    assert all(line.startswith("node ") for line in tshark(capture, "-T", "fields", "-e", "frame.interface_description").splitlines())
    assert len(tshark(capture, "-T", "fields", "-e", "frame.number").split()) == len(wanted)


def test_entries_are_exported_as_others_read_them(recorded, gillnet, tmp_path):
    bucket, seen = recorded
    # interrupted while it reads, each goes on to the same end
    data = seen.read_bytes()
    for end in ("jsonl", "csv", "har"):
        whole = export(gillnet, "http", "-", "-o", end, input=data).stdout
        target = tmp_path / f"read.{end}"
        run = subprocess.Popen([gillnet, "export", "http", "-", "--out", target], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        run.stdin.write(data[:len(data) // 4])
        run.stdin.flush()
        time.sleep(2)
        run.send_signal(signal.SIGINT)
        time.sleep(0.5)
        said = run.communicate(data[len(data) // 4:])[1]
        assert run.returncode == 130 and b"goes on" in said and not target.exists(), said
        noted = json.loads((tmp_path / f"read.{end}.part.state").read_text())["bytes"]
        assert 0 < noted < len(whole)
        export(gillnet, "http", "-", "--out", target, input=data)
        assert target.read_bytes() == whole
        assert not list(tmp_path.glob("*.part*"))
    lines = tmp_path / "all.jsonl"
    export(gillnet, "http or dns", bucket, "--out", lines)
    assert lines.read_text() == query(gillnet, "http or dns", bucket).stdout
    entries = [json.loads(line) for line in lines.read_text().splitlines()]
    exchanges = [entry for entry in entries if "request" in entry and entry["protocol"]["name"] == "http"]

    archive = tmp_path / "all.har"
    run = export(gillnet, "http or dns", bucket, "--out", archive)
    assert b"none of HTTP" in run.stderr
    log = json.loads(archive.read_text())["log"]
    assert [entry["_id"] for entry in log["entries"]] == [entry["id"] for entry in exchanges]
    validator = har_validator()
    subprocess.run(["node", "-e", f"""require({json.dumps(str(validator))}).har(JSON.parse(require('fs').readFileSync({json.dumps(str(archive))})))
        .catch(error => {{ console.error(JSON.stringify(error.errors, null, 1)); process.exit(1) }})"""], check=True)

    table = tmp_path / "all.csv"
    columns = ["protocol", "src.ip", "src.port", "path", "status_code", "elapsed_time"]
    export(gillnet, "http", bucket, "--columns", ",".join(columns), "--out", table)
    with open(table, newline="") as file:
        rows = list(csv.reader(file))
    assert table.read_bytes().count(b"\r\n") == len(rows) and rows[0] == columns
    assert [row[3] for row in rows[1:]] == [entry["request"]["path"] for entry in exchanges]
    assert {row[0] for row in rows[1:]} == {"HTTP"}
    run = export(gillnet, "http", bucket, "--columns", "path", "-o", "har", check=2)
    assert b"har has no columns" in run.stderr


def har_validator():
    return pathlib.Path(os.environ.get("GILLNET_HAR", pathlib.Path.home() / ".cache/gillnet/har")) / "node_modules/har-validator"


def test_formulas_of_strangers_do_not_reach_a_spreadsheet(host, web, recorder, gillnet, tmp_path):
    host.start("tcpdump", "-i", "lo", "-U", "-w", tmp_path / "seen.pcap", "tcp port 8080", log="tcpdump.log")
    wait_for("tcpdump to listen", lambda: b"listening" in (tmp_path / "tcpdump.log").read_bytes())
    host.run("curl", "-s", "-A", '=HYPERLINK("http://evil.example","x,y")', f"{web}/1.json")
    host.run("curl", "-s", "-A", "two\tcells", f"{web}/1.json")
    time.sleep(1)
    out = export(gillnet, "http", tmp_path / "seen.pcap", "--columns", "request.headers,method,status_code", "-o", "csv").stdout
    rows = list(csv.reader(out.decode().splitlines(keepends=True)))
    assert len(rows) == 3 and all(len(row) == 3 for row in rows)
    lines = export(gillnet, 'http | redact("request.path")', tmp_path / "seen.pcap", "-o", "pcap", check=2)
    assert b"redact" in lines.stderr


def test_an_export_that_was_interrupted_goes_on(host, web, dns, gcs, recorder, gillnet, tmp_path):
    """The network goes away in the middle; the part stays, and the same command makes it whole."""
    flights = recorder(env=gcs.env("recorder"), recording={"flush": FLUSH, "index": True},
                       scripting={"env": {"RECORDING_KFL": "http", "GCS_BUCKET": "flights"}})
    for turn in range(4):
        host.run("curl", "-s", *[part for i in range(30) for part in ("-o", "/dev/null", f"{web}/{i % 20}.json?n={turn}")])
        time.sleep(2.5)
    assert flights.stop() == 0, flights.log.read_text()
    reader = {"host": host, "env": gcs.env("reader")}
    packets = sorted(entry["path"] for entry in gcs.control("log") if entry["method"] == "PUT" and entry["path"].endswith(".pcapng.gz"))
    assert len(packets) >= 3
    for end in ("pcapng", "pcap", "jsonl", "har"):
        whole = export(gillnet, "http", "gs://flights/", "-o", end, **reader).stdout
        target = tmp_path / f"out.{end}"
        part, state = tmp_path / f"out.{end}.part", tmp_path / f"out.{end}.part.state"
        gcs.control("fault", {"kind": "status", "status": 503, "count": 1000, "on": ["GET"], "match": packets[-1].rsplit("/", 1)[1]})
        run = export(gillnet, "http", "gs://flights/", "--out", target, check=4, **reader)
        assert b"goes on" in run.stderr and not target.exists()
        noted = json.loads(state.read_text())
        # entries come in the order of objects whose beginnings are known: of one that is not reachable nothing is
        least = 0 if end in ("jsonl", "har") else 1
        assert least <= noted["bytes"] == part.stat().st_size < len(whole)
        # a crash may leave more than was noted
        with open(part, "ab") as file:
            file.write(b"half a block")
        gcs.control("clear", {})
        gcs.control("forget", {})
        run = export(gillnet, "http", "gs://flights/", "--out", target, **reader)
        assert b"goes on behind byte" in run.stderr
        assert target.read_bytes() == whole
        assert not part.exists() and not state.exists()
        read = {entry["path"] for entry in gcs.control("log") if entry["method"] == "GET" and entry["status"] in (200, 206)}
        if end in ("jsonl", "har"):
            continue  # what comes before is dissected again
        capture = whole
        assert not any(packets[0].rsplit("/", 1)[1] in path for path in read), "what was written is not read again"

    # another question begins again
    part = tmp_path / "other.pcap.part"
    part.write_bytes(b"of another")
    run = export(gillnet, "http", "gs://flights/", "--out", tmp_path / "other.pcap", **reader)
    assert b"starts over" in run.stderr
    assert frames((tmp_path / "other.pcap").read_bytes()) == frames(capture)
    # nothing matched: nothing is left
    export(gillnet, "dns", "gs://flights/", "--out", tmp_path / "none.pcap", check=3, **reader)
    assert not list(tmp_path.glob("none*"))


def test_what_is_gone_is_said_and_the_rest_is_given(recorded, gillnet, tmp_path):
    bucket, _ = recorded
    whole = frames(export(gillnet, "http", bucket, "-o", "pcap").stdout)
    objects = sorted((bucket / "packets").rglob("*.pcapng.gz"))
    rows = duckdb.sql(f"SELECT filename, sum(packets) FROM read_parquet('{bucket}/streams/**/*.parquet', filename = true) WHERE transport = 'tcp' GROUP BY 1")
    packets = dict(rows.fetchall())
    gone = objects[1]
    lost = packets[str(gone).replace("/packets/", "/streams/").replace(".pcapng.gz", ".parquet")]
    gone.unlink()
    target = tmp_path / "rest.pcap"
    run = export(gillnet, "http", bucket, "--out", target, check=1)
    said = run.stderr.decode()
    assert gone.name in said and f"{lost} packets are missing" in said, said
    assert len(frames(target)) == len(whole) - lost
    run = export(gillnet, "", bucket, "--stream", "000999999999.pcap", "-o", "pcap", check=1)
    assert b"not found: 000999999999.pcap" in run.stderr


@pytest.mark.parametrize("end", ["pcapng", "pcap"])
def test_packets_are_recorded_as_others_need_them(host, web, dns, recorder, gillnet, tmp_path, end):
    bucket = tmp_path / "bucket"
    flights = recorder(recording={"flush": FLUSH, "index": True, "format": end},
                       scripting={"env": {"RECORDING_KFL": "http or dns", "GCS_BUCKET": f"file://{bucket}"}})
    for turn in range(3):
        host.run("curl", "-s", *[part for i in range(30) for part in ("-o", "/dev/null", f"{web}/{i % 20}.json?n={turn}")])
        host.run("dig", "+tries=1", "+time=2", "@127.0.0.1", *[word for i in range(5) for word in (f"n{i}.shop.example", "A")])
        time.sleep(2.2)
    assert flights.stop() == 0, flights.log.read_text()
    found = sorted(path for path in (bucket / "packets").rglob("*") if path.is_file())
    assert len(found) >= 2 and all(path.name.endswith(f".{end}") for path in found), found
    # other programs take each object as it is
    frames_there = 0
    for path in found:
        frames_there += len(tshark(path, "-T", "fields", "-e", "frame.number").split())
        if end == "pcap":
            read = subprocess.run(["tcpdump", "-n", "-r", path, "--count"], capture_output=True, text=True)
            assert read.returncode == 0 and "packets" in read.stdout + read.stderr, read
    # and they are read back
    plain = tmp_path / "plain.pcap"
    export(gillnet, "", bucket, "--out", plain)
    assert len(frames(plain)) == frames_there
    for where in (bucket, plain):
        for kfl, wanted in (("http", "90"), ("dns", "15"), ('http && path == "/3.json"', "6"), ('http && request.headers["User-Agent"].contains("curl")', "90")):
            assert query(gillnet, kfl, where, "--count").stdout.strip() == wanted, (where, kfl)
    rows = duckdb.sql(f"SELECT transport, stream, sum(packets) FROM read_parquet('{bucket}/streams/**/*.parquet') GROUP BY ALL").fetchall()
    assert sum(row[2] for row in rows) == frames_there
    for transport, stream, packets in rows[:8]:
        name = f"{stream:012}{'_udp' if transport == 'udp' else ''}"
        assert len(frames(export(gillnet, "", bucket, "--stream", name, "-o", "pcap").stdout)) == packets


def test_pcap_without_an_index_is_refused(host, gillnet, tmp_path):
    config = tmp_path / "gillnet.yaml"
    config.write_text(json.dumps({"dataDir": str(tmp_path / "data"), "recording": {"format": "pcap", "index": False}}))
    run = host.run(gillnet, "--config", config, "worker", "-i", "lo", check=False, timeout=30)
    assert run.returncode == 2 and "recording.index: false" in run.stderr, run.stderr
