"""Bad input: a message that names the thing and the mend, and the right exit code."""

import json
import os
import subprocess

import pytest

from conftest import query, wait_for


def run(host, gillnet, *arguments, env=None, timeout=60):
    clean = {"RECORDING_KFL": "", "GCS_BUCKET": "", "GCS_SA_KEY_JSON": "", "HOME": "/nonexistent", "GCE_METADATA_HOST": "127.0.0.1:1"}
    return subprocess.run(host.command(gillnet, *arguments), capture_output=True, text=True, timeout=timeout, env={**os.environ, **clean, **(env or {})})


@pytest.fixture
def worker(host, gillnet, tmp_path):
    def start(env=None, *arguments):
        return run(host, gillnet, "worker", "--data-dir", str(tmp_path / "data"), "-i", "lo", *arguments, env=env)
    return start


def test_a_wrong_pattern_shows_the_place(worker):
    result = worker({"RECORDING_KFL": "http and respnse.status == 500", "GCS_BUCKET": "file:///tmp/x"})
    assert result.returncode == 2
    assert "respnse.status" in result.stderr and "^" in result.stderr and "response" in result.stderr


def test_a_pattern_without_a_destination(worker):
    result = worker({"RECORDING_KFL": "http"})
    assert result.returncode == 2 and "GCS_BUCKET" in result.stderr


def test_the_articles_brace_is_named(host, gillnet, tmp_path):
    config = tmp_path / "article.yaml"
    config.write_text('scripting:\n  env:\n    GCS_BUCKET: b-1\n    RECORDING_KFL: http\n  source: "/x"\n}\n')
    result = run(host, gillnet, "--config", str(config), "worker")
    assert result.returncode == 2 and "line 6 column 1" in result.stderr and "6 | }" in result.stderr


def test_a_malformed_key_and_none_at_all(worker):
    result = worker({"RECORDING_KFL": "http", "GCS_BUCKET": "my-bucket", "GCS_SA_KEY_JSON": '{"type": "service_account", '})
    assert result.returncode == 4 and "GCS_SA_KEY_JSON" in result.stderr
    assert "service_account" not in result.stderr.replace("service account", "")
    result = worker({"RECORDING_KFL": "http", "GCS_BUCKET": "my-bucket"})
    assert result.returncode == 4
    for way in ("GCS_SA_KEY_JSON", "GOOGLE_APPLICATION_CREDENTIALS", "gcloud"):
        assert way in result.stderr, result.stderr


def test_interfaces_rights_ports_and_disks(host, gillnet, worker, tmp_path):
    result = run(host, gillnet, "worker", "--data-dir", str(tmp_path / "d"), "-i", "eth99")
    assert result.returncode != 0 and "eth99" in result.stderr and "lo" in result.stderr
    bare = host.run("capsh", "--drop=cap_net_raw", "--", "-c", f"{gillnet} worker -i lo --data-dir {tmp_path / 'e'}", check=False)
    assert bare.returncode != 0 and "CAP_NET_RAW" in bare.stderr
    result = run(host, gillnet, "worker", "--data-dir", str(tmp_path / "g"), "-i", "lo", "--filter", "tcp prot 80")
    assert result.returncode != 0 and "prot" in result.stderr
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
    try:
        result = run(host, gillnet, "worker", "--data-dir", str(small / "data"), "-i", "lo")
        assert result.returncode != 0 and "small" in result.stderr and "capture.ring.size" in result.stderr, result.stderr
    finally:
        subprocess.run(["umount", "-l", small], check=True)
    holder = host.start("python3", "-m", "http.server", "8899", "--bind", "127.0.0.1")
    wait_for("the port", lambda: host.run("curl", "-s", "http://127.0.0.1:8899/", check=False).returncode == 0)
    result = run(host, gillnet, "tap", "--pcap", str(tmp_path), "--listen", "127.0.0.1:8899")
    holder.terminate()
    assert result.returncode == 1 and "127.0.0.1:8899" in result.stderr and "--listen" in result.stderr, result.stderr


def test_files_that_are_no_captures(gillnet, tmp_path):
    wrong = tmp_path / "wrong.pcap"
    wrong.write_bytes(b"not a capture at all")
    result = query(gillnet, "http", wrong)
    assert result.returncode == 1 and "wrong.pcap" in result.stderr
    assert query(gillnet, "http", tmp_path / "missing.pcap").returncode == 1
    assert query(gillnet, "http &&", wrong).returncode == 2
    assert query(gillnet, "http", wrong, "--columns", "nosuch").returncode == 2


def test_buckets_that_are_not_there_or_not_allowed(host, gillnet, gcs):
    for bucket, account in (("nosuch-bucket", "reader"), ("flights", "recorder")):
        result = query(gillnet, "http", f"gs://{bucket}/", host=host, env=gcs.env(account))
        assert result.returncode == 4 and bucket in result.stderr, result.stderr


def test_a_closed_pipe_ends_quietly(gillnet, tmp_path):
    captures = os.environ.get("GILLNET_CAPTURES", "")
    capture = os.path.join(captures, "http1")
    result = subprocess.run(f"{gillnet} query '' {capture} | head -1", shell=True, capture_output=True, text=True)
    assert json.loads(result.stdout) and "panicked" not in result.stderr
