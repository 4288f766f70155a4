"""Archives and folders as streams: read strictly, never unpacked, no member ever written under its own name."""

import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from whence.base.errors import InputError
from whence.tarstream import regular_files

READABLE = ".zip, .tar, .tar.gz or .tar.xz"
MEMBER_BYTES = 1 << 26
"""No member is larger: a photograph or the datasets' own documents fit, a decompression bomb does not."""
OUTSIDE = re.compile(r"^/|\\|\0|^[A-Za-z]:|(^|/)\.\.(/|$)")
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    OSError,
    OverflowError,
    NotImplementedError,
)
"""What the readers raise for damaged content; a damaged offset is an OSError or an OverflowError when it is sought."""


def kind(path: Path) -> str:
    """Return zip, tar, gz or xz, told by the first bytes and not by the name; raises InputError for anything else."""
    try:
        with path.open("rb") as handle:
            head = handle.read(512)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a {READABLE} archive") from error
    for name, magic in {"zip": b"PK", "gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\0"}.items():
        if head.startswith(magic):
            return name
    if head[257:262] == b"ustar" or (head and not any(head)):
        return "tar"
    what = "an empty file" if not head else f"a file that begins with {head[:8]!r}"
    raise InputError(f"{path}: {what}; expected a {READABLE} archive, told apart by content")


def members(path: Path, advance: Callable[[int], object] = int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every regular file, in the archive's order; folders are passed over.

    `path` may be a folder: then its files are the members, sorted by name, hidden ones left out. `advance` is told the
    bytes of the archive read since the last call, for a progress bar; `size` says how many there are.
    Raises InputError that names the archive and the member: truncated or corrupt data, absolute or `..` names, links
    and other special members, encryption, two members of one name, members over `MEMBER_BYTES`.
    """
    container = "folder" if path.is_dir() else kind(path)
    seen: set[str] = set()
    last = "its beginning"
    try:
        read = {"folder": _folder_files, "zip": _zip_files}.get(container, regular_files)
        for raw, content in read(path, container, MEMBER_BYTES, advance):
            last = raw
            name = _safe(raw)
            if name in seen:
                raise InputError(f"two members are called {name}; keep one of them")
            seen.add(name)
            yield name, content
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except BROKEN as error:
        message = f"{path}: truncated or corrupt after {last} ({error}); fetch or copy the archive again"
        raise InputError(message) from error


def size(path: Path) -> int:
    """Return the bytes of an archive, or of all files that `members` finds in a folder; 0 if there is neither."""
    if path.is_dir():
        return sum(about.st_size for _, about in listed(path))
    return path.stat().st_size if path.exists() else 0


def write(path: Path, container: str, files: Iterable[tuple[str, bytes]]) -> None:
    """Write an uncompressed tar or zip whose bytes depend on `files` alone: no time, owner or mode gets in."""
    if container == "zip":
        with zipfile.ZipFile(path, "w") as target:
            for name, content in files:
                target.writestr(zipfile.ZipInfo(name), content)
        return
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as target_tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            target_tar.addfile(info, io.BytesIO(content))


def _safe(name: str) -> str:
    """Return the name without a leading './'; refuse what could point outside of a folder."""
    clean = name.removeprefix("./")
    if OUTSIDE.search(clean):
        raise InputError(f"member {name!r} has a root, '..', a drive or a backslash in its name; use relative names")
    try:
        clean.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"member {name!r} has a name that is not UTF-8; rename it and archive again") from error
    return clean


def files(path: Path) -> Iterator[Path]:
    """Yield the files in a folder and below but hidden ones; raises InputError for what may not be looked into."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}; change who may read there and run again") from error

    for folder, below, names in os.walk(path, onerror=refuse):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def listed(path: Path) -> list[tuple[str, os.stat_result]]:
    """Return what `files` finds, by its name below the folder, sorted; raises InputError for a link to nothing, too."""
    try:
        return sorted((file.relative_to(path).as_posix(), file.stat()) for file in files(path))
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}; mend it, or take it out") from error


def _folder_files(path: Path, _: str, limit: int, advance: Callable[[int], object]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a folder; raises InputError if it is another one at the end than at the beginning."""
    before = [(name, about.st_size, about.st_mtime_ns) for name, about in listed(path)]
    for name, held, _ns in before:
        if held > limit:
            raise InputError(f"file {name} holds {held:,} bytes, over the limit of {limit:,}; take it out")
        try:
            content = (path / name).read_bytes()
        except OSError as error:
            raise InputError(f"file {name}: {error.strerror}; take it out, or put it there again") from error
        advance(held)
        yield name, content
    if before != [(name, about.st_size, about.st_mtime_ns) for name, about in listed(path)]:
        raise InputError("changed while it was read; wait until whatever writes there has ended, and run again")


def _zip_files(path: Path, _: str, limit: int, advance: Callable[[int], object]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as source:
        if (len(source.infolist()) - _announced(path)) % (1 << 16):
            raise ValueError(f"{_announced(path):,} members are announced, {len(source.infolist()):,} are listed")
        for info in source.infolist():
            if stat.S_ISLNK(info.external_attr >> 16):
                raise InputError(f"member {info.filename!r} is a link; archive plain files and folders alone")
            if info.flag_bits & 1:
                raise InputError(f"member {info.filename!r} is encrypted; take the protection off first")
            if info.file_size > limit:
                raise InputError(
                    f"member {info.filename!r} holds {info.file_size:,} bytes, over the limit of {limit:,}; take it out"
                )
            advance(info.compress_size)
            if not info.is_dir():
                yield info.orig_filename, _read_zip(source, info)


def _announced(path: Path) -> int:
    """Return the number of members that the end record of a zip states, modulo 2^16 where the writer knew no better.

    Python's reader ignores it, and so misses the members that a damaged length in the directory swallows.
    """
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - (1 << 17)))
        tail = handle.read()
    end = tail.rindex(b"PK\5\6")
    count, wide = struct.unpack_from("<H", tail, end + 10)[0], tail.rfind(b"PK\6\6", 0, end)
    return int(struct.unpack_from("<Q", tail, wide + 32)[0] if count == 0xFFFF and wide >= 0 else count)


def _read_zip(source: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return a member's content; no more is decompressed than the header states."""
    try:
        with source.open(info) as handle:
            content = handle.read(info.file_size + 1)
    except NotImplementedError as error:
        raise InputError(f"member {info.filename!r}: {error}; zip it again with the usual deflate method") from error
    if len(content) != info.file_size:
        raise ValueError(f"member {info.filename!r} holds {len(content):,} bytes, its header says {info.file_size:,}")
    return content
