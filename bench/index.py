#!/usr/bin/env python3
"""What the index costs a recorder.

    index.py GILLNET CAPTURE [KFL] [--runs 10] [--live] [--rate 40000]

`gillnet worker` records the capture to a folder under one rule, without an index and with one. With `--live` (root) the
capture is replayed over a veth pair between two network namespaces, at so many frames a second, and two workers, one of
each kind, capture it there at the same time: what else the machine does, and how fast its processors are just then, is the
same for both. Which starts first alternates, since that one takes some more. Without `--live` they read the file in turns.
CPU is user and system time of the whole process, summed over the runs; the bar is 10 % more.
"""
import argparse, contextlib, json, os, pathlib, signal, statistics, subprocess, tempfile, time

BAR = 0.10
SPACES = {"gnsender": "gnis", "gnrecorder": "gnir"}


class Worker:
    """A recorder with a folder of its own."""

    def __init__(self, options, index, folder):
        self.options, self.bucket = options, pathlib.Path(folder, "bucket")
        config = pathlib.Path(folder, "gillnet.yaml")
        variables = {"RECORDING_KFL": options.kfl, "GCS_BUCKET": f"file://{self.bucket}"}
        config.write_text(json.dumps({"dataDir": f"{folder}/data", "recording": {"index": index}, "scripting": {"env": variables}}))
        self.command = [options.gillnet, "--config", config, "worker"]

    def start(self, *words, within=()):
        self.process = subprocess.Popen([*within, *self.command, *words], stderr=subprocess.DEVNULL)

    def spent(self):
        """Waits for its end; the CPU that it took."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            raise SystemExit("the worker failed")
        return usage.ru_utime + usage.ru_stime

    def recorded(self):
        """Entries in the bucket, and bytes of its parts."""
        size = lambda part: sum(file.stat().st_size for file in (self.bucket / part).rglob("*") if file.is_file())
        count = [self.options.gillnet, "query", self.options.kfl, self.bucket, "--count"]
        entries = int(subprocess.run(count, check=True, capture_output=True, text=True).stdout)
        return entries, {part: size(part) for part in ("packets", "entries", "streams")}


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


def replayed(workers, options):
    """CPU of each worker while the capture is replayed."""
    (sender, out), (recorder, into) = SPACES.items()
    for worker in workers:
        worker.start("-i", into, within=("ip", "netns", "exec", recorder))
    time.sleep(1.5)
    replay = ["ip", "netns", "exec", sender, "tcpreplay", "-q", "-K", "-i", out, "--pps", str(options.rate), options.capture]
    subprocess.run(replay, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    for worker in workers:
        worker.process.send_signal(signal.SIGTERM)
    return [worker.spent() for worker in workers]


def read(workers, options):
    """CPU of each worker while it reads the capture."""
    taken = []
    for worker in workers:
        worker.start("-r", options.capture)
        taken.append(worker.spent())
    return taken


def run(options, kinds):
    """By whether there is an index: CPU, entries in the bucket, and bytes of its parts."""
    with contextlib.ExitStack() as folders:
        workers = [Worker(options, index, folders.enter_context(tempfile.TemporaryDirectory())) for index in kinds]
        taken = (replayed if options.live else read)(workers, options)
        return {index: (seconds, *worker.recorded()) for index, seconds, worker in zip(kinds, taken, workers)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gillnet", type=os.path.abspath)
    parser.add_argument("capture", type=os.path.abspath)
    parser.add_argument("kfl", nargs="?", default="http or dns")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--rate", type=int, default=40000)
    options = parser.parse_args()
    runs = []
    if options.live:
        plug()
    try:
        for number in range(options.runs):
            runs.append(run(options, (False, True) if number % 2 == 0 else (True, False)))
            print("without and with an index: {:.2f} and {:.2f} s".format(*(runs[-1][index][0] for index in (False, True))), flush=True)
    finally:
        if options.live:
            unplug()
    taken = {index: [run[index][0] for run in runs] for index in (False, True)}
    entries = {index: [run[index][1] for run in runs] for index in (False, True)}
    without, having = (sum(taken[index]) for index in (False, True))
    print(f"recording `{options.kfl}`{' live' if options.live else ''}: {without / len(runs):.2f} s of CPU a run, {min(entries[False])} to {max(entries[False])} entries")
    print(f"with an index: {having / len(runs):.2f} s, {min(entries[True])} to {max(entries[True])} entries; {runs[-1][True][2]}")
    # which starts first costs: two runs that follow each other are one measure
    pairs = [sum(taken[True][at:at + 2]) / sum(taken[False][at:at + 2]) - 1 for at in range(0, len(runs) - 1, 2)]
    if len(pairs) > 1:
        error = statistics.stdev(pairs) / len(pairs) ** 0.5
        print(f"two runs at a time: {', '.join(f'{pair:+.1%}' for pair in pairs)}; standard error of their mean {error:.1%}")
    more = having / without - 1
    print(f"{more:+.1%} (bar {BAR:+.0%}), {(having - without) / sum(entries[True]) * 1e6:.2f} us an entry; {1 - without / having:.1%} of what a recorder with an index takes")
    raise SystemExit(0 if more <= BAR else 1)


if __name__ == "__main__":
    main()
