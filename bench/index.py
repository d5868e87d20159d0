#!/usr/bin/env python3
"""What the index costs a recorder.

    index.py GILLNET CAPTURE [KFL] [--runs 10] [--live] [--rate 40000]

`gillnet worker` records the capture to a folder under one rule, in turns without an index and with one. With `--live` (root)
the capture is replayed over a veth pair between two network namespaces, at so many frames a second, and captured there;
without it, the file is read.

CPU is user and system time of the whole process. Only some threads have to do with the index: those that seal, compress
and upload. Of two runs the others take more or less by chance, by more than what is to be shown: so what an index costs is
what these threads take more, and it is set against the whole. The bar is 10 % of what a recorder without an index takes.
"""
import argparse, contextlib, json, os, pathlib, signal, statistics, subprocess, tempfile, threading, time

BAR = 0.10
SPACES = {"gnsender": "gnis", "gnrecorder": "gnir"}
# as /proc has them
THREADS = ("spool seal", "spool pack", "spool upload")


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
        self.threads = {}
        self.watch = threading.Thread(target=self.look)
        self.watch.start()

    def look(self):
        """Notes what each of these threads took so far (proc_pid_schedstat(5)), as long as there are any. It looks often, so
        that it misses little at their end, and at no others: looking takes time as well, and caches."""
        tasks = pathlib.Path("/proc", str(self.process.pid), "task")
        known, looks = {}, 0
        while os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if looks % 20 == 0:
                for thread in set(os.listdir(tasks)) - known.keys():
                    with contextlib.suppress(OSError):
                        known[thread] = (tasks / thread / "comm").read_text().strip()
            looks += 1
            for thread in (thread for thread, name in known.items() if name in THREADS):
                with contextlib.suppress(OSError):
                    self.threads[thread] = int((tasks / thread / "schedstat").read_text().split()[0]) / 1e9
            time.sleep(0.01)

    def spent(self):
        """Waits for its end; the CPU that it took, and that of the threads that have to do with an index."""
        self.watch.join()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            raise SystemExit("the worker failed")
        return usage.ru_utime + usage.ru_stime, sum(self.threads.values())

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


def replay(worker, options):
    """Has a worker capture what is replayed."""
    (sender, out), (recorder, into) = SPACES.items()
    worker.start("-i", into, within=("ip", "netns", "exec", recorder))
    time.sleep(1.5)
    replay = ["ip", "netns", "exec", sender, "tcpreplay", "-q", "-K", "-i", out, "--pps", str(options.rate), options.capture]
    subprocess.run(replay, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    worker.process.send_signal(signal.SIGTERM)


def run(options, index):
    """CPU, that of the threads that have to do with an index, entries in the bucket, and bytes of its parts."""
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(options, index, folder)
        if options.live:
            replay(worker, options)
        else:
            worker.start("-r", options.capture)
        return *worker.spent(), *worker.recorded()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gillnet", type=os.path.abspath)
    parser.add_argument("capture", type=os.path.abspath)
    parser.add_argument("kfl", nargs="?", default="http or dns")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--rate", type=int, default=40000)
    options = parser.parse_args()
    runs = {False: [], True: []}
    if options.live:
        plug()
    try:
        for number in range(options.runs):
            for index in (False, True) if number % 2 == 0 else (True, False):
                runs[index].append(run(options, index))
            print("without and with an index: {:.2f} and {:.2f} s, of which {:.2f} and {:.2f} s to seal".format(*(runs[index][-1][what] for what in (0, 1) for index in (False, True))), flush=True)
    finally:
        if options.live:
            unplug()
    whole, sealing, entries, _ = ({index: [run[what] for run in runs[index]] for index in runs} for what in range(4))
    mean = {index: statistics.mean(whole[index]) for index in whole}
    print(f"recording `{options.kfl}`{' live' if options.live else ''}: {mean[False]:.2f} s of CPU a run, {min(entries[False])} to {max(entries[False])} entries")
    print(f"with an index: {mean[True]:.2f} s, {min(entries[True])} to {max(entries[True])} entries; {runs[True][-1][3]}")

    def more(taken):
        """What the runs with an index took more, and the standard error of that."""
        error = sum(statistics.variance(of) / len(of) for of in taken.values()) ** 0.5 if options.runs > 1 else float("nan")
        return statistics.mean(taken[True]) - statistics.mean(taken[False]), error

    for name, taken in (("the whole process", whole), (", ".join(THREADS), sealing)):
        cost, error = more(taken)
        print(f"{name}: {cost:+.3f} s +- {error:.3f}: {cost / mean[False]:+.1%} of a recorder without an index, {cost / (mean[False] + cost):.1%} of one with it")
    cost, _ = more(sealing)
    print(f"{cost / mean[False]:+.1%} (bar {BAR:+.0%}), {cost / statistics.mean(entries[True]) * 1e6:.2f} us an entry")
    raise SystemExit(0 if cost / mean[False] <= BAR else 1)


if __name__ == "__main__":
    main()
