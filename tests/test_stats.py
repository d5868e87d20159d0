"""Counts, sums and percentiles over a bucket: those of DuckDB on the same files, and those of the packets."""

import json
import math
import shutil
import time
import urllib.parse

import duckdb
from conftest import query, talk
from test_dashboard import Tap

FLUSH = "*/4 * * * * *"
MEASURES = "count,errors,errorRate,bytes,requestBytes,responseBytes,avg,min,max,p50,p90,p99"
FILTERS = [
    "", "http", "dns", "http && status_code >= 500", 'dst.namespace == "shop" && http', 'http && path.startsWith("/1")', "elapsed_time > 500",
    "request_size > 30 && response_size < 400", 'method == "GET" && url.contains("n=7")', "http && src.port > 40000", 'worker.contains(":")',
    'dst.service.name == "catalogue" || dns', 'src.name == ""', "response.status == 200 and request.path == \"/3.json\"", "http and !(response.status == 200)",
    'request.headers["User-Agent"].startsWith("curl")',
]
GROUPS = [
    [], ["dst.service"], ["src.name", "dst.name"], ["statusCode", "protocol"], ["path"], ["request.path", "statusCode"], ["method"], ["status_code"],
    ["dst.service.name"], ["dst.pod.name"], ["node.name"], ["error.type"], ["ok"], ["tls", "src.namespace", "dst.port", "protocol.abbr"],
]


def stats(gillnet, host, kfl, where, by, *arguments, measures=MEASURES, code=0):
    by = ["--by", ",".join(by)] if by else []
    result = query(gillnet, kfl, where, *by, "--measure", measures, *arguments, host=host)
    assert result.returncode == code, (kfl, by, result.returncode, result.stderr)
    return [json.loads(line) for line in result.stdout.splitlines()]


def sql(bucket, text):
    """What DuckDB reads out of the entries of a bucket, each entry once."""
    files = f"read_parquet('{bucket}/entries/**/*.parquet', hive_partitioning = true, union_by_name = true)"
    entries = f"(SELECT DISTINCT ON (cluster, transport, stream, \"index\") * FROM {files})"
    return duckdb.sql(text.replace("ENTRIES", entries)).fetchall()


def near(found, values, part):
    """Whether a percentile is within 1 % of those around it."""
    if not values:
        return found is None
    at = part * (len(values) - 1)
    around = values[math.floor(at)], values[math.ceil(at)]
    return around[0] * 0.99 - 1 <= found <= around[1] * 1.01 + 1


def test_statistics_are_those_of_duckdb_and_of_the_packets(host, web, dns, recorder, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    names = [{"address": web.removeprefix("http://"), "name": "catalogue", "namespace": "shop", "service": "catalogue"}]
    rules = [{"name": "all", "kfl": "http or dns"}, {"name": "errors", "kfl": "http and response.status == 500"}]
    rules = [{**rule, "destination": f"file://{bucket}"} for rule in rules]
    flights = recorder(recording={"flush": FLUSH, "index": True, "rules": rules}, names={"static": names})
    talk(host, web)
    assert flights.stop() == 0, flights.log.read_text()
    assert sql(bucket, "SELECT count(*) FROM ENTRIES") == [(230,)]

    # DuckDB on the same files
    failed = "ok = false OR \"error.type\" IS NOT NULL"
    for by, columns in [(["dst.service"], "dst.service"), (["protocol", "statusCode"], "protocol,statusCode"), ([], "")]:
        keys = [f'nullif("{c}"::VARCHAR, \'\')' for c in columns.split(",") if c]
        group = f"GROUP BY {', '.join(keys)}" if keys else ""
        text = f"""SELECT {', '.join(keys + [''])} count(*), count(*) FILTER (WHERE {failed}), sum(requestSize), sum(responseSize),
            list_sort(list(elapsedTime) FILTER (WHERE elapsedTime IS NOT NULL)) FROM ENTRIES {group}"""
        expected = {row[:-5]: row[-5:] for row in sql(bucket, text)}
        rows = stats(gillnet, host, "", bucket, by)
        found = {tuple(None if row[k] is None else str(row[k]) for k in by): row for row in rows}
        assert found.keys() == expected.keys()
        for key, (count, errors, requests, responses, elapsed) in expected.items():
            row, elapsed = found[key], elapsed or []
            assert (row["count"], row["errors"], row["requestBytes"], row["responseBytes"]) == (count, errors, requests, responses), key
            assert row["bytes"] == requests + responses and abs(row["errorRate"] - errors / count) < 1e-5
            for name, part in (("min", 0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1)):
                assert near(row[name], elapsed, part), (key, name, row[name], elapsed)
            assert not elapsed or abs(row["avg"] - sum(elapsed) / len(elapsed)) <= 1
    seconds = sql(bucket, "SELECT epoch_ns(time_bucket(INTERVAL 2 SECONDS, timestamp)) AS t, count(*) FROM ENTRIES GROUP BY t ORDER BY t")
    rows = stats(gillnet, host, "", bucket, [], "--every", "2s", measures="count")
    assert [row["count"] for row in rows] == [count for _, count in seconds]
    assert [row["time"] for row in rows] == [duckdb.sql(f"SELECT strftime(make_timestamp_ns({t}), '%Y-%m-%dT%H:%M:%S') || '.000000000Z'").fetchall()[0][0] for t, _ in seconds]

    # the same bucket without its index
    plain = tmp_path / "plain"
    shutil.copytree(bucket, plain, ignore=shutil.ignore_patterns("entries", "streams"))
    half = duckdb.sql(f"SELECT make_timestamp_ns({seconds[len(seconds) // 2][0]})::VARCHAR").fetchall()[0][0].replace(" ", "T") + "Z"
    spans = ([], ["--since", half], ["--until", half])
    questions = [(kfl, ["dst.name", "statusCode"], span) for kfl in FILTERS for span in spans] + [("http or dns", by, []) for by in GROUPS]
    for kfl, by, span in questions:
        both = [query(gillnet, kfl, where, "--by", ",".join(by), "--measure", MEASURES, *span, host=host) if by
                else query(gillnet, kfl, where, "--measure", MEASURES, *span, host=host) for where in (bucket, plain)]
        assert both[0].returncode == both[1].returncode and both[0].returncode in (0, 3), (kfl, by, both[0].stderr, both[1].stderr)
        assert both[0].stdout == both[1].stdout, f"{kfl} by {by} {span}: {both[0].stdout} by the index, {both[1].stdout} by the packets"
        count = query(gillnet, kfl, plain, "--count", *span, host=host).stdout.strip()
        assert sum(json.loads(line)["count"] for line in both[0].stdout.splitlines()) == int(count), (kfl, by, span)
    debug = query(gillnet, "http", bucket, "--by", "dst.service", "-v", host=host)
    assert "an index was read" in debug.stderr and " bytes (" in debug.stderr, debug.stderr

    # how it is shown, and what is refused
    table = query(gillnet, "http", bucket, "--by", "path", "--measure", "count,errors", "--top", "2", "-o", "table", host=host)
    assert table.stdout.splitlines()[0] == "path\tcount\terrors" and len(table.stdout.splitlines()) == 3
    assert "more groups are not shown" in table.stderr
    rows = stats(gillnet, host, "http", bucket, ["path"], "--sort", "+path", measures="count")
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert stats(gillnet, host, "http && status_code == 299", bucket, ["path"], code=3) == []
    for wrong, said in ((["--by", "nothing.there"], "nothing.there"), (["--measure", "p101"], "p101"), (["--every", "0s"], "longer"), (["--top", "3"], "--by"),
                        (["--by", "path", "--sort", "p99.9"], "p99.9"), (["--by", "src"], "single value")):
        refused = query(gillnet, "http", bucket, *wrong, host=host)
        assert refused.returncode == 2 and said in refused.stderr, (wrong, refused.stderr)

    # what a filter hides is not shown by groups either
    hidden = "http and redact(\"request.path\")"
    rows = stats(gillnet, host, hidden, bucket, ["request.path"], measures="count")
    assert [(row["request.path"], row["count"]) for row in rows] == [("[REDACTED]", 210)]
    assert query(gillnet, hidden, bucket, "--by", "summary", host=host).returncode == 2

    # the API
    tap = Tap(host, gillnet, tmp_path, "--pcap", str(bucket))
    ask = urllib.parse.urlencode({"kfl": "http", "by": "statusCode", "measures": "count,p99", "top": 1})
    answer = json.loads(tap.get(f"/api/stats?{ask}"))
    assert answer["columns"] == ["statusCode", "count", "p99"] and answer["entries"] == 210 and answer["other"] is None
    assert [row["statusCode"] for row in answer["rows"]] == [200] and answer["more"] == 1
    bearer = ("-H", f"Authorization: Bearer {tap.token}")
    assert tap.status("/api/stats") == 401 and tap.status("/api/stats?by=nothing.there", *bearer) == 400
    assert tap.status("/api/stats?every=x", *bearer) == 400 and tap.status("/api/stats?since=x", *bearer) == 400


def test_live_statistics(host, web, gillnet, tmp_path):
    tap = Tap(host, gillnet, tmp_path, "--local", "-i", "lo", "--filter", "tcp port 8080", "--data-dir", str(tmp_path / "data"))
    for _ in range(3):
        host.run("curl", "-s", "-o", "/dev/null", f"{web}/1.json", "-o", "/dev/null", f"{web}/broken")

    def counted():
        answer = json.loads(tap.get("/api/stats?filter=http&by=statusCode&measures=count,errors,max"))
        return answer if answer["entries"] == 6 else None

    deadline = time.monotonic() + 20
    while not (answer := counted()) and time.monotonic() < deadline:
        time.sleep(0.2)
    rows = {row["statusCode"]: (row["count"], row["errors"]) for row in answer["rows"]}
    assert rows == {200: (3, 0), 500: (3, 3)} and all(row["max"] > 0 for row in answer["rows"])
