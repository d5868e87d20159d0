"""A filter as SQL: engines that exist give the counts that `gillnet query` gives, over a bucket that the real worker recorded.

DuckDB, ClickHouse (chdb, which is ClickHouse as a library) and Spark run the statements. No package of ClickHouse's server that reads
Parquet is to be had from PyPI, npm or Debian, so the HTTP interface is a bridge in front of chdb. Trino and BigQuery are not run: their
statements are read by a parser of their grammars.
"""

import http.server
import json
import os
import subprocess
import threading
import time
import urllib.parse

import chdb
import chdb.session
import duckdb
import pytest
import sqlglot
from conftest import query
from filters import Maker

DIALECTS = ("clickhouse", "duckdb", "spark", "trino", "bigquery")
TEN = [
    "", "http", "dns and response.rcode != 0", "http && status_code >= 500", 'http && path.startsWith("/1") && !(src.port == 80)',
    "http and !(response.status == 200)", "!(response.status == 200)", 'dst.namespace == "shop" || dns_total_size > 60',
    'http && url.matches("n=[0-9]*7$") && dst.service.name == "it\'s"', "elapsed_time * 1000 > request_size + response_size",
]
#: Of recordings only that one has an entry can be said.
RECORDED = ['record("web")', 'record("all") and dns', 'record("web") && status_code >= 500 && record("web")', 'record("none")']
SEED = 20260301


def sql(gillnet, *arguments):
    return subprocess.run([gillnet, "sql", *map(str, arguments)], capture_output=True, text=True)


def statement(gillnet, *arguments):
    run = sql(gillnet, *arguments)
    assert run.returncode == 0, (arguments, run.stderr)
    return run.stdout.strip().removesuffix(";")


def counted(gillnet, kfl, bucket, *arguments):
    run = query(gillnet, kfl, bucket, "--count", *arguments)
    assert run.returncode in (0, 3), (kfl, run.stderr)
    return int(run.stdout)


def in_duckdb(text):
    return duckdb.sql(text).fetchall()


def in_clickhouse(text):
    return json.loads(chdb.query(text, "JSONCompact").bytes())["data"]


class Server(http.server.BaseHTTPRequestHandler):
    """ClickHouse's HTTP interface, as far as a statement and its answer go."""

    asked, lock = [], threading.Lock()

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        who = (self.headers["X-ClickHouse-User"], self.headers["X-ClickHouse-Key"])
        with self.lock:
            self.asked.append((text, urllib.parse.urlsplit(self.path).query))
            try:
                status, body = (200, chdb.query(text, "TabSeparated").bytes()) if who == ("ann", "secret") else (403, b"Authentication failed")
            except RuntimeError as error:
                status, body = 400, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def clickhouse():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"ann:secret@127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def spark():
    from pyspark.sql import SparkSession
    session = SparkSession.builder.master("local[2]")
    for key, value in {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
                       "spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": "1", "spark.sql.files.openCostInBytes": "1",
                       "spark.sql.session.timeZone": "America/New_York", "spark.sql.legacy.parquet.nanosAsLong": "true"}.items():
        session = session.config(key, value)
    session = session.getOrCreate()
    yield session
    session.stop()


@pytest.fixture
def bucket(host, web, dns, recorder, tmp_path):
    """A bucket with HTTP and DNS, kept by two rules, so that some entries are there twice."""
    bucket = tmp_path / "bucket"
    names = [{"address": web.removeprefix("http://"), "name": "catalogue", "namespace": "shop", "service": "it's"}]
    rules = [{"name": "all", "kfl": "http or dns", "destination": f"file://{bucket}"}, {"name": "web", "kfl": "http", "destination": f"file://{bucket}"}]
    flights = recorder(recording={"flush": "*/4 * * * * *", "index": True, "rules": rules}, names={"static": names})
    for k in range(6):
        urls = [f"{web}/{i % 25}.json?n={k * 20 + i}" for i in range(20)] + [f"{web}/broken", f"{web}/caf%C3%A9?a='b\\c&d=${{x}}", f"{web}/created"]
        host.run("curl", "-sg", *[part for url in urls for part in ("-o", "/dev/null", url)], "-X", "POST" if k == 5 else "GET")
        for i in range(3):
            host.run("dig", "+tries=1", "+time=2", "@127.0.0.1", f"n{k}{i}.{'shop' if i else 'no'}.example", "A")
    time.sleep(5)
    assert flights.stop() == 0, flights.log.read_text()
    return bucket


def filters(bucket, count):
    """Filters made at random of what is in the bucket, with the spelling of each."""
    files = f"read_parquet('{bucket}/entries/**/*.parquet', union_by_name = true)"
    words = [row[0] for row in in_duckdb(f'SELECT DISTINCT "http.request.url" FROM {files} WHERE "http.request.url" IS NOT NULL ORDER BY 1 LIMIT 20')]
    numbers = [row[0] for row in in_duckdb(f'SELECT DISTINCT "elapsedTime" FROM {files} WHERE "elapsedTime" IS NOT NULL ORDER BY 1 LIMIT 20')]
    maker = Maker(SEED, words, numbers)
    return [maker.filter() for _ in range(count)]


def test_engines_count_what_gillnet_counts(bucket, gillnet, spark):
    spark.sql(statement(gillnet, "", bucket, "--dialect", "spark", "--define", "entries"))
    in_spark = lambda text: [tuple(row) for row in spark.sql(text).collect()]  # noqa: E731
    engines = {"duckdb": in_duckdb, "clickhouse": in_clickhouse, "spark": in_spark}
    cases = [(kfl, "auto") for kfl in TEN + RECORDED]
    made = filters(bucket, 40)
    refused = 0
    for i, (kfl, lang) in enumerate(cases + made):
        spelling = () if lang == "auto" else ("--lang", lang)
        first = sql(gillnet, kfl, bucket, "--dialect", "duckdb", "--count", *spelling)
        if first.returncode:
            refused += 1
            assert lang != "auto", kfl
            continue
        expected = counted(gillnet, kfl, bucket, *spelling)
        for name, run in engines.items():
            if name == "spark" and i >= len(TEN) + 6:
                continue  # a statement takes it a second
            table = ("--table", "entries") if name == "spark" else ()
            if name == "duckdb":
                text = first.stdout.strip().removesuffix(";")
            else:
                text = statement(gillnet, kfl, bucket, "--dialect", name, "--count", *spelling, *table)
            assert int(run(text)[0][0]) == expected, f"{name}, {kfl}\n{text}"
    assert refused < 15, "most filters can be said in SQL"

    # groups, rows, and a span of time
    by = ("--by", "protocol,response.status")
    groups = {name: run(statement(gillnet, "http", bucket, "--dialect", name, *by, *(("--table", "entries") if name == "spark" else ())))
              for name, run in engines.items()}
    groups = {name: [tuple(map(str, row)) for row in rows] for name, rows in groups.items()}
    assert groups["duckdb"] == groups["clickhouse"] == groups["spark"], groups
    assert sum(int(row[-1]) for row in groups["duckdb"]) == counted(gillnet, "http", bucket)
    middle = in_duckdb(f"SELECT epoch_ns(max(timestamp)) FROM read_parquet('{bucket}/entries/**/*.parquet') WHERE protocol = 'dns'")[0][0]
    edge = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(middle // 10**9)) + f".{middle % 10**9:09}Z"
    for span in (("--since", edge), ("--until", edge)):
        expected = counted(gillnet, "", bucket, *span)
        assert expected > 0
        for name, run in engines.items():
            table = ("--table", "entries") if name == "spark" else ()
            assert int(run(statement(gillnet, "", bucket, "--dialect", name, "--count", *span, *table))[0][0]) == expected, (name, span)
    # views that engines keep say the same
    duckdb.sql(statement(gillnet, "", bucket, "--dialect", "duckdb", "--define", "main.entries"))
    text = statement(gillnet, TEN[5], bucket, "--dialect", "duckdb", "--count", "--table", "main.entries")
    assert in_duckdb(text)[0][0] == counted(gillnet, TEN[5], bucket)
    with chdb.session.Session() as session:
        session.query(statement(gillnet, "", bucket, "--dialect", "clickhouse", "--define", "entries"))
        text = statement(gillnet, TEN[5], bucket, "--dialect", "clickhouse", "--count", "--table", "entries")
        assert int(str(session.query(text))) == counted(gillnet, TEN[5], bucket)


def test_an_engine_looks_for_the_entries(bucket, gillnet, clickhouse, tmp_path):
    engine = ("--engine", f"clickhouse://{clickhouse}")
    columns = ("--columns", "startTime,protocol,method,path,status,src.ip,dst.name,elapsedTime,response.rcode")
    body = 'response.content.text.contains("misbehaves") and http'
    for kfl in (*TEN, *RECORDED, body, 'request.headers["user-agent"] != ""'):
        assert counted(gillnet, kfl, bucket, *engine) == counted(gillnet, kfl, bucket), kfl
    for output in ("jsonl", "table"):
        for kfl in (TEN[3], TEN[4], body):
            shown = [query(gillnet, kfl, bucket, *columns, "-o", output, *how).stdout for how in ((), engine)]
            assert sorted(shown[0].splitlines()) == sorted(shown[1].splitlines()), (kfl, output)
    whole = [sorted(query(gillnet, "dns", bucket, *how).stdout.splitlines()) for how in ((), engine)]
    assert whole[0] == whole[1] and len(whole[0]) == 18
    assert counted(gillnet, "http", bucket, "--limit", "7", *engine) == 7
    # what can't be told in SQL is said, and told by the packets
    told = query(gillnet, body, bucket, "--count", *engine)
    assert "SQL can't say this" in told.stderr and "read from their packets" in told.stderr, told.stderr
    # what has no index is read here
    lost = sorted(bucket.rglob("entries/**/*.parquet"))
    everything = counted(gillnet, "", bucket)
    for path in lost:
        if "recording=all" in str(path):
            path.unlink()
    assert counted(gillnet, "", bucket, *engine) == everything

    # errors name the engine, and no password
    denied = query(gillnet, "http", bucket, "--count", "--engine", f"clickhouse://{clickhouse.replace('secret', 'wrong')}")
    assert denied.returncode == 4 and "Authentication failed" in denied.stderr and "wrong" not in denied.stderr, denied.stderr
    away = query(gillnet, "http", bucket, "--count", "--engine", "clickhouse://127.0.0.1:1")
    assert away.returncode == 4 and "127.0.0.1:1" in away.stderr, away.stderr
    nowhere = query(gillnet, "http", bucket, "--count", "--table", "nowhere", *engine)
    assert nowhere.returncode == 1 and "nowhere" in nowhere.stderr, nowhere.stderr
    for wrong in ("mysql://h", "clickhouse://h?x=1", "h:8123"):
        run = query(gillnet, "http", bucket, "--engine", wrong)
        assert run.returncode == 2 and "clickhouse://host:8123" in run.stderr, run.stderr


def test_what_sql_cant_say_is_refused_with_its_place(gillnet, tmp_path):
    for kfl, place, why in [
        ('http and request.headers["x-a"] == "b"', 'request.headers["x-a"] == "b"', "no column of `request.headers"),
        ('http and response.content.text.contains("x")', 'response.content.text.contains("x")', "no column of `response.content.text`"),
        ('http && path.matches("\\\\bapi")', 'path.matches("\\\\bapi")', "the ends of words"),
        ('!(node.name == "a") and dns', 'node.name == "a"', "no column of `node.name`"),
    ]:
        run = sql(gillnet, kfl, tmp_path, "--dialect", "duckdb", "--count")
        carets = " " * (kfl.index(place) + 2) + "^" * len(place)
        assert run.returncode == 2 and not run.stdout and carets in run.stderr.splitlines() and why in run.stderr, run.stderr
    for arguments, why in [
        (("--dialect", "spark", "--count"), "--define"),
        (("--dialect", "duckdb", "--by", "method,method"), "named twice"),
        (("--dialect", "duckdb", "--columns", "request.headers"), "no column of `request.headers`"),
        (("--dialect", "duckdb", "--columns", "nosuch"), "no column `nosuch`"),
        (("--dialect", "duckdb", "--table", "a..b", "--count"), "no name of a table"),
    ]:
        run = sql(gillnet, "http", tmp_path, *arguments)
        assert run.returncode == 2 and not run.stdout and why in run.stderr, run.stderr
    redacted = sql(gillnet, 'http and redact("request.path")', tmp_path, "--dialect", "duckdb", "--columns", "path")
    assert redacted.returncode == 2 and "redact" in redacted.stderr


def test_statements_are_of_the_grammar_of_their_engine(gillnet, tmp_path):
    """No text of a filter leaves its quotes, and a parser of each grammar takes what is written."""
    nasty = "a'; DROP TABLE x; -- \\' \\\\ \" ` ${b} \n é"
    cases = TEN + RECORDED + [f"dst.name == {json.dumps(nasty, ensure_ascii=False)}", f"path.contains({json.dumps(nasty)}) || !(src.name in [{json.dumps(nasty)}, ''])",
                   'path.matches("^/[^a]+(b|c){2,3}?$")', "timestamp < timestamp('2026-01-01T00:00:00.5Z') && int(timestamp) % 7 == 3",
                   "double(size(path)) > 1.5 && src.port - 1 < 5 && elapsed_time / 7 == 3", 'response.status == r"^5" and dst.name.endsWith("x")']
    for dialect in DIALECTS:
        table = ("--table", "net.entries") if dialect in ("spark", "trino", "bigquery") else ()
        for kfl in cases:
            for shape in (("--count",), ("--by", "dst.name,status_code"), ("--since", "2026-01-01T00:00:00Z", "--until", "2026-01-02T03:04:05.678Z")):
                text = statement(gillnet, kfl, tmp_path, "--dialect", dialect, *table, *shape)
                parsed = sqlglot.parse(text, dialect=dialect)
                assert len(parsed) == 1 and isinstance(parsed[0], sqlglot.exp.Select), (dialect, kfl, text)
                if "DROP" in kfl:
                    texts = [literal.this for literal in parsed[0].find_all(sqlglot.exp.Literal)]
                    assert any("DROP TABLE" in literal for literal in texts), (dialect, text)
        definition = statement(gillnet, "", "s3://bucket/it's", "--dialect", dialect, "--define", "net.entries")
        if dialect == "bigquery":  # the parser knows no partitions of external tables
            columns, rest = definition.split(") WITH PARTITION COLUMNS", 1)
            assert "hive_partition_uri_prefix = 's3://bucket/it\\'s/entries'" in rest, rest
            definition = columns + ")"
        parsed = sqlglot.parse(definition, dialect=dialect)
        assert len(parsed) == 1 and isinstance(parsed[0], sqlglot.exp.Create), (dialect, definition)
    assert os.listdir(tmp_path) == []
