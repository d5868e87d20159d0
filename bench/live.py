#!/usr/bin/env python3
"""What capturing costs a host: `gillnet worker` that records `http`, beside `tcpdump -w` and no capture at all.

    live.py GILLNET [--runs 7] [--seconds 8] [--connections 16] [--size 1000]

Two network namespaces joined by a veth pair, nginx in one, h2load in the other, at half the rate of requests that it
reaches uncaptured. The three take turns; each figure is the median of the runs. CPU is user and system time of the
capturing process from before the load until all frames are taken in; of gillnet that of its shard, which takes frames,
reassembles, dissects, filters and hands over to the recorder, and of what provides the ring's pages ahead of it; what
seals, compresses and uploads stands beside.
"""
import argparse, json, os, pathlib, re, shutil, signal, statistics, subprocess, tempfile, time

SERVER, CLIENT, PORT = "10.78.0.1", "10.78.0.2", 8080
# times of tcpdump's: of CPU a frame, and of the workload's 99th percentile of latency
BARS = {"cpu": 4.0, "p99": 1.10}
TICK = os.sysconf("SC_CLK_TCK")

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1; user root;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 100000000; keepalive_timeout 300s; sendfile on; tcp_nopush on;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen {server}:{port}; root {folder}/www; }}
}}
"""


class Pair:
    """Two namespaces and the veth pair between them, with nginx at one end."""

    def __init__(self, folder, size):
        self.folder = folder
        self.names = [f"gnb{os.getpid()}{end}" for end in "ab"]
        for name in self.names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        self.run(0, "ip", "link", "add", "gn0", "type", "veth", "peer", "name", "gn1", "netns", self.names[1])
        for end, address in enumerate((SERVER, CLIENT)):
            self.run(end, "ip", "addr", "add", f"{address}/24", "dev", f"gn{end}")
            self.run(end, "ip", "link", "set", f"gn{end}", "up")
            self.run(end, "ip", "link", "set", "lo", "up")
        (folder / "www").mkdir()
        (folder / "www/page.json").write_text(json.dumps({"text": "x" * size}))
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, server=SERVER, port=PORT))
        self.nginx = self.start(0, "nginx", "-c", config)
        self.url = f"http://{SERVER}:{PORT}/page.json"
        wait_for("nginx", lambda: self.run(1, "curl", "-sf", "-o", "/dev/null", self.url, check=False).returncode == 0)

    def command(self, end, *command):
        return ["ip", "netns", "exec", self.names[end], *map(str, command)]

    def run(self, end, *command, check=True):
        return subprocess.run(self.command(end, *command), check=check, capture_output=True, text=True)

    def start(self, end, *command, log=None):
        out = open(self.folder / log, "wb") if log else subprocess.DEVNULL
        return subprocess.Popen(self.command(end, *command), stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def frames(self):
        """Frames that passed the server's end of the pair, both ways."""
        links = json.loads(self.run(0, "ip", "-j", "-s", "link", "show", "gn0").stdout)
        return sum(links[0]["stats64"][way]["packets"] for way in ("rx", "tx"))

    def load(self, connections, seconds, rate=None):
        """Requests a second that were reached, and the 99th percentile of latency in ms."""
        log = self.folder / "load/latencies"
        log.parent.mkdir(exist_ok=True)
        log.unlink(missing_ok=True)
        limit = [f"--rps={rate / connections:.2f}"] if rate else []
        out = self.run(1, "h2load", "--h1", "-t1", "-c", connections, "-D", seconds, *limit, "--log-file", log, self.url).stdout
        # a request a line: when it began, its status, microseconds until its end
        answers = [line.split() for line in log.read_text().splitlines()]
        if not answers or any(status != "200" for _, status, _ in answers):
            raise SystemExit(f"h2load did not get what it asked for:\n{out}")
        latencies = sorted(int(time) for _, _, time in answers)
        return len(answers) / seconds, latencies[int(len(latencies) * 0.99)] / 1000

    def close(self):
        stop(self.nginx)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def wait_for(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds} s in vain for {what}")
        time.sleep(0.05)


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def threads(pid):
    """CPU seconds by a thread's name; `` is the whole process, threads that ended included."""
    found = {"": sum(stat(f"/proc/{pid}/stat"))}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            found[name] = found.get(name, 0) + sum(stat(task / "stat"))
        except OSError:
            continue  # it ended meanwhile: it is in the whole
    return found


def stat(path):
    fields = pathlib.Path(path).read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICK, int(fields[12]) / TICK


class Nothing:
    """No capture."""

    title = "uncaptured"

    def __init__(self, pair, options):
        pass

    def figures(self):
        return {}

    def stop(self):
        return {}


class Tcpdump:
    title = "tcpdump -w"

    def __init__(self, pair, options):
        self.target = pair.folder / "tcpdump.pcap"
        self.log = pair.folder / "tcpdump.log"
        # the kernel's ring as large as gillnet's usual one
        self.process = pair.start(0, "tcpdump", "-i", "gn0", "-n", "-B", 64 << 10, "-w", self.target, log=self.log.name)
        wait_for("tcpdump", lambda: b"listening on" in self.log.read_bytes())

    def figures(self):
        return {"cpu": threads(self.process.pid)[""]}

    def stop(self):
        stop(self.process)
        self.target.unlink()
        said = dict((what, int(n)) for n, what in re.findall(r"(\d+) packets (captured|dropped by kernel)", self.log.read_text()))
        return {"captured": said["captured"], "dropped": said["dropped by kernel"]}


class Gillnet:
    title = "gillnet worker"

    def __init__(self, pair, options):
        self.pair = pair
        self.data, self.bucket = pair.folder / "data", pair.folder / "bucket"
        config, self.log = pair.folder / "gillnet.yaml", pair.folder / "gillnet.log"
        variables = {"RECORDING_KFL": "http", "GCS_BUCKET": f"file://{self.bucket}"}
        config.write_text(json.dumps({"dataDir": str(self.data), "recording": {"flush": "5s"}, "scripting": {"env": variables}}))
        self.process = pair.start(0, options.gillnet, "--config", config, "worker", "-i", "gn0", log=self.log.name)
        wait_for("gillnet", lambda: b"capturing on" in self.log.read_bytes())
        time.sleep(0.5)

    def metric(self, name):
        text = self.pair.run(0, "curl", "-sf", "http://127.0.0.1:49100/metrics").stdout
        return int(re.search(rf"^gillnet_{re.escape(name)} (\d+)$", text, re.M)[1])

    def figures(self):
        by = threads(self.process.pid)
        taking = by["shard"] + by["ring"]
        return {"cpu": taking, "beside": by[""] - taking}

    def stop(self):
        found = {"captured": self.metric("received_packets_total"), "dropped": self.metric('drops_total{reason="kernel"}')}
        found["lost in the recorder"] = self.metric("recorder_queue_dropped_packets_total")
        stop(self.process)
        shutil.rmtree(self.data)
        shutil.rmtree(self.bucket)
        return found


def measure(kind, pair, options, rate):
    capture = kind(pair, options)
    passed, before = pair.frames(), capture.figures()
    reached, p99 = pair.load(options.connections, options.seconds, rate)
    time.sleep(1)  # for what the kernel still holds back
    passed, after = pair.frames() - passed, capture.figures()
    found = {"frames": passed, "rate": reached, "p99": p99, **{name: after[name] - before[name] for name in after}}
    return {**found, **capture.stop()}


def report(runs):
    title = f"{'':<16}{'frames':>10}{'captured':>10}{'dropped':>9}{'req/s':>8}{'p99 ms':>9}{'CPU µs/frame':>14}{'beside':>9}"
    print(f"{title}\n{'-' * len(title)}")
    medians = {}
    for kind, all_of in runs.items():
        middle = medians[kind] = {name: statistics.median(run[name] for run in all_of) for name in all_of[0]}
        per_frame = [f"{middle[name] / middle['frames'] * 1e6:.3f}" if name in middle else "" for name in ("cpu", "beside")]
        shown = [str(int(middle[name])) if name in middle else "" for name in ("captured", "dropped")]
        print(f"{kind:<16}{int(middle['frames']):>10}{shown[0]:>10}{shown[1]:>9}{middle['rate']:>8.0f}{middle['p99']:>9.2f}{per_frame[0]:>14}{per_frame[1]:>9}")
    ours, theirs = medians["gillnet worker"], medians["tcpdump -w"]
    lost = sum(run["dropped"] + run["lost in the recorder"] for run in runs["gillnet worker"])
    cpu = ours["cpu"] / ours["frames"] / (theirs["cpu"] / theirs["frames"])
    p99 = ours["p99"] / theirs["p99"]
    print(f"\nlost in all runs: {lost} frames (bar 0)\nCPU a frame: {cpu:.2f} x tcpdump's (bar {BARS['cpu']})\n"
          f"p99: {p99:.2f} x that beside tcpdump (bar {BARS['p99']})")
    return lost == 0 and cpu <= BARS["cpu"] and p99 <= BARS["p99"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gillnet", type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--size", type=int, default=1000, help="bytes of a response's body")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(pathlib.Path(folder), options.size)
        try:
            rate = statistics.median(pair.load(options.connections, 4)[0] for _ in range(3)) / 2
            print(f"half the measured maximum: {rate:.0f} requests a second over {options.connections} connections")
            runs = {}
            for _ in range(options.runs):
                for kind in (Gillnet, Tcpdump, Nothing):
                    runs.setdefault(kind.title, []).append(measure(kind, pair, options, rate))
        finally:
            pair.close()
    raise SystemExit(0 if report(runs) else 1)


if __name__ == "__main__":
    main()
