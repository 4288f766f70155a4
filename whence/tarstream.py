"""A tar archive as a stream: decompressed ahead in a thread, read strictly to the last checksum.

Python's own reader ends without a word at a corrupt header, and costs five times as much per member.
Format: POSIX.1-1988 ustar, with the long names of GNU tar and of POSIX.1-2001 (pax).
"""

import gzip
import lzma
import queue
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from whence.base.errors import InputError

BLOCK = 512
CHUNK = 1 << 20


def regular_files(
    path: Path, container: str, limit: int, advance: Callable[[int], object]
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the regular files of a tar, gz or xz container, members of at most `limit` bytes.

    Raises InputError for links, special and larger members; ValueError, EOFError or the decompressor's error for
    damage: a bad header checksum, an end in the middle, a missing end mark (two blocks of zeros) or something behind
    it, a wrong checksum of the whole.
    """
    with path.open("rb") as raw, _Ahead(raw, container, advance) as stream:
        long_name = ""
        while (header := stream.take(BLOCK)).count(0) < BLOCK:
            name, count, type_ = _header(header)
            name = long_name or name
            if count > limit:
                raise InputError(f"member {name!r} holds {count:,} bytes, over the limit of {limit:,}; take it out")
            content = stream.take(count)
            stream.take(-count % BLOCK)
            if type_ == tarfile.GNUTYPE_LONGLINK:
                continue  # the link itself follows, and is refused by its name
            if type_ in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
                long_name = _extended_name(type_, content) or long_name
                continue
            long_name = ""
            if type_ == tarfile.REGTYPE or (type_ == tarfile.AREGTYPE and not name.endswith("/")):
                yield name, content
            elif type_ not in (tarfile.DIRTYPE, tarfile.AREGTYPE, tarfile.XGLTYPE):
                what = "a link" if type_ in (tarfile.LNKTYPE, tarfile.SYMTYPE) else f"of the special type {type_!r}"
                raise InputError(f"member {name!r} is {what}; archive plain files and folders alone")
        if any(stream.take(BLOCK)):
            raise ValueError("a block of zeros stands in the middle")
        stream.drain()


def _header(header: bytes) -> tuple[str, int, bytes]:
    """Return name, count of content bytes and type of a 512-byte header (POSIX.1-1988 ustar); ValueError if damaged."""
    if int(header[148:156].strip(b" \0"), 8) != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
        raise ValueError("a member's header is damaged")
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0" and header[345]:
        name = header[345:500].partition(b"\0")[0] + b"/" + name
    binary = header[124] == 0x80
    count = int.from_bytes(header[125:136]) if binary else int(header[124:136].strip(b" \0") or b"0", 8)
    return name.decode("utf-8", "surrogateescape"), count, header[156:157]


def _extended_name(type_: bytes, content: bytes) -> str:
    """Return the name in a GNU long-name member or in a pax header's records ('<length> <key>=<value>\\n'), if any."""
    if type_ == tarfile.GNUTYPE_LONGNAME:
        return content.rstrip(b"\0").decode("utf-8", "surrogateescape")
    name = ""
    while content:
        digits, space, _ = content.partition(b" ")
        start, length = len(digits + space), int(digits)
        if content[length - 1 : length] != b"\n" or length <= start:
            raise ValueError("a member's pax header is damaged")
        key, _, value = content[start : length - 1].partition(b"=")
        if key == b"path":
            name = value.decode("utf-8", "surrogateescape")
        content = content[length:]
    return name


def _decompressed(raw: IO[bytes], container: str) -> Any:
    if container == "gz":
        return gzip.GzipFile(fileobj=raw)
    return lzma.LZMAFile(raw) if container == "xz" else raw


class _Ahead:
    """Decompress in a thread (zlib and lzma let go of the interpreter) while the caller works on what came before."""

    def __init__(self, raw: IO[bytes], container: str, advance: Callable[[int], object]) -> None:
        self._raw = raw
        self._advance = advance
        self._source = _decompressed(raw, container)
        self._chunks: queue.Queue[bytes | Exception] = queue.Queue(maxsize=8)
        self._chunk = memoryview(b"")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def __enter__(self) -> "_Ahead":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._chunks.get_nowait()
            self._thread.join(0.01)

    def _fill(self) -> None:
        item: bytes | Exception = b"?"
        while item and not isinstance(item, Exception) and not self._stop.is_set():
            try:
                before = self._raw.tell()
                item = bytes(self._source.read(CHUNK))
                self._advance(self._raw.tell() - before)
            except Exception as error:
                item = error
            self._chunks.put(item)

    def _next(self) -> bool:
        item = self._chunks.get()
        if isinstance(item, Exception):
            raise item
        self._chunk = memoryview(item)
        return bool(item)

    def take(self, count: int) -> bytes:
        """Return exactly `count` bytes; raises EOFError where the stream ends before."""
        parts: list[memoryview] = []
        while count > 0:
            if not self._chunk and not self._next():
                raise EOFError("the archive ends in the middle")
            parts.append(self._chunk[:count])
            self._chunk = self._chunk[count:]
            count -= len(parts[-1])
        return b"".join(parts)

    def drain(self) -> None:
        """Read to the end, so that the checksums of the compressed stream are compared; ValueError if not all zeros."""
        while not any(self._chunk):
            if not self._next():
                return
        raise ValueError("something follows the end mark")
