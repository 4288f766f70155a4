"""Archives: every kind reads alike, damage never passes in silence, and no member reaches the disk under its name."""

import gzip
import io
import lzma
import stat
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence import archive
from whence.archive import members, size, write
from whence.base.errors import InputError

FILES = [("train/cat/1.png", bytes(range(256)) * 5), ("b/empty", b""), ("a/z.png", b"z" * 512), ("README.md", b"hello")]
SMALL = [("a.png", b"\1\2\3" * 50), ("b.png", b"hello")]
LONG = "folder-of-some-length/" * 6 + "n" * 90 + ".png"
DEEP = "d" * 120 + "/" + "e" * 99
KINDS = ["tar", "tar.gz", "tar.xz", "zip", "deflated zip"]


@pytest.fixture(autouse=True)
def nothing_is_written_where_we_stand(tmp_path, monkeypatch):
    """Run every test in a folder of its own, two levels deep, that stays empty."""
    here = tmp_path / "outer" / "inner"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    yield
    assert [path for path in (tmp_path / "outer").rglob("*") if path != here] == []


def tar(entries, format_=tarfile.GNU_FORMAT, **info):
    """Return the bytes of a tar of (name, content) pairs and of ready TarInfo objects."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format_) as handle:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                handle.addfile(entry)
                continue
            member = tarfile.TarInfo(entry[0])
            member.size = len(entry[1])
            for key, value in info.items():
                setattr(member, key, value)
            handle.addfile(member, io.BytesIO(entry[1]))
    return target.getvalue()


def special(name, type_, linkname=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = type_, linkname
    return member


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as handle:
        for name, content in entries:
            handle.writestr(zipfile.ZipInfo(name), content, method)
    return target.getvalue()


def packed(kind, entries=FILES):
    """Return the bytes of an archive of one of the KINDS."""
    if "zip" in kind:
        return zipped(entries, zipfile.ZIP_DEFLATED if kind == "deflated zip" else zipfile.ZIP_STORED)
    plain = tar(entries)
    return {"tar": bytes, "tar.gz": lambda b: gzip.compress(b, mtime=0), "tar.xz": lzma.compress}[kind](plain)


def read(tmp_path, content, name="archive"):
    path = tmp_path / name
    path.write_bytes(content)
    return list(members(path))


def outcome(path, content):
    """Return the members of an archive, or the message with which it is refused."""
    path.write_bytes(content)
    try:
        return list(members(path))
    except InputError as error:
        return str(error)


def refusal(tmp_path, content, name="given.bin"):
    """Return the message with which an archive is refused; it starts with the archive's path."""
    with pytest.raises(InputError) as error:
        read(tmp_path, content, name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    return str(error.value)


# What is read


@pytest.mark.parametrize("container", ["tar", "zip"])
def test_what_is_written_is_read_again_in_its_order_and_is_the_same_each_time(tmp_path, container):
    files = [*FILES, ("z/ü.png", b"1"), (DEEP, b"2")]
    write(tmp_path / "one", container, iter(files))
    write(tmp_path / "two", container, files)
    assert list(members(tmp_path / "one")) == files
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert archive.kind(tmp_path / "one") == container


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-zü0-9 ()_-]{1,20}(/[a-z.]{0,90}[a-z])?", fullmatch=True), st.binary(max_size=1200)
    ),
    st.sampled_from(["tar", "zip"]),
)
def test_any_files_make_the_round_trip(tmp_path_factory, files, container):
    path = tmp_path_factory.getbasetemp() / "any"
    write(path, container, files.items())
    assert list(members(path)) == list(files.items())


@pytest.mark.parametrize("called", ["archive", "archive.zip", "photo.jpg", "x.tar.xz"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reads_alike_whatever_it_is_called(tmp_path, kind, called):
    assert read(tmp_path, packed(kind), called) == FILES


@pytest.mark.parametrize(
    ("format_", "name"),
    [
        (tarfile.GNU_FORMAT, LONG),
        (tarfile.GNU_FORMAT, "büch/ü.png"),
        (tarfile.PAX_FORMAT, LONG),
        (tarfile.PAX_FORMAT, "büch/ü " + "é" * 120 + "\n=.png"),
        (tarfile.PAX_FORMAT, "short.png"),
        (tarfile.USTAR_FORMAT, DEEP),
        (tarfile.USTAR_FORMAT, "x" * 100),
        (tarfile.USTAR_FORMAT, "y/" * 75 + "z" * 100),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
def test_long_and_foreign_names_in_every_format(tmp_path, format_, name, compress):
    files = [(name, b"1" * 600), ("after.png", b"2"), (f"a/{name[:60]}.png", b"3")]
    assert read(tmp_path, compress(tar(files, format_))) == files


def test_pax_headers_beside_the_path_are_passed_over(tmp_path):
    files = [("a.png", b"1"), ("b.png", b"2")]
    content = tar(files, tarfile.PAX_FORMAT, pax_headers={"comment": "a b=c\nd", "mtime": "1.5"}, mtime=1.5)
    assert read(tmp_path, content) == files
    with_global = io.BytesIO()
    with tarfile.open(fileobj=with_global, mode="w", pax_headers={"comment": "all of it"}) as handle:
        handle.addfile(tarfile.TarInfo("a.png"))
    assert read(tmp_path, with_global.getvalue()) == [("a.png", b"")]


def test_folders_are_passed_over_and_the_leading_dot_goes(tmp_path):
    folders = [special(name, tarfile.DIRTYPE) for name in (".", "./train", "train/cat")]
    old_style = special("old/", tarfile.AREGTYPE)
    files = [("./train/a..b.png", b"1"), ("train/..hidden", b"2"), ("c...d/e", b"3")]
    expected = [("train/a..b.png", b"1"), ("train/..hidden", b"2"), ("c...d/e", b"3")]
    assert read(tmp_path, tar([*folders, old_style, *files])) == expected
    assert read(tmp_path, zipped([("train/", b""), ("train/cat/", b""), *files])) == expected


def test_a_tar_member_of_the_old_regular_type_is_read(tmp_path):
    assert read(tmp_path, tar([("a", b"1")], type=tarfile.AREGTYPE)) == [("a", b"1")]


def test_a_count_in_base_256_is_read(tmp_path):
    """As some writers store it even where octal digits would do; its last byte can be a zero."""
    content = bytearray(tar([("a", b"1" * 256)]))
    content[124:136] = b"\x80" + (256).to_bytes(11, "big")
    assert read(tmp_path, with_checksum(content)) == [("a", b"1" * 256)]


def test_archives_without_members_hold_none(tmp_path):
    for content in (tar([]), zipped([]), gzip.compress(tar([])), lzma.compress(tar([]))):
        assert read(tmp_path, content) == []


def test_a_gz_of_several_streams_is_one(tmp_path):
    plain = tar(FILES)
    assert read(tmp_path, gzip.compress(plain[:700]) + gzip.compress(plain[700:])) == FILES
    assert read(tmp_path, lzma.compress(plain[:700]) + lzma.compress(plain[700:])) == FILES


@pytest.mark.parametrize("kind", KINDS)
def test_progress_is_told_and_stays_within_the_file(tmp_path, kind):
    path = tmp_path / "archive"
    path.write_bytes(packed(kind))
    steps = []
    list(members(path, steps.append))
    assert 0 < sum(steps) <= path.stat().st_size


def test_reading_may_stop_in_the_middle(tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(tar([(f"{k}", bytes(1 << 20)) for k in range(30)])))
    reading = members(path)
    assert next(reading)[0] == "0"
    reading.close()


# What is refused: whole files


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty file"),
        (b"just some text, not an archive\n" * 40, "a file that begins with b'just som'"),
        (b"BZh91AY&SY" + bytes(100), "a file that begins with b'BZh91AY&'"),
        (b"\x89PNG\r\n\x1a\n" + bytes(600), "a file that begins with"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "a file that begins with"),
        (b"Rar!\x1a\x07\0" + bytes(600), "a file that begins with"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path, content, what):
    message = refusal(tmp_path, content)
    assert what in message
    assert "expected a .zip, .tar, .tar.gz or .tar.xz archive, told apart by content" in message


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    path = tmp_path / "missing.zip"
    with pytest.raises(InputError, match=rf"{path}: cannot be read \(No such file.*expected a \.zip"):
        list(members(path))
    assert size(path) == 0


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("b/2.txt", "b/1.txt", "a.txt", ".hidden", ".git/x", "b/ä ö.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(name)
        return tmp_path

    def test_its_files_are_the_members_in_order(self, folder):
        told = []
        found = list(members(folder, told.append))
        assert [name for name, _ in found] == ["a.txt", "b/1.txt", "b/2.txt", "b/ä ö.txt"]
        assert all(content.decode() == name for name, content in found)
        assert sum(told) == size(folder) == sum(len(content) for _, content in found)

    @pytest.mark.parametrize("name", ["new.txt", "a.txt", "b/new.txt"])
    def test_one_that_changes_while_it_is_read_is_refused(self, folder, name):
        reading = members(folder)
        next(reading)
        (folder / name).write_text("another text, of another length")
        with pytest.raises(InputError, match=f"{folder}: changed while it was read; wait"):
            list(reading)

    def test_a_file_that_vanishes_is_told(self, folder):
        reading = members(folder)
        next(reading)
        (folder / "b/2.txt").unlink()
        with pytest.raises(InputError, match=r"file b/2\.txt: No such file or directory; take it out"):
            list(reading)

    def test_a_link_to_nothing_is_named(self, folder):
        (folder / "b/link.txt").symlink_to("nothing")
        for work in (size, lambda path: list(members(path))):
            with pytest.raises(InputError, match=r"b/link\.txt: No such file or directory; mend it, or take it out"):
                work(folder)

    def test_a_file_that_is_too_large_is_refused(self, folder, monkeypatch):
        monkeypatch.setattr(archive, "MEMBER_BYTES", 5)
        with pytest.raises(InputError, match=r"file b/1\.txt holds 7 bytes, over the limit of 5; take it out"):
            list(members(folder))


def test_compressed_files_that_hold_no_tar_are_refused(tmp_path):
    for compress in (gzip.compress, lzma.compress):
        for content in (b"", b"some text", b"text" * 300):
            assert "truncated or corrupt after its beginning" in refusal(tmp_path, compress(content))


# What is refused: damage


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_is_noticed(tmp_path, kind):
    """Up to the end mark of a tar; what pads it to 10,240 bytes says nothing, and some writers leave it out."""
    whole = packed(kind, SMALL)
    end = 2 * 1024 + 2 * 512 if kind == "tar" else len(whole)
    assert read(tmp_path, whole[:end]) == SMALL
    cuts = range(end) if kind != "tar" else sorted({*range(0, end, 41), *range(0, end, 512), *range(511, end, 512)})
    for cut in cuts:
        message = refusal(tmp_path, whole[:cut], "cut")
        assert "truncated or corrupt" in message or "expected a .zip" in message, cut


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_no_flipped_byte_changes_anything_in_silence(tmp_path, kind, flip):
    """Either it is refused, or it stood where nothing is read from, such as the time; a plain tar has a test below."""
    whole = packed(kind, SMALL)
    noticed = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        found = outcome(tmp_path / "flipped", damaged)
        refused = isinstance(found, str) and found.startswith(str(tmp_path / "flipped"))
        assert refused or found == SMALL, place
        noticed += refused
    assert noticed > 0.3 * len(whole)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_of_a_tar_outside_of_contents_is_noticed(tmp_path, flip):
    """In the headers, in the end mark and behind it: nothing in a tar could reveal a changed content."""
    whole = tar(SMALL)
    for place in [*range(0, 512, 4), *range(1024, 1536, 9), *range(2048, len(whole), 127)]:
        damaged = bytearray(whole)
        damaged[place] ^= flip
        message = refusal(tmp_path, damaged)
        # Where "ustar" stands, the first header is also how a tar is recognised.
        assert "truncated or corrupt" in message or (257 <= place < 262 and "expected a" in message), place


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(KINDS[1:]), st.integers(0, 10_000), st.integers(0, 60), st.binary(max_size=40))
def test_no_replaced_stretch_changes_anything_in_silence(tmp_path_factory, kind, place, count, instead):
    whole = packed(kind, SMALL)
    place %= len(whole)
    path = tmp_path_factory.getbasetemp() / "replaced"
    found = outcome(path, whole[:place] + instead + whole[place + count :])
    assert found == SMALL or found.startswith(str(path))


def test_a_missing_end_mark_is_noticed(tmp_path):
    whole = tar(SMALL)
    for compress in (bytes, gzip.compress, lzma.compress):
        for end in (2 * 1024, 2 * 1024 + 512):
            message = refusal(tmp_path, compress(whole[:end]))
            assert "after b.png (the archive ends in the middle); fetch or copy the archive again" in message


def test_a_hole_of_zeros_is_noticed(tmp_path):
    """As an interrupted download leaves it that reserved its space first."""
    whole = bytearray(tar(FILES))
    whole[1024 * 2 : 1024 * 3] = bytes(1024)
    assert "truncated or corrupt" in refusal(tmp_path, whole)


def test_what_follows_the_end_mark_is_noticed(tmp_path):
    assert "something follows the end mark" in refusal(tmp_path, tar(SMALL) + tar([("c.png", b"")]))
    assert "truncated or corrupt" in refusal(tmp_path, gzip.compress(tar(SMALL)) + b"garbage")


@pytest.mark.parametrize(
    "record", [b"3 path=x\n", b"0 path=x\n", b"-9 path=x\n", b"99 path=x\n", b"path", b"\xff", b"9"]
)
def test_a_damaged_pax_record_is_noticed(tmp_path, record):
    content = bytearray(tar([("pax", record), ("a", b"")], type=tarfile.XHDTYPE))
    assert "truncated or corrupt" in refusal(tmp_path, content)


def with_checksum(content):
    """Return a tar with the checksum of its first header set right."""
    content = bytearray(content)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    return bytes(content)


def directory_entry(content, name):
    """Return where the directory's entry of a zip member starts."""
    at = content.index(b"PK\1\2")
    while content[at + 46 : at + 46 + len(name)] != name.encode():
        at = content.index(b"PK\1\2", at + 1)
    return at


def test_a_zip_whose_directory_loses_members_is_refused(tmp_path):
    """One damaged length makes Python's reader take all that follows for a comment, and say nothing."""
    content = bytearray(zipped(FILES))
    struct.pack_into("<H", content, directory_entry(content, "b/empty") + 32, 60_000)
    assert "4 members are announced, 2 are listed" in refusal(tmp_path, content)


def test_a_zip_of_more_than_65535_members_is_counted(tmp_path):
    names = [f"{k}" for k in range(65_600)]
    content = bytearray(zipped([(name, b"") for name in names], zipfile.ZIP_STORED))
    assert [name for name, _ in read(tmp_path, content)] == names
    struct.pack_into("<H", content, directory_entry(content, "65500") + 32, 60_000)
    assert "65,600 members are announced, 65,501 are listed" in refusal(tmp_path, content)


@pytest.mark.parametrize("size", [0, 1, 149, 151, 70_000])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_header_that_lies_about_the_count_of_bytes_is_refused(tmp_path, method, size):
    content = bytearray(zipped(SMALL, method))
    struct.pack_into("<I", content, directory_entry(content, "a.png") + 24, size)
    assert "truncated or corrupt after its beginning" in refusal(tmp_path, content)


def test_a_zip_bomb_that_lies_is_not_decompressed(tmp_path):
    """100 MB of zeros in 100 kB, stated as 1,000 bytes: Python's own `ZipFile.read` would make them all."""
    content = bytearray(zipped([("a.png", bytes(100_000_000))]))
    struct.pack_into("<I", content, directory_entry(content, "a.png") + 24, 1000)
    tracemalloc.start()
    try:
        assert "truncated or corrupt" in refusal(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_zip_member_with_another_checksum_is_refused(tmp_path):
    content = bytearray(zipped(SMALL))
    struct.pack_into("<I", content, directory_entry(content, "b.png") + 16, zlib.crc32(b"other"))
    assert "truncated or corrupt after a.png" in refusal(tmp_path, content)


# What is refused: members

NAMES = [
    "/etc/passwd",
    "../evil.png",
    "a/../../evil.png",
    "a/..",
    "..",
    "a\\b.png",
    "..\\evil",
    "C:/x.png",
    "c:evil.png",
]


@pytest.mark.parametrize("name", [*NAMES, ".//etc/passwd"])
@pytest.mark.parametrize("kind", KINDS)
def test_names_that_point_elsewhere_are_refused(tmp_path, kind, name):
    message = refusal(tmp_path, packed(kind, [("good.png", b""), (name, b"evil")]))
    assert repr(name) in message
    assert "use relative names" in message


def test_names_with_a_zero_byte_are_refused(tmp_path):
    content = zipped([("axpng", b"1"), ("axpng.txt", b"2")]).replace(b"ax", b"a\0")
    assert r"'a\x00png'" in refusal(tmp_path, content)


def test_names_that_are_no_utf_8_are_refused(tmp_path):
    content = bytearray(tar([("caf?.png", b"1")]))
    content[3] = 0xE9
    message = refusal(tmp_path, with_checksum(content))
    assert r"'caf\udce9.png' has a name that is not UTF-8; rename it and archive again" in message


@pytest.mark.parametrize("kind", KINDS)
def test_two_members_of_one_name_are_refused(tmp_path, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        content = packed(kind, [("a.png", b"1"), ("b.png", b"2"), ("./a.png", b"1")])
    assert "two members are called a.png; keep one of them" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("type_", "what"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.CHRTYPE, "is of the special type b'3'"),
        (tarfile.BLKTYPE, "is of the special type b'4'"),
        (tarfile.FIFOTYPE, "is of the special type b'6'"),
        (tarfile.GNUTYPE_SPARSE, "is of the special type b'S'"),
        (b"V", "is of the special type b'V'"),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
def test_links_and_special_members_are_refused(tmp_path, compress, type_, what):
    message = refusal(tmp_path, compress(tar([("good.png", b""), special("evil.png", type_, "/etc/passwd")])))
    assert f"member 'evil.png' {what}; archive plain files and folders alone" in message


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_link_with_a_long_target_is_refused_by_its_name(tmp_path, format_):
    content = tar([special(LONG, tarfile.SYMTYPE, "../" * 60)], format_)
    assert f"member {LONG!r} is a link" in refusal(tmp_path, content)


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("evil.png")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as handle:
        handle.writestr(info, "/etc/passwd")
    assert "member 'evil.png' is a link; archive plain files and folders alone" in refusal(tmp_path, target.getvalue())


def test_an_encrypted_member_is_refused(tmp_path):
    content = bytearray(zipped(SMALL))
    content[directory_entry(content, "b.png") + 8] |= 1
    assert "member 'b.png' is encrypted; take the protection off first" in refusal(tmp_path, content)


def test_a_member_of_an_unusual_method_is_refused(tmp_path):
    content = bytearray(zipped(SMALL))
    struct.pack_into("<H", content, directory_entry(content, "b.png") + 10, 93)  # Zstandard
    message = refusal(tmp_path, content)
    assert "member 'b.png'" in message
    assert "zip it again with the usual deflate method" in message


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_over_the_limit_is_refused_and_one_at_the_limit_is_read(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archive, "MEMBER_BYTES", 1000)
    assert len(read(tmp_path, packed(kind, [("a.png", bytes(1000))]))) == 1
    message = refusal(tmp_path, packed(kind, [("a.png", b""), ("b.png", bytes(1001))]))
    assert "member 'b.png' holds 1,001 bytes, over the limit of 1,000; take it out" in message


def test_a_header_that_states_gigabytes_is_refused_at_once(tmp_path):
    """Nothing is reserved for what a header merely states."""
    octal, binary = bytearray(tar(SMALL)), bytearray(tar(SMALL))
    octal[124:136] = b"77777777777\0"
    binary[124:136] = b"\x80" + (1 << 33).to_bytes(11, "big")
    assert "member 'a.png' holds 8,589,934,591 bytes, over the limit" in refusal(tmp_path, with_checksum(octal))
    assert "member 'a.png' holds 8,589,934,592 bytes, over the limit" in refusal(tmp_path, with_checksum(binary))
    content = bytearray(zipped(SMALL))
    struct.pack_into("<I", content, directory_entry(content, "a.png") + 24, 0xF000_0000)
    assert "member 'a.png' holds 4,026,531,840 bytes, over the limit" in refusal(tmp_path, content)


def test_members_before_the_bad_one_were_already_given(tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(tar([("a.png", b"1"), special("evil", tarfile.SYMTYPE)]))
    reading = members(path)
    assert next(reading) == ("a.png", b"1")
    with pytest.raises(InputError, match="evil"):
        next(reading)


def test_a_message_names_the_archive_whatever_that_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(tar([special("evil", tarfile.SYMTYPE)]))
    with pytest.raises(InputError, match=r"^m: member 'evil'"):
        list(members(Path("m")))
