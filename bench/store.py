#!/usr/bin/env python3
"""A bucket as a database: two questions to a large one, beside tshark on its packets and DuckDB on its index.

    store.py GILLNET CAPTURE... [--gigabytes 20] [--hours 4] [--runs 5] [--bucket FOLDER] [--skip gs,tshark]

Makes a bucket: the captures (classic pcap of Ethernet; `workloads.sh` records some) are replayed into `gillnet worker -r -`
as one capture of so many gigabytes, each round later in time, from other clients and to other services (24, six of them of
the namespace `shop`), so that its streams are new ones. With `--bucket` it is made in that folder, and used again where it
is there and was made of the same. Then it asks, `--runs` times each, medians:

 1. `http && status_code >= 500 && dst.namespace == "shop"` in five minutes: first row, all rows, bytes read;
 2. p99 of the time to the response by service, over everything: time, bytes read.

tshark reads the packets of one gigabyte once for each; its time is multiplied by their number (what it does for one packet
does not depend on how many there are, but its memory does, so that the whole would take it longer). DuckDB, with two threads, reads
the same Parquet files from the same folder, by the partition of the hour where that helps it; gillnet's time has the start
of its process in it. Over gs:// the same folder is served by the emulator, through the tests' proxy; what that takes is
mostly theirs, and has no bar.
"""
import argparse, json, math, os, pathlib, shutil, statistics, struct, subprocess, sys, tempfile, threading, time, urllib.parse, urllib.request
from datetime import datetime, timezone

import duckdb
import numpy

FILTER = 'http && status_code >= 500 && dst.namespace == "shop"'
BARS = {"tshark": 200.0, "range share": 0.02, "whole share": 0.05, "duckdb": 2.0, "index of captured": 0.05}
START = datetime(2026, 3, 14, 8, tzinfo=timezone.utc).timestamp()
#: Bytes of the captures that a round replays, at most: shorter ones are spread more evenly over time.
ROUND = 48 << 20
SERVICES = 24
SHOP = range(0, SERVICES, 4)
ROOT = pathlib.Path(__file__).resolve().parent.parent


def service(number):
    """The address, name and namespace of a service."""
    namespace = "shop" if number in SHOP else ("payments", "search", "media")[number % 4 - 1]
    return f"10.200.{number}.1", f"service-{number}", namespace


class Replay:
    """Frames of captures that can be written again with other times and addresses."""

    def __init__(self, paths):
        frames, room = [], ROUND // len(paths)
        for which, path in enumerate(paths):
            data = pathlib.Path(path).read_bytes()
            magic = struct.unpack_from("<I", data)[0]
            if magic not in (0xA1B2C3D4, 0xA1B23C4D) or struct.unpack_from("<I", data, 20)[0] != 1:
                raise SystemExit(f"{path} is no classic capture of Ethernet in this machine's byte order")
            unit = 1 if magic == 0xA1B23C4D else 1000
            at, end, first = 24, min(len(data), 24 + room), None
            while at + 16 <= end:
                seconds, part, length, _ = struct.unpack_from("<IIII", data, at)
                if at + 16 + length > end:
                    break
                ts = seconds * 10**9 + part * unit
                first = ts if first is None else first
                # captures that were taken one after the other are replayed at the same time
                frames.append((ts - first, data[at:at + 16 + length], which))
                at += 16 + length
        frames.sort(key=lambda frame: frame[0])
        self.times = numpy.array([ts for ts, _, _ in frames], dtype=numpy.int64)
        self.bytes = numpy.frombuffer(b"".join(frame for _, frame, _ in frames), dtype=numpy.uint8).copy()
        lengths = numpy.array([len(frame) for _, frame, _ in frames], dtype=numpy.int64)
        self.at = numpy.concatenate(([0], numpy.cumsum(lengths)[:-1]))
        # IPv4 without options is all that is rewritten
        ether = self.at + 16
        plain = (self.bytes[ether + 12] == 8) & (self.bytes[ether + 13] == 0) & (self.bytes[ether + 14] == 0x45)
        self.ip = ether[plain] + 14
        # each capture has clients of its own: two connections must not share their ends
        capture = numpy.array([which for _, _, which in frames], dtype=numpy.uint8)[plain]
        ports = self.bytes[self.ip + 20].astype(int) << 8 | self.bytes[self.ip + 21]
        others = self.bytes[self.ip + 22].astype(int) << 8 | self.bytes[self.ip + 23]
        # clients have many ports, also lower ones than the service's
        self.port = int(numpy.bincount(numpy.concatenate((ports, others))).argmax())
        to_service = others == self.port
        self.to_service, self.of_client = self.ip[to_service], capture[to_service]
        self.from_service, self.of_service = self.ip[~to_service], capture[~to_service]
        self.seconds = float(self.times[-1] - self.times[0]) / 1e9

    def round(self, number, start):
        """The frames as bytes of a capture, later and between other ends."""
        out = self.bytes.copy()
        times = self.times + int(start * 1e9)
        for offset, values in ((0, times // 10**9), (4, times % 10**9)):
            words = values.astype("<u4").view(numpy.uint8).reshape(-1, 4)
            for k in range(4):
                out[self.at + offset + k] = words[:, k]
        client, server = (10, 100 + number // 65536 % 20, number // 256 % 256, number % 256), (10, 200, number % SERVICES, 1)
        for ips, source, target in ((self.to_service, client, server), (self.from_service, server, client)):
            for k in range(4):
                out[ips + 12 + k] = source[k]
                out[ips + 16 + k] = target[k]
        out[self.to_service + 13] += 20 * self.of_client
        out[self.from_service + 17] += 20 * self.of_service
        # the header's checksum; that of TCP is left to be wrong, as on a host whose card makes it
        out[self.ip + 10] = out[self.ip + 11] = 0
        total = sum((out[self.ip + k].astype(numpy.uint32) << 8) + out[self.ip + k + 1] for k in range(0, 20, 2))
        total = (total & 0xFFFF) + (total >> 16)
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        out[self.ip + 10], out[self.ip + 11] = total >> 8, total & 0xFF
        return out

    HEAD = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)

    def write(self, out, size, seconds):
        """A capture of a size that goes over some time; its last moment."""
        rounds = max(1, math.ceil(size / len(self.bytes)))
        every = max(seconds / rounds, self.seconds + 1)
        out.write(self.HEAD)
        for number in range(rounds):
            out.write(memoryview(self.round(number, START + number * every)))
        return rounds, START + rounds * every


def make(gillnet, replay, size, hours, folder, about):
    """Records the replayed packets to a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = []
    for number in range(SERVICES):
        address, name, namespace = service(number)
        names.append({"address": f"{address}:{replay.port}", "name": name, "namespace": namespace, "service": name, "pod": f"{name}-0"})
    with tempfile.TemporaryDirectory(dir=folder.parent) as data:
        config = pathlib.Path(data, "gillnet.yaml")
        variables = {"RECORDING_KFL": "http", "GCS_BUCKET": f"file://{folder}"}
        # nothing is dropped where packets come faster than they are packed
        config.write_text(json.dumps({"dataDir": f"{data}/data", "names": {"static": names}, "recording": {"index": True},
                                      "spool": {"limit": "200Gi"}, "scripting": {"env": variables}}))
        command = [gillnet, "--config", config, "worker", "-r", "-", "--metrics", "127.0.0.1:0"]
        began = time.monotonic()
        with open(f"{data}/log", "wb") as log, open(f"{data}/log") as said:
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
            rounds, end = replay.write(worker.stdin, size, hours * 3600)
            worker.stdin.close()
            worker.wait()
            lines = said.read().splitlines()
        warnings = [line for line in lines if "WARN" in line]
        print(*warnings, sep="\n", end="\n" if warnings else "", file=sys.stderr)
        if worker.returncode != 0 or any("did not reach their bucket" in line for line in warnings):
            raise SystemExit("the bucket could not be recorded")
        taken = time.monotonic() - began
    captured = rounds * len(replay.bytes)
    folder.joinpath("bench.json").write_text(json.dumps({**about, "captured": captured, "end": end, "seconds": taken}))


def sizes(folder, part):
    return sum(path.stat().st_size for path in folder.joinpath(part).rglob("*") if path.is_file())


def ask(gillnet, runs, *arguments, env=None):
    """Medians of the times to the first line and to the end; bytes read and stored; the lines."""
    firsts, ends = [], []
    for _ in range(runs):
        began = time.monotonic()
        process = subprocess.Popen([gillnet, "-v", "query", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        said = []
        reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
        reader.start()
        lines = [process.stdout.readline()]
        firsts.append(time.monotonic() - began)
        lines += process.stdout.readlines()
        code = process.wait()
        ends.append(time.monotonic() - began)
        reader.join()
        if code not in (0, 3):
            raise SystemExit(f"gillnet query {arguments} ended with {code}: {said[0]}")
    words = next(line for line in said[0].splitlines() if " bytes (" in line).split("read ")[1].split()
    return statistics.median(firsts), statistics.median(ends), int(words[0]), int(words[2]), [json.loads(line) for line in lines if line]


def duck(runs, text):
    """The median of DuckDB's times, and its rows."""
    taken = []
    for _ in range(runs):
        with duckdb.connect(config={"threads": 2}) as connection:
            began = time.monotonic()
            rows = connection.execute(text).fetchall()
            taken.append(time.monotonic() - began)
    return statistics.median(taken), rows


def tshark(path, *arguments):
    """tshark's time on a capture, and its lines."""
    began = time.monotonic()
    out = subprocess.run(["tshark", "-n", "-r", path, *arguments], check=True, capture_output=True, text=True).stdout
    return time.monotonic() - began, out.splitlines()


def utc(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Emulator:
    """The folder behind Google Cloud Storage's API."""

    def __init__(self, folder, home):
        data = home / "gcs"
        data.mkdir()
        command = [sys.executable, ROOT / "crates/testkit/gcs/gcs_proxy.py", "--listen", "127.0.0.1:0", "--data", data, "--until-stdin-closes"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.ask("POST", "/__proxy/bucket", b'{"name": "flights"}')
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.ask("PUT", f"/flights/{urllib.parse.quote(str(path.relative_to(folder)))}", path.read_bytes())

    def ask(self, method, path, body):
        with urllib.request.urlopen(urllib.request.Request(self.url + path, body, method=method)) as answer:
            answer.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


class Report:
    """Prints figures, and which of them miss their bars."""

    def __init__(self):
        self.missed = 0

    def line(self, what, value, bar=None, ok=None):
        mark = "" if bar is None else f"   bar {bar}: {'ok' if ok else 'MISSED'}"
        self.missed += bar is not None and not ok
        print(f"  {what:<46}{value}{mark}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gillnet", type=os.path.abspath)
    parser.add_argument("captures", nargs="+", type=os.path.abspath)
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--hours", type=float, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--bucket", type=lambda text: pathlib.Path(text).absolute(), help="folder to make the bucket in, or that has it")
    parser.add_argument("--skip", default="", help="gs, tshark, or both")
    options = parser.parse_args()
    skipped = options.skip.split(",")
    replay = Replay(options.captures)
    with tempfile.TemporaryDirectory(prefix="gillnet-store-", dir=options.bucket and options.bucket.parent) as home:
        home = pathlib.Path(home)
        folder = options.bucket or home / "bucket"
        about = {"captures": [[path, os.path.getsize(path)] for path in options.captures], "gigabytes": options.gigabytes, "hours": options.hours}
        noted = folder / "bench.json"
        known = json.loads(noted.read_text()) if noted.is_file() else {}
        if any(known.get(name) != value for name, value in about.items()):
            make(options.gillnet, replay, int(options.gigabytes * 1e9), options.hours, folder, about)
        missed = measure(options, replay, folder, home, skipped)
    raise SystemExit(1 if missed else 0)


def measure(options, replay, folder, home, skipped):
    report, gillnet, runs = Report(), options.gillnet, options.runs
    made = json.loads((folder / "bench.json").read_text())
    parts = {part: sizes(folder, part) for part in ("packets", "entries", "streams", "names")}
    stored, index = sum(parts.values()), parts["entries"] + parts["streams"]
    everything = duckdb.sql(f"SELECT count(*) FROM read_parquet('{folder}/entries/**/*.parquet', union_by_name = true)").fetchall()[0][0]
    print(f"the bucket: {made['captured'] / 1e9:.2f} GB captured, {everything:,} entries, recorded in {made['seconds']:.0f} s")
    report.line("stored", f"{stored / 1e6:.1f} MB: " + ", ".join(f"{part} {size / 1e6:.1f}" for part, size in parts.items()))
    share = index / made["captured"]
    report.line("index of what was captured", f"{share:.2%}", f"{BARS['index of captured']:.0%}", share <= BARS["index of captured"])
    report.line("index of what is stored", f"{index / stored:.1%}")

    # five minutes in the middle, within one hour
    middle = (START + made["end"]) / 2
    since = middle - middle % 3600 + 1800
    since, until = utc(since), utc(since + 300)
    hour = f"date = '{since[:10]}' AND hour = '{since[11:13]}'"
    files = f"read_parquet('{folder}/entries/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)"
    of_range = f"""SELECT timestamp, "src.ip", method, summary, statusCode FROM {files} WHERE {hour} AND protocol = 'http' AND statusCode >= 500
        AND "dst.namespace" = 'shop' AND timestamp >= '{since}' AND timestamp < '{until}' ORDER BY timestamp"""
    of_whole = f"""SELECT "dst.service", quantile_cont(elapsedTime, 0.99) FROM {files} WHERE protocol = 'http' GROUP BY 1"""
    asked = {
        "range": (FILTER, "{bucket}", "--since", since, "--until", until, "--columns", "startTime,src.ip,method,path,status"),
        "whole": ("http", "{bucket}", "--by", "dst.service", "--measure", "p99"),
    }
    heads = {"range": f"{FILTER} in {since} to {until}", "whole": "p99 by service over everything"}
    duckdbs = {"range": duck(runs, of_range), "whole": duck(runs, of_whole)}
    slow = {} if "tshark" in skipped else by_tshark(replay, made["captured"], home)
    emulator = None if "gs" in skipped else Emulator(folder, home)
    try:
        for name, arguments in asked.items():
            print(heads[name])
            first, end, read, total, rows = ask(gillnet, runs, *(word.format(bucket=f"file://{folder}") for word in arguments))
            report.line("gillnet, file://", f"{end:.3f} s, first row after {first:.3f} s, {len(rows):,} rows")
            limit = BARS[f"{name} share"]
            report.line("bytes read", f"{read:,} of {total:,} ({read / total:.2%})", f"{limit:.0%}", read <= limit * total)
            taken, expected = duckdbs[name]
            if name == "range" and len(expected) != len(rows):
                raise SystemExit(f"DuckDB has {len(expected)} rows, gillnet {len(rows)}")
            if name == "whole":
                p99 = {row["dst.service"] or "": row["p99"] for row in rows}
                wrong = [(key, value, p99.get(key)) for key, value in expected if abs(p99.get(key, -1e9) - value) > value * 0.011 + 1]
                if wrong or len(p99) != len(expected):
                    raise SystemExit(f"DuckDB has other percentiles: {wrong[:3]}")
            report.line("DuckDB, file://", f"{taken:.3f} s; gillnet takes {end / taken:.2f} of it", BARS["duckdb"], end <= BARS["duckdb"] * taken)
            if name in slow:
                report.line("tshark, from 1 GB to all", f"{slow[name]:.0f} s; gillnet is {slow[name] / end:,.0f} × faster", BARS["tshark"], slow[name] >= BARS["tshark"] * end)
            if emulator:
                env = {"STORAGE_EMULATOR_HOST": emulator.url}
                words = (word.format(bucket="gs://flights/") for word in arguments)
                first, end, read, total, _ = ask(gillnet, 1, *words, "--anonymous", env=env)
                report.line("gillnet, gs:// of the emulator", f"{end:.3f} s, first row after {first:.3f} s, {read / total:.2%} read")
    finally:
        if emulator:
            emulator.close()
    return report.missed


def by_tshark(replay, captured, home):
    """What both questions take tshark, from a gigabyte of the packets to all of them."""
    path = home / "packets.pcap"
    size = min(10**9, captured)
    with open(path, "wb") as out:
        replay.write(out, size, 3600)
    scale = captured / path.stat().st_size
    shop = " or ".join(f"ip.src == {service(number)[0]}" for number in SHOP)
    some = f"http.response.code >= 500 and ({shop}) and frame.time_epoch >= {START + 600} and frame.time_epoch < {START + 900}"
    fields = ("-T", "fields", "-e", "ip.src", "-e", "http.time")
    ranged, _ = tshark(path, "-Y", some, *fields)
    began = time.monotonic()
    _, lines = tshark(path, "-Y", "http.time", *fields)
    times = {}
    for line in lines:
        address, taken = line.split("\t")[:2]
        times.setdefault(address, []).append(float(taken.split(",")[0]))
    for values in times.values():
        values.sort()
    whole = time.monotonic() - began
    path.unlink()
    return {"range": ranged * scale, "whole": whole * scale}


if __name__ == "__main__":
    main()
