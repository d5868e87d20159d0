"""The dashboard in a real Chromium, against the real binary."""

import json
import os
import re
import subprocess
import time

from conftest import ROOT, tshark, wait_for


class Tap:
    """A `gillnet tap` that serves its dashboard in the host."""

    def __init__(self, host, gillnet, folder, *arguments, env=None):
        self.host, self.log = host, folder / "tap.log"
        clean = {"RECORDING_KFL": "", "GCS_BUCKET": "", "GCS_SA_KEY_JSON": ""}
        host.start(gillnet, "tap", "--no-browser", *arguments, log="tap.log", env={**clean, **(env or {})})
        self.url = wait_for("the dashboard's address", self._url, 60)
        self.token = self.url.split("token=")[1]
        self.base = self.url.split("/?")[0]

    def _url(self):
        found = re.search(r"^http://\S+/\?token=\S+$", self.log.read_text(), re.M)
        return found and found[0]

    def status(self, path, *options):
        """The HTTP status of a request."""
        return int(self.host.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *options, f"{self.base}{path}", check=False).stdout)

    def get(self, path, *options):
        return self.host.run("curl", "-sf", "-H", f"Authorization: Bearer {self.token}", *options, f"{self.base}{path}").stdout


def browse(host, tap, mode, folder, **more):
    """Runs the dashboard's own tests of one mode."""
    env = {**os.environ, "GILLNET_URL": tap.url, "GILLNET_MODE": mode, "GILLNET_DOWNLOAD_DIR": str(folder), **more}
    # the folder's packages and browser are the machine's; only the network is the host's
    result = subprocess.run(host.command("npm", "--prefix", str(ROOT / "ui"), "run", "--silent", "e2e"), capture_output=True, text=True, env=env, timeout=540)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


def test_a_recorded_bucket_opens_with_a_key_that_may_only_read(host, web, dns, gcs, recorder, gillnet, tmp_path):
    flights = recorder(env=gcs.env("recorder"), recording={"flush": "*/3 * * * * *", "index": True},
                       scripting={"env": {"RECORDING_KFL": "(http and dst.port == 8080) or dns", "GCS_BUCKET": "flights"}})
    for i in range(30):
        host.run("curl", "-s", "-o", "/dev/null", f"{web}/{i % 20}.json?n={i}", "-o", "/dev/null", f"{web}/{'broken' if i % 5 == 0 else '2.json'}")
    host.run("dig", "@127.0.0.1", "a.shop.example", "b.shop.example", "nothing.example")
    time.sleep(1)
    assert flights.stop() == 0, flights.log.read_text()
    tap = Tap(host, gillnet, tmp_path, "--pcap", "gs://flights/", env=gcs.env("reader"))
    screenshot = os.environ.get("GILLNET_SCREENSHOT", str(tmp_path / "dashboard.png"))
    browse(host, tap, "recorded", tmp_path, GILLNET_SCREENSHOT=screenshot)
    for name in ("stream.pcap", "stream.pcapng"):
        assert "HTTP" in tshark(tmp_path / name)
    assert os.path.getsize(screenshot) > 10_000

    page = json.loads(tap.get("/api/entries?kfl=http%20and%20response.status%20%3D%3D%20500&limit=4"))
    assert page["matched"] == 6 and len(page["entries"]) == 4 and all(row["statusCode"] == 500 for row in page["entries"])
    rest = json.loads(tap.get(f"/api/entries?kfl=http%20and%20response.status%20%3D%3D%20500&limit=4&cursor={page['next']}"))
    assert len(rest["entries"]) == 2 and rest["next"] is None


def test_live_entries_appear_and_strangers_are_refused(host, web, gillnet, tmp_path):
    tap = Tap(host, gillnet, tmp_path, "--local", "-i", "lo", "--filter", "tcp port 8080 or tcp port 8899", "--data-dir", str(tmp_path / "data"))
    browse(host, tap, "live", tmp_path, GILLNET_TRAFFIC_URL=web)
    bearer = ("-H", f"Authorization: Bearer {tap.token}")
    upgrade = ("-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "-m", "1")
    assert tap.status("/api/status") == 401
    assert tap.status("/api/status", *bearer) == 200
    for stranger in (("-H", "Origin: http://evil.example"), ("-H", "Host: evil.example"), ("-H", "Host: evil.example:8899")):
        assert tap.status("/api/status", *bearer, *stranger) == 403
        assert tap.status("/api/live", *bearer, *upgrade, *stranger) == 403
        assert tap.status("/", *stranger) == 403
    assert tap.status("/api/live", *bearer, *upgrade) == 101
    status = json.loads(tap.get("/api/status"))
    assert status["mode"] == "live" and status["drops"]["own"] > 0 and status["counters"]["entries"] > 0
    rows = json.loads(tap.get("/api/entries?kfl=http"))["entries"]
    assert rows and not any(row["dst"]["port"] == 8899 for row in rows)
    answer = json.loads(tap.get("/api/kfl/validate", "-X", "POST", "-d", json.dumps({"kfl": "http and respnse.status == 500"})))
    assert not answer["ok"] and answer["errors"][0]["offset"] == 9
    assert json.loads(tap.get("/api/openapi.json"))["openapi"].startswith("3.1")
