#!/usr/bin/env python3
"""Starts an emulator of S3 (SeaweedFS) or of Azure's storage (Azurite), both of which verify signatures, with its buckets;
prints {"url": ...} when it can store, and ends it when standard input closes.

With --folder and --port it can be ended and started again with what it holds."""
import argparse
import base64
import hashlib
import hmac
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from email.utils import formatdate

SECRET = "s3cr3t/of+tests"
# what each may do, in SeaweedFS' words; {} is a bucket
S3_KEYS = {
    "AKTESTTESTTEST": ["Admin", "Read", "Write", "List", "Tagging"],
    "AKPOORPOORPOOR": ["Write:another"],
    "AKRECORDERTEST": ["Write:{}"],
    "AKREADERREADER": ["Read:{}", "List:{}"],
    "AKKEEPERKEEPER": ["Read:{}", "List:{}", "Write:{}"],
}
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-12-02"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def low_ports(count):
    """So many free ports whose neighbours 10000 above, where SeaweedFS has other doors, are free as well. All are below
    those that the kernel gives to whoever connects."""
    ports = random.sample(range(10_000, 22_000), 10 * count)
    return [port for port in ports if not listens(port) and not listens(port + 10_000)][:count]


def wait_for(what, there, process, log, seconds=60):
    end = time.monotonic() + seconds
    while not there():
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(errors="replace")[-4000:]
            sys.exit(f"waited in vain for {what}, which {'runs' if process.poll() is None else 'ended'}:\n{said}")
        time.sleep(0.05)


def start(log, *command):
    """A process that the kernel ends with this one."""
    with log.open("wb") as output:
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)], stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def installed(path):
    return pathlib.Path(os.environ["GILLNET_EMULATORS"]) / path


def s3(folder, port, buckets):
    config = folder / "s3.json"
    rights = lambda actions: [action.format(bucket) for action in actions for bucket in (buckets if "{}" in action else [""])]
    config.write_text(json.dumps({"identities": [
        {"name": key.lower(), "credentials": [{"accessKey": key, "secretKey": SECRET}], "actions": rights(actions)}
        for key, actions in S3_KEYS.items()]}))
    master, volume, filer, free = low_ports(4)
    port = port or free
    log = folder / "seaweedfs.log"
    # catalogues, whose ports are the same for all, are off
    process = start(log, installed("venv/bin/weed"), "server", "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-dir", folder,
                    "-master.volumeSizeLimitMB", 16, "-volume.max", 200, "-filer", "-s3", f"-master.port={master}", f"-volume.port={volume}",
                    f"-filer.port={filer}", f"-s3.port={port}", "-s3.config", config, "-s3.port.iceberg=0", "-s3.port.lance=0")
    url = f"http://127.0.0.1:{port}"
    wait_for("SeaweedFS", lambda: listens(port), process, log)
    for bucket in buckets:
        # it listens before it can store anything
        wait_for(f"the bucket {bucket}", lambda: s3_ask("PUT", f"{url}/{bucket}") in (200, 409), process, log)
        wait_for("SeaweedFS to store", lambda: s3_ask("PUT", f"{url}/{bucket}/probe", b"x") == 200, process, log)
        s3_ask("DELETE", f"{url}/{bucket}/probe")
    return process, url


def s3_ask(method, url, body=b""):
    """The status of a request that is signed by version 4 of AWS' scheme; 0 without an answer."""
    place = urllib.parse.urlparse(url)
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {"host": place.netloc, "x-amz-content-sha256": hashlib.sha256(body).hexdigest(), "x-amz-date": now}
    names = ";".join(headers)
    request = "\n".join([method, place.path, "", *(f"{name}:{value}" for name, value in headers.items()), "", names, headers["x-amz-content-sha256"]])
    scope = [now[:8], "us-east-1", "s3", "aws4_request"]
    text = "\n".join(["AWS4-HMAC-SHA256", now, "/".join(scope), hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in [*scope, text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential=AKTESTTESTTEST/{'/'.join(scope)}, SignedHeaders={names}, Signature={key.hex()}"
    try:
        with opener.open(urllib.request.Request(url, data=body, method=method, headers=headers), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def azure(folder, port, containers):
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    log = folder / "azurite.log"
    process = start(log, installed("node_modules/.bin/azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", port, "--silent", "--disableTelemetry",
                    "--skipApiVersionCheck", "--location", folder)
    wait_for("Azurite", lambda: listens(port), process, log)
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    for container in containers:
        make_container(url, container)
    return process, url


def azure_hmac(text):
    return base64.b64encode(hmac.new(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256).digest()).decode()


def make_container(url, name):
    date = formatdate(usegmt=True)
    resource = f"/{ACCOUNT}{urllib.parse.urlparse(url).path}/{name}\nrestype:container"
    signature = azure_hmac("PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{VERSION}\n{resource}")
    headers = {"x-ms-date": date, "x-ms-version": VERSION, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
    try:
        opener.open(urllib.request.Request(f"{url}/{name}?restype=container", method="PUT", headers=headers)).close()
    except urllib.error.HTTPError as error:
        if error.code != 409:  # it is there
            sys.exit(f"the container {name}: {error.code} {error.read().decode(errors='replace')}")


def signature(container, permissions):
    """A shared access signature of a container."""
    expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 24 * 3600))
    fields = [permissions, "", expiry, f"/blob/{ACCOUNT}/{container}", "", "", "", VERSION, "c", "", "", "", "", "", "", ""]
    query = {"sv": VERSION, "se": expiry, "sr": "c", "sp": permissions, "sig": azure_hmac("\n".join(fields))}
    return urllib.parse.urlencode(query)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("s3", "azure"))
    parser.add_argument("--port", type=int)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--bucket", action="append", default=[])
    parser.add_argument("--signature", metavar="PERMISSIONS", action="append", default=[], help="of the first container, as {\"signatures\": [...]}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or pathlib.Path(temporary)
        process, url = (s3 if arguments.kind == "s3" else azure)(folder, arguments.port, arguments.bucket)
        signatures = [signature(arguments.bucket[0], permissions) for permissions in arguments.signature]
        print(json.dumps({"url": url, "signatures": signatures}), flush=True)
        sys.stdin.read()
        # Azurite writes some of what it said it has only when it ends; SeaweedFS has everything on the disk
        process.send_signal(signal.SIGTERM if arguments.kind == "azure" else signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    main()
