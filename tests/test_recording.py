"""Recording to a bucket, and what is in it afterwards."""

import collections
import gzip
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

from conftest import count, frames, merged, objects, query, sum_of, tshark, wait_for

FLUSH = "*/5 * * * * *"
CAPTURE = pathlib.Path(os.environ["GILLNET_CAPTURES"], "http1/deepflow__flow_generator-http.pcap")


def settle(recorder, bucket):
    """Waits until what is recorded is in the bucket: the recorder is stopped, which uploads what is open."""
    assert recorder.stop() == 0, recorder.log.read_text()
    return objects(bucket)


def curl(host, *urls, options=()):
    """One curl, one connection for all URLs."""
    host.run("curl", "-s", *options, *[part for url in urls for part in ("-o", "/dev/null", url)])


def test_http_and_dns_are_in_the_bucket_once_and_whole(host, web, dns, gcs, recorder, gillnet, tmp_path):
    """2,000 requests and 501 queries over two flush periods, to Google Cloud Storage with a key that may only create."""
    flights = recorder(env=gcs.env("recorder"), recording={"flush": FLUSH},
                       scripting={"env": {"RECORDING_KFL": "http or dns", "GCS_BUCKET": "flights"}})
    names = tmp_path / "names"
    names.write_text("".join(f"n{i}.shop.example A\n" if i % 5 else f"n{i}.example AAAA\n" for i in range(250)))
    # UDP ports are none of gillnet's, whatever TCP port it listens on
    host.run("dig", "+tries=1", "+time=2", "-b", "127.0.0.1#49100", "@127.0.0.1", "own.shop.example")
    for half in range(2):
        for k in range(10):
            curl(host, *[f"{web}/{i % 25}.json?half={half}&n={k * 100 + i}" for i in range(100)])
        for start in range(0, 250, 50):
            lines = names.read_text().splitlines()[start:start + 50]
            host.run("dig", "+tries=1", "+time=2", "@127.0.0.1", *[word for line in lines for word in line.split()])
        time.sleep(6)
    assert flights.metric("drops_total{reason=\"kernel\"}") == 0
    assert flights.metric("drops_total{reason=\"own\"}") > 0, "its own uploads are seen and left out"
    assert flights.stop() == 0, flights.log.read_text()

    reader = gcs.env("reader")
    for kfl, wanted in (("http", 2000), ("dns", 501)):
        run = query(gillnet, kfl, "gs://flights/", "--count", host=host, env=reader)
        assert (run.stdout.strip(), run.returncode) == (str(wanted), 0), run.stderr
        unpaired = query(gillnet, f"{kfl} and error != nil", "gs://flights/", "--count", host=host, env=reader)
        assert unpaired.stdout.strip() == "0", unpaired.stderr

    methods = collections.Counter(entry["method"] for entry in gcs.control("log"))
    recorded = [entry for entry in gcs.control("log") if entry["method"] == "PUT" and entry["status"] == 200]
    packets = [entry["path"] for entry in recorded if entry["path"].endswith(".pcapng.gz")]
    assert len(packets) >= 2 and len(set(packets)) == len(packets), methods

    # the same bucket through other eyes
    folder = tmp_path / "objects"
    folder.mkdir()
    paths = []
    for i, path in enumerate(packets):
        target = folder / f"{i}.pcapng.gz"
        key = path.split("/", 2)[2]
        host.run("curl", "-sf", "-o", target, f"{gcs.emulator}/flights/{key}")
        paths.append(target)
    whole = merged(paths, tmp_path)
    assert sum_of(whole, "http.request.method") == 2000
    assert sum_of(whole, "http.response.code") == 2000
    assert count(whole, "dns.flags.response == 0") == 501
    assert count(whole, "dns.flags.response == 1") == 501
    assert count(whole, "_ws.malformed") == 0
    everything = frames(paths)
    assert len(everything) == len(set(everything)), "a frame is in twice"
    for path in paths:
        stated = tshark_comment(path)
        assert f"packets={count(path, 'frame')} " in stated, stated


def tshark_comment(path):
    """What an object says of itself: the comment of its section."""
    return subprocess.run(["capinfos", "-K", "-k", str(path)], capture_output=True, text=True, check=True).stdout


def test_a_rule_keeps_exactly_the_streams_that_match_and_those_whole(host, web, recorder, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    def tcpdump(name):
        process = host.start("tcpdump", "-i", "lo", "-n", "-B", "65536", "--time-stamp-precision=nano", "-w", tmp_path / f"{name}.pcap", "tcp port 8080",
                             log=f"{name}.log")
        wait_for("tcpdump", lambda: b"listening on" in (tmp_path / f"{name}.log").read_bytes())
        return process

    before = tcpdump("before")
    flights = recorder(recording={"flush": FLUSH, "index": False}, scripting={"env": {"RECORDING_KFL": "http and response.status == 500", "GCS_BUCKET": f"file://{bucket}"}})
    after = tcpdump("after")
    for i in range(40):
        urls = [f"{web}/{i % 20}.json", f"{web}/broken" if i % 4 == 0 else f"{web}/1.json", f"{web}/{i % 7}.json"]
        curl(host, *urls)
    curl(host, f"{web}/large.txt", f"{web}/broken")
    time.sleep(1)
    kept = settle(flights, bucket)
    for process in (before, after):
        process.terminate()
        process.wait(10)
    seen, again = streams(tmp_path / "before.pcap"), streams(tmp_path / "after.pcap")
    wanted = {ports: rows for ports, rows in seen.items() if any(" 500" in row[-1] for row in rows)}
    found = streams(merged(kept, tmp_path))
    assert len(wanted) == 11
    assert set(found) == set(wanted)
    for ports, rows in wanted.items():
        # the kernel stamps TCP of this host anew for each socket that looks, one after the other: what began to look
        # between two others has each frame at a time between theirs
        between = {}
        for one, earlier, later in zip(*map(by_content, (found[ports], again[ports], rows)), strict=True):
            assert one[1:] == earlier[1:] == later[1:]
            between[one] = nanoseconds(earlier[0]), nanoseconds(later[0])
            assert between[one][0] <= nanoseconds(one[0]) <= between[one][1], (one, earlier, later)
        # two processors put what they send at the same moment into each program's queue in an order of their own
        for way in ("8080", ports):
            latest = 0
            for earlier, later in (between[row] for row in found[ports] if row[1] == way):
                assert latest - later < 100_000, "a frame stands behind one that was seen only after it"
                latest = max(latest, earlier)


def by_content(rows):
    return sorted(rows, key=lambda row: row[1:])


def test_a_full_object_is_sealed_before_its_time(host, web, recorder, gillnet, tmp_path):
    """At 128 MiB: over 100 MB in one object, which tshark reads to its end."""
    bucket = tmp_path / "bucket"
    flights = recorder(capture={"ring": {"size": "256Mi", "kernel": "64Mi"}}, recording={"flush": "0 0 0 1 1 *", "objectSize": "128Mi"},
                       scripting={"env": {"RECORDING_KFL": "http", "GCS_BUCKET": f"file://{bucket}"}})
    for _ in range(50):
        curl(host, f"{web}/large.txt")
        time.sleep(0.1)  # loopback moves gigabytes a second, more than two processors take in beside it
    sealed = wait_for("an object while it records", lambda: objects(bucket))
    assert flights.metric("drops_total{reason=\"kernel\"}") == 0
    with gzip.open(sealed[0]) as file:
        assert sum(len(chunk) for chunk in iter(lambda: file.read(1 << 20), b"")) > 100_000_000
    kept = settle(flights, bucket)
    assert len(kept) > len(sealed), "what came after it is in another"
    for path in kept:
        assert f"packets={count(path, 'frame')} " in tshark_comment(path)
        assert count(path, "_ws.malformed") == 0
    assert count(merged(kept, tmp_path), "http.response.code == 200") == 50
    run = query(gillnet, "http and response.status == 200 and error == nil", bucket, "--count")
    assert (run.stdout.strip(), run.returncode) == ("50", 0), run.stderr


def nanoseconds(epoch):
    seconds, fraction = epoch.split(".")
    return int(seconds) * 10**9 + int(fraction)


def streams(path):
    """Frames by stream: (time, sender, seq, ack, flags, length, payload, status)."""
    rows = tshark(path, "-Y", "tcp.port == 8080", "-T", "fields", "-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "frame.time_epoch", "-e", "tcp.seq_raw",
                  "-e", "tcp.ack_raw", "-e", "tcp.flags", "-e", "tcp.len", "-e", "tcp.payload", "-e", "http.response.code")
    found = collections.defaultdict(list)
    for row in rows.splitlines():
        source, target, *rest = row.split("\t")
        rest[-1] = f" {rest[-1]}"
        found[source if target == "8080" else target].append((rest[0], source, *rest[1:]))
    return found


def test_patterns_of_names_record_the_streams_that_they_mean(host, web, dns, recorder, gillnet, tmp_path):
    """The article's patterns, on traffic that has names."""
    for address in ("127.0.1.1", "127.0.1.2", "127.0.1.3"):
        host.run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    statics = [{"address": "127.0.1.1", "name": "catalogue", "namespace": "my-namespace"}, {"address": "127.0.1.2", "name": "carts", "namespace": "other"},
               {"address": "127.0.1.3", "name": "orders", "namespace": "my-namespace"}]
    rules = [{"name": "namespace", "kfl": 'src.namespace=="my-namespace" or dst.namespace=="my-namespace"'}, {"name": "regex", "kfl": 'src.name==r"cata.*"'}]
    for rule in rules:
        rule["destination"] = f"file://{tmp_path}/{rule['name']}"
    flights = recorder(recording={"flush": FLUSH, "rules": rules}, names={"static": statics})
    for source in ("127.0.1.1", "127.0.1.2", "127.0.1.3"):
        for i in range(3):
            curl(host, f"{web}/{i}.json", options=("--interface", source))
            curl(host, f"http://127.0.1.3:8080/{i}.json", options=("--interface", source))
    settle(flights, tmp_path / "namespace")
    def sources(rule):
        paths = objects(tmp_path / rule)
        rows = tshark(merged(paths, tmp_path), "-Y", "http.request", "-T", "fields", "-e", "ip.src", "-e", "ip.dst")
        return collections.Counter(tuple(row.split("\t")) for row in rows.splitlines())
    assert sources("namespace") == {("127.0.1.1", "127.0.0.1"): 3, ("127.0.1.1", "127.0.1.3"): 3, ("127.0.1.2", "127.0.1.3"): 3,
                                    ("127.0.1.3", "127.0.0.1"): 3, ("127.0.1.3", "127.0.1.3"): 3}
    assert sources("regex") == {("127.0.1.1", "127.0.0.1"): 3, ("127.0.1.1", "127.0.1.3"): 3}
    named = query(gillnet, 'src.name == r"cata.*"', tmp_path / "regex", "--count")
    assert named.stdout.strip() == "6", named.stderr


KEEP_ALIVE = """
import http.client, sys, time
connection = http.client.HTTPConnection("127.0.0.1", 8080)
for line in sys.stdin:
    connection.request("GET", line.strip())
    connection.getresponse().read()
    print("done", flush=True)
"""


class Client:
    """One connection that lives as long as this."""

    def __init__(self, host):
        self.process = subprocess.Popen(host.command("python3", "-c", KEEP_ALIVE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def get(self, path):
        self.process.stdin.write(path + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def test_a_connection_over_three_periods_matching_in_the_first(host, web, recorder, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    flights = recorder(recording={"flush": FLUSH, "index": False}, scripting={"env": {"RECORDING_KFL": "response.status == 500", "GCS_BUCKET": f"file://{bucket}"}})
    client = Client(host)
    client.get("/broken")
    for _ in range(12):
        client.get("/3.json")
        time.sleep(1)
    client.close()
    kept = settle(flights, bucket)
    assert len(kept) >= 3
    whole = merged(kept, tmp_path)
    assert sum_of(whole, "http.request.method") == 13 and sum_of(whole, "http.response.code") == 13
    assert count(whole, "tcp.flags.syn == 1") == 2 and count(whole, "tcp.flags.fin == 1") == 2
    assert query(gillnet, "http", bucket, "--count").stdout.strip() == "13"


def test_a_connection_matching_in_the_third_period(host, web, recorder, gillnet, tmp_path):
    """With a ring that is large enough it is complete from its SYN; with a small one the entry says what is missing."""
    for ring, noise in (("64Mi", 1), ("1Mi", 3)):
        folder = tmp_path / ring
        folder.mkdir()
        bucket = folder / "bucket"
        flights = recorder(ring=ring, recording={"flush": "*/3 * * * * *"}, dataDir=str(folder / "data"),
                           scripting={"env": {"RECORDING_KFL": "response.status == 500", "GCS_BUCKET": f"file://{bucket}"}})
        client = Client(host)
        for _ in range(7):
            client.get("/3.json")
            time.sleep(1)
        for _ in range(noise):
            curl(host, f"{web}/large.txt")
        client.get("/5.json")
        client.get("/broken")
        client.close()
        kept = settle(flights, bucket)
        whole = merged(kept, tmp_path)
        entries = [json.loads(line) for line in query(gillnet, "http", bucket).stdout.splitlines()]
        if ring == "64Mi":
            assert sum_of(whole, "http.request.method") == 9 and count(whole, "tcp.flags.syn == 1") == 2
            assert len(entries) == 9 and not any("truncatedBefore" in entry for entry in entries)
        else:
            assert sum_of(whole, "http.request.method") == 2 and count(whole, "tcp.flags.syn == 1") == 0
            assert [entry["request"]["path"] for entry in entries] == ["/5.json", "/broken"]
            first = tshark(whole, "-T", "fields", "-e", "frame.time_epoch").split()[0]
            assert all(entry["truncatedBefore"] for entry in entries), (entries, first)


def test_one_request_then_silence(host, web, recorder, tmp_path):
    bucket = tmp_path / "bucket"
    recorder(recording={"flush": "*/3 * * * * *"}, scripting={"env": {"RECORDING_KFL": "http", "GCS_BUCKET": f"file://{bucket}"}})
    curl(host, f"{web}/1.json")
    wait_for("the object", lambda: objects(bucket), 30)


def test_removing_the_pattern_stops_recording(host, web, recorder, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    flights = recorder(recording={"flush": "1h"}, scripting={"env": {"RECORDING_KFL": "http", "GCS_BUCKET": f"file://{bucket}"}})
    curl(host, f"{web}/1.json", f"{web}/2.json")
    time.sleep(1)
    flights.write(dataDir=str(tmp_path / "data"), recording={"flush": "1h"}, scripting={"env": {"GCS_BUCKET": f"file://{bucket}"}})
    kept = wait_for("what was open", lambda: objects(bucket), 30)
    curl(host, f"{web}/3.json")
    assert settle(flights, bucket) == kept
    assert query(gillnet, "http", bucket, "--count").stdout.strip() == "2"


def test_a_bucket_that_is_away_gets_everything_once_it_is_back(host, web, gcs, recorder, gillnet):
    kfl = "http and dst.port == 8080"  # whoever reads the bucket meanwhile is recorded too
    flights = recorder(env=gcs.env("recorder"), recording={"flush": "*/3 * * * * *"},
                       scripting={"env": {"RECORDING_KFL": kfl, "GCS_BUCKET": "flights"}})
    gcs.control("down", {"down": True})
    for i in range(7):
        curl(host, *[f"{web}/{k}.json" for k in range(10)])
        time.sleep(1)
    gcs.control("down", {"down": False})
    reader = gcs.env("reader")
    found = lambda: query(gillnet, kfl, "gs://flights/", "--count", host=host, env=reader).stdout.strip()
    wait_for("all requests", lambda: found() == "70", 60)
    assert flights.stop() == 0
    assert found() == "70"


def test_kill_at_ten_moments(host, web, recorder, gillnet, tmp_path):
    """What was answered a second before a kill, and asked after the last start, is in the bucket once."""
    bucket = tmp_path / "bucket"
    flights = recorder(recording={"flush": "*/2 * * * * *"}, scripting={"env": {"RECORDING_KFL": "http", "GCS_BUCKET": f"file://{bucket}"}})
    owed, stop, now = [], threading.Event(), []

    def load():
        number = 0
        while not stop.is_set():
            number += 1
            began = time.time()
            curl(host, f"{web}/{number % 20}.json?n={number}")
            now.append((number, began, time.time()))

    client = threading.Thread(target=load)
    client.start()
    try:
        for moment in (0.3, 1.7, 2.1, 0.9, 2.6, 1.2, 3.1, 0.5, 2.0, 1.4):
            ready = time.time()
            time.sleep(1 + moment)
            killed = time.time()
            flights.stop(signal.SIGKILL)
            owed += [number for number, began, ended in list(now) if began > ready and ended < killed - 1]
            flights.start()
    finally:
        stop.set()
        client.join()
    settle(flights, bucket)
    found = collections.Counter()
    for line in query(gillnet, "http", bucket, "--columns", "url,status").stdout.splitlines():
        entry = json.loads(line)
        if entry["status"] and entry["url"]:  # a start may see the answer alone
            found[int(entry["url"].split("n=")[1])] += 1
    assert len(owed) > 100
    missing = [number for number in owed if found[number] != 1]
    assert not missing, f"{len(missing)} of {len(owed)}: {[(n, found[n]) for n in missing[:10]]}"
    assert max(found.values()) == 1


def test_clock_steps_of_an_hour_lose_nothing(host, web, gillnet, tmp_path):
    """A source whose timestamps step ahead and back, in the middle of a connection."""
    dump = tmp_path / "whole.pcap"
    other = host.start("tcpdump", "-i", "lo", "-n", "-B", "65536", "-w", dump, "tcp port 8080", log="tcpdump.log")
    wait_for("tcpdump", lambda: b"listening on" in (tmp_path / "tcpdump.log").read_bytes())
    client = Client(host)
    for i in range(30):
        client.get(f"/{i % 20}.json")
        curl(host, f"{web}/{i % 20}.json")
    client.close()
    time.sleep(1)
    other.terminate()
    other.wait(10)
    total = count(dump, "frame")
    parts = []
    for i, (first, last, step) in enumerate(((1, total // 3, 0), (total // 3 + 1, 2 * total // 3, 3600), (2 * total // 3 + 1, total, -3600))):
        parts.append(tmp_path / f"part{i}.pcap")
        subprocess.run(["editcap", "-F", "pcap", "-t", str(step), "-r", dump, parts[-1], f"{first}-{last}"], check=True)
    stepping = tmp_path / "stepping.pcap"
    subprocess.run(["mergecap", "-F", "pcap", "-a", "-w", stepping, *parts], check=True)
    bucket = tmp_path / "bucket"
    worker = host.run(gillnet, "worker", "--data-dir", tmp_path / "data", "--read", stepping, check=False,
                      env={"RECORDING_KFL": "http", "GCS_BUCKET": f"file://{bucket}", "PATH": "/usr/bin:/bin", "HOME": "/root"})
    assert worker.returncode == 0, worker.stderr
    kept = objects(bucket)
    assert sum(count(path, "frame") for path in kept) == total
    assert len({path.parent for path in kept}) == 3, "an object holds one hour"
    assert query(gillnet, "http", stepping, "--count").stdout.strip() == "60"
    answered = query(gillnet, "http and error == nil", stepping, "--count").stdout.strip()
    assert answered == "60", answered


def test_a_capture_is_uploaded_to_its_end_however_long_that_takes(host, gcs, gillnet, tmp_path):
    """Longer than a worker takes to stop when it is asked to: it goes on while objects arrive."""
    hours = []
    for hour in range(3):
        hours.append(tmp_path / f"hour{hour}.pcap")
        subprocess.run(["editcap", "-F", "pcap", "-t", str(hour * 3600), CAPTURE, hours[-1]], check=True)
    capture = tmp_path / "hours.pcap"
    subprocess.run(["mergecap", "-F", "pcap", "-a", "-w", capture, *hours], check=True)
    gcs.control("fault", {"kind": "delay", "seconds": 5, "count": 1000, "on": ["PUT"]})
    env = {"RECORDING_KFL": "http", "GCS_BUCKET": "flights", "PATH": "/usr/bin:/bin", "HOME": "/root", **gcs.env("recorder")}
    began = time.monotonic()
    worker = host.run(gillnet, "worker", "--data-dir", tmp_path / "data", "--read", capture, check=False, env=env)
    assert worker.returncode == 0 and "did not reach" not in worker.stderr, worker.stderr
    assert time.monotonic() - began > 20, "it was to take longer than a worker that is stopped waits"
    gcs.control("clear", {})
    count = query(gillnet, "http", "gs://flights/", "--count", host=host, env=gcs.env("reader")).stdout
    assert count == query(gillnet, "http", capture, "--count").stdout != "0\n"
