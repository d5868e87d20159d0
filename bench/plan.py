#!/usr/bin/env python3
"""What HTTP traffic costs a recorder that does not want it.

    plan.py GILLNET CAPTURE [--runs 3]

`gillnet worker -r CAPTURE` records to a folder under three rules in turns: `http`, which wants it; `dns`, to which it shows
by a stream's first bytes that it is none; and `http` of another namespace, which the names of the flow decide. CPU is
user and system time of the whole process, medians of the runs; the bar is five times less than with `http`.
"""
import argparse, json, os, pathlib, resource, statistics, subprocess, tempfile

BAR = 5.0
SHOP = 'http && dst.pod.namespace == "shop"'
RULES = ("http", "dns", SHOP)


def cpu(gillnet, capture, kfl, ends):
    with tempfile.TemporaryDirectory() as folder:
        names = [{"address": address, "name": "bench", "namespace": "other", "pod": "bench-1"} for address in ends]
        config = pathlib.Path(folder, "gillnet.yaml")
        variables = {"RECORDING_KFL": kfl, "GCS_BUCKET": f"file://{folder}/bucket"}
        config.write_text(json.dumps({"dataDir": f"{folder}/data", "names": {"static": names}, "scripting": {"env": variables}}))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([gillnet, "--config", config, "worker", "-r", capture], check=True, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ends(gillnet, capture):
    """The addresses of the capture's HTTP exchanges."""
    out = subprocess.run([gillnet, "query", "http", capture, "-o", "jsonl", "--columns", "src.ip,dst.ip"], check=True, capture_output=True, text=True).stdout
    return sorted({address for line in out.splitlines() for address in json.loads(line).values()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gillnet", type=os.path.abspath)
    parser.add_argument("capture", type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    known = ends(options.gillnet, options.capture)
    taken = {kfl: [] for kfl in RULES}
    for _ in range(options.runs):
        for kfl in RULES:
            taken[kfl].append(cpu(options.gillnet, options.capture, kfl, known))
    medians = {kfl: statistics.median(runs) for kfl, runs in taken.items()}
    for kfl, seconds in medians.items():
        less = medians["http"] / seconds
        print(f"{kfl:<40}{seconds:>8.2f} s{less:>8.1f} x less{'' if kfl == 'http' else f' (bar {BAR})'}")
    raise SystemExit(0 if all(medians["http"] / medians[kfl] >= BAR for kfl in RULES[1:]) else 1)


if __name__ == "__main__":
    main()
