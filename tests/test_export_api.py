"""`/api/export`: the files of `gillnet export` over HTTP, of a bucket and of what a running capture still has."""

import csv
import json
import subprocess
import time
import urllib.parse

from conftest import tshark, wait_for
from test_dashboard import Tap
from test_export import FLUSH, export, frames, har_validator


class Exports(Tap):
    """A dashboard whose files are taken."""

    def take(self, target, format, kfl="", *options, check=True, **more):
        """Downloads a file; gives curl's result, whose output are the headers."""
        asked = urllib.parse.urlencode({"q": kfl, "format": format, **more})
        command = ("curl", "-sS", "-D", "-", "-o", target, "-H", f"Authorization: Bearer {self.token}", *options, f"{self.base}/api/export?{asked}")
        run = self.host.run(*command, check=False)
        if check:
            assert run.returncode == 0 and run.stdout.startswith("HTTP/1.1 200"), (run, target.read_text(errors="replace")[:500])
        return run


def is_valid_har(path):
    validator = json.dumps(str(har_validator()))
    script = f"require({validator}).har(JSON.parse(require('fs').readFileSync({json.dumps(str(path))}))).catch(error => {{ console.error(error.errors); process.exit(1) }})"
    subprocess.run(["node", "-e", script], check=True)


def packets(path):
    """How many packets capinfos counts, none of them cut."""
    run = subprocess.run(["capinfos", "-c", "-T", "-r", "-M", path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return int(run.stdout.split()[-1])


def test_files_of_a_bucket_are_those_of_the_command_line(host, web, dns, gcs, recorder, gillnet, tmp_path):
    flights = recorder(env=gcs.env("recorder"), recording={"flush": FLUSH, "index": True},
                       scripting={"env": {"RECORDING_KFL": "http or dns", "GCS_BUCKET": "flights"}})
    for turn in range(3):
        urls = [f"{web}/{i % 20}.json?n={turn}" for i in range(20)] + [f"{web}/broken", f"{web}/large.txt"]
        host.run("curl", "-s", *[part for url in urls for part in ("-o", "/dev/null", url)])
        host.run("dig", "@127.0.0.1", "a.shop.example")
        time.sleep(2.5)
    assert flights.stop() == 0, flights.log.read_text()
    reader = {"host": host, "env": gcs.env("reader")}
    tap = Exports(host, gillnet, tmp_path, "--pcap", "gs://flights/", env=gcs.env("reader"))

    # what goes wrong on the way is never a shorter file
    objects = sorted(entry["path"] for entry in gcs.control("log") if entry["method"] == "PUT" and entry["path"].endswith(".pcapng.gz"))
    for path in objects[1:]:
        gcs.control("fault", {"kind": "status", "status": 503, "count": 1000, "on": ["GET"], "match": path.rsplit("/", 1)[1]})
    part = tmp_path / "part.pcap"
    run = tap.take(part, "pcap", "http", check=False)
    assert run.returncode == 18 and run.stdout.startswith("HTTP/1.1 200"), run
    assert 256 << 10 <= part.stat().st_size and "an export breaks off" in tap.log.read_text()
    # of entries none is written before the beginnings of all objects are known
    run = tap.take(part, "jsonl", "http", check=False)
    assert run.returncode == 18 or run.stdout.startswith("HTTP/1.1 502"), run
    gcs.control("clear", {})

    kfl = "http and response.status == 500"
    for format in ("pcapng", "pcap", "har", "jsonl", "csv"):
        target = tmp_path / f"all.{format}"
        head = tap.take(target, format, "http or dns").stdout
        assert f'.{format}"' in head and "transfer-encoding: chunked" in head and "gillnet-notes" not in head, head
        assert target.read_bytes() == export(gillnet, "http or dns", "gs://flights/", "-o", format, **reader).stdout
        some = tmp_path / f"some.{format}"
        tap.take(some, format, kfl)
        assert some.read_bytes() == export(gillnet, kfl, "gs://flights/", "-o", format, **reader).stdout != target.read_bytes()
    assert packets(tmp_path / "all.pcapng") == packets(tmp_path / "all.pcap") == len(frames(tmp_path / "all.pcap")) > packets(tmp_path / "some.pcap") > 0
    comments = tshark(tmp_path / "some.pcapng", "-T", "fields", "-e", "frame.comment")
    entries = [json.loads(line) for line in (tmp_path / "some.jsonl").read_text().splitlines()]
    assert len(entries) == 3 and all(entry["id"] in comments for entry in entries)
    is_valid_har(tmp_path / "all.har")
    assert len(list(csv.reader(open(tmp_path / "some.csv", newline="")))) == 4

    # one stream, and a span of time
    one = json.loads(tap.get(f"/api/entries?kfl={urllib.parse.quote(kfl)}&order=asc"))["entries"][0]
    assert one["id"] == entries[0]["id"]
    stream = tmp_path / "one.pcap"
    head = tap.take(stream, "pcap", stream=one["stream"], cluster=one["cluster"], node=one["node"], run=one["run"]).stdout
    assert f'filename="{one["stream"]}"' in head, head
    assert stream.read_bytes() == export(gillnet, "", "gs://flights/", "--stream", one["stream"], "-o", "pcap", **reader).stdout
    tap.take(stream, "pcap", check=False, stream=one["stream"], cluster="other", node="other", run="00")
    assert "not found" in stream.read_text(), "a stream of another run"
    late = tmp_path / "late.jsonl"
    tap.take(late, "jsonl", kfl, **{"from": entries[1]["startTime"]})
    assert [json.loads(line)["id"] for line in late.read_text().splitlines()] == [entry["id"] for entry in entries[1:]]


def test_files_of_a_running_capture(host, web, gillnet, tmp_path):
    seen = tmp_path / "seen.pcap"
    listener = host.start("tcpdump", "-i", "lo", "-U", "-s", "0", "--time-stamp-precision=nano", "-w", seen, "tcp port 8080", log="tcpdump.log")
    wait_for("tcpdump to listen", lambda: b"listening" in (tmp_path / "tcpdump.log").read_bytes())
    tap = Exports(host, gillnet, tmp_path, "--local", "-i", "lo", "--filter", "tcp port 8080", "--data-dir", str(tmp_path / "data"))
    for i in range(20):
        host.run("curl", "-s", "-o", "/dev/null", f"{web}/{i}.json", "-o", "/dev/null", f"{web}/{'broken' if i % 5 == 0 else 'created'}")
    wait_for("the entries", lambda: json.loads(tap.get("/api/stats?kfl=http&measures=count"))["entries"] == 40)
    time.sleep(1)
    listener.terminate()
    listener.wait(10)
    whole = tmp_path / "live.pcap"
    head = tap.take(whole, "pcap", "http").stdout
    assert "gillnet-notes" not in head, head
    found = [frame for _, frame in frames(whole)]
    wanted = [frame for _, frame in frames(seen)]
    assert len(found) == len(wanted) and sorted(found) == sorted(wanted), (len(found), len(wanted))
    assert [at for at, _ in frames(whole)] == sorted(at for at, _ in frames(whole))
    some = tmp_path / "live.pcapng"
    tap.take(some, "pcapng", "http and response.status == 500")
    assert 0 < packets(some) < packets(whole)
    comments = [part for line in tshark(some, "-T", "fields", "-e", "frame.comment").splitlines() for part in line.replace("\\n", "\n").split("\n") if part]
    lines = tmp_path / "live.jsonl"
    tap.take(lines, "jsonl", "http and response.status == 500")
    entries = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(entries) == 4 and {f"entry {entry['id']}" for entry in entries} <= set(comments)
    one = tmp_path / "one.pcapng"
    tap.take(one, "pcapng", stream=entries[0]["stream"])
    assert len(set(tshark(one, "-T", "fields", "-e", "tcp.stream").split())) == 1 and packets(one) < packets(some)
    archive = tmp_path / "live.har"
    tap.take(archive, "har", "http")
    is_valid_har(archive)
    assert len(json.loads(archive.read_text())["log"]["entries"]) == 40
    nothing = tmp_path / "nothing"
    assert tap.take(nothing, "pcap", "dns", check=False).stdout.startswith("HTTP/1.1 404") and "nothing to export" in nothing.read_text()
