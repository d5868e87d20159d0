"""Recordings that are encrypted before they leave the node: who has the key reads them as any other, and nobody else does."""

import gzip
import json
import os
import shutil
import time

import pyrage
import pytest
from conftest import Host, Recorder, frames, query, serve, tshark, wait_for
from test_dashboard import Tap
from test_sql import clickhouse  # noqa: F401 (a fixture)
from test_upkeep import NOW, run

SECRET = "hush"
LOST = 4
PATHS = sorted([f"/{i}.json" for i in range(16)] + [f"/lost/{i}" for i in range(LOST)])


class Keys:
    """Two keys that are recipients and one that is none, made by another implementation, in files as age-keygen writes them."""

    def __init__(self, folder):
        self.identities, self.files = {}, {}
        for name in ("first", "second", "stranger"):
            key = pyrage.x25519.Identity.generate()
            self.identities[name], self.files[name] = key, folder / f"{name}.key"
            self.files[name].write_text(f"# created: 2026-03-14T22:00:00Z\n# public key: {key.to_public()}\n{key}\n")

    def public(self, *names):
        return [str(self.identities[name].to_public()) for name in names]

    def use(self, name):
        return ("--identity", str(self.files[name]))


def converse(host, url):
    """Requests with something that nobody is to see, beside a connection that stays while they are in several objects."""
    long = host.start("sh", "-c", f"for i in $(seq 20); do echo url={url}/1.json; echo output=/dev/null; done | curl -s --rate 180/m -K -")
    for path in PATHS:
        host.run("curl", "-s", "-o", "/dev/null", "-H", f"X-Secret: {SECRET}{path}", url + path)
        time.sleep(0.2)
    long.wait()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, gillnet):
    """Buckets of one run: `sealed` for two keys, `plain` for nobody, and `mixed` of both kinds."""
    folder = tmp_path_factory.mktemp("encrypted")
    host, keys = Host(folder), Keys(folder)
    try:
        url = serve(host, folder, items=16, unit=4000)
        rule = lambda name, bucket, kfl="http", **more: {"name": name, "kfl": kfl, "destination": f"file://{folder}/{bucket}", **more}
        rules = [rule("all", "sealed", recipients=keys.public("first", "second")), rule("all2", "plain", recipients=[]),
                 rule("hidden", "mixed"), rule("shown", "mixed", "http and response.status >= 400", recipients=[])]
        flights = Recorder(host, gillnet, folder, ["worker", "-i", "lo", "--filter", "tcp port 8080"], dataDir=str(folder / "data"),
                           capture={"ring": {"size": "64Mi"}}, names={"static": [{"address": "127.0.0.1", "name": "nginx", "namespace": SECRET}]},
                           recording={"flush": "*/2 * * * * *", "index": True, "recipients": keys.public("first"), "rules": rules})
        converse(host, url)
        time.sleep(3)
        assert flights.stop() == 0, flights.log.read_text()
        yield folder, keys
    finally:
        host.close()


@pytest.fixture
def keys(recorded):
    return recorded[1]


def copied(name):
    @pytest.fixture
    def bucket(recorded, tmp_path):
        shutil.copytree(recorded[0] / name, tmp_path / name)
        return tmp_path / name
    return bucket


sealed, plain, mixed = copied("sealed"), copied("plain"), copied("mixed")


def files(bucket):
    return sorted(path for path in bucket.rglob("*") if path.is_file() and path.name != "gillnet.json")


def kind(path):
    return path.name.split(".", 1)[1].split(".age")[0]


def decrypt(path, identity):
    """The content of an encrypted file by another implementation, and what it is called then."""
    name, size, end = path.name.rsplit(".", 2)
    content = pyrage.decrypt(path.read_bytes(), [identity])
    assert end == "age" and len(content) == int(size), path
    return name, content


def check_encrypted(paths, needles=(SECRET, "json", "http", "PAR1", "nginx")):
    """Nothing of what was recorded can be seen in these files, packed or not."""
    for path in paths:
        content = path.read_bytes()
        assert content.startswith(b"age-encryption.org/v1\n-> X25519 ") and path.name.endswith(".age"), path
        assert not any(needle.encode() in content for needle in needles), path
        assert b"\x1f\x8b\x08" not in content[:1000], path


def answers(gillnet, bucket, *identity, **more):
    """What there is, whatever it was recorded by."""
    asked = query(gillnet, "http", bucket, "-o", "jsonl", *identity, **more)
    assert asked.returncode == 0 and "gone" not in asked.stderr and "encrypt" not in asked.stderr, asked.stderr
    found = [json.loads(line) for line in asked.stdout.splitlines()]
    for entry in found:
        entry["worker"] = entry["recording"] = None
    return sorted(json.dumps(entry, sort_keys=True) for entry in found)


def paths_of(asked):
    return sorted(json.loads(line)["path"] for line in asked.stdout.splitlines())


def test_another_implementation_reads_what_was_written(sealed, plain, keys, gillnet, tmp_path):
    paths = files(sealed)
    kinds = {path.name.rsplit(".", 2)[0].split(".", 1)[1] for path in paths}
    assert kinds == {"pcapng.gz", "parquet", "json"} and len(paths) >= 8, paths
    check_encrypted(paths)
    # in what is not encrypted the same is seen
    seen = b"".join(gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes() for path in files(plain))
    assert all(needle.encode() in seen for needle in (SECRET, "json", "http", "PAR1", "nginx"))
    for recipient in ("first", "second"):
        decrypted = tmp_path / f"by-{recipient}"
        for path in paths:
            name, content = decrypt(path, keys.identities[recipient])
            target = decrypted / path.relative_to(sealed).parent / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        shutil.copy(sealed / "gillnet.json", decrypted)
        assert run(gillnet, "verify", decrypted).returncode == 0
        assert answers(gillnet, decrypted) == answers(gillnet, plain)
    for path in paths:
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(path.read_bytes(), [keys.identities["stranger"]])


def test_what_another_implementation_wrote_is_read(plain, keys, gillnet):
    before = answers(gillnet, plain)
    recipient = keys.identities["second"].to_public()
    for path in files(plain):
        content = path.read_bytes()
        path.with_name(f"{path.name}.{len(content)}.age").write_bytes(pyrage.encrypt(content, [recipient]))
        path.unlink()
    assert answers(gillnet, plain, *keys.use("second")) == before
    done = run(gillnet, "verify", plain, *keys.use("second"))
    assert done.returncode == 0 and "0 findings" in done.stdout, done


def test_who_has_a_key_reads_it_as_any_other(sealed, plain, keys, gillnet, host, tmp_path):
    wanted = answers(gillnet, plain)
    assert len(wanted) >= len(PATHS)
    for name in ("first", "second"):
        assert answers(gillnet, sealed, *keys.use(name)) == wanted
    # one of several keys, and the one of the environment
    assert answers(gillnet, sealed, *keys.use("stranger"), *keys.use("second")) == wanted
    assert answers(gillnet, sealed, env={"GILLNET_IDENTITY": str(keys.files["first"])}) == wanted
    identity = keys.use("first")
    # from the index, from packets alone, and a part of the time
    asked = query(gillnet, "http and response.status == 404", sealed, "--count", *identity)
    assert asked.stdout.strip() == str(LOST), asked.stderr
    kfl = f'http and request.headers["X-Secret"] == "{SECRET}/3.json"'
    asked = query(gillnet, kfl, sealed, "--columns", "path", "-o", "jsonl", *identity)
    assert paths_of(asked) == ["/3.json"], asked.stderr
    for bucket, more in ((sealed, identity), (plain, ())):
        done = run(gillnet, "export", "http", bucket, "--out", tmp_path / f"{bucket.name}.pcapng", *more)
        assert done.returncode == 0, done.stderr
    assert SECRET.encode() in (tmp_path / "sealed.pcapng").read_bytes()
    assert sorted(frames([tmp_path / "sealed.pcapng"])) == sorted(frames([tmp_path / "plain.pcapng"]))
    summaries = []
    for bucket, more in ((sealed, identity), (plain, ())):
        done = run(gillnet, "verify", bucket, "-o", "json", *more)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0 and len(lines) == 1, done
        summaries.append({name: lines[0]["summary"][name] for name in ("objects", "packets", "streams", "entries", "findings", "encrypted")})
    assert summaries[0] == summaries[1] and summaries[0]["entries"] == len(wanted)
    done = run(gillnet, "recordings", sealed, "-o", "json", *identity)
    of = json.loads(done.stdout)["recordings"][0]
    assert of["entries"] == len(wanted) and of["encrypted"] == len(files(sealed)) and of["unread"] == of["faulty"] == 0, of
    # one object by itself
    one = next(path for path in files(sealed) if "/packets/" in str(path))
    asked = query(gillnet, "http", f"file://{one}", "--count", *identity)
    assert int(asked.stdout) > 0, asked.stderr
    # the dashboard
    tap = Tap(host, gillnet, tmp_path, "--pcap", str(sealed), *identity)
    listed = json.loads(tap.get("/api/entries?limit=100"))["entries"]
    assert len(listed) == len(wanted) and sum(f"/{i}.json" in json.dumps(listed) for i in range(16)) == 16, listed
    status = json.loads(tap.get("/api/status"))
    assert status["drops"]["encrypted-objects"] == 0, status


def test_compaction_encrypts_what_it_makes(sealed, keys, gillnet, tmp_path):
    identity = keys.use("second")
    wanted, before = answers(gillnet, sealed, *identity), files(sealed)
    # who has no key, or does not know for whom, leaves everything as it is
    done = run(gillnet, "compact", sealed, *NOW)
    assert done.returncode == 1 and f"{len(before)} files are encrypted" in done.stderr and "--identity FILE" in done.stderr, done
    done = run(gillnet, "compact", sealed, *NOW, *identity)
    assert done.returncode == 1 and "--recipient age1" in done.stderr and files(sealed) == before, done
    done = run(gillnet, "compact", sealed, *NOW, *keys.use("stranger"), "--recipient", *keys.public("first"))
    assert done.returncode == 1 and "none of the keys given" in done.stderr and files(sealed) == before, done
    done = run(gillnet, "compact", sealed, *NOW, *identity, "--recipient", "age1nonsense")
    assert done.returncode == 2 and "--recipient" in done.stderr and "age-keygen" in done.stderr, done
    config = tmp_path / "gillnet.yaml"
    config.write_text(json.dumps({"recording": {"rules": [
        {"name": "all", "kfl": "http", "destination": f"file://{sealed}", "recipients": keys.public("first", "second")}]}}))
    done = run(gillnet, "--config", config, "compact", sealed, *NOW, *identity, "--grace", "0")
    assert done.returncode == 0 and "objects made of" in done.stdout, done
    made = sorted(set(files(sealed)) - set(before))
    assert len(made) >= 3 and any("/packets/" in str(path) for path in made)
    check_encrypted(made)
    for name in ("first", "second"):
        [decrypt(path, keys.identities[name]) for path in made]
        assert answers(gillnet, sealed, *keys.use(name)) == wanted
    done = run(gillnet, "compact", sealed, *NOW, *identity, "--grace", "0", "--recipient", *keys.public("first"))
    assert done.returncode == 0 and not set(files(sealed)) & set(path for path in before if "/packets/" in str(path)), done
    assert answers(gillnet, sealed, *identity) == wanted
    done = run(gillnet, "verify", sealed, *identity)
    assert done.returncode == 0, done
    # names are enough to delete by
    done = run(gillnet, "recordings", "prune", sealed, "--older-than", "1s", "--dry-run")
    assert done.returncode == 0 and "0 hours" in done.stdout, done
    for date in list(sealed.rglob("date=*")):
        date.rename(date.with_name("date=2020-01-01"))
    done = run(gillnet, "recordings", "prune", sealed, "--older-than", "1d")
    assert done.returncode == 0 and files(sealed) == [], done


def test_who_has_no_key_is_told_and_gets_the_rest(mixed, sealed, keys, gillnet, host, tmp_path):
    hidden = [path for path in files(mixed) if "recording=hidden" in str(path)]
    shown = [path for path in files(mixed) if "recording=shown" in str(path)]
    check_encrypted(hidden)
    assert hidden and shown and not any(path.name.endswith(".age") for path in shown)
    asked = query(gillnet, "http", mixed, "--columns", "path", "-o", "jsonl")
    answered = paths_of(asked)
    assert asked.returncode == 4 and set(answered) >= {path for path in PATHS if "lost" in path}, asked
    assert f"{len(hidden)} objects are encrypted with age, such as" in asked.stderr and "recording=hidden" in asked.stderr, asked.stderr
    assert "--identity FILE" in asked.stderr and "GILLNET_IDENTITY" in asked.stderr, asked.stderr
    # nor does a key that is another's read more, nor do others tell more of it
    foreign = query(gillnet, "http", mixed, "--columns", "path", "-o", "jsonl", *keys.use("second"))
    assert foreign.returncode == 4 and paths_of(foreign) == answered and f"{len(hidden)} objects are encrypted" in foreign.stderr, foreign
    whole = query(gillnet, "http", mixed, "--columns", "path", "-o", "jsonl", *keys.use("first"))
    assert whole.returncode == 0 and set(paths_of(whole)) >= set(PATHS), whole
    done = run(gillnet, "export", "http", mixed, "--out", tmp_path / "out.pcapng")
    assert done.returncode == 4 and f"{len(hidden)} objects are encrypted" in done.stderr and tshark(tmp_path / "out.pcapng"), done
    done = run(gillnet, "verify", mixed, "-o", "json")
    *findings, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and len(findings) == 1 and last["summary"]["encrypted"] == len(hidden), done
    assert "recording=hidden" in findings[0]["key"] and "--identity FILE" in findings[0]["mend"]
    for identity in ((), keys.use("second")):
        done = run(gillnet, "recordings", mixed, "-o", "json", *identity)
        of = {recording["recording"]: recording for recording in json.loads(done.stdout)["recordings"]}
        assert of["hidden"]["unread"] == len(hidden) and of["hidden"]["entries"] is None and of["shown"]["unread"] == 0, of
        assert f"{len(hidden)} files of hidden are encrypted" in done.stderr and "--identity FILE" in done.stderr, done
    tap = Tap(host, gillnet, tmp_path, "--pcap", str(mixed))
    tap.get("/api/entries?limit=100")
    status = json.loads(tap.get("/api/status"))
    assert status["drops"]["encrypted-objects"] == len(hidden), status
    # where there is nothing else
    for command in (["query", "http", sealed], ["export", "http", sealed, "--out", tmp_path / "none.pcapng"]):
        done = run(gillnet, *command)
        assert done.returncode == 4 and f"{len(files(sealed))} objects are encrypted" in done.stderr and "--identity FILE" in done.stderr, done
        done = run(gillnet, *command, *keys.use("stranger"))
        assert done.returncode == 4 and f"{len(files(sealed))} objects are encrypted" in done.stderr and "--identity FILE" in done.stderr, done
    done = run(gillnet, "verify", sealed, "-o", "json", *keys.use("stranger"))
    *findings, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(findings) == 1 and "no key was given for" in findings[0]["what"] and last["summary"]["encrypted"] == len(files(sealed)), done


def test_what_an_engine_can_not_read_is_read_here(mixed, keys, gillnet, clickhouse):  # noqa: F811
    identity = keys.use("first")
    alone, asked = [query(gillnet, "http", mixed, "--count", *identity, *how) for how in ((), ("--engine", f"clickhouse://{clickhouse}"))]
    assert asked.returncode == 0 and int(asked.stdout) == int(alone.stdout) >= len(PATHS), asked
    assert "no index that an engine can read" in query(gillnet, "http", mixed, "--count", *identity, "--engine", f"clickhouse://{clickhouse}", "-v").stderr


def test_a_file_that_has_no_key_is_refused(sealed, keys, gillnet, tmp_path):
    secret = str(keys.identities["first"])
    file = tmp_path / "wrong.key"
    for wrong, said in (("", "no secret key"), ("age1abc\n", "line 1"), (f"{secret}\nx\n", "line 2"), (secret[:-1], "line 1")):
        file.write_text(wrong)
        done = run(gillnet, "query", "http", sealed, "--identity", file)
        assert done.returncode == 2 and said in done.stderr and str(file) in done.stderr and secret[20:40] not in done.stderr, done
    done = run(gillnet, "query", "http", sealed, "--identity", tmp_path / "none")
    assert done.returncode == 2 and "can't be read" in done.stderr, done


def test_what_was_torn_or_changed_is_named_and_the_rest_is_answered(sealed, keys, gillnet):
    identity = keys.use("first")
    whole = int(query(gillnet, "http", sealed, "--count", *identity).stdout)
    of = lambda part: [path for path in files(sealed) if f"/{part}/" in str(path)]
    torn, changed, other = of("packets")[0], of("packets")[1], of("entries")[-1]
    torn.write_bytes(torn.read_bytes()[:-20])
    content = bytearray(changed.read_bytes())
    content[-30] ^= 1
    changed.write_bytes(content)
    # the right bytes of another file
    other.write_bytes(of("streams")[0].read_bytes())
    done = run(gillnet, "verify", sealed, "-o", "json", *identity)
    *findings, _ = [json.loads(line) for line in done.stdout.splitlines()]
    name = lambda path: str(path.relative_to(sealed)).rsplit(".", 2)[0]
    said = {finding["key"]: finding["what"] for finding in findings}
    assert done.returncode == 1 and "not as long as its name says" in said[name(torn)], findings
    assert "not what was written" in said[name(changed)] and name(other) in said, findings
    # the entries of both are in the index, but for those of the file that is another
    asked = query(gillnet, "http", sealed, "--count", *identity)
    assert 0 < int(asked.stdout) <= whole and name(other).rsplit("/", 1)[1] in asked.stderr, asked
    kfl = 'http and request.headers["X-Secret"] != ""'
    asked = query(gillnet, kfl, sealed, "--columns", "path", "-o", "jsonl", *identity)
    assert name(torn).rsplit("/", 1)[1] in asked.stderr and "can't be decrypted" in asked.stderr, asked
    assert "panicked" not in asked.stderr
    # compaction says what it leaves
    before = files(sealed)
    done = run(gillnet, "compact", sealed, *NOW, *identity, "--recipient", *keys.public("first"))
    assert done.returncode == 1 and "left as it is" in done.stderr and "1 left as they are" in done.stdout and files(sealed) == before, done


def test_what_is_no_public_key_is_refused_at_start(keys, gillnet, tmp_path):
    config = tmp_path / "gillnet.yaml"
    secret = str(keys.identities["first"])
    rule = {"name": "mine", "kfl": "http", "destination": f"file://{tmp_path}/bucket"}
    for wrong in ("age1nonsense", secret):
        for recording, place in (({"recipients": [wrong], "rules": [rule]}, "recording.recipients"),
                                 ({"rules": [{**rule, "recipients": [wrong]}]}, "the rule `mine`: recipients")):
            config.write_text(json.dumps({"dataDir": str(tmp_path / "data"), "recording": recording}))
            done = run(gillnet, "--config", config, "worker", "-i", "lo")
            assert done.returncode == 2 and place in done.stderr and "age-keygen" in done.stderr, done
            assert secret[20:40] not in done.stderr + done.stdout


def test_what_waits_on_the_node_is_encrypted_and_so_is_what_comes_to_a_cloud(host, web, gcs, recorder, keys, gillnet, tmp_path):
    away = {**gcs.env("recorder"), "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9"}
    config = {"recording": {"flush": "2s", "index": True, "recipients": keys.public("first")},
              "scripting": {"env": {"RECORDING_KFL": "http and dst.port == 8080", "GCS_BUCKET": "flights"}}}
    flights = recorder(env=away, **config)
    converse(host, web)
    time.sleep(3)
    flights.stop()
    waiting = [path for path in (tmp_path / "data/spool/sealed").iterdir() if path.suffix != ".json"]
    assert len(waiting) >= 4
    for path in waiting:
        content = path.read_bytes()
        assert content.startswith(b"age-encryption.org/v1\n") and SECRET.encode() not in content and b"PAR1" not in content, path
    # another process, that knows nothing of recipients, uploads them as they are
    config["recording"].pop("recipients")
    flights = recorder(env=gcs.env("recorder"), log="again.log", **config)
    reader = {**gcs.env("reader"), "GILLNET_IDENTITY": str(keys.files["first"])}
    count = lambda: int(query(gillnet, "http", "gs://flights/", "--count", host=host, env=reader).stdout or 0)
    wait_for("all entries", lambda: count() >= len(PATHS), 60)
    assert flights.stop() == 0, flights.log.read_text()
    asked = query(gillnet, "http", "gs://flights/", "--columns", "path", "-o", "jsonl", host=host, env=reader)
    assert asked.returncode == 0 and sorted(set(paths_of(asked)) & set(PATHS)) == PATHS, asked
    kfl = f'http and request.headers["X-Secret"] == "{SECRET}/5.json"'
    asked = query(gillnet, kfl, "gs://flights/", "--columns", "path", "-o", "jsonl", host=host, env=reader)
    assert paths_of(asked) == ["/5.json"], asked
    asked = query(gillnet, "http", "gs://flights/", "--count", host=host, env=gcs.env("reader"))
    assert asked.returncode == 4 and "objects are encrypted with age" in asked.stderr, asked
    done = host.run(gillnet, "verify", "gs://flights/", env={**os.environ, **reader}, check=False)
    assert done.returncode == 0 and "0 findings" in done.stdout, done


def test_an_index_of_captures_is_encrypted_where_it_is_asked_for(plain, keys, gillnet, tmp_path):
    out = tmp_path / "out.pcapng"
    assert run(gillnet, "export", "http", plain, "--out", out).returncode == 0
    index = lambda *more: run(gillnet, "index", out, "--to", f"file://{tmp_path}/made", "--data-dir", tmp_path / "job", *more)
    done = index("--recipient", "age1nonsense")
    assert done.returncode == 2 and "--recipient" in done.stderr, done
    done = index("--recipient", *keys.public("first"))
    assert done.returncode == 0, done
    made = tmp_path / "made"
    check_encrypted(files(made))
    asked = query(gillnet, "http", made, "--count", *keys.use("first"))
    assert asked.stdout == query(gillnet, "http", out, "--count").stdout, asked
    # what can't be read is not taken for indexed
    done = run(gillnet, "index", made, "--to", f"file://{tmp_path}/again", "--data-dir", tmp_path / "job2")
    assert done.returncode == 4 and "--identity FILE" in done.stderr, done
    done = run(gillnet, "index", made, "--to", f"file://{tmp_path}/again", "--data-dir", tmp_path / "job2", *keys.use("first"))
    assert done.returncode == 0, done
    assert query(gillnet, "http", tmp_path / "again", "--count").stdout == asked.stdout
