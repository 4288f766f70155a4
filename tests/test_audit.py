"""The audit of a dataset: exact copies, placeholders, colours, how files were coded, and the stage that writes them."""

import io
import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from repositories import ROOT

import stages.audit
import stages.label
from whence import archive, audit
from whence.base import settings
from whence.base.errors import InputError
from whence.datasets import cifake, cinic10
from whence.pack import Settings, pack
from whence.table import rows

NAMES = ["pairs", "placeholders", "colours", "codings", "figures.json", "gallery.png"]


def encoded(kind, mode="RGB", **how):
    content = io.BytesIO()
    Image.new(mode, (16, 16), 77).save(content, kind, **how)
    return content.getvalue()


class TestCopies:
    def test_every_pair_of_a_group_once(self):
        assert audit.copies(np.array([0, 1, 0, 3, 1, 0])).tolist() == [[0, 2], [0, 5], [1, 4], [2, 5]]

    def test_none(self):
        assert audit.copies(np.arange(5)).shape == (0, 2)


class TestPalette:
    def test_known_values(self):
        image = np.zeros((1, 4, 5, 3), np.uint8)
        image[0, 0, :3] = 15, 0, 0  # the upper four bits are those of black
        image[0, 1, :2] = 16, 0, 0
        image[0, 2, 0] = 0, 0, 255
        distinct, share = audit.palette(image)
        assert (distinct.tolist(), share.tolist()) == ([3], [17 / 20])

    def test_agrees_with_a_slow_count(self, monkeypatch):
        monkeypatch.setattr(audit, "BLOCK", 7)
        images = np.random.default_rng(0).integers(0, 90, (20, 6, 5, 3)).astype(np.uint8)
        distinct, share = audit.palette(images)
        for image, some, most in zip(images, distinct, share, strict=True):
            count = Counter(map(tuple, (image.reshape(-1, 3) // 16).tolist()))
            assert (some, most) == (len(count), max(count.values()) / 30)

    def test_a_blank_is_a_placeholder_and_noise_is_not(self):
        images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
        images[1] = 255
        section = settings.load("audit", audit.Settings, ROOT / "params.yaml")
        assert audit.placeholders(images, section).tolist() == [1]


def test_colours_are_those_of_all_pixels_of_a_cell(monkeypatch):
    monkeypatch.setattr(audit, "BLOCK", 3)
    images, cell = np.random.default_rng(1).integers(0, 256, (8, 4, 4, 3)).astype(np.uint8), np.array([1, 0] * 4)
    found = audit.colours(images, cell)
    for k in range(2):
        pixels = images[cell == k].reshape(-1, 3) / 255
        np.testing.assert_allclose(found[k], [*pixels.mean(axis=0), *pixels.std(axis=0)])


class TestCoding:
    @pytest.mark.parametrize("quality", [1, 50, 75, 95, 100])
    @pytest.mark.parametrize(("sampling", "name"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
    def test_jpeg(self, quality, sampling, name):
        content = encoded("JPEG", quality=quality, subsampling=sampling)
        assert audit.coding(content) == ("JPEG", "RGB", "16×16", str(quality), name)

    def test_grey_and_png(self):
        assert audit.coding(encoded("JPEG", "L", quality=60)) == ("JPEG", "L", "16×16", "60", "")
        assert audit.coding(encoded("PNG", "P")) == ("PNG", "P", "16×16", "", "")

    def test_tables_of_another_encoder(self):
        assert audit.coding(encoded("JPEG", qtables=[[9] * 64, [11] * 64])).quality == "own"

    @pytest.mark.parametrize("content", [b"", b"GIF89a", encoded("JPEG")[:20]])
    def test_no_image(self, content):
        with pytest.raises(InputError, match="holds a file that is no image"):
            audit.coding(content)

    def test_other_formats(self):
        assert audit.coding(encoded("WEBP", lossless=True)) == ("WEBP", "RGB", "16×16", "", "")
        assert audit.coding(encoded("GIF", "P")) == ("GIF", "P", "16×16", "", "")

    @pytest.mark.parametrize("other", [{"format": "PNG"}, {"size": "48×32"}, {"quality": "90"}, {"mode": "L"}])
    def test_what_differs_between_the_domains_tells_them_apart(self, other):
        one = audit.Coding("JPEG", "RGB", "32×32", "75", "4:2:0")
        domain = np.repeat(["a", "b"], 40)
        assert audit.told([one] * 80, domain) == 0.5
        assert audit.told([one] * 40 + [one._replace(**other)] * 40, domain) == 1
        mixed = [one, one._replace(**other)] * 40
        assert audit.told(mixed, domain) < 0.65
        assert audit.told([one, one._replace(**other)], np.array(["a", "b"])) == 0.5  # too few to say

    def test_a_row_without_a_file(self):
        with pytest.raises(InputError, match="row 1 of the labels has no file"):
            audit.codings([(0, encoded("PNG")), (2, encoded("PNG"))], 3)


def test_pairs_count_by_what_they_join():
    column = np.array(["real", "fake", "real", "fake"])
    pairs = np.array([[0, 1], [1, 2], [0, 2], [1, 3]])
    assert audit.by([column], pairs) == {("fake-real",): 2, ("real",): 1, ("fake",): 1}


@pytest.fixture
def audited(tmp_path, monkeypatch):
    """Return a function that draws, packs, labels and audits a sample of a dataset in a folder of its own."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)

    def audited(name, change=dict, **sample):
        module = {"cinic10": cinic10, "cifake": cifake}[name]
        section = settings.check({"seed": 10} | sample, module.Sample, "sample")
        files = change(module.draw(section))
        archive.write(Path("archive"), module.CONTAINER, files.items())
        pack(Path("archive"), module.SUFFIX, module.PIXELS, Settings(modes=["RGB"]), Path("images.npy"), Path("index"))
        stages.label.main(name, Path("index"), Path("labels"))
        stages.audit.main(name, name, *(Path(part) for part in ("archive", "images.npy", "labels", *NAMES)))
        figures = json.loads(Path("figures.json").read_text())
        return rows.read(Path("labels")), pd.read_csv("pairs", keep_default_na=False), figures

    return audited


def test_the_faults_that_are_planted_in_the_sample_of_cinic10_are_found(audited):
    table, pairs, figures = audited("cinic10", cifar=15, imagenet=40)
    path = table.path.tolist()
    found = {kind: set(zip(part["first"], part["second"], strict=True)) for kind, part in pairs.groupby("kind")}

    def row(split, category, i, domain="imagenet"):
        tile = cinic10.Tile(split, category, domain, i)
        return path.index(cinic10.path(cinic10.Name(split, category, domain, cinic10._stem(tile))))

    def joined(*ends):
        return tuple(sorted(ends))

    exact = {joined(row(s, c, 19), row(s, c, 39)) for s in cinic10.SPLITS for c in ("frog", "deer", "airplane")}
    for c in ("cat", "ship"):
        exact |= {joined(row(a, c, 24), row(b, c, 24)) for a, b in combinations(cinic10.SPLITS, 2)}
    assert found["exact"] == exact
    for s in ("valid", "test"):
        assert {joined(row("train", c, 14), row(s, c, 14)) for c in ("bird", "horse")} <= found["near"]
        assert joined(row("train", "dog", 14, "cifar"), row(s, "dog", 14)) in found["near"]
    assert pd.read_csv("placeholders")["row"].tolist() == [row("train", "automobile", 8)]
    counted = figures["exact"]
    assert (counted["pairs"], counted["test_rows_known"], counted["same_file"]) == (15, 2, 15)
    assert counted["official_split"] == {"test": 3, "train": 3, "valid": 3, "across": 6}
    assert (counted["category"]["frog"], counted["category"]["cat"], counted["category"]["across"]) == (3, 3, 0)
    assert figures["near"]["pairs"] == len(found["near"])
    assert {joined(*pair) for pair in found["near"]} == found["near"]


def test_what_the_audit_of_cifake_says_of_files_and_colours(audited):
    table, _, figures = audited("cifake", train=4, test=2)
    assert pd.read_csv("codings", keep_default_na=False).to_dict("records") == [
        {
            "domain": d,
            "format": "JPEG",
            "mode": "RGB",
            "size": "32×32",
            "quality": 75,
            "subsampling": "4:2:0",
            "files": 60,
        }
        for d in ("fake", "real")
    ]
    colours = pd.read_csv("colours")
    assert len(colours) == 20
    assert (colours["n"] == 6).all()
    ships = np.load("images.npy")[(table.category == "ship") & (table.domain == "fake")] / 255
    line = colours[(colours["category"] == "ship") & (colours["domain"] == "fake")].iloc[0]
    assert line[["red_mean", "blue_std"]].tolist() == pytest.approx(
        [ships[..., 0].mean(), ships[..., 2].std()], abs=1e-6
    )
    assert figures["images"] == 120
    assert figures["rows"] == {
        split: {d: int(((table.split == split) & (table.domain == d)).sum()) for d in ("fake", "real")}
        for split in ("test", "train")
    }
    assert figures["codings"] == 1
    assert (figures["told_by_coding"], figures["uneven"]) == (0.5, False)


def test_files_that_are_coded_otherwise_are_counted(audited):
    def change(drawn):
        files = dict(drawn)
        for name in [name for name in files if "/REAL/" in name][:7]:
            content = io.BytesIO()
            Image.open(io.BytesIO(files[name])).save(content, "JPEG", quality=90)
            files[name] = content.getvalue()
        return files

    _, _, figures = audited("cifake", change, train=2, test=1)
    assert figures["codings"] == 2
    table = pd.read_csv("codings", keep_default_na=False)
    assert table[["domain", "quality", "files"]].values.tolist() == [
        ["fake", 75, 30],
        ["real", 75, 23],
        ["real", 90, 7],
    ]


def test_without_a_pair_there_is_a_gallery_too(audited):
    (settings_text := Path("params.yaml")).write_text(
        settings_text.read_text().replace("rmse: 50.0 ", "rmse: 0.1 ").replace("few_colours: 12", "few_colours: 1")
    )
    _, pairs, figures = audited("cifake", train=1, test=1)
    assert len(pairs) == figures["near"]["pairs"] == figures["exact"]["pairs"] == 0
    assert Image.open("gallery.png").size[0] > 1000


def test_an_archive_that_is_not_that_of_the_labels_is_refused(audited):
    audited("cifake", train=2, test=1)
    before = {name: Path(name).read_bytes() for name in NAMES}
    other = cifake.draw(cifake.Sample(train=3, test=1, seed=10))
    archive.write(Path("archive"), cifake.CONTAINER, other)
    with pytest.raises(InputError, match=r"archive: holds train/.*, the labels do not; run dvc repro"):
        stages.audit.main("cifake", "cifake", *(Path(part) for part in ("archive", "images.npy", "labels", *NAMES)))
    assert before == {name: Path(name).read_bytes() for name in NAMES}
