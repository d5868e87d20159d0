#!/usr/bin/env python3
"""What the index costs a recorder.

    index.py GILLNET CAPTURE [KFL] [--runs 9] [--live] [--rate 40000]

`gillnet worker` records the capture to a folder under one rule, in turns without an index and with one. With `--live` (root)
the capture is replayed over a veth pair between two network namespaces, at so many frames a second, and the worker captures
it there; else it reads the file. CPU is user and system time of the whole process, medians of the runs; the bar is 10 % more.
"""
import argparse, json, os, pathlib, resource, signal, statistics, subprocess, tempfile, time

BAR = 0.10
SPACES = {"gnsender": "gnis", "gnrecorder": "gnir"}


def spent():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def unplug():
    for space in SPACES:
        subprocess.run(["ip", "netns", "del", space], stderr=subprocess.DEVNULL)


def plug():
    unplug()
    ip = lambda *words: subprocess.run(["ip", *words], check=True)
    for space in SPACES:
        ip("netns", "add", space)
    (a, at_a), (b, at_b) = SPACES.items()
    ip("link", "add", at_a, "netns", a, "type", "veth", "peer", "name", at_b, "netns", b)
    for space, interface in SPACES.items():
        ip("-n", space, "link", "set", interface, "up", "mtu", "9000")


def replayed(command, capture, rate):
    """CPU of a worker while the capture is replayed, without that of the replay."""
    (sender, out), (recorder, into) = SPACES.items()
    before = spent()
    worker = subprocess.Popen(["ip", "netns", "exec", recorder, *command, "-i", into], stderr=subprocess.DEVNULL)
    time.sleep(1.5)
    replay = ["ip", "netns", "exec", sender, "tcpreplay", "-q", "-K", "-i", out, "--pps", str(rate), capture]
    at = spent()
    subprocess.run(replay, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    replaying = spent() - at
    time.sleep(1)
    worker.send_signal(signal.SIGTERM)
    if worker.wait():
        raise SystemExit("the worker failed")
    return spent() - before - replaying


def cpu(options, index):
    """CPU, entries in the bucket, and bytes of its parts."""
    with tempfile.TemporaryDirectory() as folder:
        config, bucket = pathlib.Path(folder, "gillnet.yaml"), pathlib.Path(folder, "bucket")
        variables = {"RECORDING_KFL": options.kfl, "GCS_BUCKET": f"file://{bucket}"}
        recording = {"dataDir": f"{folder}/data", "recording": {"index": index}, "scripting": {"env": variables}}
        config.write_text(json.dumps(recording))
        worker = [options.gillnet, "--config", config, "worker"]
        if options.live:
            taken = replayed(worker, options.capture, options.rate)
        else:
            before = spent()
            subprocess.run([*worker, "-r", options.capture], check=True, stderr=subprocess.DEVNULL)
            taken = spent() - before
        size = lambda part: sum(file.stat().st_size for file in (bucket / part).rglob("*") if file.is_file())
        count = [options.gillnet, "query", options.kfl, bucket, "--count"]
        entries = int(subprocess.run(count, check=True, capture_output=True, text=True).stdout)
        return taken, entries, {part: size(part) for part in ("packets", "entries", "streams")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gillnet", type=os.path.abspath)
    parser.add_argument("capture", type=os.path.abspath)
    parser.add_argument("kfl", nargs="?", default="http or dns")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--rate", type=int, default=40000)
    options = parser.parse_args()
    taken, entries = {False: [], True: []}, {False: set(), True: set()}
    if options.live:
        plug()
    try:
        for _ in range(options.runs):
            for index in taken:
                seconds, count, sizes = cpu(options, index)
                taken[index].append(seconds)
                entries[index].add(count)
    finally:
        if options.live:
            unplug()
    without, having = (statistics.median(taken[index]) for index in (False, True))
    print(f"recording `{options.kfl}`{' live' if options.live else ''}: {without:.2f} s of CPU, {min(entries[False])} to {max(entries[False])} entries")
    print(f"with an index: {having:.2f} s, {min(entries[True])} to {max(entries[True])} entries; {sizes}")
    least = [min(taken[index]) for index in (False, True)]
    print(f"shortest: {least[0]:.2f} and {least[1]:.2f} s, {least[1] / least[0] - 1:+.1%}")
    more = having / without - 1
    print(f"{more:+.1%} (bar {BAR:+.0%}), {(having - without) / max(entries[True]) * 1e6:.2f} us an entry")
    raise SystemExit(0 if more <= BAR else 1)


if __name__ == "__main__":
    main()
