"""Makes the bucket of a version of the format: see README.md."""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from test_pages import START, exchange
from test_versions import answers

NAMES = [{"address": "10.0.0.1", "name": "till", "namespace": "shop"}, {"address": "10.0.0.2", "name": "web", "namespace": "shop"}]


def dns(number):
    """A question and its answer, on Ethernet."""
    question = b"\x02%02d\x04shop\x07example\x00\x00\x01\x00\x01" % number
    answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00" + bytes([number])
    found = []
    for out, data in ((True, struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question),
                      (False, struct.pack(">HHHHHH", number, 0x8180, 1, 1, 0, 0) + question + answer)):
        ends, ports = (b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"), (30_000 + number, 53)
        src, dst = ends if out else ends[::-1]
        udp = struct.pack(">HHHH", *(ports if out else ports[::-1]), 8 + len(data), 0) + data
        found.append(b"\x02" * 12 + b"\x08\x00" + struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, src, dst) + udp)
    return found


def capture(path, hours):
    """Four exchanges of HTTP and two of DNS at each of some times, in this order."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for turn, hour in enumerate(hours):
            for k in range(6):
                number = turn * 6 + k
                frames = exchange(20_000 + number, f"/{number}") if k < 4 else dns(number)
                for at, data in enumerate(frames):
                    out.write(struct.pack("<IIII", START + hour * 3600 + turn * 60 + k, at * 1000, len(data), len(data)) + data)


def main():
    gillnet, version = pathlib.Path(sys.argv[1]).absolute(), sys.argv[2]
    folder = HERE / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    bucket = folder / "bucket"
    capture(folder / "plain.pcap", [0])
    # where time goes back and forth, each turn is an object
    capture(folder / "turns.pcap", [0, 1, 0, 1, 0, 1])
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NODE_NAME": "node-1"}
    with tempfile.TemporaryDirectory() as scratch:
        config = pathlib.Path(scratch) / "gillnet.yaml"

        def run(*arguments):
            subprocess.run([gillnet, "--config", config, *map(str, arguments)], check=True, env=env)

        def write(**recording):
            config.write_text(json.dumps({"cluster": "old", "names": {"static": NAMES}, "recording": {"index": True, **recording}}))

        write()
        run("index", folder / "turns.pcap", "--to", f"file://{bucket}", "--recording", "compacted", "--data-dir", f"{scratch}/index")
        run("compact", bucket, "--before", "2100-01-01T00:00:00Z")
        run("compact", bucket, "--before", "2100-01-01T00:00:00Z", "--grace", "0")
        for name in ("pcapng.gz", "pcapng", "pcap"):
            write(format=name, rules=[{"name": f"as-{name}", "kfl": "http or dns", "destination": f"file://{bucket}"}])
            run("worker", "--read", folder / "plain.pcap", "--data-dir", f"{scratch}/{name}")
    found = answers(gillnet, bucket)
    (folder / "answers.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
