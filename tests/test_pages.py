"""Pages of a recording of many objects: the newest come first, and no more than what they need is read."""

import base64
import json
import os
import pathlib
import re
import struct

from conftest import query
from test_dashboard import Tap

HOURS = 80
EACH = 6
START = 1_773_446_400  # 2026-03-14 00:00 UTC


def frame(port, out, flags, seq, ack, data=b""):
    """A TCP segment between a client and a server on Ethernet; checksums are left out."""
    ends = (b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02")
    src, dst = ends if out else ends[::-1]
    ports = (port, 80) if out else (80, port)
    tcp = struct.pack(">HHIIBBHHH", *ports, seq, ack, 0x50, flags, 65535, 0, 0) + data
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, src, dst)
    return b"\x02" * 12 + b"\x08\x00" + ip + tcp


def exchange(port, path):
    request = f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    sent, got = 1 + len(request), 1 + len(response)
    return [
        frame(port, True, 0x02, 0, 0), frame(port, False, 0x12, 0, 1), frame(port, True, 0x18, 1, 1, request),
        frame(port, False, 0x18, 1, sent, response), frame(port, True, 0x11, sent, got), frame(port, False, 0x11, got, sent + 1),
    ]


def recorded(host, gillnet, folder, hours, each):
    """A bucket of an object an hour, and the paths of its entries."""
    capture, bucket = folder / "days.pcap", folder / "bucket"
    with open(capture, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for hour in range(hours):
            for k in range(each):
                for at, data in enumerate(exchange(20_000 + hour * each + k, f"/{hour}/{k}")):
                    out.write(struct.pack("<IIII", START + hour * 3600 + k * 60, at * 1000, len(data), len(data)) + data)
    made = host.run(gillnet, "index", capture, "--to", f"file://{bucket}", "--data-dir", folder / "job", check=False)
    assert made.returncode == 0, made.stderr
    return bucket, [f"/{hour}/{k}" for hour in range(hours) for k in range(each)]


def test_a_page_reads_what_it_needs(host, gillnet, tmp_path):
    bucket, expected = recorded(host, gillnet, tmp_path, HOURS, EACH)
    files = sorted((bucket / "entries").rglob("*.parquet"))
    assert len(files) >= HOURS
    assert query(gillnet, "http", bucket, "--count", host=host).stdout.strip() == str(len(expected))
    rows = query(gillnet, "http", bucket, "-o", "jsonl", "--columns", "path", host=host).stdout.splitlines()
    assert [json.loads(row)["path"] for row in rows] == expected

    tap = Tap(host, gillnet, tmp_path, "--pcap", f"file://{bucket}")

    def pages(order, limit):
        seen, cursor = [], ""
        while cursor is not None:
            page = json.loads(tap.get(f"/api/entries?kfl=http&limit={limit}&order={order}{cursor and '&cursor=' + cursor}"))
            assert page["matched"] is None or page["next"] is None
            seen += [row["summary"] for row in page["entries"]]
            cursor = page["next"]
        return seen

    newest = pages("desc", 50)
    assert [path for path in newest] == expected[::-1]
    assert pages("asc", 50) == expected

    # nothing but the newest hours is opened for the first page
    for file in files[:-10]:
        file.write_bytes(b"nothing")
    first = json.loads(tap.get("/api/entries?kfl=http&limit=50"))
    assert [row["summary"] for row in first["entries"]] == expected[::-1][:50]


def copy_as(bucket, node, run):
    """Gives a bucket of one process the same objects once more, as another node's."""
    first = next((bucket / "entries").rglob("*.parquet")).stem.rsplit("_", 1)[0]
    for folder, _, files in list(os.walk(bucket)):
        for file in files:
            path = pathlib.Path(folder, file)
            other = pathlib.Path(str(path).replace(f"/{first}_", f"/{node}_{run:016x}_"))
            if other != path:
                other.parent.mkdir(exist_ok=True)
                os.link(path, other)


def test_ten_thousand_objects(host, gillnet, tmp_path):
    hours, each, nodes = 500, 4, 20
    bucket, expected = recorded(host, gillnet, tmp_path, hours, each)
    for node in range(1, nodes):
        copy_as(bucket, f"node-{node}", node)
    assert len(list((bucket / "packets").rglob("*.pcapng.gz"))) == hours * nodes

    size = max(file.stat().st_size for file in (bucket / "entries").rglob("*.parquet"))

    def asked(*arguments, kfl="http", columns=("--columns", "path"), head=""):
        """What a query prints, and the bytes and requests that it takes."""
        command = [gillnet, "-v", "query", kfl, f"file://{bucket}", "-o", "jsonl", *columns, *arguments]
        done = host.run("sh", "-c", " ".join(f"'{part}'" for part in command) + head)
        read = re.search(r"read (\d+) of \d+ bytes .* of (\d+) objects in (\d+) requests", done.stderr)
        assert int(read[2]) > 4 * hours * nodes, done.stderr
        rows = [json.loads(row) for row in done.stdout.splitlines()]
        return [row["path"] if columns else row["request"]["path"] for row in rows], int(read[1]), int(read[3])

    # ten entries are in three files
    paths, read, requests = asked("--limit", "10")
    assert paths == expected[:10]
    assert read <= 4 * size and requests <= 8, (read, requests)
    # whole, they are in as many hours; of each the entries, the streams, the names and the packets are read, and two hours
    # behind them are looked into for more
    packets = max(file.stat().st_size for file in (bucket / "packets").rglob("*.pcapng.gz"))
    paths, read, requests = asked("--limit", "10", columns=())
    assert paths == expected[:10]
    assert read <= 12 * (size + packets) and requests <= 20, (read, requests)
    # the same where no filter is asked
    assert asked("--limit", "10", kfl="", columns=())[1:] == (read, requests)
    # an index that does not know says in which order to look
    paths, read, requests = asked("--limit", "10", kfl='http and response.content.text.contains("ok")', columns=())
    assert paths == expected[:10]
    assert requests <= 100, (read, requests)
    # who reads no further keeps the rest from being opened; how far it comes until it sees that is not known
    paths, read, requests = asked(head=" | head -n 10")
    assert paths == expected[:10]
    assert requests <= hours, (read, requests)

    tap = Tap(host, gillnet, tmp_path, "--pcap", f"file://{bucket}")
    process = pathlib.Path(f"/proc/{host.processes[-1].pid}/io")

    def page(cursor):
        """A page, where the next begins, and the bytes that it takes."""
        read = lambda: int(re.search(r"rchar: (\d+)", process.read_text())[1])
        before = read()
        found = json.loads(tap.get(f"/api/entries?kfl=http&limit=50{cursor and '&cursor=' + cursor}"))
        return [row["summary"] for row in found["entries"]], found["next"], read() - before

    # of 10,000 files those of the newest hours, of all nodes together
    newest = [path for path in expected[::-1] for _ in range(nodes)]
    cursor = ""
    for at in (0, 50, 100):
        paths, cursor, read = page(cursor)
        assert paths == newest[at:at + 50]
        assert nodes * size / 2 < read <= 2.5 * nodes * size, read / size
    # the others may be anything
    for file in (bucket / "entries").rglob("*.parquet"):
        if int(file.stem.rsplit("_", 1)[1]) <= hours - 20:
            file.unlink()
            file.write_bytes(b"nothing")
    paths, _, _ = page("")
    assert paths == newest[:50]


def test_a_stream_that_goes_on_for_hours_is_read_from_its_beginning(host, gillnet, tmp_path):
    """Packets of one connection in each hour, between short ones: what is shown of it is what all packets give."""
    hours, long = 40, 19_999
    capture, bucket = tmp_path / "days.pcap", tmp_path / "bucket"
    seq, ack = 1, 1
    with open(capture, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

        def write(at, frames):
            for n, data in enumerate(frames):
                out.write(struct.pack("<IIII", START + at, n * 1000, len(data), len(data)) + data)

        write(0, exchange(long, "/")[:2])
        for hour in range(hours):
            for k in range(3):
                write(hour * 3600 + k * 60 + 1, exchange(20_000 + hour * 3 + k, f"/{hour}/{k}"))
            request = f"GET /long/{hour} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
            response = f"HTTP/1.1 200 OK\r\nContent-Length: {len(str(hour))}\r\n\r\n{hour}".encode()
            write(hour * 3600 + 300, [frame(long, True, 0x18, seq, ack, request), frame(long, False, 0x18, ack, seq + len(request), response)])
            seq, ack = seq + len(request), ack + len(response)
    host.run(gillnet, "index", capture, "--to", f"file://{bucket}", "--data-dir", tmp_path / "job")
    objects = len(list((bucket / "packets").rglob("*.pcapng.gz")))
    assert objects >= hours

    def asked(kfl, where, *arguments):
        done = host.run(gillnet, "-v", "query", kfl, where, "-o", "jsonl", *arguments)
        read = re.search(r"read (\d+) of \d+ bytes .* in (\d+) requests", done.stderr)
        rows = [json.loads(row) for row in done.stdout.splitlines()]
        what = [(row["startTime"], row["request"], row["response"], row["index"]) for row in rows]
        return sorted(what, key=lambda of: of[0]), read and int(read[2])

    bodies = [base64.b64encode(str(hour).encode()).decode() for hour in range(hours)]
    for kfl, expected in ('request.path.startsWith("/long/")', bodies), ('response.content.text == "7"', bodies[7:8]):
        every, _ = asked(kfl, capture)
        assert [of[2]["content"]["text"] for of in every] == expected
        for limit in 1, 3, hours, 2 * hours:
            some, _ = asked(kfl, bucket, "--limit", limit)
            assert some == every[:limit], (kfl, limit)
    # one in the midst: the stream is read back to its beginning, no further than it has to be on the other side
    some, _ = asked('request.path == "/long/20"', bucket, "--limit", "1")
    assert some[0][2]["content"]["text"] == bodies[20] and some[0][3] == 20
    # what is short is in its own hour
    some, requests = asked('request.path == "/30/1"', bucket, "--limit", "1", "--since", "2026-03-15T06:00:00Z", "--until", "2026-03-15T07:00:00Z")
    assert some[0][1]["path"] == "/30/1" and requests <= 16, requests


def test_the_index_decides_what_is_wrong_with_an_exchange(host, gillnet, tmp_path):
    capture, bucket = tmp_path / "faults.pcap", tmp_path / "bucket"
    with open(capture, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for k in range(30):
            # every third request gets no response, and is reset
            frames = exchange(20_000 + k, f"/{k}")
            if k % 3 == 0:
                frames = frames[:3] + [frame(20_000 + k, True, 0x04, 1000, 1)]
            for at, data in enumerate(frames):
                out.write(struct.pack("<IIII", START + k, at * 1000, len(data), len(data)) + data)
    host.run(gillnet, "index", capture, "--to", f"file://{bucket}", "--data-dir", tmp_path / "job")
    ask = lambda kfl, where: int(query(gillnet, kfl, where, "--count", host=host).stdout)
    filters = {'error.type == "pair-not-found"': 10, 'error.type == "timeout"': 0, 'error.type != "timeout"': 10,
               'http and error.msg.startsWith("request")': 10}
    for kfl, expected in filters.items():
        assert ask(kfl, capture) == ask(kfl, bucket) == expected, kfl
    # no packets are asked
    for packets in (bucket / "packets").rglob("*.pcapng.gz"):
        packets.write_bytes(b"nothing")
    for kfl, expected in filters.items():
        assert ask(kfl, bucket) == expected, kfl


def test_what_is_late_is_so_by_the_time_of_packets(host, gillnet, tmp_path):
    """Few packets in three hours: a batch of them is longer than a request may wait, and so is the time between two of those that a filter leaves."""
    capture, bucket = tmp_path / "hours.pcap", tmp_path / "bucket"
    # when requests are sent, and their connections reset: in the same hour and across its end, 120 s at the most
    resets = [(100, 110), (500, 640), (3590, 3599), (3500, 3610), (3550, 3720), (7000, 7130), (7100, 7202), (7190, 7315)]
    packets = [(k * 40, at, data) for k in range(270) for at, data in enumerate(exchange(20_000 + k, f"/{k}"))]
    for k, (sent, reset) in enumerate(resets):
        packets += [(sent, 10 + at, data) for at, data in enumerate(exchange(30_000 + k, f"/late/{k}")[:3])]
        packets.append((reset, 10, frame(30_000 + k, True, 0x04, 1000, 1)))
    with open(capture, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for seconds, at, data in sorted(packets, key=lambda packet: packet[:2]):
            out.write(struct.pack("<IIII", START + seconds, at * 1000, len(data), len(data)) + data)
    host.run(gillnet, "index", capture, "--to", f"file://{bucket}", "--data-dir", tmp_path / "job")
    late = {f"/late/{k}": "timeout" if reset - sent > 120 else "pair-not-found" for k, (sent, reset) in enumerate(resets)}
    for source in capture, bucket:
        rows = query(gillnet, 'path.startsWith("/late/")', source, host=host).stdout.splitlines()
        assert {row["request"]["path"]: row["error"]["type"] for row in map(json.loads, rows)} == late, source
        for kind in set(late.values()):
            counted = query(gillnet, f'error.type == "{kind}"', source, "--count", host=host).stdout
            assert int(counted) == list(late.values()).count(kind), (source, kind)
