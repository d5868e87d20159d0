#!/usr/bin/env python3
"""Compares gillnet's entries with what tshark sees, over a folder of captures.

    accuracy.py GILLNET FOLDER... [--known docs/accuracy.md] [--verbose]

HTTP/1 exchanges are compared as multisets of (method, path, status), DNS ones of (question, type, rcode): each as often
as it occurs, both ways. Prints recall and precision a protocol. With --known, differences must be exactly the ones that
the table of that page lists; exit code 1 otherwise. Needs tshark.
"""
import argparse, collections, json, os, re, subprocess, sys

SEP = "\x1f"
FIELDS = ["frame.protocols", "tcp.stream", "udp.stream", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "tcp.srcport", "udp.srcport",
          "tcp.dstport", "udp.dstport", "http.request.method", "http.request.uri", "http.response.code",
          "dns.flags.response", "dns.id", "dns.qry.name", "dns.qry.type", "dns.flags.rcode"]
TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR",
         41: "OPT", 43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 52: "TLSA", 64: "SVCB", 65: "HTTPS",
         99: "SPF", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA"}


def split(value):
    return value.split(SEP) if value else []


def tshark(path):
    """The exchanges that tshark sees, as Counters by protocol; None where it cannot read the file at all."""
    command = ["tshark", "-n", "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE", "-T", "fields", "-E", f"aggregator={SEP}", "-E", "occurrence=a",
               "-Y", "http || dns"]
    for field in FIELDS:
        command += ["-e", field]
    run = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace")
    found = {"http": collections.Counter(), "dns": collections.Counter()}
    requests, queries = collections.defaultdict(collections.deque), collections.defaultdict(collections.deque)
    for line in run.stdout.splitlines():
        row = dict(zip(FIELDS, line.split("\t")))
        http(row, requests, found["http"])
        dns(row, queries, found["dns"])
    for pending in requests.values():
        found["http"].update((method, uri, None) for method, uri, _ in pending)
    for pending in queries.values():
        found["dns"].update((name, kind, None) for name, kind in pending)
    return found, run.returncode


def last(row, *names):
    """The innermost value of a field that tunnels repeat."""
    for name in names:
        values = split(row.get(name, ""))
        if values:
            return values[-1]
    return ""


def ends(row):
    source = last(row, "ip.src", "ipv6.src"), last(row, "tcp.srcport", "udp.srcport")
    return source, (last(row, "ip.dst", "ipv6.dst"), last(row, "tcp.dstport", "udp.dstport"))


def http(row, requests, found):
    if "ssdp" in row["frame.protocols"] or ":http" not in row["frame.protocols"]:
        return
    stream, (source, target) = row["tcp.stream"], ends(row)
    for method, uri in zip(split(row["http.request.method"]), split(row["http.request.uri"])):
        requests[stream].append((method, uri, source))
    for code in split(row["http.response.code"]):
        code, pending = int(code), requests[stream]
        if pending and pending[0][2] == target:
            if 100 <= code < 200 and code != 101:
                continue
            method, uri, _ = pending.popleft()
            found[method, uri, code] += 1
        elif not (100 <= code < 200 and code != 101):
            found[None, None, code] += 1


def dns(row, queries, found):
    protocols = row["frame.protocols"].split(":")
    if "dns" not in protocols or "mdns" in protocols or "llmnr" in protocols:
        return
    source, target = ends(row)
    names, kinds = split(row["dns.qry.name"]), split(row["dns.qry.type"])
    rcodes = iter(split(row["dns.flags.rcode"]))
    many = len(split(row["dns.flags.response"])) > 1
    for i, (answer, number) in enumerate(zip(split(row["dns.flags.response"]), split(row["dns.id"]))):
        at = i if many else 0
        name = names[at].lower() if at < len(names) else ""
        kind = int(kinds[at], 0) if at < len(kinds) else 0
        kind = TYPES.get(kind, f"TYPE{kind}") if kinds else ""
        if answer not in ("1", "True"):
            queries[source, target, number].append((name, kind))
            continue
        rcode = int(next(rcodes, "0"), 0)
        pending = queries[target, source, number]
        if pending:
            name, kind = pending.popleft()
            found[name, kind, rcode] += 1
        else:
            found[name or None, kind or None, rcode] += 1


def gillnet(binary, path):
    """The exchanges that gillnet sees."""
    run = subprocess.run([binary, "query", "", path, "-o", "jsonl"], capture_output=True, text=True, errors="backslashreplace")
    if run.returncode not in (0, 1, 3):
        raise SystemExit(f"{binary} ended with {run.returncode} on {path}: {run.stderr}")
    found = {"http": collections.Counter(), "dns": collections.Counter()}
    for line in run.stdout.splitlines():
        entry = json.loads(line)
        request, response = entry.get("request") or {}, entry.get("response") or {}
        if entry["protocol"]["name"] == "http":
            found["http"][request.get("method"), request.get("url"), response.get("status")] += 1
        elif entry["protocol"]["name"] == "dns":
            question = ((request.get("questions") or response.get("questions")) or [{}])[0]
            name = question.get("name")
            rcode = response.get("rcode")
            found["dns"][name.lower() if name is not None else None, question.get("type"), None if rcode is None else rcode & 15] += 1
    return found


def show(record):
    text = json.dumps(record, ensure_ascii=True).replace("|", "\\u007c")
    return text if len(text) <= 160 else text[:157] + "..."


def captures(folders):
    for folder in folders:
        if os.path.isfile(folder):
            yield os.path.basename(folder), folder
            continue
        for base, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                if re.search(r"\.(pcap|pcapng|cap)(\.gz|\.zst)?$", name):
                    path = os.path.join(base, name)
                    yield os.path.relpath(path, folder), path


def known(page):
    """The listed differences: rows `| file | protocol | seen by | record | times | reason |`."""
    rows = collections.Counter()
    for line in open(page, encoding="utf8"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 6 and cells[1] in ("http", "dns"):
            if not cells[5]:
                raise SystemExit(f"{page}: no reason given: {line}")
            rows[cells[0], cells[1], cells[2], cells[3].strip("`")] += int(cells[4])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--known")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    differences, totals = collections.Counter(), collections.Counter()
    for name, path in captures(options.folders):
        theirs, _ = tshark(path)
        ours = gillnet(options.binary, path)
        for protocol in ("http", "dns"):
            a, b = ours[protocol], theirs[protocol]
            totals[protocol, "both"] += sum((a & b).values())
            totals[protocol, "ours"] += sum(a.values())
            totals[protocol, "theirs"] += sum(b.values())
            for seen_by, only in (("gillnet", a - b), ("tshark", b - a)):
                for record, times in only.items():
                    differences[name, protocol, seen_by, show(record)] += times
    for protocol in ("http", "dns"):
        both, ours, theirs = (totals[protocol, k] for k in ("both", "ours", "theirs"))
        print(f"{protocol}: {theirs} seen by tshark, {ours} by gillnet, {both} by both; "
              f"recall {both / theirs if theirs else 1:.4f}, precision {both / ours if ours else 1:.4f}")
    listed = known(options.known) if options.known else collections.Counter()
    fresh, stale = differences - listed, listed - differences
    for title, rows in (("not listed", fresh), ("listed, but not there any more", stale)):
        if not rows or not (options.known or options.verbose) or (title != "not listed" and not options.known):
            continue
        print(f"\n{title}:")
        for (file, protocol, seen_by, record), times in sorted(rows.items()):
            print(f"| {file} | {protocol} | {seen_by} | `{record}` | {times} | |")
    if options.known and (fresh or stale):
        sys.exit(1)


main()
