#!/usr/bin/env python3
"""Compares gillnet's entries with what tshark sees, over folders of captures.

    accuracy.py GILLNET FOLDER... [--known docs/accuracy.md] [--verbose]

HTTP/1 exchanges are compared as multisets of (method, path, status), DNS ones of (question, type, rcode): each as often
as it occurs, both ways. Prints recall and precision a protocol. With --known, differences must be exactly the ones that
the table of that page lists; exit code 1 otherwise. Folders named hostile are passed over: what is broken on purpose has
no right count. Needs tshark.
"""
import argparse, collections, concurrent.futures, json, os, re, subprocess, sys

SEP = "\x1f"
FIELDS = ["frame.number", "frame.protocols", "tcp.stream", "udp.stream", "ip.src", "ipv6.src", "tcp.srcport", "udp.srcport",
          "ip.dst", "ipv6.dst", "tcp.dstport", "udp.dstport",
          "tcp.analysis.lost_segment", "tcp.analysis.ack_lost_segment", "http.request.method", "http.request.uri", "http.response.code",
          "dns.flags.response", "dns.id", "dns.count.queries", "dns.qry.name", "dns.qry.type", "dns.flags.rcode"]

# How tshark may look. No one way shows all that it can see: told to put segments in order it says nothing of what stands
# behind a missing one, told not to it misreads swapped ones, and a message whose head or body never ends is shown only
# when heads and bodies are not put together; on another protocol's port only when told to try content first. So it looks in each way, and of each stream counts the look that saw most.
LOOKS = [["-o", "tcp.reassemble_out_of_order:TRUE"], ["-o", "tcp.reassemble_out_of_order:FALSE"],
         ["-o", "tcp.reassemble_out_of_order:FALSE", "-o", "http.desegment_headers:FALSE", "-o", "http.desegment_body:FALSE",
          "-o", "tcp.try_heuristic_first:TRUE"]]
FILTER = 'http || dns || tcp contains "HTTP/1." || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment'

TYPES = {number: name for number, name in enumerate(
    "A NS MD MF CNAME SOA MB MG MR NULL WKS PTR HINFO MINFO MX TXT RP AFSDB X25 ISDN RT NSAP NSAP-PTR SIG KEY PX GPOS AAAA LOC "
    "NXT EID NIMLOC SRV ATMA NAPTR KX CERT A6 DNAME SINK OPT APL DS SSHFP IPSECKEY RRSIG NSEC DNSKEY DHCID NSEC3 NSEC3PARAM "
    "TLSA SMIMEA".split(), 1)}
TYPES |= {55: "HIP", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 99: "SPF",
          249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 253: "MAILB", 254: "MAILA", 255: "ANY", 256: "URI", 257: "CAA"}


def split(value):
    return value.split(SEP) if value else []


def look(path, options):
    """A row for each frame that has HTTP or DNS, may have it, or tells of lost segments."""
    command = ["tshark", "-n", "-r", path, "-T", "fields", "-E", f"aggregator={SEP}", "-E", "occurrence=a",
               "-Y", FILTER, *options]
    for field in FIELDS:
        command += ["-e", field]
    run = subprocess.run(command, capture_output=True, encoding="utf8", errors="replace")
    return [dict(zip(FIELDS, line.split("\t"))) for line in run.stdout.split("\n") if line]


def tshark(path):
    """The exchanges that tshark sees, as Counters by protocol."""
    best = {"http": {}, "dns": {}}  # by ends, as looks number streams differently
    for options in LOOKS:
        rows = look(path, options)
        for protocol, read in (("http", http), ("dns", dns)):
            conversations = collections.defaultdict(lambda: collections.defaultdict(list))
            for row in rows:
                for ends, stream, message in read(row):
                    conversations[ends][stream].append(message)
            for ends, streams in conversations.items():
                if seen(streams) > seen(best[protocol].get(ends, {})):
                    best[protocol][ends] = streams
        if not any(row["tcp.stream"] and not lost(row) for row in rows):
            break  # the looks differ in TCP alone
    found = {"http": collections.Counter(), "dns": collections.Counter()}
    for protocol, pairs in (("http", http_pairs), ("dns", dns_pairs)):
        for streams in best[protocol].values():
            for messages in streams.values():
                found[protocol].update(pairs(messages))
    return found


def seen(streams):
    """How many messages there are, losses not counted."""
    return sum(what is not None for messages in streams.values() for _, what, *_ in messages)


def lost(row):
    return row["tcp.analysis.lost_segment"] or row["tcp.analysis.ack_lost_segment"]


def last(row, name):
    """The innermost value of a field that tunnels repeat."""
    return (split(row.get(name, "")) or [""])[-1]


def place(row, protocols):
    """Where a frame's innermost segment belongs: both ends in an order that is the same both ways, the stream, the sender."""
    network = next((p for p in reversed(protocols) if p in ("ip", "ipv6")), "")
    transport = next((p for p in reversed(protocols) if p in ("tcp", "udp")), "")
    source, target = ((last(row, f"{network}.{end}"), last(row, f"{transport}.{end}port")) for end in ("src", "dst"))
    return tuple(sorted((source, target))), (transport, last(row, f"{transport}.stream")), source


def inner(row, name):
    """The protocols of a frame down to the named one; none where it is a piece that an ICMP error quotes."""
    protocols = row["frame.protocols"].split(":")
    if name not in protocols:
        return None
    protocols = protocols[:len(protocols) - protocols[::-1].index(name)]
    return None if {"icmp", "icmpv6"} & set(protocols) else protocols


def http(row):
    """The heads of a frame: ends, stream, (sender, method and path or the status); a head of None where segments were lost."""
    if lost(row):
        ends, stream, source = place(row, row["frame.protocols"].split(":"))
        # what the sender had received was the other one's
        yield ends, stream, (source, None, bool(row["tcp.analysis.lost_segment"]))
    protocols = inner(row, "http")
    if protocols is None or "tcp" not in protocols:
        return
    ends, stream, source = place(row, protocols)
    for request in zip(split(row["http.request.method"]), split(row["http.request.uri"])):
        yield ends, stream, (source, request)
    for code in split(row["http.response.code"]):
        if not 100 <= int(code) < 200 or code == "101":
            yield ends, stream, (source, int(code))


def http_pairs(messages):
    """Requests with their responses, which come in the same order the other way. A response may be among segments that
    were lost: it was, if a further request follows them and one response alone."""
    requests = []
    for source, what, *own in messages:
        if what is None:
            for request in requests:
                request["doubtful"] |= (request["source"] != source) == own[0]
        elif isinstance(what, tuple):
            requests.append({"source": source, "head": what, "doubtful": False})
        elif requests and requests[0]["source"] != source:
            while requests[0]["doubtful"] and not requests[-1]["doubtful"]:
                yield *requests.pop(0)["head"], None
            yield *requests.pop(0)["head"], what
        else:
            yield None, None, what
    for request in requests:
        yield *request["head"], None


def dns(row):
    """The messages of a frame: ends, stream, (id, whether it is a response, question, rcode)."""
    protocols = inner(row, "dns")
    if protocols is None or {"mdns", "llmnr"} & set(protocols):
        return
    ends, stream, _ = place(row, protocols)
    names, kinds, rcodes = (iter(split(row[f"dns.{field}"])) for field in ("qry.name", "qry.type", "flags.rcode"))
    messages = zip(split(row["dns.flags.response"]), split(row["dns.id"]), split(row["dns.count.queries"]))
    for response, number, questions in messages:
        response = response in ("1", "True")
        rcode = int(next(rcodes, "0"), 0) if response else None
        asked = [(next(names, None), next(kinds, None)) for _ in range(int(questions))]
        name, kind = asked[0] if asked else (None, None)
        if name is not None:
            name = "" if name == "<Root>" else one_mark(name.lower())
            kind = int(kind or "0", 0)
            kind = TYPES.get(kind, f"TYPE{kind}")
        yield ends, stream, (number, response, (name, kind), rcode)


def dns_pairs(messages):
    """Queries with their responses: of the same id, and question where the response repeats it."""
    queries = collections.defaultdict(collections.deque)
    for number, response, question, rcode in messages:
        pending = queries[number]
        if not response:
            pending.append(question)
        elif pending:
            fits = (at for at, asked in enumerate(pending) if question in (asked, (None, None)))
            at = next(fits, None)
            if at is None:
                yield *question, rcode
            else:
                yield *pending[at], rcode
                del pending[at]
        else:
            yield *question, rcode
    for pending in queries.values():
        for question in pending:
            yield *question, None


def plain(name):
    """A name as tshark writes it: without escapes, and bytes that are not UTF-8 replaced."""
    if name is None:
        return None
    raw = re.sub(rb"\\(\d{3}|.)", lambda m: bytes([int(m[1])]) if len(m[1]) == 3 else m[1], name.encode())
    return one_mark(raw.decode("utf8", "replace").lower()) if raw != b"." else ""


def one_mark(name):
    """Bytes that are not UTF-8 as one mark, however many: programs differ in that."""
    return re.sub("\ufffd+", "\ufffd", name)


def gillnet(binary, path):
    """The exchanges that gillnet sees."""
    run = subprocess.run([binary, "query", "", path, "-o", "jsonl"], capture_output=True, encoding="utf8")
    if run.returncode not in (0, 1, 3):
        raise SystemExit(f"{binary} ended with {run.returncode} on {path}: {run.stderr}")
    found = {"http": collections.Counter(), "dns": collections.Counter()}
    for line in run.stdout.split("\n"):
        entry = json.loads(line) if line else {"protocol": {"name": ""}}
        request, response = entry.get("request") or {}, entry.get("response") or {}
        if entry["protocol"]["name"] == "http":
            found["http"][request.get("method"), request.get("url"), response.get("status")] += 1
        elif entry["protocol"]["name"] == "dns":
            question = ((request.get("questions") or response.get("questions")) or [{}])[0]
            rcode = response.get("rcode")
            found["dns"][plain(question.get("name")), question.get("type"), None if rcode is None else rcode & 15] += 1
    return found


def show(record):
    text = json.dumps(record, ensure_ascii=True).replace("|", "\\u007c").replace("`", "\\u0060")
    return text if len(text) <= 160 else text[:157] + "..."


def captures(folders):
    for folder in folders:
        if os.path.isfile(folder):
            yield os.path.basename(folder), folder
            continue
        for base, under, names in os.walk(folder):
            under[:] = sorted(name for name in under if name != "hostile")
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
    files = list(captures(options.folders))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda file: (gillnet(options.binary, file[1]), tshark(file[1])), files))
    for (name, _), (ours, theirs) in zip(files, results):
        for protocol in ("http", "dns"):
            a, b = ours[protocol], theirs[protocol]
            totals[protocol, "both"] += sum((a & b).values())
            totals[protocol, "ours"] += sum(a.values())
            totals[protocol, "theirs"] += sum(b.values())
            for seen_by, only in (("gillnet", a - b), ("tshark", b - a)):
                for record, times in only.items():
                    differences[name, protocol, seen_by, show(record)] += times
    print(f"{len(files)} captures")
    for protocol in ("http", "dns"):
        both, ours, theirs = (totals[protocol, k] for k in ("both", "ours", "theirs"))
        print(f"{protocol}: {theirs} seen by tshark, {ours} by gillnet, {both} by both; "
              f"recall {both / theirs if theirs else 1:.4f}, precision {both / ours if ours else 1:.4f}")
    listed = known(options.known) if options.known else collections.Counter()
    fresh, stale = differences - listed, listed - differences
    for title, rows in (("not listed", fresh), ("listed, but not there any more", stale)):
        if not rows or not (options.known or options.verbose):
            continue
        print(f"\n{title}:")
        for (file, protocol, seen_by, record), times in sorted(rows.items()):
            print(f"| {file} | {protocol} | {seen_by} | `{record}` | {times} | |")
    if options.known and (fresh or stale):
        sys.exit(1)


main()
