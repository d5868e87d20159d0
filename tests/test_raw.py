"""Raw capture and snapshots: every frame of the node is there afterwards, within the ring's limits, whatever is killed."""

import collections
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import query, tshark, wait_for

RAW = {"enabled": True, "size": "64Mi"}
# what tells frames from each other, over both writers
FIELDS = ("frame.len", "eth.type", "ip.id", "ip.src", "ip.proto", "tcp.srcport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "udp.srcport", "udp.checksum", "arp.opcode")


def bag(path, display=""):
    rows = tshark(path, "-Y", display, "-T", "fields", *[part for field in FIELDS for part in ("-e", field)])
    return collections.Counter(rows.splitlines())


def gillnet_run(gillnet, host, *arguments, check=True, env=None):
    run = host.run(gillnet, *arguments, check=False, env={**os.environ, "GCS_SA_KEY_JSON": "", **(env or {})})
    assert not check or run.returncode == 0, run.stderr
    return run


@pytest.fixture
def node(host, gillnet, tmp_path):
    """A worker that captures raw on a veth to a second namespace, and records nothing."""
    peer = f"{host.name}p"
    subprocess.run(["ip", "netns", "add", peer], check=True)
    host.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", peer)
    host.run("ip", "addr", "add", "10.77.0.1/24", "dev", "v0")
    host.run("ip", "link", "set", "v0", "up")
    for command in (["addr", "add", "10.77.0.2/24", "dev", "v1"], ["link", "set", "v1", "up"], ["link", "set", "lo", "up"]):
        subprocess.run(["ip", "-n", peer, *command], check=True)
    config = tmp_path / "raw.yaml"

    def write(raw=RAW, **more):
        config.write_text(json.dumps({"dataDir": str(tmp_path / "data"), "capture": {"interfaces": ["v0"], "ring": {"size": "32Mi", "kernel": "16Mi"}, "raw": raw}, **more}))

    def start(log="worker.log"):
        env = {"RECORDING_KFL": "", "GCS_BUCKET": "", "GCS_SA_KEY_JSON": ""}
        process = host.start(gillnet, "--config", config, "worker", log=log, env=env)
        wait_for("the worker", lambda: b"raw ring" in (tmp_path / log).read_bytes() or process.poll() is not None, 30)
        assert process.poll() is None, (tmp_path / log).read_text()
        time.sleep(0.3)
        return process

    def end(process, number):
        subprocess.run(["pkill", f"-{int(number)}", "-f", f"{gillnet} --config {config}"], check=False)
        return process.wait(60)

    write()
    yield type("Node", (), {"start": staticmethod(start), "end": staticmethod(end), "write": staticmethod(write), "peer": peer, "data": tmp_path / "data", "config": config})
    subprocess.run(["ip", "netns", "del", peer], check=False)


def traffic(host, web, peer, rounds=3):
    """Requests over the veth, datagrams that nobody answers, a transport of no name, and fragments."""
    url = web.replace("127.0.0.1", "10.77.0.1")
    for k in range(rounds):
        urls = [f"{url}/{i % 25}.json?n={k * 20 + i}" for i in range(20)] + [f"{url}/broken", f"{url}/large.txt"]
        subprocess.run(["ip", "netns", "exec", peer, "curl", "-s", *[part for url in urls for part in ("-o", "/dev/null", url)]], check=True)
        send = ("import socket\n"
                "raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)\n"
                "[raw.sendto(b'x' * 40, ('10.77.0.1', 0)) for _ in range(6)]\n"
                "udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                "[udp.sendto(bytes(4000), ('10.77.0.1', 9999)) for _ in range(3)]")
        subprocess.run(["ip", "netns", "exec", peer, sys.executable, "-c", send], check=True)


def tcpdump(host, tmp_path, name="tcpdump.pcap"):
    pcap = tmp_path / name
    process = host.start("tcpdump", "-i", "v0", "-w", pcap, "-U", "-B", "65536", "--immediate-mode", log="tcpdump.out")
    wait_for("tcpdump", lambda: pcap.exists() and pcap.stat().st_size >= 24)
    time.sleep(0.3)
    return pcap, process


def test_every_frame_that_tcpdump_saw_is_in_the_ring(node, host, web, gillnet, tmp_path):
    worker = node.start()
    pcap, dump = tcpdump(host, tmp_path)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))
    traffic(host, web, node.peer)
    time.sleep(1.5)
    dump.send_signal(signal.SIGINT)
    dump.wait(20)
    gillnet_run(gillnet, host, "--config", node.config, "snapshot", "create", "all")
    snapshot = node.data / "snapshots/all/packets.pcapng"
    seen, kept = bag(pcap), bag(snapshot)
    assert seen.total() > 400 and any(row.split("\t")[4] == "253" for row in seen) and any(row.split("\t")[1] == "0x0806" for row in seen)
    assert not seen - kept, list((seen - kept).items())[:3]
    about = json.loads((node.data / "snapshots/all/snapshot.json").read_text())
    assert about["packets"] == kept.total() and about["missing"] == [] and about["lost"]["queue"] == about["lost"]["disk"] == 0

    # the same by packet filter, by time, and by workload
    config = json.loads(node.config.read_text())
    config["names"] = {"static": [{"address": "10.77.0.2", "name": "client", "namespace": "shop", "pod": "client-1"}]}
    node.config.write_text(json.dumps(config))
    for name, arguments, wanted in [
        ("tcp", ["--bpf", "tcp port 8080 and src host 10.77.0.2"], "tcp.port == 8080 and ip.src == 10.77.0.2"),
        ("since", ["--since", since], f'frame.time >= "{since[:-1].replace("T", " ")}"'),
        ("shop", ["--namespace", "shop", "--pod", "client-1", "--bpf", "not arp"], "tcp or udp or (ip.flags.mf == 1 or ip.frag_offset > 0)"),
    ]:
        gillnet_run(gillnet, host, "--config", node.config, "snapshot", "create", name, *arguments)
        chosen = bag(node.data / f"snapshots/{name}/packets.pcapng")
        if name != "since":
            assert chosen == bag(snapshot, wanted), name
        assert chosen, name
    none = gillnet_run(gillnet, host, "--config", node.config, "snapshot", "create", "none", "--namespace", "elsewhere", check=False)
    assert none.returncode == 3 and not (node.data / "snapshots/none").exists()

    # immutable, listed, exported, indexed, deleted
    twice = gillnet_run(gillnet, host, "--config", node.config, "snapshot", "create", "all", check=False)
    assert twice.returncode == 2 and "already" in twice.stderr
    listed = gillnet_run(gillnet, host, "--config", node.config, "snapshot", "list", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["name"] for line in listed] == ["all", "tcp", "since", "shop"]
    assert "all\t" in gillnet_run(gillnet, host, "--config", node.config, "snapshot", "list").stdout
    gillnet_run(gillnet, host, "--config", node.config, "snapshot", "export", "all", tmp_path)
    assert (tmp_path / "all.pcapng").read_bytes() == snapshot.read_bytes()
    gillnet_run(gillnet, host, "--config", node.config, "index", "snapshot:all", "--to", f"file://{tmp_path}/bucket")
    counted = [query(gillnet, "http", source, "--count").stdout for source in (snapshot, tmp_path / "bucket")]
    assert counted[0] == counted[1] and int(counted[0]) == 66
    gillnet_run(gillnet, host, "--config", node.config, "snapshot", "delete", "tcp")
    assert not (node.data / "snapshots/tcp").exists()
    gone = gillnet_run(gillnet, host, "--config", node.config, "snapshot", "delete", "tcp", check=False)
    assert gone.returncode == 2 and "no snapshot" in gone.stderr

    # into a bucket, and out of it
    to = f"file://{tmp_path}/kept"
    gillnet_run(gillnet, host, "--config", node.config, "snapshot", "create", "far", "--to", to)
    again = gillnet_run(gillnet, host, "--config", node.config, "snapshot", "create", "far", "--to", to, check=False)
    assert again.returncode == 2 and "never changes" in again.stderr
    assert "far\t" in gillnet_run(gillnet, host, "snapshot", "list", "--from", to).stdout
    gillnet_run(gillnet, host, "snapshot", "download", "far", tmp_path, "--from", to)
    assert not kept - bag(tmp_path / "far.pcapng.gz")  # more may have come
    packed = tmp_path / "kept/snapshots/far/packets.pcapng.gz"
    packed.write_bytes(packed.read_bytes()[:-9] + bytes(9))
    bad = gillnet_run(gillnet, host, "snapshot", "download", "far", tmp_path / "bad.gz", "--from", to, check=False)
    assert bad.returncode == 1 and "damaged" in bad.stderr and not (tmp_path / "bad.gz").exists()

    gillnet_run(gillnet, host, "--config", node.config, "pcapdump", "--time", "10m", "--dest", tmp_path / "dump.pcapng")
    assert not kept - bag(tmp_path / "dump.pcapng")
    assert node.end(worker, signal.SIGTERM) == 0
    assert not list((node.data / "raw/held").iterdir())
    would = gillnet_run(gillnet, host, "snapshot", "delete", "far", "--from", to, "--dry-run")
    assert "packets.pcapng.gz" in would.stdout and "would be deleted" in would.stdout and packed.exists(), would
    # as one that was broken off left it
    (packed.parent / "snapshot.json").unlink()
    deleted = gillnet_run(gillnet, host, "snapshot", "delete", "far", "--from", to)
    assert "bytes deleted" in deleted.stdout and not packed.exists(), deleted
    none = gillnet_run(gillnet, host, "snapshot", "delete", "far", "--from", to, check=False)
    assert none.returncode == 2 and f"snapshot list --from {to}" in none.stderr, none


def test_the_ring_keeps_to_its_size_and_goes_on_after_kills(node, host, web, gillnet, tmp_path):
    node.write({"enabled": True, "size": "16Mi"})
    largest, kills = 0, 0
    pcap, dump = tcpdump(host, tmp_path)
    for k in range(3):
        worker = node.start(f"worker{k}.log")
        for _ in range(3):
            last_traffic = time.time()
            traffic(host, web, node.peer, 1)
            largest = max(largest, sum(path.stat().st_size for path in (node.data / "raw").glob("*.*")))
        if k < 2:
            # while frames come
            curl = subprocess.Popen(["ip", "netns", "exec", node.peer, "curl", "-s", "-o", "/dev/null", f"{web.replace('127.0.0.1', '10.77.0.1')}/large.txt"])
            node.end(worker, signal.SIGKILL)
            curl.wait(30)
            kills += 1
    time.sleep(1)
    dump.send_signal(signal.SIGINT)
    dump.wait(20)
    assert 8 << 20 < largest <= 16 << 20, largest
    run = gillnet_run(gillnet, host, "--config", node.config, "snapshot", "create", "rest", "--since", "1h")
    about = json.loads((node.data / "snapshots/rest/snapshot.json").read_text())
    assert about["missing"][0]["why"].startswith("had left the ring") and "missing:" in run.stderr
    kept, seen = bag(node.data / "snapshots/rest/packets.pcapng"), bag(pcap)
    assert kept.total() == about["packets"] > 100
    # nothing but what was on the wire, and none twice; but for what came after tcpdump
    assert not kept - seen - bag(node.data / "snapshots/rest/packets.pcapng", "arp or icmpv6")
    # of what the last worker saw nothing is missing
    late = bag(pcap, f"frame.time_epoch > {last_traffic}") - kept
    assert not late, list(late.items())[:3]
    assert node.end(worker, signal.SIGTERM) == 0
    for segment in sorted((node.data / "raw").glob("*.pcapng")):
        tshark(segment, "-c", "1")


def test_what_is_torn_is_cut_and_counted_and_gaps_are_named(node, host, web, gillnet, tmp_path):
    worker = node.start()
    traffic(host, web, node.peer, 1)
    time.sleep(1.5)
    node.end(worker, signal.SIGKILL)
    newest = sorted((node.data / "raw").glob("*.pcapng"))[-1]
    whole = newest.stat().st_size
    with newest.open("ab") as out:
        out.write(b"\6\0\0\0\x90\1\0\0" + bytes(40))
    time.sleep(1)
    worker = node.start("worker2.log")
    assert "torn" in (tmp_path / "worker2.log").read_text()
    assert newest.stat().st_size == whole
    metrics = host.run("curl", "-sf", "http://127.0.0.1:49100/metrics").stdout
    assert "gillnet_raw_cut_bytes_total 48" in metrics
    assert 'gillnet_drops_total{reason="raw-queue"} 0' in metrics and 'gillnet_drops_total{reason="raw-disk"} 0' in metrics
    traffic(host, web, node.peer, 1)
    time.sleep(1.5)
    run = gillnet_run(gillnet, host, "--config", node.config, "snapshot", "create", "both")
    about = json.loads((node.data / "snapshots/both/snapshot.json").read_text())
    assert [part["why"] for part in about["missing"]] == ["nothing was captured raw"] and about["lost"]["cutBytes"] == 48
    assert "48 bytes of torn ends" in run.stderr
    node.end(worker, signal.SIGTERM)


def test_frames_leave_at_their_age(node, host, web, gillnet):
    node.write({"enabled": True, "size": "64Mi", "age": "6s"})
    worker = node.start()
    traffic(host, web, node.peer, 1)
    wait_for("segments", lambda: list((node.data / "raw").glob("*.pcapng")), 10)
    early = set((node.data / "raw").glob("*.pcapng"))
    wait_for("frames to go", lambda: not early & set((node.data / "raw").glob("*.pcapng")), 60)
    node.end(worker, signal.SIGTERM)


def test_bad_input_is_named(node, host, gillnet, tmp_path):
    node.write({"enabled": True, "size": "1Mi"})
    run = gillnet_run(gillnet, host, "--config", node.config, "worker", check=False)
    assert run.returncode == 2 and "16Mi" in run.stderr
    node.write({"enabled": True, "age": "soon"})
    run = gillnet_run(gillnet, host, "--config", node.config, "worker", check=False)
    assert run.returncode == 2 and "capture.raw.age" in run.stderr
    for arguments, said in [(["snapshot", "create", "x"], "capture.raw.enabled"), (["snapshot", "create", "../x"], "name"), (["pcapdump", "--time", "soon"], "--time"),
                            (["snapshot", "create", "x", "--bpf", "tcp prot 80"], "tcp prot 80")]:
        run = gillnet_run(gillnet, host, "--config", node.config, *arguments, check=False)
        assert run.returncode == 2 and said in run.stderr, (arguments, run.returncode, run.stderr)
