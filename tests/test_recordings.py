"""Recordings: when they record, what is listed of them, and what is kept of them how long."""

import datetime
import json
import subprocess
import time

from conftest import objects, query, wait_for


def moment(seconds):
    """RFC 3339, so many seconds after the Unix epoch."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def state(flights, name):
    """What a recording does, as the metrics say."""
    text = flights.host.run("curl", "-sf", "http://127.0.0.1:49100/metrics").stdout
    wanted = f'gillnet_recording_state{{recording="{name}",state="'
    return [line.removeprefix(wanted).split('"')[0] for line in text.splitlines() if line.startswith(wanted)]


def test_a_rule_records_in_its_window_and_is_uploaded_at_its_end(host, web, recorder, gillnet, tmp_path):
    bucket = tmp_path / "bucket"
    start = int(time.time()) + 5
    rule = {"kfl": "http", "destination": f"file://{bucket}", "flush": "1h"}
    windowed = {"name": "windowed", "start": moment(start), "duration": "6s", **rule}
    expired = {"name": "expired", "expiry": moment(start - 3600), **rule}
    daily = {"name": "daily", "start": moment(start - 86400), "duration": "6s", "daily": 2, **rule}
    flights = recorder(recording={"rules": [windowed, expired, daily]})
    ask = lambda what: host.run("curl", "-s", "-o", "/dev/null", f"{web}/1.json?{what}")
    assert [state(flights, rule["name"]) for rule in (windowed, expired, daily)] == [["waiting"], ["expired"], ["waiting"]]
    for i in range(3):
        ask(f"before={i}")
    assert time.time() < start, "this machine is too slow for this window"
    wait_for("the window", lambda: state(flights, "windowed") == ["recording"])
    time.sleep(0.6)
    for i in range(3):
        ask(f"within={i}")
    assert time.time() < start + 6, "this machine is too slow for this window"
    wait_for("its end", lambda: state(flights, "windowed") == ["done"])
    time.sleep(0.6)
    for i in range(3):
        ask(f"after={i}")
    # long before its flush, and while it runs
    wait_for("its objects", lambda: len(objects(bucket)) == 2)
    assert state(flights, "daily") == ["done"]
    assert flights.stop() == 0, flights.log.read_text()
    for name in ("windowed", "daily"):
        folder = bucket / "packets"
        kept = [path for path in objects(folder) if f"recording={name}" in str(path)]
        found = [json.loads(line) for line in query(gillnet, "http", *kept).stdout.splitlines()]
        assert sorted(entry["request"]["url"].split("?")[1] for entry in found) == [f"within={i}" for i in range(3)], name
    assert not list(bucket.rglob("recording=expired"))


def test_what_is_wrong_with_a_lifetime_is_said_at_start(gillnet, tmp_path):
    config = tmp_path / "gillnet.yaml"
    for keys, said in (({"daily": 3}, ["`a`", "daily", "duration: 1h"]),
                       ({"start": "tonight"}, ["`a`", "start", "2026-03-14T22:00:00Z"]),
                       ({"expiry": "0h"}, ["`a`", "expiry", "30d"])):
        rule = {"name": "a", "kfl": "http", "destination": f"file://{tmp_path}/bucket", **keys}
        config.write_text(json.dumps({"dataDir": str(tmp_path / "data"), "recording": {"rules": [rule]}}))
        run = subprocess.run([gillnet, "--config", config, "worker", "-i", "lo"], capture_output=True, text=True)
        assert run.returncode == 2, run.stderr
        assert all(word in run.stderr for word in said), run.stderr
