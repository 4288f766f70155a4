"""Downloads of published archives: resumed after a break, checked, and under their final name only when whole."""

import base64
import errno
import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from whence.base.errors import InputError
from whence.base.files import replacing

if TYPE_CHECKING:
    from requests import Response
    from tqdm import tqdm

TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two bytes
CHUNK = 1 << 18  # bytes: a dropped connection loses less than one of these
STALLS = 3  # attempts in a row without a new byte that end the retries
BACKOFF = 1.0  # seconds before the next attempt, doubled with every stall


def download(source: str, target: Path, checksum: str | None, setting: str = "fetch.<dataset>.archive") -> None:
    """Put what `source` names, an http(s) URL or "kaggle:<owner>/<dataset>", at `target`: the whole file or none.

    `checksum` is "md5:<hex>" or "sha256:<hex>", of which the first eight digits will do; without one the length that
    the server states has to do. What has arrived when a call is cut short stays in .checkpoints, and the next call goes
    on from there. Raises InputError, with the way out, for whatever goes wrong: `setting` names a file of one's own.
    """
    import urllib3

    name = hashlib.sha256(source.encode()).hexdigest()[:16]
    part = Path(os.environ.get("DVC_ROOT", "."), ".checkpoints", f"{name}.part")
    try:
        if checksum is not None and not re.fullmatch("md5:[0-9a-fA-F]{32}|sha256:[0-9a-fA-F]{8,64}", checksum):
            raise InputError(
                f"the checksum is {checksum!r}; expected md5:<32 hex digits> or sha256:<64 hex digits> (or the first 8)"
            )
        part.parent.mkdir(parents=True, exist_ok=True)
        _verify(part, _transfer(source, part, checksum))
        _place(part, target)
    except (InputError, OSError, urllib3.exceptions.HTTPError) as error:  # what requests raises is an OSError
        raise InputError(_explain(source, part, error, setting)) from error


def _transfer(source: str, part: Path, checksum: str | None) -> str | None:
    """Complete `part`, as long as attempts bring new bytes; return `checksum`, or the one that the server states."""
    import requests
    import urllib3

    furthest, stalls = _length(part), STALLS - 1  # a server that cannot be reached at all gets a single attempt
    while True:
        try:
            url, stated = _locate(source)
            _attempt(url, part, checksum or stated)
            return checksum or stated
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            reached = _length(part)
            stalls = 0 if reached > furthest else stalls + 1
            furthest = max(furthest, reached)
            if stalls >= STALLS:
                raise
            time.sleep(BACKOFF * 2**stalls)


def _locate(source: str) -> tuple[str, str | None]:
    """Return the URL to read now, and the checksum that is stated along with it."""
    scheme, _, rest = source.partition(":")
    match scheme.lower():
        case "http" | "https":
            return source, None
        case "kaggle":
            return _locate_on_kaggle(rest)
    raise InputError(f"'{scheme}' is not supported; expected http://…, https://… or kaggle:<owner>/<dataset>")


def _locate_on_kaggle(handle: str) -> tuple[str, str | None]:
    """Return the signed URL of a dataset's one zip archive, which expires, and its MD5 where that is stated.

    kagglehub.dataset_download would unpack it into a folder of 120,000 files, and its download_file appends without
    asking whether the file is still the same. So only the client is kagglehub's: it knows the address and the login.
    """
    from kagglehub import exceptions
    from kagglehub.clients import build_kaggle_client
    from kagglehub.handle import parse_dataset_handle
    from kagglehub.integrity import get_md5_checksum_from_response
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    try:
        dataset, request = parse_dataset_handle(handle), ApiDownloadDatasetRequest()
        request.owner_slug, request.dataset_slug = dataset.owner, dataset.dataset
        if dataset.is_versioned():
            request.dataset_version_number = dataset.version
        with build_kaggle_client() as client:
            session = client.http_client()._session
            session.send = partial(session.send, timeout=TIMEOUT)  # the client itself would wait for ever
            with client.datasets.dataset_api_client.download_dataset(request) as response:
                md5 = get_md5_checksum_from_response(response)
                return response.url, f"md5:{base64.b64decode(md5).hex()}" if md5 else None
    except OSError:  # from requests, explained with the others; some of them are ValueErrors too
        raise
    except (exceptions.CredentialError, exceptions.UnauthenticatedError, ValueError) as error:
        raise InputError(f"kagglehub refuses ({type(error).__name__}: {error})") from error


def _attempt(url: str, part: Path, checksum: str | None) -> None:
    """Ask once for the bytes that `part` lacks and append them; start from zero if the server has another file now."""
    import requests

    sidecar = _sidecar(part)
    version = sidecar.read_text("latin-1") if sidecar.exists() else ""
    have = _length(part) if version or checksum else 0  # without either, nothing would reveal a changed file
    # Identity: the length, the ranges and the checksum are those of the bytes as the server stores them.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": version} if version else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if not have or response.status_code not in (206, 416):
            return _append(response, part, 0)
        if _continues(response, have, version):
            return _append(response, part, have) if response.ok else None
    part.unlink()
    return _attempt(url, part, checksum)


def _continues(response: "Response", have: int, version: str) -> bool:
    """Tell whether the answer to a Range request goes on from byte `have` (206), or says that none are left (416)."""
    # Not every server heeds If-Range, so what the answer says of its version is compared here as well.
    if version and response.headers.get("ETag" if version.startswith('"') else "Last-Modified", version) != version:
        return False
    stated = response.headers.get("Content-Range", "")
    return bool(re.match(rf"bytes {have}-" if response.ok else rf"bytes \*/{have}$", stated))


def _append(response: "Response", part: Path, start: int) -> None:
    """Write the body of `response` to `part` from byte `start`, its end; raises ProtocolError if it falls short."""
    from urllib3.exceptions import ProtocolError

    response.raise_for_status()
    if response.status_code not in (200, 206):
        raise InputError(f"HTTP {response.status_code} instead of a file")
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    rest = response.raw.length_remaining
    total = int(whole) if whole.isdecimal() else None if rest is None else start + rest
    with _space(part, total), part.open("ab" if start else "wb") as file, _bar(start, total) as bar:
        if not start:  # the version is known before the first byte is kept
            tag = response.headers.get("ETag", "")  # a weak one (W/…) does not promise the same bytes
            version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
            _sidecar(part).write_text(version, "latin-1")
        for block in response.raw.stream(CHUNK, decode_content=False):
            file.write(block)
            bar.update(len(block))
    if total is not None and _length(part) != total:
        raise ProtocolError(f"{_length(part)} of {total} bytes")


@contextmanager
def _space(path: Path, needed: int | None) -> Iterator[None]:
    """Say what is needed, in bytes, when the disk fills up inside the block."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        amount = "an unknown number of" if needed is None else f"{needed:,}"
        raise InputError(f"the disk is full: {path.parent} has to hold {amount} bytes; free some space") from error


def _bar(start: int, total: int | None) -> "tqdm[NoReturn]":
    from tqdm import tqdm

    pause = 0.1 if sys.stderr.isatty() else 30.0  # seconds between updates: a log should not fill with bars
    return tqdm(
        desc="download",
        initial=start,
        total=total,
        unit="B",
        unit_scale=True,
        mininterval=pause,
        maxinterval=pause + 10,
    )


def _verify(part: Path, checksum: str | None) -> None:
    """Compare the file with "<algorithm>:<hex>"; a wrong one is removed, so that the next call starts afresh."""
    if checksum is None:
        return
    algorithm, _, expected = checksum.partition(":")
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, algorithm).hexdigest()
    if not digest.startswith(expected.lower()):
        part.unlink()
        raise InputError(f"the checksum is wrong: {algorithm}:{digest} arrived, {checksum} was expected")


def _place(part: Path, target: Path) -> None:
    """Give the finished file its name, also where `target` lies on another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        part.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with _space(target, _length(part)), replacing(target) as copy:
            shutil.copyfile(part, copy)
        part.unlink()
    _sidecar(part).unlink(missing_ok=True)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _sidecar(part: Path) -> Path:
    """Where the ETag or the date of the file that `part` begins is kept."""
    return part.with_suffix(".version")


def _explain(source: str, part: Path, error: Exception, setting: str) -> str:
    """Return the whole message: what failed, why, and the ways out."""
    kept = _length(part)
    again = (
        f"goes on after the {kept:,} bytes kept in {part}, if the server can" if kept else "starts from the first byte"
    )
    page = source
    if source.startswith("kaggle:"):
        page = f"https://www.kaggle.com/datasets/{source.removeprefix('kaggle:')} (what is public needs no login)"
    return (
        f"{source}: the download failed: {_reason(error)}\n"
        f"Running the same again {again}. Or download it by hand in a browser, from {page}, put the file where "
        f"params.yaml says at {setting}, or name its place there, and run with `source: local`."
    )


def _reason(error: Exception) -> str:
    """Return the cause in a few words: the messages of requests and urllib3 are mostly about themselves."""
    import requests
    from urllib3 import exceptions

    if isinstance(error, requests.HTTPError) and error.response is not None and not error.response.ok:
        code = error.response.status_code
        hints = {401: "it needs a login", 403: "access is refused; it may need a login", 404: "there is no such file"}
        return f"HTTP {code}, {hints.get(code, 'the server does not serve it now')}"
    if isinstance(error, requests.Timeout | exceptions.TimeoutError):
        return "the server does not answer; is the network up?"
    if isinstance(error, requests.ConnectionError):
        cause = getattr(error.args[0], "reason", error) if error.args else error
        return f"no connection ({str(cause).rsplit(': ', 1)[-1]}); is the network up?"
    if isinstance(error, exceptions.HTTPError):
        return f"the connection broke again and again ({error})"
    return str(error)
