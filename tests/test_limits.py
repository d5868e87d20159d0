"""What a flood may cost: crafted connections beside real ones, on a veth pair.

Run as a program in the namespace at the other end of the pair, this file is the one that sends:

    test_limits.py INTERFACE KIND

For each number that it reads from its standard input it sends that many connections of the kind (`syn`, `body`, `idle`),
makes one more request on a connection that it opened at the start, and prints how many frames it sent.
"""

import collections
import http.client
import pathlib
import socket
import struct
import subprocess
import sys
import threading

import pytest
from conftest import Host, merged, objects, query, tshark, wait_for

SERVER, CLIENT, PORT = "10.77.0.1", "10.77.0.2", 8080
# the crafted ones go to an address that nobody has, in frames that no kernel takes: nothing answers them
TARGET = socket.inet_aton("10.77.0.9")
MACS = bytes.fromhex("02000000aa09 02000000aa02")
HEAD = b"POST /upload HTTP/1.1\r\nHost: shop.example\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n" + b"x" * 300
SYN, ACK, PUSH = 2, 16, 8
LIMIT = 256 << 20


def frame(source, target, ports, seq, ack, flags, payload=b""):
    """An Ethernet frame with one TCP segment; checksums are left out, as offloading leaves them."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0x4000, 64, 6, 0, source, target)
    tcp = struct.pack("!HHIIBBHHH", *ports, seq, ack, 0x50, flags, 65535, 0, 0)
    return MACS + b"\x08\x00" + ip + tcp + payload


def connections(kind, numbers):
    """The frames of connections, each between ends of its own."""
    first = frame(bytes(4), TARGET, (0, PORT), 1000, 0, SYN)
    net = (100 << 24) + ({"syn": 64, "body": 80, "idle": 96}[kind] << 16)
    for number in numbers:
        client, port = struct.pack("!I", net + number // 50), 10000 + number % 50
        yield b"".join((first[:26], client, first[30:34], struct.pack("!H", port), first[36:]))
        if kind != "syn":
            yield from rest(kind, client, port)


def rest(kind, client, port):
    """What follows on the SYN of a connection."""
    there, back = (client, TARGET, (port, PORT)), (TARGET, client, (PORT, port))
    yield frame(*back, 5000, 1001, SYN | ACK)
    yield frame(*there, 1001, 5001, ACK)
    if kind == "body":
        yield frame(*there, 1001, 5001, ACK | PUSH, HEAD)
        yield frame(*back, 5001, 1001 + len(HEAD), ACK)


def send(interface, kind):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind((interface, 0))
    normal = http.client.HTTPConnection(SERVER, PORT)
    number = 0
    for line in sys.stdin:
        sent = 0
        for data in connections(kind, range(number, number + int(line))):
            wire.send(data)
            sent += 1
        number += int(line)
        normal.request("GET", f"/{number % 20}.json?beside={kind}")
        answer = normal.getresponse()
        assert answer.status == 200 and answer.read(), answer
        print(sent, flush=True)
    normal.close()


class Anon(threading.Thread):
    """Watches the anonymous memory of a process; `most` is in bytes."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, 0, threading.Event()

    def now(self):
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)

    def run(self):
        while not self.over.wait(0.01):
            try:
                self.most = max(self.most, self.now())
            except (OSError, ProcessLookupError):
                return


@pytest.fixture
def peer(host, tmp_path):
    """A namespace at the other end of a veth pair."""
    folder = tmp_path / "peer"
    folder.mkdir()
    peer = Host(folder)
    host.run("ip", "link", "add", "gn0", "type", "veth", "peer", "name", "gn1", "netns", peer.name)
    for at, interface, address in ((host, "gn0", SERVER), (peer, "gn1", CLIENT)):
        at.run("ip", "addr", "add", f"{address}/24", "dev", interface)
        at.run("ip", "link", "set", interface, "up")
    yield peer
    peer.close()


def flood(peer, flights, kind, connections, step):
    """Sends connections, `step` at a time and not faster than the worker takes them in: what is tested is what it keeps, not
    how fast it is. Gives the streams and the requests made beside them: the sender's one connection, and curl's."""
    command = peer.command(sys.executable, __file__, "gn1", kind)
    sender = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    seen = flights.metric("received_packets_total")
    streams, requests = 1, 0

    def taken_in():
        lost = flights.metric('drops_total{reason="kernel"}')
        assert lost == 0, f"the kernel dropped {lost} frames"
        return flights.metric("received_packets_total") >= seen

    for start in range(0, connections, step):
        sender.stdin.write(f"{min(step, connections - start)}\n")
        sender.stdin.flush()
        seen += int(sender.stdout.readline())
        requests += 1
        if start // step % 10 == 0:
            peer.run("curl", "-sf", "-o", "/dev/null", f"http://{SERVER}:{PORT}/large.txt?beside={kind}")
            streams, requests = streams + 1, requests + 1
        wait_for("the worker to take the frames in", taken_in)
    sender.stdin.close()
    assert sender.wait(60) == 0
    return streams, requests


def beside(path):
    """What the capture has of the real streams: SYNs, FINs, responses and missing segments of each."""
    display = f"ip.addr == {CLIENT}"
    rows = tshark(path, "-Y", display, "-T", "fields", "-e", "tcp.stream", "-e", "tcp.flags.syn", "-e", "tcp.flags.fin",
                  "-e", "http.response.code", "-e", "tcp.analysis.lost_segment", "-e", "tcp.analysis.ack_lost_segment")
    found = collections.defaultdict(collections.Counter)
    for row in rows.splitlines():
        stream, syn, fin, code, lost, unseen = row.split("\t")
        found[stream].update(syn=syn in ("1", "True"), fin=fin in ("1", "True"), responses=bool(code), missing=bool(lost or unseen))
    return found


def test_floods_cost_bounded_memory_and_no_stream_beside_them(host, peer, web, recorder, gillnet, tmp_path):
    """50,000 idle connections, 2,000,000 SYNs and 100,000 half-sent bodies, one after the other, and real exchanges beside."""
    bucket = tmp_path / "bucket"
    flights = recorder(arguments=("-i", "gn0"), recording={"flush": "*/5 * * * * *"}, capture={"ring": {"size": "64Mi", "kernel": "64Mi"}},
                       scripting={"env": {"RECORDING_KFL": "http", "GCS_BUCKET": f"file://{bucket}"}})
    worker = flights.process
    assert pathlib.Path(f"/proc/{worker.pid}/exe").resolve() == pathlib.Path(gillnet)
    anon = Anon(worker.pid)
    anon.start()
    streams = requests = 0
    for kind, connections, step in (("idle", 50_000, 5_000), ("syn", 2_000_000, 25_000), ("body", 100_000, 5_000)):
        made = flood(peer, flights, kind, connections, step)
        streams, requests = streams + made[0], requests + made[1]
        if kind == "syn":
            assert flights.metric('drops_total{reason="flow-table"}') > 0, "more SYNs than flows, and none was put out"
        print(f"{kind}: {flights.metric('live_tcp_streams')} live, at most {anon.most >> 20} MiB of RssAnon so far")
    for reason in ("kernel", "recorder-queue", "gap", "overwritten"):
        assert flights.metric(f'drops_total{{reason="{reason}"}}') == 0, reason
    worker.terminate()  # which ends every half-sent request
    assert worker.wait(120) == 0, flights.log.read_text()
    anon.over.set()
    anon.join()
    print(f"at most {anon.most >> 20} MiB of RssAnon in all")
    assert 0 < anon.most < LIMIT

    def counted(kfl):
        run = query(gillnet, kfl, bucket, "--count")
        assert run.returncode in (0, 3), run.stderr
        return int(run.stdout)

    assert counted("http and response.status == 200") == requests
    # each half-sent one is followed to its end; the oldest third has left the ring by then
    assert 50_000 < counted('http and error.type == "pair-not-found"') == counted("http") - requests <= 100_000
    found = beside(merged(objects(bucket), tmp_path))
    assert len(found) == streams
    assert all((found[stream]["syn"], found[stream]["fin"], found[stream]["missing"]) == (2, 2, 0) for stream in found), found
    assert sum(stream["responses"] for stream in found.values()) == requests


if __name__ == "__main__":
    send(*sys.argv[1:])
