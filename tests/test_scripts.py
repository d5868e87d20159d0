"""Scripts in a running recorder: the article's way of recording, with its configuration."""

import json
import re
import time

import pytest
from conftest import count, merged, objects, query, sum_of, wait_for
from test_dashboard import Tap
from test_recording import Client, curl

# the same calls in the same order as the article's script, with a shorter period
RECORDING = """// records streams to Google Cloud Storage
var active = true;
var folder = "dfir";
var streams = [];

function onItemCaptured(data) {
    if (!active) return;
    if (kfl.match(env.RECORDING_KFL, data) && streams.indexOf(data.stream) === -1) {
        streams.push(data.stream);
        try {
            file.copy(pcap.path(data.stream), folder + "/" + data.stream);
        } catch (error) {
            console.error(Date() + "| not copied: " + pcap.path(data.stream) + "; Error: " + error + ";");
        }
    }
}

function upload() {
    if (streams.length === 0) return;
    var moved = "dfir_tmp";
    var key = JSON.parse(env.GCS_SA_KEY_JSON);
    try {
        console.log(Date() + "| upload");
        file.delete(moved);
        file.move(folder, moved);
        streams = [];
        file.mkdir(folder);
        var snapshot = pcap.snapshot([], moved);
        file.delete(moved);
        vendor.gcs.put(env.GCS_BUCKET, snapshot, key);
        file.delete(snapshot);
        var names = "name_resolution_history.json";
        vendor.gcs.put(env.GCS_BUCKET, names, key);
    } catch (error) {
        console.error(Date() + "| " + "Caught an error!", error);
    }
}

if (env.RECORDING_KFL) {
    file.delete(folder);
    file.mkdir(folder);
    jobs.schedule("upload", "*/5 * * * * *", upload);
} else {
    active = false;
}
"""


@pytest.fixture
def flights(host, gcs, recorder, tmp_path):
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "recording.js").write_text(RECORDING)
    key = json.loads(gcs.keys["recorder"].read_text())
    gcs.control("policy", {key["client_email"]: ["create", "delete"], "reader@test.iam.gserviceaccount.com": ["get", "list"]})
    variables = {"GCS_BUCKET": "flights", "GCS_SA_KEY_JSON": {"file": str(gcs.keys["recorder"])}, "RECORDING_KFL": "http or dns"}
    return recorder(env={"STORAGE_EMULATOR_HOST": gcs.url}, scripting={"env": variables, "source": str(folder)},
                    names={"static": [{"address": "127.0.0.1:8080", "name": "nginx"}]})


def test_the_articles_script_records_with_the_articles_configuration(host, web, dns, gcs, flights, gillnet, tmp_path):
    log = flights.log.read_text()
    assert "the built-in recorder is off" in log and "recording.js" in log
    client = Client(host)
    wanted = 0
    for period in range(3):
        time.sleep((0.5 - time.time()) % 5)  # between two of the job's times, so that one upload has all of these
        before = len(snapshots(gcs))
        client.get(f"/{period}.json")
        curl(host, f"{web}/1.json", f"{web}/2.json")
        host.run("dig", "+short", "+tries=1", "@127.0.0.1", f"p{period}.shop.example")
        wanted += 3
        wait_for("the job's upload", lambda: len(snapshots(gcs)) > before, 30)
    client.close()
    time.sleep(6)  # what ended is not uploaded again
    names = snapshots(gcs)
    assert 3 <= len(names) <= 4, names
    keys = keys_of(gcs)
    assert not [key for key in keys if key.endswith(".pcapng.gz")], "the built-in recorder is off"
    folder = tmp_path / "objects"
    folder.mkdir()
    for key in keys:
        host.run("curl", "-sf", "-o", folder / key.rsplit("/", 1)[1], f"{gcs.emulator}/flights/{key}")
    paths = [folder / key.rsplit("/", 1)[1] for key in names]
    history = json.loads((folder / "name_resolution_history.json").read_text())
    assert all(re.fullmatch(r"\d{10}", moment) for moment in history) and "nginx" in json.dumps(history)
    # each has the response that matched, of the connection that lives on as far as it had come
    for path in paths[:3]:
        assert sum_of(path, "http.response.code") >= 3 and count(path, "_ws.malformed") == 0
    whole = merged(paths, tmp_path)
    assert count(whole, "dns.flags.response == 1") >= 3
    run = query(gillnet, "http", "gs://flights/", "--count", host=host, env=gcs.env("reader"))
    assert run.stdout.strip() == str(wanted), run.stderr
    run = query(gillnet, 'http and dst.name == "nginx"', "gs://flights/", "--count", host=host, env=gcs.env("reader"))
    assert run.stdout.strip() == str(wanted), run.stderr
    text = host.run("curl", "-sf", "http://127.0.0.1:49100/metrics").stdout
    assert re.search(r'gillnet_script_calls_total\{script="0",side="worker",hook="onItemCaptured"\} [1-9]', text)
    assert flights.metric("script_streams_missed_total") == 0
    assert flights.stop() == 0, flights.log.read_text()


def test_without_its_pattern_the_script_is_loaded_anew_and_records_nothing(host, web, gcs, flights):
    curl(host, f"{web}/1.json")
    wait_for("an upload", lambda: snapshots(gcs), 30)
    config = json.loads(flights.config.read_text())
    del config["scripting"]["env"]["RECORDING_KFL"]
    flights.write(**config)
    wait_for("the change", lambda: b"was read again" in flights.log.read_bytes())
    before = len(snapshots(gcs))
    curl(host, f"{web}/1.json")
    time.sleep(6)
    assert len(snapshots(gcs)) == before


COUNTS = """// Counts answers
var answers = 0;
function onItemCaptured(data) { answers++; console.log("saw", data.request.path, data.response.status); }
jobs.schedule("Sum", "0 0 0 1 1 *", function () { console.log("answers:", answers > 0); });
"""

MARKS = """// Marks what failed
function onItemQueried(data) { return data.response.status >= 500 ? test.fail(data) : test.pass(data); }
"""


def test_scripts_come_and_go_while_it_records(host, web, gillnet, tmp_path):
    bucket, config = tmp_path / "bucket", tmp_path / "gillnet.yaml"
    bucket.mkdir()
    rule = {"name": "web", "kfl": "http", "destination": f"file://{bucket}", "flush": "*/2 * * * * *"}
    config.write_text(json.dumps({"recording": {"rules": [rule]}, "capture": {"ring": {"size": "64Mi", "kernel": "16Mi"}}}))
    data = tmp_path / "data"
    tap = Tap(host, gillnet, tmp_path, "--config", config, "--local", "-i", "lo", "--filter", "tcp port 8080", "--data-dir", data)
    (tmp_path / "counts.js").write_text(COUNTS)
    (tmp_path / "marks.js").write_text(MARKS)

    def scripts(*arguments, url=tap.url, code=0):
        run = host.run(gillnet, "scripts", *arguments, "--url", url, check=False)
        assert run.returncode == code, run.stdout + run.stderr
        return run.stdout if code == 0 else run.stderr

    def listed():
        return json.loads(scripts("list", "-o", "json"))["scripts"]

    # nobody without the token changes anything, or reads what scripts say
    assert "needs its token" in scripts("add", tmp_path / "counts.js", url=tap.base, code=4)
    assert host.run(gillnet, "console", "--url", tap.base, check=False).returncode == 4
    assert listed() == []

    assert scripts("add", tmp_path / "counts.js", tmp_path / "marks.js") == "added 0 (Counts answers): running\nadded 1 (Marks what failed): running\n"
    console = host.folder / "console.log"
    host.start(gillnet, "console", "-f", "--url", tap.url, log="console.log")
    wait_for("a line", lambda: curl(host, f"{web}/1.json") or "-0] saw /1.json 200\n" in console.read_text())
    assert [script["file"] for script in listed()] == [str(data / "scripts" / name) for name in ("counts-answers.js", "marks-what-failed.js")]
    counts = listed()[0]
    assert counts["state"] == "running" and counts["calls"] > 0 and counts["drops"] == counts["errors"] == 0 and counts["jobs"] == ["sum"]
    scripts("run-job", "Sum")
    wait_for("the job", lambda: "-0] answers: true\n" in console.read_text())

    curl(host, f"{web}/broken", f"{web}/2.json")
    rows = wait_for("both rows", lambda: [row for row in json.loads(tap.get("/api/entries?kfl=http"))["entries"] if row["summary"] in ("/broken", "/2.json")][1:] and
                    json.loads(tap.get("/api/entries?kfl=http"))["entries"])
    for row in rows:
        assert (row.get("failed"), row.get("passed")) == ((True, None) if row["summary"] == "/broken" else (None, True)), row

    scripts("deactivate", "Counts answers")
    assert [script["state"] for script in listed()] == ["inactive", "running"]
    curl(host, f"{web}/9.json")
    wait_for("the row", lambda: '"/9.json"' in tap.get("/api/entries?kfl=http"))
    assert "/9.json" not in console.read_text()
    assert scripts("delete", "0", "1") == "deleted 0\ndeleted 1\n"
    assert listed() == [] and not list((data / "scripts").glob("*.js"))
    row = json.loads(tap.get("/api/entries?kfl=http"))["entries"][0]
    assert "passed" not in row and "failed" not in row
    # and all the while it recorded
    def answers():
        return query(gillnet, "http", f"file://{bucket}/", "--count").stdout.strip() if objects(bucket) else ""
    wait_for("the recording", lambda: answers() == str(json.loads(tap.get("/api/entries?kfl=http"))["matched"]), 30)


def keys_of(gcs):
    listing = json.loads(gcs.host.run("curl", "-sf", f"{gcs.emulator}/storage/v1/b/flights/o").stdout)
    return sorted(item["name"] for item in listing.get("items", []))


def snapshots(gcs):
    return [key for key in keys_of(gcs) if re.search(r"/\d+\.pcap$", key)]
