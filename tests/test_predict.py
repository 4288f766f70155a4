"""A run is asked about image files: it says what evaluate says, of whatever can be read, and tells of the rest."""

import csv
import importlib
import inspect
import io
import json
import os
import re
import shlex
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageFilter

from stages import predict
from whence import calibration, jpeg, models, photos, predictor
from whence.archive import members
from whence.base import arrays, stage
from whence.base.errors import InputError
from whence.photos import Wanted
from whence.table import rows

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PLAIN = Wanted(32, 32, None)
RUNS = {
    "origin-spectrum-logistic": ("origin", "cinic10", "spectrum", "classical", "logistic"),
    "fake-spectrum-logistic": ("fake", "cifake", "spectrum", "classical", "logistic"),
    "fake-mobilenet_v2-logistic": ("fake", "cifake", "mobilenet_v2", "classical", "logistic"),
    "fake-mlp": ("fake", "cifake", "images", "network", "mlp"),
}
OBJECTS = {"objects-fake-mlp": ("fake", "cifake", "network", "mlp")}
ASKED = [*RUNS, *OBJECTS]


def params():
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["fetch"]["cinic10"]["sample"] |= {"cifar": 2, "imagenet": 4}
    content["fetch"]["cifake"]["sample"] |= {"train": 20, "test": 2}
    content["embed"]["pixels"] = 32
    content["train"]["mlp"] |= {"seeds": [0, 1], "epochs": 2, "batch": 32}
    content["evaluate"]["metrics"]["resamples"] = 0
    run = ("task", "dataset", "features", "kind", "classifier")
    content["runs"] = {key: dict(zip(run, value, strict=True)) | {"settings": value[-1]} for key, value in RUNS.items()}
    run = ("train_on", "dataset", "kind", "classifier")
    content["object_runs"] = {
        key: dict(zip(run, value, strict=True)) | {"settings": value[-1]} for key, value in OBJECTS.items()
    }
    return content


def make(name, key, item):
    """Run a stage as dvc.yaml does."""
    about = PIPELINE[name]
    values = {"key": key} | {f"item.{part}": str(value) for part, value in item.items()}
    line = re.sub(r"(?<!\\)\$\{([\w.]+)\}", lambda hole: values[hole[1]], about.get("do", about)["cmd"])
    _, _, script, *words = shlex.split(line)
    main = importlib.import_module(script).main
    kinds = [part.annotation for part in inspect.signature(main).parameters.values()]
    rest = [words[len(kinds) - 1 :]] if kinds[-1] == list[str] else []
    named = kinds[: len(kinds) - len(rest)]
    main(*(word if kind is str else Path(word) for word, kind in zip(words, named, strict=False)), *rest)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which a few runs have been trained and evaluated."""
    folder, patch, content = tmp_path_factory.mktemp("made"), pytest.MonkeyPatch(), params()
    patch.chdir(folder)
    patch.setattr(os, "cpu_count", lambda: 1)
    Path("dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for dataset in ("cinic10", "cifake"):
        for name in ("fetch", "pack", "label", "profile"):
            make(name, dataset, content["fetch"][dataset])
        make("extract", "", {"dataset": dataset, "features": "spectrum"})
    make("weights", "mobilenet_v2", content["weights"]["mobilenet_v2"])
    make("embed", "", {"dataset": "cifake", "backbone": "mobilenet_v2"})
    for section, ends in (("runs", ("train", "evaluate")), ("object_runs", ("train_objects", "evaluate_objects"))):
        for key, item in content[section].items():
            for name in ends:
                make(name, key, item)
    patch.undo()
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """Stand where the runs are, with files that a test may take away; images go to `here / "photos"`."""
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).write_text((made / name).read_text())
    for path in (made / "models").rglob("*.*"):
        target = tmp_path / path.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    (tmp_path / "data").symlink_to(made / "data")
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    return tmp_path


@pytest.fixture
def ask(here, capsys, monkeypatch):
    """Return a function that asks as the command line does: exit code, lines of the output, standard error."""

    def asked(*words):
        monkeypatch.setattr(sys, "argv", ["predict", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            stage.run(predict.main)
        out, err = capsys.readouterr()
        return end.value.code or 0, list(csv.DictReader(io.StringIO(out))), err

    return asked


def of_dataset(here, dataset, most=60):
    """Write image files of the archive to photos, as they are; return their rows, by the name of the file."""
    labels = rows.read(Path("data", dataset, "labels.csv"))
    place = {path: row for row, path in enumerate(labels.path.tolist())}
    found = {}
    for name, content in members(Path("data", dataset, "archive")):
        if name in place and len(found) < most:
            path = here / "photos" / f"{place[name]:04d}{Path(name).suffix}"
            path.write_bytes(content)
            found[str(Path("photos", path.name))] = place[name]
    assert len(found) == most
    return found


def picture(width=32, height=32, seed=0):
    """Return a photograph of a kind: smooth, in colour."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def save(path, image=None, **options):
    path.parent.mkdir(exist_ok=True)
    (image or picture()).save(path, **options)
    return path


def pixels(image):
    return np.asarray(image.convert("RGB"))


# What is said


@pytest.mark.parametrize("name", ASKED)
def test_a_file_of_the_dataset_gets_the_answer_that_evaluate_scores(ask, here, name):
    """The same bytes, the same probability: mean over the members of what they say, each at its temperature."""
    about = (params()["runs"] | params()["object_runs"])[name]
    row_of = of_dataset(here, about["dataset"])
    code, lines, _ = ask(name, "photos")
    assert code == 0
    assert [line["path"] for line in lines] == sorted(row_of)
    entry = importlib.import_module(f"whence.classifiers.{about['classifier']}")
    estimator = importlib.import_module(f"whence.estimators.{about['kind']}.estimator").Estimator
    model = estimator.load(entry, Path(f"models/{name}.safetensors"), Path(f"models/{name}.json"))
    array = arrays.read(Path("data", about["dataset"], f"{about.get('features', 'images')}.npy"))
    said = models.ask(model, array, np.array([row_of[line["path"]] for line in lines]))
    by = json.loads(Path(f"models/{name}-calibration.json").read_text())["temperatures"]
    assert len(by) == len(said) == (2 if about["classifier"] == "mlp" else 1)
    wanted = np.mean([calibration.tempered(one, t) for one, t in zip(said, by, strict=True)], axis=0)
    classes = [column for column in lines[0] if column.startswith("p_")]
    assert classes == [f"p_{one}" for one in model.classes_]
    for line, each in zip(lines, wanted, strict=True):
        assert [float(line[column]) for column in classes] == each.round(6).tolist()
        assert line["label"] == model.classes_[each.argmax()]
        assert float(line["probability"]) == each.max().round(6)
        assert line["changed"] == ""


@pytest.mark.parametrize("name", ASKED)
def test_batches_change_no_byte(ask, here, monkeypatch, name):
    of_dataset(here, "cifake", 19)
    save(here / "photos" / "large.png", picture(100, 60))
    written = []
    for batch in (1, 7, 256):
        monkeypatch.setattr(predict, "BATCH", batch)
        assert ask(name, "photos", "out.csv")[0] == 0
        written.append(Path("out.csv").read_bytes())
    assert written[0] == written[1] == written[2]


def test_csv_and_json_lines_say_the_same(ask, here):
    name = os.fsdecode(b'a,"\xff.png') if sys.platform == "linux" else 'a,".png'
    save(here / "photos" / name)
    save(here / "photos" / "ä" / "b.webp", picture(50, 40))
    for output in ("new/out.csv", "new/out.jsonl"):
        code, lines, err = ask("fake-spectrum-logistic", "photos", output)
        assert (code, lines) == (0, [])
        assert "model: fake-spectrum-logistic (drawn sample, not real data)" in err
    text = {"encoding": "utf-8", "errors": "surrogateescape"}
    lines = [json.loads(line) for line in Path("new/out.jsonl").read_text(**text).splitlines()]
    with Path("new/out.csv").open(newline="", **text) as handle:
        table = list(csv.DictReader(handle))
    assert table == [{key: str(value) for key, value in line.items()} for line in lines]
    assert {line["path"] for line in lines} == {f"photos/{name}", "photos/ä/b.webp"}
    assert isinstance(lines[0]["p_fake"], float)


def test_a_single_file_and_one_of_any_ending_are_answered(ask, here):
    save(here / "picture", format="PNG")
    code, lines, _ = ask("origin-spectrum-logistic", here / "picture")
    assert code == 0
    assert [line["path"] for line in lines] == [str(here / "picture")]
    assert lines[0]["label"] in {"cifar", "imagenet"}


def test_random_weights_are_told_of(ask, here):
    save(here / "photos" / "a.png")
    assert "fake-mobilenet_v2-logistic (random weights)" in ask("fake-mobilenet_v2-logistic", "photos")[2]


def test_images_unlike_the_training_data_are_warned_of_and_those_like_them_are_not(ask, here):
    like = of_dataset(here, "cifake", 200)
    save(here / "photos" / "black.png", Image.new("RGB", (32, 32)))
    save(
        here / "photos" / "noise.png", Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    )
    save(here / "photos" / "blurred.png", picture().filter(ImageFilter.GaussianBlur(3)))
    _, lines, err = ask("fake-spectrum-logistic", "photos")
    warned = {Path(line["path"]).stem for line in lines if line["warning"] == "unlike the training data"}
    assert {"black", "noise", "blurred"} <= warned
    assert len(warned) <= 3 + 0.05 * len(like)
    assert f"; {len(warned)} unlike the training data" in err
    for line in lines:
        assert (float(line["out_of_domain"]) > 0.99) == bool(line["warning"])


def test_a_resized_image_is_warned_of_where_its_origin_is_asked(ask, here):
    save(here / "photos" / "large.png", picture(64, 64))
    _, (line,), err = ask("fake-spectrum-logistic", "photos")
    assert "resized, which the answer may rest on" in line["warning"]
    assert line["changed"] == "resized from 64×64 by BOX, recoded as JPEG 75"
    assert "1 resized, which the answer may rest on" in err
    _, (line,), err = ask("objects-fake-mlp", "photos")
    assert "resized" not in line["warning"] + err
    assert "resized" in line["changed"]


# What can be read


@pytest.mark.parametrize(
    ("name", "options", "mode"),
    [
        ("a.png", {}, "RGB"),
        ("a.bmp", {}, "RGB"),
        ("a.tif", {"compression": "tiff_lzw"}, "RGB"),
        ("a.webp", {"lossless": True}, "RGB"),
        ("a.ppm", {}, "RGB"),
        ("a.png", {}, "RGBA"),
        ("a.png", {}, "L"),
        ("a.png", {}, "LA"),
        ("a.png", {}, "P"),
        ("a.png", {}, "1"),
        ("a.gif", {}, "P"),
        ("a.tif", {}, "CMYK"),
        ("a.tif", {}, "YCbCr"),
        ("A.PNG", {}, "RGB"),
    ],
)
def test_lossless_formats_and_modes_are_seen_as_pillow_converts_them(here, name, options, mode):
    image = picture().convert(mode)
    save(here / "photos" / name, image, **options)
    assert photos.find(here / "photos")[0] == [here / "photos" / name]
    seen = photos.see(here / "photos" / name, PLAIN)
    np.testing.assert_array_equal(seen.pixels, pixels(image))
    assert seen.changed == ("" if mode == "RGB" else f"converted from {mode}{' on white' * mode.endswith('A')}")


def test_lossy_formats_are_decoded_as_pillow_does(here):
    for name, mode in (("a.jpg", "RGB"), ("b.jpg", "L"), ("c.jpg", "CMYK"), ("d.webp", "RGB")):
        path = save(here / "photos" / name, picture(40, 24).convert(mode))
        with Image.open(path) as image:
            wanted = pixels(image)
        np.testing.assert_array_equal(photos.see(path, Wanted(24, 40, None)).pixels, wanted)


def test_sixteen_bits_give_their_upper_half(here):
    values = np.random.default_rng(0).integers(0, 65536, (32, 32), np.uint16)
    seen = photos.see(save(here / "a.png", Image.fromarray(values)), PLAIN)
    np.testing.assert_array_equal(seen.pixels, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))
    assert "converted from I;16" in seen.changed


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.webp"])
def test_what_is_transparent_lies_on_white(here, name):
    image = picture().convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.repeat([0, 255], 16).astype(np.uint8), (32, 1))))
    seen = photos.see(save(here / name, image, lossless=True), PLAIN)
    assert (seen.pixels[:, :16] == 255).all()
    assert not (seen.pixels[:, 16:] == 255).all()
    assert "on white" in seen.changed


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_exif_turns_images_upright(here, orientation, ending):
    image, exif = picture(48, 32), Image.Exif()
    exif[0x0112] = orientation
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored = image if orientation == 1 else image.transpose(back.get(orientation) or photos.TURNS[orientation])
    path = save(here / f"a.{ending}", stored, exif=exif, quality=100)
    seen = photos.see(path, Wanted(32, 48, None))
    assert np.abs(seen.pixels.astype(int) - pixels(image)).mean() < 12  # of another orientation it is 50 and more
    assert ("rotated by EXIF" in seen.changed) == (orientation > 1)


def test_the_first_of_several_frames_is_taken(here):
    save(here / "a.gif", picture(), save_all=True, append_images=[picture(seed=1), picture(seed=2)])
    seen = photos.see(here / "a.gif", PLAIN)
    assert seen.changed.startswith("first of 3 frames")
    with Image.open(here / "a.gif") as image:
        np.testing.assert_array_equal(seen.pixels, pixels(image))


@pytest.mark.parametrize(
    ("width", "height", "filter_"),
    [
        (64, 64, "BOX"),
        (1024, 768, "BOX"),
        (33, 32, "BOX"),
        (16, 16, "BICUBIC"),
        (100, 20, "BICUBIC"),
        (1, 1, "BICUBIC"),
    ],
)
def test_other_sizes_are_resized_by_the_mean_or_bicubic(here, width, height, filter_):
    image = picture(width, height)
    seen = photos.see(save(here / "a.png", image), PLAIN)
    np.testing.assert_array_equal(seen.pixels, pixels(image.resize((32, 32), Image.Resampling[filter_])))
    assert seen.changed == f"resized from {width}×{height} by {filter_}"


def test_a_model_of_jpegs_sees_every_image_through_jpeg_but_those_of_its_own(here):
    wanted = Wanted(32, 32, 75)
    own, other = (save(here / f"{q}.jpg", picture(), quality=q) for q in (75, 90))
    plain = save(here / "a.png")
    assert photos.see(own, wanted).changed == ""
    np.testing.assert_array_equal(photos.see(own, wanted).pixels, photos.see(own, PLAIN).pixels)
    for path in (other, plain):
        seen = photos.see(path, wanted)
        assert seen.changed == "recoded as JPEG 75"
        np.testing.assert_array_equal(seen.pixels, jpeg.recode(photos.see(path, PLAIN).pixels[None], 75)[0])


def test_a_folder_is_searched_to_its_depths_without_what_is_hidden_or_no_image(ask, here):
    folder = here / "photos"
    for name in ("b.png", "a.JPG", ".hidden.png", "deep/c.gif", ".cache/d.png"):
        save(folder / name)
    (folder / "notes.txt").write_text("x")
    code, lines, err = ask("fake-spectrum-logistic", "photos")
    assert code == 0
    assert [line["path"] for line in lines] == ["photos/a.JPG", "photos/b.png", "photos/deep/c.gif"]
    assert "passed over, without the ending of an image: 1\n" in err


# What cannot


def bomb(width, height):
    """A PNG that claims so many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def encoded(ending, image=None):
    handle = io.BytesIO()
    (image or picture(64, 64)).save(handle, ending)
    return handle.getvalue()


BROKEN = {
    "empty.jpg": (b"", "is empty"),
    "text.png": (b"not an image", "is no image, or of a format that Pillow does not read"),
    "page.jpg": (b"<html></html>", "is no image"),
    "half.jpg": (encoded("JPEG")[:600], "cannot be read to its end ("),
    "damaged.jpg": (encoded("JPEG")[:800] + b"\xff\xd9" + encoded("JPEG")[800:], "cannot be read to its end ("),
    "half.png": (encoded("PNG")[:2000], "cannot be read to its end ("),
    "half.webp": (encoded("WEBP")[:300], ""),
    "wide.png": (bomb(100_000, 1_000), "is 100000×1000 pixels, expected 89,478,485 at most"),
    "bomb.png": (bomb(100_000, 100_000), "has too many pixels, expected 89,478,485 at most"),
    "numbers.tif": (encoded("TIFF", Image.new("F", (32, 32))), "has mode F, numbers that do not say"),
}


def test_what_cannot_be_read_is_listed_and_left_out(ask, here):
    for name, (content, _) in BROKEN.items():
        (here / "photos" / name).write_bytes(content)
    os.mkfifo(here / "photos" / "pipe.jpg")
    (here / "photos" / "gone.png").symlink_to("nowhere.png")
    whole = [save(here / "photos" / name) for name in ("a.png", "z.png")]
    code, lines, err = ask("fake-spectrum-logistic", "photos")
    assert code == 1
    assert [line["path"] for line in lines] == [f"photos/{path.name}" for path in whole]
    for name, (_, reason) in BROKEN.items():
        assert f"photos/{name}: {reason}" in err
    assert "photos/pipe.jpg: is no file" in err
    assert "photos/gone.png: cannot be read to its end (No such file" in err
    count = len(BROKEN) + 2
    assert f"error: {count} of {count + 2} files could not be read; they are listed above" in err
    assert "Traceback" not in err


def test_a_folder_of_broken_files_alone_has_no_answer(ask, here):
    (here / "photos" / "a.jpg").write_bytes(b"")
    code, lines, err = ask("fake-spectrum-logistic", "photos", "out.csv")
    assert (code, lines) == (1, [])
    assert len(Path("out.csv").read_text().splitlines()) == 1
    assert "\nnothing\n" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fake-spectrum-logistic", "nowhere"), "nowhere: there is no such file or folder; name an image, or a folder"),
        (("fake-spectrum-logistic", "photos"), "photos: holds no image; name a folder with .jpg, .png"),
        (("fake-spectrum-logistic", "dvc.yaml", "out.xls"), "out.xls: does not end in .csv or .jsonl; give it the one"),
        (("fake-best", "dvc.yaml"), "params.yaml: lists no run 'fake-best', only origin-spectrum-logistic, fake-"),
        (
            ("origin-box16-spectrum-logistic", "dvc.yaml"),
            "origin-box16-spectrum-logistic: is a control; ask origin-spectrum-logistic, which it is held against",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(ask, here, words, message):
    code, lines, err = ask(*words)
    assert (code, lines) == (1, [])
    assert err.startswith(f"error: {message}")
    assert not Path("out.xls").exists()


@pytest.mark.parametrize(
    ("gone", "maker"),
    [
        ("models/fake-mobilenet_v2-logistic.safetensors", "evaluate@fake-mobilenet_v2-logistic"),
        ("models/fake-mobilenet_v2-logistic.json", "evaluate@fake-mobilenet_v2-logistic"),
        ("models/fake-mobilenet_v2-logistic-calibration.json", "evaluate@fake-mobilenet_v2-logistic"),
        ("models/profiles/cifake.safetensors", "profile@cifake"),
        ("models/weights/mobilenet_v2.safetensors", "weights@mobilenet_v2"),
    ],
)
def test_a_run_that_is_not_made_says_what_makes_it(ask, here, gone, maker):
    """Nothing is trained, and nothing downloaded: the file is as absent afterwards."""
    Path(gone).unlink()
    code, lines, err = ask("fake-mobilenet_v2-logistic", "dvc.yaml", "out.csv")
    assert (code, lines) == (1, [])
    assert err == (
        f"error: fake-mobilenet_v2-logistic has not been made: there is no {gone}; `dvc repro {maker}` makes what is "
        f"missing, `dvc pull {gone}` fetches it from a remote that has it\n"
    )
    assert not Path(gone).exists()
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"temperatures": []}', '{"temperatures": [0]}'])
def test_damaged_temperatures_are_refused(ask, here, content):
    path = Path("models/fake-mlp-calibration.json")
    path.unlink()
    path.write_text(content)
    code, _, err = ask("fake-mlp", "dvc.yaml")
    assert code == 1
    assert err.startswith(f"error: {path}")


def test_temperatures_of_another_number_of_members_are_refused(ask, here):
    path = Path("models/fake-mlp-calibration.json")
    path.unlink()
    path.write_text('{"temperatures": [1.0]}')
    assert ask("fake-mlp", "dvc.yaml")[2] == f"error: {path}: 1 for 2 members; run dvc repro\n"


def test_an_output_appears_whole_or_not_at_all(ask, here, monkeypatch):
    of_dataset(here, "cifake", 5)
    Path("out.csv").write_text("as it was")
    asked, answer = [], predictor.Predictor.answer

    def stopped(self, images):
        asked.append(len(images))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return answer(self, images)

    monkeypatch.setattr(predict, "BATCH", 2)
    monkeypatch.setattr(predictor.Predictor, "answer", stopped)
    code, _, err = ask("fake-spectrum-logistic", "photos", "out.csv")
    assert (code, asked) == (130, [2, 2])
    assert "stopped: nothing is half-written" in err
    assert Path("out.csv").read_text() == "as it was"
    assert not list(here.glob(".out*"))


def test_a_reader_that_has_seen_enough_ends_it_quietly(here):
    of_dataset(here, "cifake", 30)
    line = [sys.executable, "-m", "stages.predict", "fake-spectrum-logistic", "photos"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")


def test_a_folder_that_may_not_be_read_is_refused(here, monkeypatch):
    def walk(top, onerror):
        onerror(PermissionError(13, "Permission denied", str(top)))
        yield from ()

    monkeypatch.setattr(os, "walk", walk)
    with pytest.raises(InputError, match=r"photos: Permission denied; change who may read there"):
        photos.find(here / "photos")
