"""Your own images: layouts, files of every kind, splits, and the script that adds them to params.yaml."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from scripts import own
from stages import gather, label_folder
from whence import audit, runs
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.datasets import folder
from whence.table import rows
from whence.table.tables import read_csv
from whence.table.tasks import Objects

ROOT = Path(__file__).resolve().parent.parent
SIDE = 16
OUT = ("images.npy", "index.csv", "unreadable.csv")


def picture(width=20, height=12, seed=0, mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def put(path, image, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **how)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with params.yaml that knows of a dataset `mine`; a function changes what it says."""
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    images = {"pixels": SIDE, "filter": "box", "fit": "crop", "unreadable": 0}
    layout = {"layout": "<class>", "test_share": 0.25, "valid_share": 0.25, "cap": None, "seed": 0}
    content["folders"] = {"mine": {"path": "photos", "images": images, "rows": layout}}

    def change(**values):
        images.update({name: value for name, value in values.items() if name in images})
        layout.update({name: value for name, value in values.items() if name in layout})
        Path("params.yaml").write_text(yaml.dump(content))
        return tmp_path

    change()
    return change


def gathered(source="photos"):
    gather.main("mine", Path(source), *(Path(name) for name in OUT))
    return arrays.read(Path("images.npy")), read_csv(Path("index.csv"))["path"].tolist()


def labelled():
    label_folder.main("mine", Path("index.csv"), Path("labels.csv"))
    return rows.read(Path("labels.csv"))


class TestLayout:
    @pytest.mark.parametrize(
        ("layout", "path", "said"),
        [
            ("<class>", "cat/a.jpg", ("train", "cat", "cat")),
            ("<class>", "cat/2020/a b.jpg", ("train", "cat", "cat")),
            ("<split>/<class>", "test/cat/a.jpg", ("test", "cat", "cat")),
            ("<split>/<class>/", "Validation/cat/a.jpg", ("valid", "cat", "cat")),
            ("<domain>/<category>", "drawn/cat/a.jpg", ("train", "cat", "drawn")),
            ("<split>/<domain>/<category>", "training/drawn/cat/a.jpg", ("train", "cat", "drawn")),
            ("<domain>/<split>", "drawn/val/a.jpg", ("valid", "all", "drawn")),
            ("*/<class>", "photos/ä/a.jpg", ("train", "ä", "ä")),
            ("<split>/<category>", "dev/cat/a.jpg", ("valid", "cat", "all")),
        ],
    )
    def test_it_says_what_a_path_means(self, layout, path, said):
        assert folder.parser(layout)(path) == (*said, path)

    @pytest.mark.parametrize("path", ["a.jpg", "other/cat/a.jpg", "train/a.jpg"])
    def test_a_path_that_does_not_fit(self, path):
        assert folder.parser("<split>/<class>")(path) is None

    @pytest.mark.parametrize(
        "layout", ["", "class", "<split>", "<kind>", "<class>/<class>", "<class>/<domain>", "<class>/<category>", "<cl"]
    )
    def test_what_is_none_is_refused(self, here, layout):
        here(layout=layout)
        with pytest.raises(InputError, match=r"params\.yaml: folders\.mine\.rows\.layout: got .*<c"):
            settings.load("folders.mine.rows", folder.Rows)

    def test_shares_and_splits_go_together(self, here):
        for layout, share in (("<class>", None), ("<split>/<class>", 0.2)):
            here(layout=layout, test_share=share)
            with pytest.raises(InputError, match="test_share"):
                settings.load("folders.mine.rows", folder.Rows)


class TestGather:
    def test_files_of_every_kind_become_rows(self, here):
        """Each comes out as Pillow itself brings the picture to RGB, crops the middle, and means the pixels."""
        square = picture(SIDE, SIDE)
        turned = Image.Exif()
        turned[0x0112] = 6  # to be turned right by a quarter
        here()
        lossless = {"a.png": {}, "b.webp": {"lossless": True}, "c.bmp": {}, "d.tif": {}}
        for name, how in lossless.items():
            put(Path("photos/cat", name), square, **how)
        put(Path("photos/dog/e.png"), square.convert("L"))
        put(Path("photos/dog/f.png"), square.quantize(200))
        put(Path("photos/dog/g.png"), square.convert("RGBA"))
        put(Path("photos/dog/h.png"), square, exif=turned)
        put(Path("photos/dog/i.jpg"), picture(64, 48, mode="CMYK"), quality=95)
        put(Path("photos/dog/j.png"), Image.fromarray(np.full((SIDE, SIDE), 0x8040, np.uint16)))
        put(Path("photos/dog/k.png"), picture(48, 32))
        array, names = gathered()
        assert array.shape == (11, SIDE, SIDE, 3)
        assert array.dtype == np.uint8
        found = {name.rpartition("/")[2]: image for name, image in zip(names, array, strict=True)}
        pixels = np.asarray(square)
        for name in (*lossless, "g.png"):
            assert np.array_equal(found[name], pixels), name
        assert np.array_equal(found["e.png"], np.asarray(square.convert("L").convert("RGB")))
        assert np.array_equal(found["f.png"], np.asarray(square.quantize(200).convert("RGB")))
        assert np.array_equal(found["h.png"], np.rot90(pixels, -1))
        assert (found["j.png"] == 0x80).all()
        middle = np.asarray(picture(48, 32))[:, 8:40].reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3))
        assert np.abs(found["k.png"] - middle).max() <= 1  # Pillow rounds twice

    @pytest.mark.parametrize("name", ["box", "bilinear", "hamming", "bicubic", "lanczos"])
    @pytest.mark.parametrize("fit", ["crop", "stretch"])
    def test_the_filter_and_the_fit_are_those_that_are_named(self, here, name, fit):
        here(filter=name, fit=fit)
        put(Path("photos/cat/a.png"), image := picture(40, 30))
        (pixels,), _ = gathered()
        image = image.crop((5, 0, 35, 30)) if fit == "crop" else image
        assert np.array_equal(pixels, np.asarray(image.resize((SIDE, SIDE), Image.Resampling[name.upper()])))

    def test_an_archive_is_the_same_as_its_folder(self, here):
        here()
        for k in range(3):
            put(Path(f"photos/cat/{k}.png"), picture(seed=k))
        array, names = gathered()
        shutil.make_archive("packed", "gztar", "photos")
        again, others = gathered("packed.tar.gz")
        assert sorted(names) == sorted(others)
        assert {n: a.tobytes() for n, a in zip(names, array, strict=True)} == {
            n: a.tobytes() for n, a in zip(others, again, strict=True)
        }

    def test_unreadable_files_are_listed_and_left_out_up_to_an_allowance(self, here):
        here(unreadable=1)
        put(Path("photos/cat/a.png"), picture())
        Path("photos/cat/b c.jpg").write_bytes(b"no image")
        Path("photos/cat/notes.txt").write_text("a document does not count")
        array, names = gathered()
        assert (len(array), names) == (1, ["cat/a.png"])
        assert read_csv(Path("unreadable.csv"))["file"].tolist() == ["cat/b c.jpg"]
        before = {name: Path(name).read_bytes() for name in OUT}
        here(unreadable=0)
        with pytest.raises(
            InputError, match=r"(?s)photos: 1 members cannot be used:\n  cat/b c\.jpg is no image.*mend"
        ):
            gathered()
        assert before == {name: Path(name).read_bytes() for name in OUT}

    def test_nothing_there_is_told(self, here):
        here()
        with pytest.raises(
            InputError, match=r"photos: there is no such folder or archive; name it at folders\.mine\.path"
        ):
            gathered()
        Path("photos").mkdir()
        with pytest.raises(InputError, match="photos: holds no image"):
            gathered()


def write_index(paths, digests=None):
    lines = [f"{path},{digest}\n" for path, digest in zip(paths, digests or paths, strict=True)]
    Path("index.csv").write_text("path,digest\n" + "".join(lines))


class TestRows:
    def test_without_splits_shares_are_drawn_of_every_class(self, here):
        here()
        write_index([f"{name}/{k}.png" for name, count in (("cat", 40), ("dog", 80)) for k in range(count)])
        table = labelled()
        counts = {
            s: {d: int(((table.split == s) & (table.domain == d)).sum()) for d in ("cat", "dog")} for s in rows_of
        }
        assert counts == {
            "train": {"cat": 22, "dog": 45},
            "valid": {"cat": 8, "dog": 15},
            "test": {"cat": 10, "dog": 20},
        }
        assert (table.category == table.domain).all()
        again = labelled()
        assert all((a == b).all() for a, b in zip(table, again, strict=True))
        here(seed=1)
        assert (labelled().split != table.split).any()

    def test_counts_are_told(self, here, capsys):
        here(layout="<category>")
        write_index([f"{name}/{k}.png" for name, count in (("cat", 40), ("dog", 80)) for k in range(count)])
        labelled()
        assert "train: 67 of 2 categories, 22–45 each\nvalid: 23 of 2 categories, 8–15 each" in capsys.readouterr().out

    def test_copies_stay_together(self, here):
        here()
        paths = [f"{name}/{k}.png" for name in ("cat", "dog") for k in range(60)]
        write_index(paths, [f"{path.partition('/')[0]}-{k % 20}" for k, path in enumerate(paths)])
        table = labelled()
        for group in np.unique(table.group):
            assert len(set(table.split[table.group == group])) == 1

    def test_splits_that_the_folders_name_are_kept(self, here):
        here(layout="<split>/<class>", test_share=None, valid_share=None)
        write_index([f"{s}/{d}/{k}.png" for s in ("train", "val", "test") for d in ("cat", "dog") for k in range(3)])
        table = labelled()
        assert (table.split == table.official_split).all()
        assert set(table.split) == {"train", "valid", "test"}

    @pytest.mark.parametrize(
        ("paths", "told"),
        [
            (["cat/1.png", "cat/2.png"], "all images are of one class, cat; two are needed"),
            (["cat/1.png"], "all images are of one class, cat"),
            (["cat/1.png", "dog/1.png"], "holds no image of split 'test' and class 'cat'; add some"),
            ([*(f"cat/{k}" for k in range(20)), "dog/1.png"], "holds no image of split 'test' and class 'dog'"),
            (["cat/1.png", "stray.png"], r"1 names fit no rule of the layout:\n  stray\.png\nthe layout is <class>"),
        ],
    )
    def test_what_cannot_be_split_is_refused(self, here, paths, told):
        here()
        write_index(paths)
        with pytest.raises(InputError, match=rf"index\.csv: {told}"):
            labelled()

    def test_a_class_that_a_split_lacks_is_named(self, here):
        here(layout="<split>/<class>", test_share=None, valid_share=0.5)
        write_index([*(f"train/{d}/{k}" for d in ("cat", "dog") for k in range(4)), "test/cat/1"])
        with pytest.raises(InputError, match="no image of split 'test' and class 'dog'"):
            labelled()


rows_of = ("train", "valid", "test")


def test_the_coding_of_files_is_read_and_other_sizes_tell_the_classes_apart(here):
    one, other = audit.coding(encoded(picture(20, 12))), audit.coding(encoded(picture(30, 12)))
    assert (one.size, other.size) == ("20×12", "30×12")
    assert audit.told([one] * 10 + [other] * 10, np.repeat(["cat", "dog"], 10)) == 1


def encoded(image):
    path = Path("one.png")
    image.save(path)
    return path.read_bytes()


class TestOwn:
    @pytest.fixture
    def there(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        shutil.copy(ROOT / "params.yaml", "params.yaml")
        for name in ("cat", "it's a dog: big"):
            put(Path("photos", name, "a.png"), picture())
        return tmp_path

    def test_it_adds_a_dataset_a_question_and_runs_and_changes_nothing_else(self, there):
        before, lines = settings.read(), Path("params.yaml").read_text().splitlines()
        own.main("mine", Path("photos"), 48)
        after = settings.read()
        about = settings.load("folders.mine", folder.Folder)
        assert (about.path, about.images.pixels, about.rows.layout) == (str(there / "photos"), 48, "<class>")
        assert after["tasks"]["mine"]["positive"] == "it's a dog: big"
        assert after["datasets"] == [*before["datasets"], "mine"]
        assert {task for task in after["tasks"] if runs.of_task(task)} == {"origin", "fake", "mine"}
        for section in ("tasks", "runs", "maps", "mistakes", "corrupted", "examples"):
            assert before[section].items() < after[section].items()
            assert all(key.startswith("mine") for key in after[section].keys() - before[section].keys())
        assert {name for name in before if before[name] != after[name]} == {
            *("folders", "datasets", "tasks", "runs", "maps", "mistakes", "corrupted", "examples")
        }
        gone = [line for line in lines if line not in Path("params.yaml").read_text().splitlines()]
        assert gone == ["folders: {}", "datasets: [cinic10, cifake]"]

    def test_a_second_one_stands_beside_the_first(self, there):
        own.main("mine", Path("photos"), 48)
        own.main("other", Path("photos"), 32)
        assert list(settings.read()["folders"]) == ["mine", "other"]

    def test_lists_may_be_written_either_way(self, there):
        text = Path("params.yaml").read_text()
        Path("params.yaml").write_text(text.replace("datasets: [cinic10, cifake]", "datasets:\n- cinic10\n- cifake"))
        own.main("mine", Path("photos"), 48)
        assert settings.read()["datasets"] == ["cinic10", "cifake", "mine"]
        Path("params.yaml").write_text(text.replace("folders: {}", "folders: {a: {path: b}}"))
        with pytest.raises(InputError, match=r"params\.yaml: folders: stands on one line in braces"):
            own.main("mine", Path("photos"), 48)

    @pytest.mark.parametrize(
        ("names", "layout"),
        [
            (["cat/1", "dog/1"], "<class>"),
            (["cat/x/1", "dog/1"], "<class>"),
            (["train/cat/1", "test/dog/1"], "<split>/<class>"),
            (["photos/cat/1", "photos/dog/1"], "*/<class>"),
            (["photos/training/cat/1", "photos/testing/dog/1", "photos/val/cat/1"], "*/<split>/<class>"),
            (["cat/1", "dog/1", "cow/1"], "<category>"),
            (["train/cat/1", "train/dog/1", "test/cow/1"], "<split>/<category>"),
        ],
    )
    def test_the_layout_is_guessed(self, names, layout):
        classes = ["cat", "cow", "dog"] if "category" in layout else ["cat", "dog"]
        assert own.guessed(names, Path("p")) == (layout, classes)

    @pytest.mark.parametrize(
        ("names", "told"),
        [
            (["1.png", "2.png"], "no folders, one for each class"),
            (["cat/1", "cat/2"], r"1 class:\n  cat\n"),
            ([], "no folders"),
        ],
    )
    def test_what_are_no_two_classes_is_refused(self, names, told):
        with pytest.raises(InputError, match=f"p: holds {told}"):
            own.guessed(names, Path("p"))

    def test_of_more_than_two_classes_the_category_is_asked(self, there):
        put(Path("photos/cow/a.png"), picture())
        own.main("mine", Path("photos"), 48)
        after = settings.read()
        assert settings.load("folders.mine", folder.Folder).rows.layout == "<category>"
        assert settings.load("classes.mine", runs.Question).question == "which of 3?"
        assert list(settings.load("objects.mine", Objects).domains) == ["all"]
        assert set(runs.of_question("mine")) == {"mine-small_few", "mine-wildlife_cnn"} == set(after["class_runs"])
        assert "mine" not in after["tasks"]

    @pytest.mark.parametrize("name", ["cifake", "origin", "objects", "Mine", "a-b", "", "folder", "1a"])
    def test_a_name_that_is_none_or_taken_is_refused(self, there, name):
        before = Path("params.yaml").read_bytes()
        with pytest.raises(InputError, match=f"{name}[: ].*(cannot be a name|is there already)"):
            own.main(name, Path("photos"), 32)
        assert Path("params.yaml").read_bytes() == before

    def test_a_quote_in_the_path_is_refused(self, there):
        Path("photos").rename("it's mine")
        with pytest.raises(InputError, match="it's mine: has a ' in its name"):
            own.main("mine", Path("it's mine"), 32)

    def test_a_path_that_is_none_is_refused(self, there):
        with pytest.raises(InputError, match="nowhere: cannot be read"):
            own.main("mine", Path("nowhere"), 32)
