#!/usr/bin/env python3
"""Checks the instructions that `gillnet query http FILE --count` takes on a small fixed capture, counted by callgrind.

    instructions.py GILLNET [--update]

Fails where they are more than 5 % above the committed figure, or more than 5 % below it (then the figure is stale: --update).
Seconds are noisy; instructions are the same each time for the same binary.
"""
import gzip, json, os, re, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES, SLACK = os.path.join(HERE, "instructions.json"), 0.05


def count(gillnet, path):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", gillnet, "query", "http", path, "--count"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {result.returncode}:\n{result.stderr}")
    return int(re.search(r"Collected : (\d+)", result.stderr)[1]), int(result.stdout)


def main():
    gillnet = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        whole, start = os.path.join(folder, "whole.pcap"), os.path.join(folder, "start.pcap")
        data = gzip.open(os.path.join(HERE, "instructions.pcap.gz")).read()
        open(whole, "wb").write(data)
        open(start, "wb").write(data[:24])
        instructions, entries = count(gillnet, whole)
        # what starting the program takes is no part of the hot path
        empty = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", gillnet, "query", "http", start, "--count"],
                               capture_output=True, text=True)
        instructions -= int(re.search(r"Collected : (\d+)", empty.stderr)[1])
    if "--update" in sys.argv:
        json.dump({"instructions": instructions, "entries": entries}, open(FIGURES, "w"))
        print(f"now {instructions} instructions for {entries} entries")
        return
    known = json.load(open(FIGURES))
    change = instructions / known["instructions"] - 1
    print(f"{instructions} instructions for {entries} entries, {instructions / entries:.0f} each: {change:+.1%} against {known['instructions']}")
    if entries != known["entries"] or abs(change) > SLACK:
        print("0 passed, 1 failed")
        raise SystemExit(f"more than {SLACK:.0%} off (or other entries); mend it, or --update and say why")
    print("1 passed, 0 failed")


main()
