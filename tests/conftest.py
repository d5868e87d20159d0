"""What the tests stand on: a network namespace, servers and clients in it, buckets, and the binary."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
GCS = ROOT / "crates/testkit/gcs"
EMULATOR = ROOT / "crates/testkit/clouds/emulator.py"


def wait_for(what, condition, seconds=60):
    """Waits until `condition` gives something true, and gives that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


@pytest.fixture(scope="session")
def gillnet():
    binary = os.environ.get("GILLNET")
    assert binary and os.access(binary, os.X_OK), "GILLNET must name the binary to test"
    return str(pathlib.Path(binary).resolve())


class Host:
    """A network namespace with loopback up, and what runs in it."""

    def __init__(self, folder):
        self.folder = folder
        self.name = f"gnt{os.getpid()}-{abs(hash(str(folder))) % 10**6}"
        self.processes = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *command):
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def run(self, *command, check=True, **options):
        options = {"capture_output": True, "text": True, **options}
        return subprocess.run(self.command(*command), check=check, **options)

    def start(self, *command, log=None, env=None, **options):
        out = open(self.folder / log, "ab") if log else subprocess.DEVNULL
        options = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT, **options}
        process = subprocess.Popen(self.command(*command), env={**os.environ, **(env or {})}, **options)
        self.processes.append(process)
        return process

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    yield host
    host.close()


NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1; user root;
events {{ worker_connections 1024; }}
http {{
    types {{ application/json json; text/plain txt; }}
    access_log off; keepalive_requests 1000000; keepalive_timeout 300s;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen {listen}; root {folder}/www;
        location = /broken {{ return 500 '{{"error": "misbehaves"}}'; }}
        location = /created {{ return 201 '{{}}'; }}
    }}
}}
"""


def serve(host, folder, items, unit):
    """nginx on 127.0.0.1:8080 of the host, with items `/0.json`, `/1.json`, …, each `unit` bytes longer than the one before."""
    www = folder / "www"
    www.mkdir()
    for i in range(items):
        (www / f"{i}.json").write_text(json.dumps({"item": i, "text": "x" * unit * i}))
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, listen="8080"))
    host.start("nginx", "-c", config, log="nginx.out")
    url = "http://127.0.0.1:8080"
    wait_for("nginx", lambda: host.run("curl", "-sf", f"{url}/1.json", check=False).returncode == 0)
    return url


@pytest.fixture
def web(host, tmp_path):
    """nginx on 127.0.0.1:8080 of the host."""
    url = serve(host, tmp_path, items=20, unit=40)
    (tmp_path / "www" / "large.txt").write_bytes(os.urandom(3 << 20).hex().encode()[: 3 << 20])
    return url


@pytest.fixture
def dns(host, tmp_path):
    """dnsmasq on 127.0.0.1:53 of the host; it knows *.shop.example and no other name of .example."""
    host.start("dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--listen-address=127.0.0.1",
               "--bind-interfaces", "--address=/shop.example/10.9.8.7", "--local=/example/", "--user=root", log="dnsmasq.out")
    dig = ("dig", "+short", "+tries=1", "+time=1", "@127.0.0.1", "a.shop.example")
    wait_for("dnsmasq", lambda: "10.9.8.7" in host.run(*dig, check=False).stdout)
    return "127.0.0.1"


class Gcs:
    """Google Cloud Storage: the emulator behind the proxy, with a recorder's and a reader's key."""

    def __init__(self, host, folder):
        self.host, self.folder = host, folder
        self.keys = {}
        for name in ("recorder", "reader"):
            self.keys[name] = folder / f"{name}.json"
            with open(self.keys[name], "w") as out:
                subprocess.run([sys.executable, GCS / "make_key.py", "--email", f"{name}@test.iam.gserviceaccount.com"], stdout=out, check=True)
        command = [sys.executable, GCS / "gcs_proxy.py", "--listen", "127.0.0.1:4443", "--bucket", "flights",
                   "--account", f"{self.keys['recorder']}:create", "--account", f"{self.keys['reader']}:get,list"]
        process = host.start(*command, stdout=subprocess.PIPE, stderr=open(folder / "gcs.log", "ab"))
        ready = json.loads(process.stdout.readline())
        self.url, self.emulator = ready["url"], ready["backend"]

    def control(self, path, body=None):
        data = [] if body is None else ["-X", "POST", "-d", json.dumps(body)]
        return json.loads(self.host.run("curl", "-sf", *data, f"{self.url}/__proxy/{path}").stdout or "null")

    def env(self, account):
        return {"STORAGE_EMULATOR_HOST": self.url, "GCS_SA_KEY_JSON": self.keys[account].read_text()}


@pytest.fixture
def gcs(host, tmp_path):
    folder = tmp_path / "gcs"
    folder.mkdir()
    return Gcs(host, folder)


class Store:
    """S3 or Azure's storage: an emulator that verifies signatures, with a recorder that may only create and a reader that may
    get and list."""

    def __init__(self, host, folder, kind):
        self.host, self.folder, self.kind = host, folder, kind
        self.url = {"s3": "s3://flights", "azure": "az://flights"}[kind]
        folder.mkdir()
        self.start()

    def start(self):
        command = [sys.executable, EMULATOR, self.kind, "--port", "4443", "--folder", self.folder, "--bucket", "flights"]
        for permissions in ("c", "rl", "cw", "rld"):
            command += ["--signature", permissions] if self.kind == "azure" else []
        self.process = self.host.start(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(f"{self.folder}.log", "ab"))
        ready = json.loads(self.process.stdout.readline())
        self.endpoint, self.signatures = ready["url"], ready["signatures"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)

    def env(self, account):
        """Variables of the recorder, the reader, the keeper who also deletes, or somebody with a wrong secret."""
        if self.kind == "s3":
            key = {"recorder": "AKRECORDERTEST", "reader": "AKREADERREADER", "keeper": "AKKEEPERKEEPER", "wrong": "AKREADERREADER"}[account]
            secret = "wrong-secret" if account == "wrong" else "s3cr3t/of+tests"
            return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        place = {"AZURE_STORAGE_ACCOUNT": "devstoreaccount1", "AZURE_STORAGE_ENDPOINT": self.endpoint}
        if account == "wrong":
            return {**place, "AZURE_STORAGE_KEY": "d3Jvbmctc2VjcmV0"}
        return {**place, "AZURE_STORAGE_SAS_TOKEN": self.signatures[{"recorder": 0, "reader": 1, "keeper": 3}[account]]}

    def put(self, key, file):
        """Puts a file as somebody else would."""
        if self.kind == "s3":
            code = f"import emulator; assert emulator.s3_ask('PUT', '{self.endpoint}/flights/{key}', open('{file}', 'rb').read()) == 200"
            self.host.run(sys.executable, "-c", code, env={**os.environ, "PYTHONPATH": str(EMULATOR.parent)})
        else:
            url = f"{self.endpoint}/flights/{key}?{self.signatures[2]}"
            self.host.run("curl", "-sf", "-X", "PUT", "-H", "x-ms-blob-type: BlockBlob", "--data-binary", f"@{file}", url)


@pytest.fixture(params=["s3", "azure"])
def store(request, host, tmp_path):
    return Store(host, tmp_path / "store", request.param)


class Recorder:
    """A gillnet that records the host."""

    def __init__(self, host, gillnet, folder, command, env=None, log="gillnet.log", **config):
        self.host, self.gillnet, self.folder, self.log = host, gillnet, folder, folder / log
        self.config = folder / "gillnet.yaml"
        if config:
            self.write(**config)
        self.env = {"RECORDING_KFL": "", "GCS_BUCKET": "", "GCS_SA_KEY_JSON": "", **(env or {})}
        self.command = command
        self.start()

    def write(self, **config):
        fresh = self.config.with_suffix(".new")
        fresh.write_text(json.dumps(config))  # YAML takes JSON
        fresh.rename(self.config)

    def start(self):
        mark = self.log.stat().st_size if self.log.exists() else 0
        self.process = self.host.start(self.gillnet, "--config", self.config, *self.command, log=self.log.name, env=self.env)
        wait_for("gillnet to capture", lambda: b"capturing on" in self.log.read_bytes()[mark:] if self.running() else True, 30)
        assert self.running(), self.log.read_text()
        time.sleep(0.3)

    def running(self):
        return self.process.poll() is None

    def stop(self, number=signal.SIGTERM):
        subprocess.run(["pkill", f"-{int(number)}", "-f", f"{self.gillnet} --config {self.config}"], check=False)
        return self.process.wait(60)

    def metric(self, name):
        text = self.host.run("curl", "-sf", "http://127.0.0.1:49100/metrics").stdout
        return int(re.search(rf"^gillnet_{re.escape(name)} (\d+)$", text, re.M)[1])


@pytest.fixture
def recorder(host, gillnet, tmp_path):
    """Starts `gillnet worker` with a configuration."""
    def start(env=None, arguments=("-i", "lo"), ring="64Mi", **config):
        # the emulator's own traffic with its proxy is none of gillnet's, and none that a test asks for
        arguments = (*arguments, "--filter", "tcp port 8080 or port 53 or tcp port 4443 or tcp port 49100")
        config = {"dataDir": str(tmp_path / "data"), "capture": {"ring": {"size": ring, "kernel": "16Mi"}}, **config}
        return Recorder(host, gillnet, tmp_path, ["worker", *arguments], env, **config)
    return start


def objects(bucket):
    """The packet objects of a bucket that is a folder. Folders may vanish meanwhile: os.walk passes over them."""
    walked = ((folder, files) for folder, _, files in os.walk(bucket))
    return sorted(pathlib.Path(folder, file) for folder, files in walked for file in files if file.endswith(".pcapng.gz"))


def tshark(path, *arguments):
    """tshark's output on a capture, which it must read without any complaint."""
    run = subprocess.run(["tshark", "-n", "-r", str(path), *arguments], capture_output=True, text=True)
    complaint = [line for line in run.stderr.splitlines() if "Running as user" not in line]
    assert run.returncode == 0 and not complaint, f"tshark on {path}: {run.returncode} {complaint}"
    return run.stdout


def merged(paths, folder):
    """The objects as one capture in order of time."""
    target = folder / f"merged{len(list(folder.glob('merged*')))}.pcapng"
    subprocess.run(["mergecap", "-w", target, *paths], check=True)
    return target


def count(path, display_filter):
    # two processors may put frames of one flow into the ring in an order of their own
    in_order = ("-o", "tcp.reassemble_out_of_order:TRUE")
    return len(tshark(path, *in_order, "-Y", display_filter, "-T", "fields", "-e", "frame.number").splitlines())


def sum_of(path, field):
    """How often a field occurs, several times in a frame included."""
    rows = tshark(path, "-Y", field, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator= ", "-e", field)
    return sum(len(row.split()) for row in rows.splitlines())


def frames(paths):
    """(interface, time, bytes) of every frame."""
    found = []
    for path in paths:
        rows = tshark(path, "-T", "fields", "-e", "frame.interface_name", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "ip.id", "-e",
                      "tcp.seq_raw", "-e", "tcp.ack_raw", "-e", "tcp.flags", "-e", "tcp.stream", "-e", "udp.srcport", "-e", "udp.checksum", "-e", "ip.src", "-e", "tcp.srcport")
        found += rows.splitlines()
    return found


def query(gillnet, *arguments, host=None, env=None):
    command = [gillnet, "query", *map(str, arguments)]
    if host:
        command = host.command(*command)
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})})


def talk(host, web):
    """Talks over more than one period of four seconds: 210 exchanges of HTTP, ten of which fail, and 20 of DNS."""
    for half in range(2):
        for k in range(5):
            urls = [f"{web}/{i % 25}.json?n={k * 20 + i}" for i in range(20)] + [f"{web}/broken"]
            host.run("curl", "-s", *[part for url in urls for part in ("-o", "/dev/null", url)])
        for i in range(10):
            host.run("dig", "+tries=1", "+time=2", "@127.0.0.1", f"n{i}.shop.example", "A")
        time.sleep(5)
