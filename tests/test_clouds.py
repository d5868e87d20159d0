"""Recordings in S3 and in Azure's storage: each with rights that are no more than it needs."""

import json
import os
import pathlib
import re
import subprocess
import time
import urllib.parse

import pytest
from conftest import count, query, wait_for
from test_dashboard import Tap
from test_recordings import indexed

HTTP = "http and dst.port == 8080"


def curl(host, *urls):
    """One curl, one connection for all URLs."""
    host.run("curl", "-s", *[part for url in urls for part in ("-o", "/dev/null", url)])


def by_file(folder, variables):
    """Variables as a configuration gives them, each in a file of its own."""
    for name, value in variables.items():
        (folder / name).write_text(value + "\n")
    return {name: {"file": str(folder / name)} for name in variables}


def test_what_is_recorded_is_read_as_from_a_folder(host, web, store, recorder, gillnet, tmp_path):
    """Keys from the configuration, one rule to the cloud and one to a folder: both answer alike, in every way of asking."""
    folder = tmp_path / "folder"
    rules = [{"name": "cloud", "kfl": "http", "destination": f"{store.url}/deep/er"}, {"name": "folder", "kfl": "http", "destination": f"file://{folder}"}]
    flights = recorder(recording={"flush": "*/3 * * * * *", "index": True, "rules": rules}, scripting={"env": by_file(tmp_path, store.env("recorder"))})
    for half in range(2):
        for k in range(6):
            curl(host, *[f"{web}/{i % 25}.json?half={half}&n={k * 100 + i}" for i in range(100)])
        time.sleep(4)
    assert flights.metric("drops_total{reason=\"own\"}") > 0, "its own uploads are seen and left out"
    assert flights.stop() == 0, flights.log.read_text()

    reader = store.env("reader")
    ask = lambda *arguments, source=f"{store.url}/deep/er": query(gillnet, *arguments[:1], source, *arguments[1:], host=host, env=reader)
    counted = ask("http", "--count")
    assert (counted.stdout.strip(), counted.returncode) == ("1200", 0), counted.stderr
    for arguments in (("http and response.status == 404", "--count"), ("http", "--columns", "url,status,elapsed_time"),
                      ('http && url.contains("half=1")', "--lang", "kfl2", "--columns", "url"), ('request.headers["user-agent"].contains("curl")', "--lang", "kfl2", "--count")):
        there, here = ask(*arguments), ask(*arguments, source=folder)
        assert (sorted(there.stdout.splitlines()), there.returncode) == (sorted(here.stdout.splitlines()), here.returncode), (arguments, there.stderr)
        assert here.stdout
    assert ask("dns", "--count").returncode == 3
    tap = Tap(host, gillnet, tmp_path, "--pcap", f"{store.url}/deep/er", env=reader)
    page = json.loads(tap.get("/api/entries?kfl=http%20and%20response.status%20%3D%3D%20404&limit=4"))
    assert page["matched"] == 240 and len(page["entries"]) == 4
    row = page["entries"][0]
    origin = {name: row[name] for name in ("cluster", "node", "run")}
    capture = tmp_path / "stream.pcap"
    tap.get(f"/api/streams/{row['stream']}/pcap?{urllib.parse.urlencode(origin)}", "-o", str(capture))
    assert count(capture, "http.request") == 100, "one stream, whole, by its range"

    for secret in ("s3cr3t/of+tests", "sig="):
        assert secret not in flights.log.read_text() + counted.stderr

    # a recorder's rights do not read, and what is wrong is said
    for account, says in (("recorder", "GetObject|ListBucket|list blobs|read blobs"), ("wrong", "not accepted")):
        refused = query(gillnet, "http", store.url, "--count", host=host, env=store.env(account))
        assert refused.returncode == 4 and re.search(says, refused.stderr), refused.stderr
        assert "rong-secret" not in refused.stderr and "d3Jvbmc" not in refused.stderr


def test_a_store_that_is_killed_while_it_is_uploaded_to_gets_everything_once(host, web, store, recorder, gillnet):
    flights = recorder(env=store.env("recorder"), recording={"flush": "*/1 * * * * *", "rules": [{"name": "r", "kfl": HTTP, "destination": store.url}]})
    for _ in range(2):
        for i in range(5):
            curl(host, *[f"{web}/{k}.json" for k in range(10)])
            time.sleep(0.7)
            if i == 2:
                store.stop()
        store.start()
    reader = store.env("reader")
    found = lambda: query(gillnet, "http", store.url, "--count", host=host, env=reader).stdout.strip()
    wait_for("all requests", lambda: found() == "100", 90)
    assert flights.stop() == 0
    assert found() == "100"
    assert "uploads go on" in flights.log.read_text()


def test_old_hours_are_deleted_by_who_may(host, store, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    first = indexed(gillnet, tmp_path / "a", f"file://{bucket}", hours=range(3))
    for path in bucket.rglob("*"):
        if path.is_file():
            store.put(urllib.parse.quote(str(path.relative_to(bucket)), safe="/"), path)
    age = f"{int(time.time() - first - 1.5 * 3600)}s"
    prune = lambda account, *more: subprocess.run(host.command(gillnet, "recordings", "prune", store.url, "--older-than", age, *more), capture_output=True,
                                                  text=True, env={**os.environ, **store.env(account)})
    would = prune("reader", "--dry-run")
    assert would.returncode == 0 and would.stdout.splitlines()[-1].startswith("1 hours with 4 files"), would
    refused = prune("reader")
    assert refused.returncode == 4 and re.search("DeleteObject|delete blobs", refused.stderr), refused
    rows = lambda: int(query(gillnet, "http", store.url, "--count", host=host, env=store.env("reader")).stdout)
    before = rows()
    done = prune("keeper")
    assert done.returncode == 0 and done.stdout == would.stdout.replace("would be ", ""), done
    assert rows() == before * 2 // 3
    again = prune("keeper")
    assert again.returncode == 0 and again.stdout.startswith("0 hours"), again


def test_captures_of_others_are_read_where_they_lie(host, store, gillnet, tmp_path):
    captures = sorted(pathlib.Path(os.environ["GILLNET_CAPTURES"]).glob("http1/*.pcap"))[:3]
    if not captures:
        pytest.skip("no captures")
    for capture in captures:
        store.put(f"theirs/{capture.name}", capture)
    there = query(gillnet, "http", f"{store.url}/theirs", "--count", host=host, env=store.env("reader"))
    here = sum(int(query(gillnet, "http", capture, "--count").stdout) for capture in captures)
    assert (there.stdout.strip(), there.returncode) == (str(here), 0), there.stderr


@pytest.mark.parametrize("url, ways", [
    ("s3://flights", ("AWS_ACCESS_KEY_ID", "IRSA", "AWS_PROFILE", "pod identity", "--anonymous")),
    ("https://acc.blob.core.windows.net/flights", ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN", "workload identity", "--anonymous")),
])
def test_without_credentials_the_ways_to_give_some_are_listed(host, gillnet, tmp_path, url, ways):
    """In a network with no metadata server: neither a refusal nor an answer comes."""
    host.run("ip", "route", "add", "blackhole", "169.254.0.0/16")
    refused = query(gillnet, "http", url, host=host, env={"HOME": str(tmp_path)})
    assert refused.returncode == 4, refused.stderr
    for way in ways:
        assert way in refused.stderr, (way, refused.stderr)
    began = recorder_refused(host, gillnet, tmp_path, url)
    assert began.returncode == 4 and ways[0] in began.stderr, began.stderr


def recorder_refused(host, gillnet, folder, url):
    config = folder / "gillnet.yaml"
    config.write_text(f"dataDir: {folder}/data\nrecording: {{rules: [{{name: r, kfl: http, destination: '{url}'}}]}}\n")
    return host.run(gillnet, "--config", config, "worker", "-i", "lo", check=False, env={**os.environ, "HOME": str(folder)})
