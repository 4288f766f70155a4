"""Decoding: the pixels that Pillow sees, and every image that is not as expected refused with the reason."""

import hashlib
import io
import struct
import tracemalloc
import zlib
from functools import partial
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from whence.base.errors import InputError
from whence.decode import decode, decode_batch
from whence.pack import Settings

SIDE = 16
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def noise(mode="RGB", side=SIDE, seed=0):
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (side, side, channels), np.uint8)
    return Image.frombytes(mode, (side, side), values.tobytes()) if channels > 1 else Image.fromarray(values[..., 0])


def encoded(image, format_, **options):
    target = io.BytesIO()
    image.save(target, format_, **options)
    return target.getvalue()


def png(depth, colour, rows, width=SIDE, height=SIDE):
    """Return a PNG made by hand: Pillow writes no 16-bit colour and no wrong headers."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def rgb(content, suffix, modes=("RGB",), pixels=SIDE):
    return decode(f"a{suffix}", content, suffix, pixels, list(modes))


def pillow(content):
    return Image.open(io.BytesIO(content)).convert("RGB").tobytes()


def refusal(content, suffix, modes=("RGB",), pixels=SIDE):
    with pytest.raises(InputError) as error:
        rgb(content, suffix, modes, pixels)
    return str(error.value)


# What is decoded


def drawn(seed, side, kind):
    rng = np.random.default_rng(seed)
    if kind == "noise":
        return noise(side=side, seed=seed)
    if kind == "ramp":
        ramp = np.add.outer(np.arange(side), np.arange(side))[..., None] * rng.integers(0, 9, 3) % 256
        return Image.fromarray(ramp.astype(np.uint8))
    image = Image.new("RGB", (side, side), tuple(rng.integers(0, 256, 3).tolist()))
    ImageDraw.Draw(image).ellipse((0, 0, side // 2, side), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


images = st.builds(drawn, st.integers(0, 1 << 32), st.integers(1, 48), st.sampled_from(["noise", "ramp", "shapes"]))


@settings(max_examples=60, deadline=None)
@given(images, st.integers(0, 9))
def test_png_keeps_every_pixel(image, level):
    content = encoded(image, "PNG", compress_level=level)
    assert rgb(content, ".png", pixels=image.width) == image.tobytes() == pillow(content)


@settings(max_examples=100, deadline=None)
@given(images, st.sampled_from([75, 30, 100]), st.sampled_from(["4:2:0", "4:2:2", "4:4:4"]), st.booleans())
def test_jpeg_is_bit_identical_to_pillow(image, quality, subsampling, progressive):
    content = encoded(image, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    assert rgb(content, ".jpg", pixels=image.width) == pillow(content)


def test_the_published_kind_of_jpeg_is_bit_identical_to_pillow():
    """Quality 75 and 4:2:0, as in CIFAKE; these are Pillow's own defaults."""
    for seed in range(50):
        content = encoded(drawn(seed, 32, "shapes"), "JPEG", quality=75)
        assert Image.open(io.BytesIO(content)).layer[0][1:3] == (2, 2)
        assert rgb(content, ".jpg", pixels=32) == pillow(content)


def test_a_jpeg_of_rgb_without_transform_and_one_with_metadata():
    plain = encoded(noise(), "JPEG", keep_rgb=True)
    assert rgb(plain, ".jpg") == pillow(plain)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: neither Pillow nor this turns the pixels
    rich = encoded(noise(), "JPEG", exif=exif, comment=b"a comment", dpi=(300, 300))
    assert rgb(rich, ".jpg") == pillow(rich)


def test_ancillary_chunks_of_a_png_change_nothing():
    extra = encoded(noise(), "PNG", dpi=(300, 300), transparency=(1, 2, 3))
    text = extra[:33] + chunk(b"tEXt", b"Software\0test") + chunk(b"gAMA", struct.pack(">I", 45455)) + extra[33:]
    assert rgb(text, ".png") == noise().tobytes()


# Colour modes

GREY16 = np.random.default_rng(5).integers(0, 1 << 16, (SIDE, SIDE)).astype(">u2")
MODES = {
    "L": encoded(noise("L"), "PNG"),
    "LA": encoded(noise("LA"), "PNG"),
    "P": encoded(noise().quantize(16), "PNG"),
    "RGBA": encoded(noise("RGBA"), "PNG"),
    "1": encoded(noise("L").convert("1"), "PNG"),
    "I;16": png(16, 0, b"".join(b"\0" + row.tobytes() for row in GREY16)),
}


@pytest.mark.parametrize("mode", MODES)
def test_other_modes_of_png_are_refused_by_name(mode):
    assert refusal(MODES[mode], ".png") == f"has mode {mode}, expected RGB"
    assert refusal(MODES[mode], ".png", ["RGB", "CMYK"]) == f"has mode {mode}, expected RGB or CMYK"


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "I;16"])
def test_other_modes_of_png_are_converted_where_they_are_allowed(mode):
    assert rgb(MODES[mode], ".png", ["RGB", mode]) == pillow(MODES[mode])
    assert refusal(encoded(noise(), "PNG"), ".png", [mode]) == f"has mode RGB, expected {mode}"


def test_the_modes_that_settings_allow_are_the_ones_tested_here():
    (inner,) = get_args(Settings.model_fields["modes"].annotation)
    assert {*get_args(inner)} == {"RGB", *MODES}


def test_16_bit_grey_keeps_its_upper_half():
    """Pillow's own conversion turns every value above 255 into white."""
    expected = np.repeat((GREY16 >> 8).astype(np.uint8)[..., None], 3, 2)
    assert rgb(MODES["I;16"], ".png", ["I;16"]) == expected.tobytes()
    of_8_bits = np.arange(256, dtype=np.uint16).reshape(16, 16)
    widened = png(16, 0, b"".join(b"\0" + row.tobytes() for row in (of_8_bits * 257).astype(">u2")))
    assert rgb(widened, ".png", ["I;16"])[::3] == bytes(range(256))


@pytest.mark.parametrize(("colour", "channels", "mode"), [(2, 3, "RGB;16"), (4, 2, "RGBA;16"), (6, 4, "RGBA;16")])
def test_16_bit_colour_is_refused_although_pillow_calls_it_rgb(colour, channels, mode):
    content = png(16, colour, (b"\0" + bytes(2 * channels * SIDE)) * SIDE)
    assert refusal(content, ".png", ["RGB", "RGBA", "LA"]) == f"has mode {mode}, expected RGB or RGBA or LA"


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_modes_of_jpeg_are_refused_by_name(mode):
    content = encoded(noise(mode), "JPEG")
    assert refusal(content, ".jpg") == f"has mode {mode}, expected RGB"


def test_grey_jpeg_is_converted_where_it_is_allowed():
    content = encoded(noise("L"), "JPEG")
    assert rgb(content, ".jpg", ["RGB", "L"]) == pillow(content)


# Size


@pytest.mark.parametrize(("format_", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg")])
def test_another_size_is_refused(format_, suffix):
    wide = encoded(noise().resize((SIDE + 1, SIDE)), format_)
    assert refusal(wide, suffix) == "is 17×16 pixels, expected 16×16"
    assert refusal(encoded(noise(), format_), suffix, pixels=32) == "is 16×16 pixels, expected 32×32"


@pytest.mark.parametrize("colour", [0, 2, 3, 6])
def test_a_png_bomb_costs_nothing(colour):
    bomb = png(8, colour, b"", 60_000, 60_000)
    assert not costs(lambda: refusal(bomb, ".png") == "is 60000×60000 pixels, expected 16×16")


def test_a_png_bomb_with_a_second_header_costs_nothing():
    small = encoded(noise(), "PNG")
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    assert not costs(lambda: "exceeds limit" in refusal(small[:33] + second + small[33:], ".png"))


def test_a_jpeg_bomb_costs_nothing():
    bomb = bytearray(encoded(noise(), "JPEG"))
    at = bomb.index(b"\xff\xc0") + 5
    bomb[at : at + 4] = struct.pack(">HH", 60_000, 60_000)
    assert not costs(lambda: refusal(bytes(bomb), ".jpg") == "is 60000×60000 pixels, expected 16×16")


def costs(check):
    """Return whether a check that must hold takes over a megabyte (a bomb of 60,000×60,000 pixels holds 10 GB)."""
    tracemalloc.start()
    try:
        assert check()
        return tracemalloc.get_traced_memory()[1] > 1_000_000
    finally:
        tracemalloc.stop()


# Damage


@pytest.mark.parametrize(("format_", "suffix", "options"), [
    ("PNG", ".png", {}),
    ("JPEG", ".jpg", {"quality": 75}),
    ("JPEG", ".jpg", {"quality": 75, "progressive": True}),
])  # fmt: skip
def test_every_cut_is_noticed(format_, suffix, options):
    whole = encoded(noise(), format_, **options)
    assert len(rgb(whole, suffix)) == SIDE * SIDE * 3
    for cut in range(len(whole)):
        message = refusal(whole[:cut], suffix)
        assert message.startswith((f"is not a whole {format_} (", f"is not a {format_}, it ")), cut
        assert "0x" not in message, "an address would differ from run to run"


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_no_flipped_byte_of_a_png_changes_a_pixel_in_silence(flip):
    whole, expected = encoded(noise(), "PNG"), noise().tobytes()
    noticed = sum(outcome(whole, place, flip, ".png") != expected for place in range(len(whole)))
    assert noticed > 0.95 * len(whole)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_of_a_jpeg_is_refused_or_decoded_to_as_many_bytes(flip):
    """A JPEG has no checksum: not every change can be noticed, but none may be anything else than refused."""
    whole = encoded(noise(), "JPEG", quality=75)
    found = [outcome(whole, place, flip, ".jpg") for place in range(len(whole))]
    assert any(isinstance(each, str) for each in found)
    assert all(isinstance(each, str) or len(each) == SIDE * SIDE * 3 for each in found)


def outcome(whole, place, flip, suffix):
    """Return the pixels, or the message of the refusal, of a file with one byte changed."""
    damaged = bytearray(whole)
    damaged[place] ^= flip
    try:
        found = rgb(bytes(damaged), suffix)
    except InputError as error:
        return str(error)
    if suffix == ".png":
        assert found == rgb(whole, suffix), place
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"IHDR", b"sRGB",
                     b"pHYs", b"cHRM", b"gAMA", b"tEXt", b"IDAT", b"IEND", b"ABCD"]),
    st.binary(max_size=40),
    st.sampled_from(["RGB", *MODES]),
)  # fmt: skip
def test_a_strange_chunk_is_refused_or_changes_no_size(name, content, mode):
    """Well-formed chunks of nonsense, with right checksums: Pillow raises all sorts of errors there."""
    whole = MODES.get(mode, encoded(noise(), "PNG"))
    try:
        found = rgb(whole[:33] + chunk(name, content) + whole[33:], ".png", ["RGB", *MODES])
    except InputError:
        return
    assert len(found) == SIDE * SIDE * 3


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("content", [b"", b"x", b"GIF89a" + bytes(50), b"\xff\xd8", SIGNATURE, b"\xff\xd8\xff\xd9"])
def test_what_is_no_image_is_refused(suffix, content):
    assert refusal(content, suffix).startswith("is not a ")


def test_empty_content_is_called_so():
    assert refusal(b"", ".png") == "is not a PNG, it is empty"
    assert refusal(b"", ".jpg") == "is not a JPEG, it is empty"


def test_an_image_of_the_other_format_is_refused_with_its_first_bytes():
    assert "is not a JPEG, it begins with b'\\x89PNG" in refusal(encoded(noise(), "PNG"), ".jpg")
    assert "is not a PNG, it begins with b'\\xff\\xd8\\xff" in refusal(encoded(noise(), "JPEG"), ".png")


def test_a_png_with_something_behind_its_end_is_refused():
    assert refusal(encoded(noise(), "PNG") + b"more", ".png").startswith("is not a whole PNG")


@pytest.mark.parametrize("name", ["a.PNG", "a.gif", "a.jpeg", "a", "a.png.bak", ""])
def test_a_name_of_another_kind_is_refused(name):
    with pytest.raises(InputError, match=r"is neither a \.png image nor a document"):
        decode(name, encoded(noise(), "PNG"), ".png", SIDE, ["RGB"])


# Batches

DECODER = partial(decode, suffix=".png", pixels=SIDE, modes=["RGB"])


def test_a_batch_keeps_its_order_and_counts_what_cannot_be_used():
    pictures = [noise(seed=k) for k in range(4)]
    batch = [(f"{k}.png", encoded(picture, "PNG")) for k, picture in enumerate(pictures)]
    batch[1:1] = [("bad.png", b"x"), ("large.png", encoded(noise(side=20), "PNG"))]
    found = decode_batch(batch, DECODER)
    assert found.rgb == b"".join(picture.tobytes() for picture in pictures)
    assert found.names == ["0.png", "1.png", "2.png", "3.png"]
    assert found.digests == [hashlib.sha256(picture.tobytes()).hexdigest()[:32] for picture in pictures]
    assert found.bad == [
        ("bad.png", "is not a PNG, it begins with b'x'"),
        ("large.png", "is 20×20 pixels, expected 16×16"),
    ]


def test_a_batch_of_nothing_and_a_batch_of_bad_ones_alone():
    assert decode_batch([], DECODER) == (b"", [], [], [])
    assert decode_batch([("x.png", b"")], DECODER) == (b"", [], [], [("x.png", "is not a PNG, it is empty")])
