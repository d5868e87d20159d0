#!/usr/bin/env python3
"""Times gillnet and its peers on the same captures in one run.

    run.py GILLNET FLOOR FOLDER [--runs 5] [--skip-slow]

For each capture of FOLDER (http1_small, http1_conn, http1_large): `gillnet query http FILE --count`, the floor program,
httpry, tshark's extraction of method, URI and status, and gillnet's JSON. The programs take turns; each figure is the
median of the runs' CPU seconds (user and system), beside it GB/s, packets/s, entries/s, the largest RssAnon, and ratios.
What programs print goes to /dev/null, where httpry's goes too; what it costs to hand JSON on through a pipe is a row apart.
"""
import argparse, os, shutil, statistics, struct, subprocess, sys, threading, time

BARS = {"http1_small": {"floor": 2.0, "httpry": 5.0}, "http1_conn": {"floor": 3.0, "httpry": 3.5}, "http1_large": {"floor": 2.0}}


def run(command, piped):
    """CPU seconds, wall seconds, largest RssAnon in bytes, end of the standard output if it is piped."""
    before = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE if piped else subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    anon = [0]

    def watch():
        while process.returncode is None:
            try:
                for line in open(f"/proc/{process.pid}/status"):
                    if line.startswith("RssAnon"):
                        anon[0] = max(anon[0], int(line.split()[1]) * 1024)
            except (OSError, ProcessLookupError):
                return
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    tail = b""
    while piped and (chunk := process.stdout.read1(1 << 20)):
        tail = (tail + chunk)[-64:]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    if process.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - before, anon[0], tail.decode(errors="replace").strip()


def packets(path):
    """Frames of a classic capture in native byte order."""
    count, size = 0, os.path.getsize(path)
    with open(path, "rb") as file:
        at = 24
        while at + 16 <= size:
            file.seek(at + 8)
            at += 16 + struct.unpack("<I", file.read(4))[0]
            count += 1
    return count


def programs(options, path):
    query = [options.gillnet, "query", "http", path]
    yield "gillnet --count", [*query, "--count"], options.runs, True
    yield "floor", [options.floor, path], options.runs, False
    yield "gillnet 3 columns", [*query, "--columns", "method,url,status"], options.runs, False
    yield "gillnet jsonl", query, options.runs, False
    yield "gillnet jsonl, pipe", query, options.runs, True
    if shutil.which("httpry"):
        yield "httpry", ["httpry", "-q", "-r", path, "-o", "/dev/null"], options.runs, False
    if not options.skip_slow:
        fields = ["-e", "http.request.method", "-e", "http.request.uri", "-e", "http.response.code"]
        yield "tshark", ["tshark", "-n", "-r", path, "-Y", "http", "-T", "fields", *fields], 1, False


def bench(options, name, path):
    rounds, figures = list(programs(options, path)), {}
    for turn in range(options.runs):
        for title, command, times, piped in rounds:
            if turn < times:
                figures.setdefault(title, []).append(run(command, piped))
    size, frames = os.path.getsize(path), packets(path)
    entries = int(figures["gillnet --count"][0][3] or 0)
    print(f"\n{name}: {size / 1e9:.2f} GB, {frames} packets, {entries} entries")
    print(f"{'program':<20}{'CPU s':>9}{'min':>9}{'max':>9}{'GB/s':>8}{'Mpkt/s':>8}{'kentry/s':>10}{'RssAnon MiB':>13}{'x gillnet':>11}")
    cpu = {title: statistics.median(f[0] for f in runs) for title, runs in figures.items()}
    for title, runs in figures.items():
        t, all_cpu = cpu[title], [f[0] for f in runs]
        print(f"{title:<20}{t:>9.3f}{min(all_cpu):>9.3f}{max(all_cpu):>9.3f}{size / 1e9 / t:>8.2f}{frames / 1e6 / t:>8.2f}{entries / 1e3 / t:>10.0f}"
              f"{max(f[2] for f in runs) / (1 << 20):>13.1f}{t / cpu['gillnet --count']:>11.2f}")
    ours = cpu["gillnet --count"]
    print(f"  against the floor {ours / cpu['floor']:.2f} (at most {BARS[name]['floor']})", end="")
    print(f"; columns cost {cpu['gillnet 3 columns'] / ours - 1:+.0%} (at most +15%); jsonl {cpu['gillnet jsonl'] / cpu['floor']:.2f} x floor (at most 6)", end="")
    for peer in ("httpry", "tshark"):
        bar = 100 if peer == "tshark" else BARS[name].get(peer)
        if peer in cpu and bar:
            print(f"; {peer} {cpu[peer] / ours:.1f} x (at least {bar})", end="")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("gillnet", "floor", "folder"):
        parser.add_argument(name)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--skip-slow", action="store_true", help="without tshark, which takes minutes")
    options = parser.parse_args()
    for name in BARS:
        path = os.path.join(options.folder, name + ".pcap")
        if os.path.exists(path):
            bench(options, name, path)


main()
