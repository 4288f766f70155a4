"""Downloads against a small server on this machine that breaks in the ways in which servers do."""

import base64
import errno
import gzip
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import tqdm

from whence import download as module
from whence.base.errors import InputError
from whence.download import download

ROOT = Path(__file__).parents[1]
BODY = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
KAGGLE_API = "/api/v1/datasets.DatasetApiService/DownloadDataset"
PAGE = "https://www.kaggle.com/datasets/owner/pictures"


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    content: bytes = b""
    served: int = 0


@dataclass
class Site:
    """What the server serves, how it behaves, and what it was asked."""

    url: str = ""
    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    ranges: bool = True
    heeds_if_range: bool = True
    shift: int = 0
    """Bytes by which a ranged answer misses the range that was asked for."""
    cap: int | None = None
    """Bytes that a ranged answer holds at most."""
    length: int | None = None
    """What Content-Length says instead of the truth; -1 leaves it out."""
    faults: list[tuple[str, int]] = field(default_factory=list)
    """One for each of the next requests: ("drop", after so many bytes), ("status", code), ("silent", 0)."""
    asked: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def archive(self) -> str:
        return f"{self.url}/archive.zip"

    @property
    def spans(self) -> list[str | None]:
        return [request.headers.get("Range") for request in self.asked if request.path == "/archive.zip"]


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds: no thread outlives the tests

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, content: bytes) -> None:
            request = Request(self.path, dict(self.headers), content)
            site.asked.append(request)
            kind, amount = site.faults.pop(0) if site.faults else ("", 0)
            if kind == "silent":
                site.released.wait(5)
            elif kind == "status":
                self.send_error(amount)
            elif self.path == "/ftp":
                self._redirect("ftp://127.0.0.1/archive.zip")
            elif self.path in ("/moved", KAGGLE_API):
                self._redirect("/archive.zip")
            else:
                self._serve(request, amount if kind == "drop" else None)

        def _redirect(self, location: str) -> None:
            self.send_response(302)
            self.send_header("Location", location)
            self.end_headers()

        def _serve(self, request: Request, limit: int | None) -> None:
            start, version = 0, self.headers.get("If-Range")
            fresh = version is None or version in site.headers.values() or not site.heeds_if_range
            if "Range" in self.headers and site.ranges and fresh:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) + site.shift
            total = len(site.body)
            rest = site.body[start:][: site.cap if start else None]
            self.send_response(200 if not start else 206 if rest else 416)
            if start:
                span = f"{start}-{start + len(rest) - 1}" if rest else "*"
                self.send_header("Content-Range", f"bytes {span}/{total}")
            for name, value in site.headers.items():
                self.send_header(name, value)
            if site.length != -1:
                self.send_header("Content-Length", str(len(rest) if site.length is None else site.length))
            self.end_headers()
            request.served = len(rest[:limit])  # before the client can be done with it
            self.wfile.write(rest[:limit])

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(site)) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield site
        site.released.set()
        server.shutdown()
        thread.join(5)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(module, "BACKOFF", 0)
    monkeypatch.setattr(module, "TIMEOUT", (5, 5))
    monkeypatch.setattr(module, "CHUNK", 1 << 14)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "archive.zip"


@pytest.fixture
def kaggle(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The real client of Kaggle, without credentials, talking to the local server."""
    from kagglesdk import kaggle_env

    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "KAGGLE_CONFIG_DIR", "KAGGLEHUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, site.url)
    return "kaggle:owner/pictures"


def md5(body: bytes = BODY) -> str:
    return f"md5:{hashlib.md5(body).hexdigest()}"


def kept() -> list[Path]:
    return list(Path("repository", ".checkpoints").iterdir())


def kept_bytes() -> int:
    return sum(path.stat().st_size for path in kept() if path.suffix == ".part")


def broken(site: Site, target: Path, after: int = 100_000, checksum: str | None = None) -> None:
    """A call that ends after some bytes, for the server fails for good."""
    site.faults = [("drop", after)] + [("status", 503)] * module.STALLS
    with pytest.raises(InputError, match="503"):
        download(site.archive, target, checksum)
    assert not site.faults
    assert kept_bytes() == after
    assert not target.exists()
    site.asked.clear()


def refused(source: str, target: Path, *parts: str, page: str | None = None) -> str:
    """The call fails; return the message, which names the source, the reason and the way out."""
    with pytest.raises(InputError) as caught:
        download(source, target, None)
    message = str(caught.value)
    for part in (source, page or source, "by hand", "fetch.<dataset>.archive", "source: local", *parts):
        assert part in message
    assert not target.exists()
    return message


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# A healthy server


@pytest.mark.parametrize("checksum", [None, md5(), md5().upper().replace("MD5", "md5"), "sha256"])
def test_whole_file(site: Site, target: Path, checksum: str | None) -> None:
    if checksum == "sha256":
        checksum = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    download(site.archive, target, checksum)
    assert target.read_bytes() == BODY
    assert site.spans == [None]
    assert site.asked[0].headers["Accept-Encoding"] == "identity"
    assert list(target.parent.iterdir()) == [target]
    assert kept() == []


def test_redirect_is_followed(site: Site, target: Path) -> None:
    download(f"{site.url}/moved", target, md5())
    assert target.read_bytes() == BODY


def test_compressed_file_is_stored_as_it_is(site: Site, target: Path) -> None:
    # Some servers call a .tar.gz a tar with Content-Encoding gzip; unpacking it would break its checksum.
    site.body = gzip.compress(BODY)
    site.headers = {"Content-Encoding": "gzip"}
    download(site.archive, target, md5(site.body))
    assert target.read_bytes() == site.body


def test_length_may_be_unknown(site: Site, target: Path) -> None:
    site.length = -1
    download(site.archive, target, md5())
    assert target.read_bytes() == BODY


def test_existing_target_is_replaced_on_success_only(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(InputError):
        download(site.archive, target, md5(OTHER))
    site.faults = [("status", 404)]
    with pytest.raises(InputError):
        download(site.archive, target, md5())
    assert target.read_bytes() == b"old"
    download(site.archive, target, md5())
    assert target.read_bytes() == BODY


def test_without_dvc_the_partial_lies_in_the_working_directory(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_ROOT")
    site.faults = [("drop", 1000)] + [("status", 503)] * module.STALLS
    message = refused(site.archive, target)
    name = hashlib.sha256(site.archive.encode()).hexdigest()[:16]
    assert Path(".checkpoints", f"{name}.part").read_bytes() == BODY[:1000]
    assert "1,000 bytes" in message


def test_progress_does_not_flood_a_log(site: Site, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(site.archive, target, None)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "300k/300k" in shown.err
    assert len(shown.err) < 500


def test_import_is_light() -> None:
    code = "import sys, whence.download; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert not {"requests", "urllib3", "kagglehub", "kagglesdk", "tqdm"} & set(ran.stdout.split())


# Breaks and resumes


def test_drop_is_resumed_within_the_call(site: Site, target: Path) -> None:
    site.faults = [("drop", 100_000), ("status", 503), ("drop", 50_000)]
    download(site.archive, target, None)
    assert target.read_bytes() == BODY
    assert site.spans == [None, "bytes=100000-", "bytes=100000-", "bytes=150000-"]
    assert [request.served for request in site.asked] == [100_000, 0, 50_000, 150_000]
    assert kept() == []


def test_next_call_asks_for_the_rest_only(site: Site, target: Path) -> None:
    broken(site, target)
    download(site.archive, target, None)
    assert target.read_bytes() == BODY
    assert site.spans == ["bytes=100000-"]
    assert site.asked[0].headers["If-Range"] == '"one"'
    assert site.asked[0].served == 200_000


def test_server_without_ranges_starts_again(site: Site, target: Path) -> None:
    site.ranges = False
    broken(site, target)
    download(site.archive, target, md5())
    assert target.read_bytes() == BODY
    assert [request.served for request in site.asked] == [300_000]


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("name", ["ETag", "Last-Modified"])
def test_changed_file_is_not_spliced(site: Site, target: Path, name: str, heeds: bool) -> None:
    before, after = "Wed, 21 Oct 2015 07:28:00 GMT", "Thu, 22 Oct 2015 07:28:00 GMT"
    site.heeds_if_range = heeds
    site.headers = {name: before if name != "ETag" else '"one"'}
    broken(site, target)
    site.headers = {name: after if name != "ETag" else '"two"'}
    site.body = OTHER
    download(site.archive, target, None)
    assert target.read_bytes() == OTHER
    assert site.spans == (["bytes=100000-"] if heeds else ["bytes=100000-", None])


def test_shrunk_file_is_not_taken_for_complete(site: Site, target: Path) -> None:
    site.heeds_if_range = False
    broken(site, target)
    site.body = OTHER[:50_000]
    download(site.archive, target, None)
    assert target.read_bytes() == OTHER[:50_000]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_version_only_a_checksum_allows_to_resume(site: Site, target: Path, headers: dict[str, str]) -> None:
    site.headers = headers
    broken(site, target)
    download(site.archive, target, md5())
    assert site.spans == ["bytes=100000-"]
    target.unlink()
    broken(site, target)
    download(site.archive, target, None)
    assert site.spans == [None]
    assert target.read_bytes() == BODY


def test_answer_from_a_wrong_place_is_not_appended(site: Site, target: Path) -> None:
    broken(site, target)
    site.shift = -1
    download(site.archive, target, None)
    assert target.read_bytes() == BODY
    assert site.spans == ["bytes=100000-", None]


def test_complete_partial_needs_no_byte_more(site: Site, target: Path) -> None:
    target.parent.write_text("a file where the folder should be")
    message = refused(site.archive, target, "File exists")
    assert "300,000 bytes" in message
    target.parent.unlink()
    download(site.archive, target, md5())
    assert target.read_bytes() == BODY
    assert site.spans == [None, "bytes=300000-"]
    assert site.asked[1].served == 0
    assert kept() == []


def test_short_ranges_are_joined(site: Site, target: Path) -> None:
    broken(site, target)
    site.cap = 80_000
    download(site.archive, target, None)
    assert target.read_bytes() == BODY
    assert site.spans == ["bytes=100000-", "bytes=180000-", "bytes=260000-"]


@pytest.mark.parametrize(("ranges", "drops"), [(True, [0]), (False, [100_000]), (False, [50_000, 100_000])])
def test_retries_end_without_progress(site: Site, target: Path, ranges: bool, drops: list[int]) -> None:
    site.ranges = ranges
    site.faults = [("drop", 100_000)] + [("drop", after) for after in drops * 10]
    refused(site.archive, target, "again and again")
    assert len(site.asked) == 1 + module.STALLS


def test_interrupt_keeps_the_part_and_the_next_call_completes(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = tqdm.tqdm.update

    def interrupt(bar: Any, n: int) -> None:
        update(bar, n)
        if bar.n >= 100_000:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(tqdm.tqdm, "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            download(site.archive, target, None)
    assert not target.exists()
    arrived = kept_bytes()
    assert arrived >= 100_000
    download(site.archive, target, md5())
    assert target.read_bytes() == BODY
    assert site.spans == [None, f"bytes={arrived}-"]


def test_kill_keeps_the_part_and_the_next_call_completes(site: Site, target: Path) -> None:
    code = """if True:
        import os, signal, sys, tqdm
        from pathlib import Path
        from whence import download
        download.CHUNK = 1 << 16
        update = tqdm.tqdm.update
        tqdm.tqdm.update = lambda bar, n: os.kill(os.getpid(), signal.SIGKILL) if bar.n > 100_000 else update(bar, n)
        download.download(sys.argv[1], Path(sys.argv[2]), None)
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", code, site.archive, str(target)]
    assert subprocess.run(arguments, env=environment, timeout=30, check=False).returncode == -signal.SIGKILL
    assert not target.exists()
    arrived = kept_bytes()
    assert 0 < arrived < len(BODY)
    download(site.archive, target, md5())
    assert target.read_bytes() == BODY
    assert site.spans == [None, f"bytes={arrived}-"]


# Failures, each with the way out


def test_wrong_checksum_removes_the_part(site: Site, target: Path) -> None:
    with pytest.raises(InputError, match="checksum is wrong") as caught:
        download(site.archive, target, md5(OTHER))
    for part in (site.archive, md5(), md5(OTHER), "source: local", "from the first byte"):
        assert part in str(caught.value)
    assert not target.exists()
    assert kept_bytes() == 0
    download(site.archive, target, md5())
    assert site.spans == [None, None]


def test_short_content_length_is_caught_by_the_checksum(site: Site, target: Path) -> None:
    site.length = 1000
    with pytest.raises(InputError, match="checksum is wrong"):
        download(site.archive, target, md5())
    assert not target.exists()


def test_long_content_length_is_a_connection_that_broke(site: Site, target: Path) -> None:
    site.length = len(BODY) + 1
    site.ranges = False
    refused(site.archive, target, "again and again", f"{len(BODY):,} bytes")


@pytest.mark.parametrize("checksum", ["", "abc", "md5:abc", f"sha1:{'0' * 40}", f"md5:{'g' * 32}"])
def test_malformed_checksum_is_refused_before_the_download(site: Site, target: Path, checksum: str) -> None:
    with pytest.raises(InputError, match="expected md5:<32 hex digits> or sha256:<64 hex digits>"):
        download(site.archive, target, checksum)
    assert site.asked == []


@pytest.mark.parametrize(("code", "reason"), [(404, "no such file"), (403, "refused"), (503, "does not serve it now")])
def test_http_errors(site: Site, target: Path, code: int, reason: str) -> None:
    site.faults = [("status", code)]
    refused(site.archive, target, f"HTTP {code}", reason)
    assert len(site.asked) == 1


def test_empty_answer_is_not_a_file(site: Site, target: Path) -> None:
    site.faults = [("status", 204)]
    refused(site.archive, target, "HTTP 204 instead of a file")


def test_refused_connection(target: Path) -> None:
    refused(f"http://127.0.0.1:{closed_port()}/archive.zip", target, "no connection", "Connection refused")


def test_unknown_host(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    refused("https://nowhere.invalid/archive.zip", target, "no connection", "not known", "is the network up?")


def test_silent_server(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", (5, 0.05))
    site.faults = [("silent", 0)]
    refused(site.archive, target, "does not answer")


@pytest.mark.parametrize("scheme", ["ftp", "file", "s3"])
def test_unknown_scheme(target: Path, scheme: str) -> None:
    refused(f"{scheme}://127.0.0.1/archive.zip", target, f"'{scheme}' is not supported", "https://")


def test_redirect_to_another_scheme(site: Site, target: Path) -> None:
    refused(f"{site.url}/ftp", target, "ftp://127.0.0.1/archive.zip")


def test_full_disk(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    class Full:
        """A file on a disk with room for 50,000 bytes."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: Any) -> None:
            self.file.close()

        def write(self, block: bytes) -> None:
            if self.file.tell() + len(block) > 50_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.file.write(block)

    def full(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        file = opened(path, mode, *rest, **more)
        return Full(file) if path.suffix == ".part" and mode in ("wb", "ab") else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        refused(site.archive, target, "disk is full", "300,000 bytes", str(Path("repository", ".checkpoints")))
    arrived = kept_bytes()
    assert 0 < arrived <= 50_000
    download(site.archive, target, md5())
    assert site.spans == [None, f"bytes={arrived}-"]


def test_target_on_another_file_system(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def across(path: Path, other: Path) -> Path:
        if path.suffix == ".part":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(path, other)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", across)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        refused(site.archive, target, "disk is full", "300,000 bytes", str(target.parent))
    assert list(target.parent.iterdir()) == []
    download(site.archive, target, md5())
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == BODY
    assert kept() == []


# Kaggle


@pytest.mark.parametrize(("suffix", "version"), [("", None), ("/versions/3", 3)])
def test_kaggle_archive_is_stored_unopened(
    site: Site, target: Path, kaggle: str, suffix: str, version: int | None, tmp_path: Path
) -> None:
    download(kaggle + suffix, target, md5())
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]
    assert not (tmp_path / "home").exists()  # nothing in the cache of kagglehub
    assert [request.path for request in site.asked] == [KAGGLE_API, "/archive.zip", "/archive.zip"]
    asked = json.loads(site.asked[0].content)
    assert (asked["ownerSlug"], asked["datasetSlug"]) == ("owner", "pictures")
    assert asked.get("datasetVersionNumber") == version


def test_kaggle_is_resumed(site: Site, target: Path, kaggle: str) -> None:
    site.faults = [("", 0), ("", 0), ("drop", 100_000)]
    download(kaggle, target, md5())
    assert target.read_bytes() == BODY
    assert site.spans == [None, None, None, "bytes=100000-"]


def test_kaggle_states_the_checksum(site: Site, target: Path, kaggle: str) -> None:
    stated = base64.b64encode(hashlib.md5(OTHER).digest()).decode()
    site.headers["x-goog-hash"] = f"crc32c=AAAAAA==,md5={stated}"
    refused(kaggle, target, "checksum is wrong", md5(OTHER), page=PAGE)
    assert kept_bytes() == 0
    site.body = OTHER
    download(kaggle, target, None)
    assert target.read_bytes() == OTHER


@pytest.mark.parametrize(("code", "reason"), [(401, "login"), (403, "login"), (404, "no such file"), (500, "HTTP 500")])
def test_kaggle_refuses(site: Site, target: Path, kaggle: str, code: int, reason: str) -> None:
    site.faults = [("status", code)]
    refused(kaggle, target, f"HTTP {code}", reason, page=PAGE)


@pytest.mark.parametrize("name", ["CredentialError", "UnauthenticatedError"])
def test_kaggle_without_login(target: Path, kaggle: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import kagglehub

    def refuse() -> None:
        raise getattr(kagglehub.exceptions, name)("no token")

    monkeypatch.setattr(kagglehub.clients, "build_kaggle_client", refuse)
    refused(kaggle, target, f"{name}: no token", page=PAGE)


def test_kaggle_out_of_reach(site: Site, target: Path, kaggle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from kagglesdk import kaggle_env

    monkeypatch.setattr(module, "TIMEOUT", (5, 0.05))
    site.faults = [("silent", 0)]
    refused(kaggle, target, "does not answer", page=PAGE)
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, f"http://127.0.0.1:{closed_port()}")
    refused(kaggle, target, "Connection refused", page=PAGE)


def test_kaggle_handle_is_checked(site: Site, target: Path, kaggle: str) -> None:
    refused("kaggle:pictures", target, "Invalid dataset handle")
    assert site.asked == []
