"""Pages of a recording of many objects: the newest come first, and no more than what they need is read."""

import json
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


def test_a_page_reads_what_it_needs(host, gillnet, tmp_path):
    capture, bucket = tmp_path / "days.pcap", tmp_path / "bucket"
    with open(capture, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for hour in range(HOURS):
            for k in range(EACH):
                for at, data in enumerate(exchange(20_000 + hour * EACH + k, f"/{hour}/{k}")):
                    out.write(struct.pack("<IIII", START + hour * 3600 + k * 60, at * 1000, len(data), len(data)) + data)
    made = host.run(gillnet, "index", capture, "--to", f"file://{bucket}", "--data-dir", tmp_path / "job", check=False)
    assert made.returncode == 0, made.stderr
    files = sorted((bucket / "entries").rglob("*.parquet"))
    assert len(files) >= HOURS
    expected = [f"/{hour}/{k}" for hour in range(HOURS) for k in range(EACH)]
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
