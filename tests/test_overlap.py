"""Captures that overlap in time: a stream whose packets are in several files is the same as in one."""

import gzip
import json
import os
import pathlib
import struct
import subprocess

import pytest
from conftest import query
from test_index_command import bare, index

CAPTURES = pathlib.Path(os.environ["GILLNET_CAPTURES"])


def records(path, folder):
    """The head of a capture as classic pcap, and its records in the order of time."""
    plain = folder / "plain.pcap"
    subprocess.run(["editcap", "-F", "nsecpcap", path, plain], check=True, capture_output=True)
    data = plain.read_bytes()
    at, found = 24, []
    while at < len(data):
        seconds, part, length, _ = struct.unpack_from("<IIII", data, at)
        found.append(((seconds, part), data[at:at + 16 + length]))
        at += 16 + length
    return data[:24], [record for _, record in sorted(found, key=lambda of: of[0])]


def shown(gillnet, *sources, **options):
    """The entries of captures in the order of time, without what each run numbers anew."""
    run = query(gillnet, "", *sources, "-o", "jsonl", **options)
    assert run.returncode == 0, run.stderr
    return sorted(json.dumps(bare(json.loads(line)), sort_keys=True) for line in run.stdout.splitlines())


@pytest.mark.parametrize("capture, least", [
    ("http1/ndpi__1kxun.pcap", 100), ("http1/tracepcap__week3_telnet_bittorrent.pcap", 10), ("dns/malcolm__dns_caa_records.pcap", 100),
    ("http1/tracepcap__week8_near_baseline.pcap", 100)])
def test_a_capture_that_was_dealt_out_to_files_is_read_as_it_was(gillnet, tmp_path, capture, least):
    head, packets = records(CAPTURES / capture, tmp_path)
    whole = tmp_path / "whole.pcap"
    whole.write_bytes(head + b"".join(packets))
    expected = shown(gillnet, whole)
    assert len(expected) >= least

    dealt = tmp_path / "dealt"
    for count in 2, 5:
        for pack, end in (bytes, ".pcap"), (gzip.compress, ".pcap.gz"):
            folder = dealt / f"{count}{end}"
            folder.mkdir(parents=True)
            files = [folder / f"{chr(97 + of)}{end}" for of in range(count)]
            for of, file in enumerate(files):
                file.write_bytes(pack(head + b"".join(packets[of::count])))
            # named one by one in another order, and as a folder
            assert shown(gillnet, *files[::-1]) == expected
            assert shown(gillnet, folder) == expected
            assert shown(gillnet, f"file://{folder}") == expected
            # and one of them from a pipe
            with open(files[0], "rb") as first:
                run = subprocess.run([gillnet, "query", "", "-", *files[1:], "-o", "jsonl"], stdin=first, capture_output=True, text=True, check=True)
            assert sorted(json.dumps(bare(json.loads(line)), sort_keys=True) for line in run.stdout.splitlines()) == expected

    # as mergecap joins them
    merged = tmp_path / "merged.pcapng"
    subprocess.run(["mergecap", "-w", merged, *(dealt / "5.pcap").iterdir()], check=True)
    assert shown(gillnet, merged) == expected
    # into a bucket, too
    index(gillnet, tmp_path / "data", dealt / "2.pcap", "--to", f"file://{tmp_path}/bucket")
    index(gillnet, tmp_path / "data", whole, "--to", f"file://{tmp_path}/of-whole")
    assert shown(gillnet, f"file://{tmp_path}/bucket") == shown(gillnet, f"file://{tmp_path}/of-whole")
