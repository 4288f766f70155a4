"""Frames of streets: tables of ids, names of members, archives that become arrays, and which drive is for what."""

import io
import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from whence import archive
from whence.base import arrays
from whence.base.errors import InputError
from whence.datasets import cityscapes, idd, idd_lite
from whence.pack import PASSED_OVER
from whence.roads import classes, frames, splits, tables
from whence.roads.classes import IGNORED, NAMES, Scene
from whence.roads.frames import Name
from whence.table.tables import read_csv, write_csv

DATASETS = (idd, idd_lite, cityscapes)
BONN = "bonn_000000_000294"
FOLDERS = [
    (idd_lite, "idd20k_lite/", "train/10/024541", "image.jpg", "label.png", Name("train", "10", "024541")),
    (idd, "IDD_Segmentation/", "val/7/3_x", "leftImg8bit.png", "gtFine_polygons.json", Name("val", "7", "3_x")),
    (idd, "idd20kII/", "train/201/0001", "leftImg8bit.jpg", "gtFine_polygons.json", Name("train", "201", "0001")),
    (cityscapes, "cs/", f"val/bonn/{BONN}", "leftImg8bit.png", "gtFine_labelIds.png", Name("val", "bonn", BONN)),
]
"""Dataset, its top folder, the stem of a member, the ends of a frame and of its mask, and its name."""


class TestTables:
    @pytest.mark.parametrize("table", tables.TABLES.values(), ids=tables.TABLES)
    def test_ids_are_brought_to_classes(self, table):
        assert len({each.id for each in table}) == len(table)
        assert all(0 <= each.id <= 255 and re.fullmatch("[0-9a-f]{6}", each.colour) for each in table)
        seven, own = classes.seven(table), classes.own(table)
        counted = [each for each in table if each.level1 is not None]
        known = {each.id: each.level1 for each in counted}
        assert seven.of_id.tolist() == [known.get(number, IGNORED) for number in range(256)]
        assert seven.names == NAMES
        assert own.names == tuple(each.name for each in sorted(counted, key=lambda each: each.id))
        assert [own.names[own.of_id[each.id]] for each in counted] == [each.name for each in counted]
        assert [own.level1[own.of_id[each.id]] for each in counted] == list(known.values())
        assert (own.of_id == IGNORED).tolist() == (seven.of_id == IGNORED).tolist()

    def test_known_values(self):
        counted = {each.id: each for each in tables.IDD if each.level1 is not None}
        assert sorted(counted) == list(range(26))
        assert counted[tables.LEVEL3_IDS["autorickshaw"]] == (8, "autorickshaw", "ffcc36", NAMES.index("vehicles"))
        germany = {each.name: (each.id, each.level1) for each in tables.CITYSCAPES}
        assert germany["license plate"] == (255, None)
        assert germany["terrain"] == (22, NAMES.index("non-drivable"))
        assert [each.name for each in tables.IDD_LITE] == [*NAMES, "unlabeled"]

    def test_a_name_has_one_class_in_all_datasets(self):
        numbers = classes.seven(tables.IDD).of_id
        india = {name: numbers[id_] for name, id_ in tables.LEVEL3_IDS.items()}
        germany = classes.seven(tables.CITYSCAPES).of_id
        both = [each for each in tables.CITYSCAPES if each.name in india]
        assert len(both) > 25
        assert {each.name: india[each.name] for each in both} == {each.name: germany[each.id] for each in both}

    def test_an_unknown_id_is_named(self):
        mask = np.array([[0, 6], [255, 3]], np.uint8)
        classes.check(mask, tables.IDD_LITE)
        for more, said in ((7, "the id 7, expected 0, 1, "), (99, "the id 99, "), ([8, 254], "the ids 8, 254, ")):
            with pytest.raises(InputError, match=f"holds {said}"):
                classes.check(np.append(mask, more).astype(np.uint8)[None], tables.IDD_LITE)


def passed_over(dataset, path):
    return bool(dataset.OTHERS.fullmatch(path) or PASSED_OVER.search(path))


class TestNames:
    @pytest.mark.parametrize(("dataset", "top", "stem", "image", "mask", "name"), FOLDERS)
    def test_members_are_told_with_and_without_a_top_folder(self, dataset, top, stem, image, mask, name):
        for above in (top, ""):
            for path, kind in (
                (f"{above}leftImg8bit/{stem}_{image}", "frame"),
                (f"{above}gtFine/{stem}_{mask}", "mask"),
            ):
                assert dataset.parse(path) == (kind, name)
                assert not passed_over(dataset, path)
            assert dataset.parse(f"{above}leftImg8bit/{stem}_{mask}") is None
            assert dataset.parse(f"{above}gtFine/{stem}_{image}") is None
        for path in (f"a/b/gtFine/{stem}_{mask}", f"gtFine/{stem}_{mask}.bak", f"gtFine/trial{stem}_{mask}", ""):
            assert dataset.parse(path) is None

    @pytest.mark.parametrize(
        ("dataset", "path"),
        [
            *((each, path) for each in DATASETS for path in ("README", "a/license.txt", "a/.DS_Store", "map.pdf")),
            (idd_lite, "idd20k_lite/gtFine/train/10/024541_inst_label.png"),
            *((idd, f"gtFine/train/0/1_gtFine_{end}.png") for end in ("labellevel3Ids", "instanceids", "color")),
            *((cityscapes, f"gtFine/val/ulm/ulm_000000_000001_gtFine_{end}.png") for end in ("color", "instanceIds")),
            (cityscapes, "gtFine/val/ulm/ulm_000000_000001_gtFine_polygons.json"),
        ],
    )
    def test_documents_and_other_masks_are_passed_over(self, dataset, path):
        assert passed_over(dataset, path)


class TestDrawn:
    SETTINGS = cityscapes.Sample(train=2, val=1, frames=1, width=64, height=48, seed=3)

    @pytest.mark.parametrize("dataset", DATASETS)
    def test_it_is_an_archive_of_the_dataset(self, dataset, tmp_path):
        files = list(dataset.draw(self.SETTINGS))
        assert files == list(dataset.draw(self.SETTINGS))
        told = [dataset.parse(path) for path, _ in files]
        assert [kind for kind, _ in told] == ["frame", "mask"] * 3
        assert told[::2] == [("frame", name) for _, name in told[1::2]]
        assert [name.split for _, name in told[::2]] == ["train", "train", "val"]
        assert packed(tmp_path, dict(files), dataset)[1].shape == (3, 48, 64, 3)

    def test_the_two_of_india_are_the_same_streets(self):
        polygons, ids = (
            [each.mask(content) for path, content in each.draw(self.SETTINGS) if each.parse(path)[0] == "mask"]
            for each in (idd, idd_lite)
        )
        assert np.array_equal(classes.seven(tables.IDD).of_id[np.array(polygons)], ids)
        assert len(np.unique(ids)) > 4


# Packing


def encoded(pixels, kind="PNG", mode=None):
    target = io.BytesIO()
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image.convert(mode) if mode else image).save(target, kind)
    return target.getvalue()


def noise(seed=0, height=20, width=24):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def ids(seed=0, height=20, width=24, known=(0, 7, 8, 23, 33, 255)):
    return np.random.default_rng(seed).choice(known, (height, width)).astype(np.uint8)


def street(seed, split="train", city="ulm", **sides):
    """Return a frame and its mask as members of Cityscapes."""
    stem = f"{split}/{city}/{city}_000000_{seed:06}"
    mask = encoded(ids(seed, **sides))
    return {
        f"leftImg8bit/{stem}_leftImg8bit.png": encoded(noise(seed, **sides)),
        f"gtFine/{stem}_gtFine_labelIds.png": mask,
    }


def packed(folder, files, dataset=cityscapes, height=None, width=None):
    """Return the number of rows, and what was written of them."""
    archive.write(folder / "archive", dataset.CONTAINER, files.items())
    out = [folder / name for name in ("images.npy", "masks.npy", "index.csv")]
    count = frames.pack(folder / "archive", dataset, frames.Settings(height=height, width=width), *out)
    return count, arrays.read(out[0]), arrays.read(out[1]), read_csv(out[2])


def refused(folder, files, dataset=cityscapes):
    """Return why an archive is; nothing is left of the attempt."""
    with pytest.raises(InputError) as caught:
        packed(folder, files, dataset)
    assert str(caught.value).startswith(f"{folder / 'archive'}: ")
    assert [path.name for path in folder.iterdir()] == ["archive"]
    return str(caught.value)


def shallow(content):
    """Return a PNG whose header says four bits a pixel."""
    return content[:24] + b"\x04" + content[25:]


def cut(content):
    """Return a file that lacks some of its middle."""
    return content[: len(content) // 2] + content[-12:]


WHOLE = street(1)
FRAME, MASK = WHOLE
PHOTO, LABEL, POLYGONS = (
    "leftImg8bit/train/1/2_image.jpg",
    "gtFine/train/1/2_label.png",
    "gtFine/train/1/2_gtFine_polygons.json",
)
LITE = {PHOTO: encoded(noise(), "JPEG"), LABEL: encoded(ids(known=(0, 6)))}
DRAWN = {"imgHeight": 20, "imgWidth": 24, "objects": [{"label": "road", "polygon": [[0, 9], [23, 9], [23, 19]]}]}


def india(**changes):
    about = json.dumps(DRAWN | changes).encode()
    return {"leftImg8bit/train/1/2_leftImg8bit.png": encoded(noise()), POLYGONS: about}


class TestPack:
    def test_rows_are_sorted_and_pixels_are_those_of_the_files(self, tmp_path):
        rows = [(2, "val", "ulm"), (5, "train", "ulm"), (1, "train", "ulm"), (3, "train", "jena")]
        files = {path: content for row in rows for path, content in street(*row).items()}
        mixed = {path: files[path] for path in np.random.default_rng(0).permutation(list(files)).tolist()}
        count, images, masks, index = packed(tmp_path, mixed | {"README": b"x", "a.md": b"y"})
        order = [(3, "train", "jena"), (1, "train", "ulm"), (5, "train", "ulm"), (2, "val", "ulm")]
        assert (count, images.dtype, masks.dtype) == (4, np.uint8, np.uint8)
        assert np.array_equal(images, [noise(seed) for seed, *_ in order])
        assert np.array_equal(masks, [ids(seed) for seed, *_ in order])
        assert list(zip(*index.values(), strict=True)) == [(s, c, f"{c}_000000_{n:06}") for n, s, c in order]

    def test_a_jpeg_and_polygons(self, tmp_path):
        images = packed(tmp_path, LITE, idd_lite)[1]
        wanted = np.asarray(Image.open(io.BytesIO(encoded(noise(), "JPEG"))))
        assert np.abs(images[0].astype(int) - wanted).max() <= 2
        mask = packed(tmp_path, india(), idd)[2][0]
        assert (mask[15, 22], mask[15, 0], mask[0, 0]) == (0, 255, 255)

    @settings(max_examples=15, deadline=None)
    @given(st.integers(16, 60), st.integers(16, 60), st.integers(0, 99))
    def test_resizing_invents_no_id(self, height, width, seed):
        with tempfile.TemporaryDirectory() as folder:
            files = street(seed) | street(100, height=31, width=17)
            _, images, masks, _ = packed(Path(folder), files, height=height, width=width)
        assert images.shape[1:] == (height, width, 3)
        assert set(np.unique(masks[0])) <= set(np.unique(ids(seed)))

    def test_resizing_is_by_nearest_for_masks_and_smooth_for_frames(self, tmp_path):
        _, images, masks, _ = packed(tmp_path, street(1) | street(2, height=80, width=96), height=40, width=48)
        assert np.array_equal(masks[0], ids(1).repeat(2, 0).repeat(2, 1))
        assert set(masks[1].ravel()) <= set(ids(2, 80, 96).ravel())
        assert images[1].std() < 0.8 * noise(2, 80, 96).std()

    def test_the_test_split_is_passed_over(self, tmp_path):
        hidden = street(9, "test")
        broken = dict.fromkeys(list(hidden)[1:], b"")
        count, _, _, index = packed(tmp_path, WHOLE | hidden | broken)
        assert (count, index["split"].tolist()) == (1, ["train"])

    @pytest.mark.parametrize(
        ("part", "content", "said"),
        [
            (MASK, encoded(ids(1, 10)), ": the mask is 24×10 pixels, but the frame 24×20"),
            (MASK, shallow(encoded(ids(1))), ": has 4 bits a pixel, expected 8"),
            (MASK, encoded(ids(1), mode="P"), ": has mode P, expected L; a mask holds a number for each pixel"),
            (MASK, encoded(noise()), ": has mode RGB, expected L; a mask holds a number for each pixel"),
            (MASK, encoded(ids(known=(7, 99))), ": holds the id 99, expected 0, 1, 2"),
            (MASK, WHOLE[MASK][:-12], ": is not a whole PNG"),
            (MASK, None, ": has a frame, but no mask"),
            (FRAME, None, ": has a mask, but no frame"),
            (FRAME, WHOLE[FRAME][:-30], ": is not a whole PNG"),
            (FRAME, cut(WHOLE[FRAME]), ": is not a whole PNG"),
            (FRAME, encoded(ids()), ": has mode L, expected RGB"),
            (FRAME, encoded(noise(), mode="RGBA"), ": has mode RGBA, expected RGB"),
            ("gtFine/train/ulm/x_000001_000001.png", b"", ": is neither a frame nor a mask of this dataset"),
        ],
    )
    def test_one_that_is_amiss_is_named(self, tmp_path, part, content, said):
        files = {path: each for path, each in (WHOLE | {part: content}).items() if each is not None}
        message = refused(tmp_path, files)
        assert re.search(rf"(train/ulm/ulm_000000_000001|{re.escape(part)}){re.escape(said)}", message)

    def test_an_archive_that_is_amiss(self, tmp_path):
        two = "frames of 2 sizes (24×18, 24×20); set height and width of this dataset, under pack"
        assert two in refused(tmp_path, WHOLE | street(2, height=18))
        assert "holds no frames; is it the archive of this dataset?" in refused(tmp_path, {"README": b""})

    def test_a_jpeg_that_is_amiss(self, tmp_path):
        for content, said in ((cut(LITE[PHOTO]), "is not a whole JPEG"), (encoded(ids(), "JPEG"), "has mode L")):
            assert f"{PHOTO}: {said}" in refused(tmp_path, LITE | {PHOTO: content}, idd_lite)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"objects": [{"label": "zeppelin", "polygon": []}]}, "holds polygons of 'zeppelin', expected road, "),
            ({"imgHeight": 10**9}, "is 24×1000000000 pixels, expected 33,554,432 in all, at most"),
            ({"imgWidth": 0}, "is 0×20 pixels"),
            *(({"objects": each}, "holds no polygons (") for each in (None, [{}], [{"label": "road"}], 3)),
            pytest.param({"objects": [None]}, "holds no polygons ("),
            *(({"objects": [{"label": "road", "polygon": each}]}, "holds no polygons (") for each in (1, [1], [[1]])),
            ({"objects": [{"label": "road", "polygon": [[0, 1e999]]}]}, "holds no polygons ("),
        ],
    )
    def test_polygons_that_are_amiss(self, tmp_path, changes, said):
        assert f"{POLYGONS}: {said}" in refused(tmp_path, india(**changes), idd)

    @pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"7", b"{}", b"[" * 100_000])
    def test_what_holds_no_polygons(self, tmp_path, content):
        assert f"{POLYGONS}: holds no polygons (" in refused(tmp_path, india() | {POLYGONS: content}, idd)

    def test_two_frames_of_one_name_are_refused(self, tmp_path):
        twice = {f"again/{path}": content for path, content in WHOLE.items()}
        assert "ulm_000000_000001" in refused(tmp_path, WHOLE | twice | street(2))


class TestPainted:
    SQUARE, IDS = ((1, 1), (4, 1), (4, 4), (1, 4)), {"unlabeled": 9, "a": 1, "b": 2}

    def painted(self, *objects, side=6):
        about = [{"label": label, "polygon": corners} | more for label, corners, more in objects]
        content = {"imgHeight": side, "imgWidth": side, "objects": about}
        return frames.painted(frames.polygons(json.dumps(content).encode()), self.IDS)

    def test_the_last_polygon_is_uppermost_and_deleted_ones_are_left_out(self):
        lower, upper = ("a", self.SQUARE, {}), ("b", [(3, 0), (5, 0), (5, 5), (3, 5)], {})
        mask = self.painted(lower, upper)
        assert (mask[2, 2], mask[2, 4], mask[0, 0], mask[5, 5]) == (1, 2, 9, 2)
        assert self.painted(upper, lower)[2, 4] == 1
        for deleted in (1, True):
            assert np.array_equal(self.painted(lower, (*upper[:2], {"deleted": deleted})), self.painted(lower))
        assert np.array_equal(self.painted(lower, (*upper[:2], {"deleted": 0})), mask)

    def test_a_group_is_of_its_class(self):
        one, many = (self.painted((name, self.SQUARE, {})) for name in ("a", "agroup"))
        assert np.array_equal(one, many)
        with pytest.raises(InputError, match="'cgroup'"):
            self.painted(("cgroup", self.SQUARE, {}))

    def test_corners_outside_are_cut_off(self):
        assert (self.painted(("a", [(-50, -50), (99, -50), (99, 99), (-50, 99)], {})) == 1).all()
        half = self.painted(("a", [(3, -1000), (1000, -1000), (1000, 1000), (3, 1000)], {}))
        assert half.tolist() == [[9, 9, 9, 1, 1, 1]] * 6

    def test_fewer_than_three_corners_are_no_area(self):
        for corners in ([], [(1, 1)], [(1, 1), (4, 4)]):
            assert (self.painted(("a", corners, {})) == 9).all()
        assert (frames.painted(Scene(4, 3, []), self.IDS) == 9).all()


# Splits


def settled(drives, **changes):
    """Return what is settled of rows (official split, drive)."""
    about = {"test": ["val"], "valid_share": 0.2, "share": 1.0, "seed": 0} | changes
    split, drive = np.array(drives).T
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index.csv")
        write_csv(path, {"split": split, "drive": drive, "frame": np.arange(len(drives)).astype(str)})
        found = splits.settle(path, splits.Settings(**about))
    assert np.array_equal(found.drive, drive)
    assert found.frame.tolist() == [str(k) for k in range(len(drives))]
    return found.split


MANY = [("val" if drive > 20 else "train", f"{drive:02}") for drive in range(25) for _ in range(6)]
ROWS = st.lists(st.tuples(st.sampled_from(["train", "train", "val"]), st.integers(0, 9).map(str)), min_size=1)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from([0.0, 0.05, 0.3, 0.9]), st.sampled_from([0.01, 0.25, 0.5, 1.0]), st.integers(0, 5))
def test_drives_are_settled(drives, valid_share, share, seed):
    drives = [*drives, ("val", "10")]
    found = settled(drives, valid_share=valid_share, share=share, seed=seed)
    official, drive = np.array(drives).T
    test = official == "val"
    assert np.array_equal(found == "test", test)
    free = ~np.isin(drive, drive[test])
    assert (found[~free & ~test] == splits.LEFT_OUT).all(), "what a drive that tests holds besides is not learnt from"
    names, counts = np.unique(drive[free], return_counts=True)
    for name, count in zip(names, counts, strict=True):
        parts = found[drive == name].tolist()
        assert parts.count("valid") in (0, count)
        if "valid" not in parts:
            assert parts.count("train") == max(1, int(np.ceil(share * count)))
            assert parts.count(splits.LEFT_OUT) == count - parts.count("train")
    valid = (found == "valid").sum()
    if len(names) < 2 or not valid_share:
        assert valid == 0
    else:
        assert abs(valid - valid_share * free.sum()) <= counts.max(), "a drive more or less"
        assert (found == "train").any()


def test_what_is_drawn_is_the_seed_s():
    for changes in ({}, {"share": 0.5, "valid_share": 0.0}):
        first, again, other = (settled(MANY, seed=seed, **changes) for seed in (0, 0, 1))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_the_order_of_rows_changes_no_drive():
    order = np.random.default_rng(0).permutation(len(MANY))
    assert np.array_equal(settled([MANY[k] for k in order]), settled(MANY)[order])


def test_an_unknown_split_is_refused():
    with pytest.raises(InputError, match="has no split exam, only train, val"):
        settled(MANY, test=["val", "exam"])
    assert set(settled(MANY, test=[], valid_share=0.0)) == {"train"}


def test_splits_are_read_again(tmp_path):
    found = splits.Frames(settled(MANY), *(np.array([each[1] for each in MANY]),) * 2)
    write_csv(tmp_path / "frames.csv", found._asdict())
    assert all(np.array_equal(*pair) for pair in zip(splits.read(tmp_path / "frames.csv"), found, strict=True))
    assert splits.counts(found) == "train 102 of 17 drives, valid 24 of 4 drives, test 24 of 4 drives"
    write_csv(tmp_path / "frames.csv", {"split": found.split})
    with pytest.raises(InputError, match="has no column drive, frame; run dvc repro"):
        splits.read(tmp_path / "frames.csv")
