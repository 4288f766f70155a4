"""The report: charts that say what they were given, files that are named when they are missing, and the page itself."""

import base64
import hashlib
import io
import json
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import browser
import numpy as np
import pytest
import yaml
from PIL import Image
from repositories import ROOT, edit, run

from stages import report
from whence import runs
from whence.base.errors import InputError
from whence.report import charts, examples
from whence.report.charts import Axis, Line
from whence.report.files import Files, address
from whence.report.roads import MOST, RED, WIDEST, roads
from whence.roads import data


def drawn(svg):
    """Return the chart as a tree: it is well-formed."""
    return ElementTree.fromstring(str(svg))


def path_of(svg, run_="a"):
    """Return the corners of a run's line, in pixels."""
    group = next(g for g in drawn(svg).iter("g") if g.get("data-run") == run_)
    d = next(p for p in group.iter("path") if p.get("class") == "line").get("d")
    return np.array([[float(part) for part in pair.split()] for pair in d[1:].split("L")])


class TestCharts:
    def test_ends_of_the_axes_are_the_ends_of_the_frame(self):
        svg = charts.chart("t", [Line("a", [0, 1], [0, 1], 0)], Axis("x", 0, 1), Axis("y", 0, 1))
        corners = path_of(svg).tolist()
        assert corners == [
            [charts.LEFT, charts.HEIGHT - charts.BOTTOM],
            [charts.WIDTH - charts.RIGHT, charts.TOP],
        ]

    def test_a_script_finds_the_values_again(self):
        x, y = np.linspace(2, 7, 9), np.linspace(-1, 3, 9) ** 2
        svg = charts.chart("t", [Line("a", x, y, 0)], Axis("x"), Axis("y"))
        for k, (name, values) in enumerate((("x", x), ("y", y))):
            low, high, start, stop = map(float, drawn(svg).get(f"data-{name}").split()[:4])
            assert low + (path_of(svg)[:, k] - start) / (stop - start) * (high - low) == pytest.approx(values, abs=0.03)

    @pytest.mark.parametrize(
        ("axis", "values", "expected"),
        [
            (Axis("", 0, 1), [], [0, 0.2, 0.4, 0.6, 0.8, 1]),
            (Axis("", 0, 20), [], [0, 5, 10, 15, 20]),
            (Axis("", 0.4, 0.97), [], [0.4, 0.6, 0.8]),
            (Axis("", log=True), [0.1, 20.0], [0.1, 0.2, 0.5, 1, 2, 5, 10, 20]),
            (Axis("", log=True), [0.3, 0.6], [0.3, 0.4, 0.5, 0.6]),
            (Axis(""), [3.0, 3.0], [2.6, 2.8, 3, 3.2, 3.4]),
        ],
    )
    def test_ticks(self, axis, values, expected):
        assert charts._Scale(axis, [values], 0, 1).ticks() == pytest.approx(expected)

    def test_what_is_no_number_is_left_out_and_what_lies_outside_is_kept_within(self):
        svg = charts.chart("t", [Line("a", [0, 1, 2, 3], [0.5, np.nan, 9, 0.5], 0)], Axis("x", 0, 3), Axis("y", 0, 1))
        corners = path_of(svg)
        assert len(corners) == 3
        assert corners[1, 1] == charts.TOP

    def test_of_many_points_some_are_drawn_the_first_and_the_last_among_them(self):
        x = np.arange(5000.0)
        corners = path_of(charts.chart("t", [Line("a", x, x, 0)], Axis("x", 0, 4999), Axis("y", 0, 4999)))
        assert len(corners) == charts.MOST_POINTS
        assert corners[0, 0] == charts.LEFT
        assert corners[-1, 0] == charts.WIDTH - charts.RIGHT

    def test_a_step_goes_up_first(self):
        corners = path_of(
            charts.chart("t", [Line("a", [0, 1], [0, 1], 0, steps=True)], Axis("x", 0, 1), Axis("y", 0, 1))
        )
        left, right = charts.LEFT, charts.WIDTH - charts.RIGHT
        bottom, top = charts.HEIGHT - charts.BOTTOM, charts.TOP
        assert corners.tolist() == [[left, bottom], [left, top], [right, top]]

    def test_names_cannot_break_out(self):
        name = '"><script>alert(1)</script>'
        tree = drawn(charts.chart(name, [Line(name, [0, 1], [0, 1], 0)], Axis(name), Axis(name)))
        assert not list(tree.iter("script"))
        assert tree.get("aria-label") == name

    def test_forty_runs_stay_apart(self):
        lines = [Line(str(k), [0, 1], [0, k], k) for k in range(40)]
        groups = list(drawn(charts.chart("t", lines, Axis("x"), Axis("y"))).iter("g"))
        looks = {(g.get("class"), next(g.iter("path")).get("stroke-dasharray")) for g in groups}
        assert len(looks) == 40

    def test_no_line_is_a_chart_all_the_same(self):
        assert len(drawn(charts.chart("t", [], Axis("x", 0, 1), Axis("y", 0, 1)))) > 5

    @pytest.mark.parametrize(("value", "place"), [(0.4, 4), (0.7, 60), (1.0, 116), (0.1, 4), (2.0, 116)])
    def test_a_dot_in_a_table(self, value, place):
        circle = next(drawn(charts.interval(value, None, None, 0.4, 1)).iter("circle"))
        assert float(circle.get("cx")) == pytest.approx(place)

    def test_an_interval_in_a_table(self):
        bars = [e for e in drawn(charts.interval(0.5, 0.25, 0.75, 0, 1)).iter("line") if e.get("class") == "bar"]
        assert [(float(bar.get("x1")), float(bar.get("x2"))) for bar in bars] == [(32, 88)]
        without = drawn(charts.interval(0.5, float("nan"), float("nan"), 0, 1))
        assert not [e for e in without.iter("line") if e.get("class") == "bar"]


class TestFiles:
    def test_places_are_filled_in(self, tmp_path):
        (tmp_path / "a-b.csv").write_text("run,x,y\none,1,\ntwo,2.5,3\n")
        table = Files([f"name={tmp_path}/{{task}}-{{run}}.csv"]).table("name", task="a", run="b")
        assert table["x"].tolist() == [1, 2.5]
        assert np.isnan(table["y"][0])
        assert table["run"].tolist() == ["one", "two"]

    @pytest.mark.parametrize("pattern", ["name", "name=", "=path"])
    def test_what_is_no_pattern_is_refused(self, pattern):
        with pytest.raises(InputError, match=f"{pattern}: expected name=path"):
            Files([pattern])

    def test_what_is_missing_is_named(self, tmp_path):
        files = Files([f"name={tmp_path}/{{run}}.csv"])
        with pytest.raises(InputError, match=r"a\.csv: there is no such file; run dvc repro"):
            files.path("name", run="a")
        with pytest.raises(InputError, match="other: no such file is told; expected one of name"):
            files.path("other")

    @pytest.mark.parametrize("kind", ["table", "figures"])
    def test_what_cannot_be_read_is_named(self, tmp_path, kind):
        (tmp_path / "a").write_bytes(b"\xff\xfe{")
        with pytest.raises(InputError, match="a: not a readable"):
            getattr(Files([f"name={tmp_path}/a"]), kind)("name")

    def test_an_image_comes_back(self, tmp_path):
        pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
        kind, _, text = address(pixels).partition(",")
        assert kind == "data:image/webp;base64"
        (tmp_path / "x.webp").write_bytes(base64.b64decode(text))
        assert np.array_equal(np.asarray(Image.open(tmp_path / "x.webp")), pixels)


def test_red_takes_and_blue_adds():
    pixels = np.zeros((2, 2, 4), np.float16)
    pixels[..., :3], pixels[0, 0, 3], pixels[1, 1, 3] = 100, 2, -1
    shade = examples._shaded(pixels)
    assert shade[0, 0, 0] > 150 > shade[0, 0, 2]
    assert shade[1, 1, 2] > shade[1, 1, 0]
    assert shade[0, 1].tolist() == [100, 100, 100]


NAMES = data.kinds("idd_lite", "seven").names
STREETS = {
    "source": "sample",
    "evaluate": {"metrics": {"confidence": 0.9}},
    "checkpoints": {},
    "runs": {
        "seven": {"train_on": "idd_lite", "classes": "seven", "settings": "quick", "weights": "mobilenet_v2"},
        "<own>": {"train_on": "cityscapes", "classes": "own", "settings": "quick", "weights": "mobilenet_v2"},
    },
}
"""Two networks, asked about two datasets each: 3 frames of one drive, of which the third is shown twice."""


def write(path, columns, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(",".join(map(str, row)) for row in [columns.split(), *rows]) + "\n")


def write_answers(place, run_, dataset, names):
    """Write what evaluation does: the first class is told half right, the second is in no frame, all others are."""
    measured = "iou iou_lo iou_hi precision recall average_precision share taken_for taken_share note"
    rows = [(name, 1, 1, 1, 1, 1, 1, 0.1, "", 0, "") for name in names]
    rows[0] = (names[0], 0.25, 0.125, 0.5, 0.5, 0.5, 0.75, 0.4, names[2], 0.5, "weak: why")
    rows[1] = (names[1], *["n/a"] * 6, 0, "", 0, "is in no frame")
    write(place("classes", run=run_, dataset=dataset), f"class {measured}", *rows)
    counts = np.diag([8, 0, *[4] * (len(names) - 2)])
    counts[0, :3] = 4, 0, 4
    cells = [(names[i], names[j], n) for (i, j), n in np.ndenumerate(counts)]
    write(place("confusion", run=run_, dataset=dataset), "actual predicted count", *cells)
    truth = np.zeros((3, 40, 640), np.uint8)
    truth[:, :10], truth[2, 10:] = 255, 2
    called = np.zeros_like(truth)
    called[:2, :, :320] = 2
    images = np.full((3, 40, 640, 3), [[[[60]]], [[[120]]], [[[180]]]], np.uint8)
    target = place("worst", run=run_, dataset=dataset)
    target.parent.mkdir(parents=True, exist_ok=True)
    shown, iou = [[1, 0], [0, 0], [2, 2], [2, 3]], [0.5, 0.6, 0.0, 0.25]
    np.savez(target, images=images, truth=truth, called=called, row=[7, 8, 9], shown=np.array(shown), iou=np.array(iou))


@pytest.fixture
def streets(tmp_path, monkeypatch):
    """What the road scenes write, tiny and by hand, under the names of dvc.yaml."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(runs, "random_weights", set)
    command = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["report"]["cmd"]
    files = Files([one.replace("=", f"={tmp_path}/", 1) for one in shlex.split(command) if one.startswith("roads_")])

    def place(name, **places):
        path = Path(files.patterns[f"roads_{name}"].format(**places))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    place("params").write_text(yaml.safe_dump(STREETS, sort_keys=False))
    means = ("mean_iou", "pixel_accuracy", "class_accuracy", "mean_precision", "mean_average_precision")
    columns = "run dataset home frames drives resampled " + " ".join(f"{m} {m}_lo {m}_hi" for m in means)
    board = []
    for key, about in STREETS["runs"].items():
        write(
            place("training", run=key),
            "seed epoch train_loss valid_loss valid_accuracy",
            *[(0, k, 2 / k, 3 / k, k / 4) for k in (1, 2, 3)],
        )
        for dataset in ("idd_lite", "cityscapes"):
            home = dataset == about["train_on"]
            write_answers(place, key, dataset, data.kinds(dataset, about["classes"] if home else "seven").names)
            figures = (0.5, 0.25, 0.75) if key == "seven" else (0.875, 0.75, 1.0)
            board.append((key, dataset, home, 3 if home else 4, 1, "frames", *figures * 5))
    write(place("board"), columns, *board)
    between = "seven: idd_lite to cityscapes"
    fallen = [
        ("drivable", 0.25, 0.125, 0.375, between),
        ("sky", *["n/a"] * 3, between),
        ("mean", -0.5, -0.6, 0, between),
    ]
    write(place("drops"), "class drop drop_lo drop_hi between", *fallen)
    clues = [
        ("idd_lite-and-cityscapes", "whole", 0.7, 0.4, 1.0, 0.6, 14, 6),
        ("idd_lite-and-cityscapes", "layout", 0.55, 0.5, 0.6, 0.5, 14, 6),
    ]
    for dataset in ("idd_lite", "cityscapes"):
        Image.new("RGB", (8, 4), "red").save(place("look", dataset=dataset))
    write(place("clues"), "between clue roc_auc roc_auc_lo roc_auc_hi balanced_accuracy n n_positive", *clues)
    return files


def circle(dot):
    return float(next(drawn(dot).iter("circle")).get("cx"))


def pixels_of(told):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(told.partition(",")[2]))))


class TestRoads:
    def test_without_them_there_is_no_part_of_them(self):
        assert roads(Files(["leaderboard=a"])) is None

    def test_standings_say_what_was_learnt_and_asked_and_by_which_classes(self, streets):
        part = roads(streets)
        rows = [
            (one["run"], one["train_on"], one["dataset"], one["classes"])
            for two in part["asked"].values()
            for one in two
        ]
        assert rows == [
            ("seven", "idd_lite", "idd_lite", "seven"),
            ("seven", "idd_lite", "cityscapes", "seven"),
            ("<own>", "cityscapes", "idd_lite", "seven"),
            ("<own>", "cityscapes", "cityscapes", "own"),
        ]
        first = part["asked"]["seven"][0]
        assert [first["mean_iou"][name] for name in ("value", "low", "high")] == [0.5, 0.25, 0.75]
        assert circle(first["mean_iou"]["dot"]) == 60
        assert (first["frames"], first["drives"], first["resampled"]) == (3, 1, "frames")

    def test_the_best_is_one_of_the_seven_classes_on_the_dataset_that_it_has_learnt_from(self, streets):
        best = roads(streets)["best"]
        assert (best["run"], best["dataset"]) == ("seven", "idd_lite")

    def test_a_class_in_no_frame_has_no_figure_and_no_dot(self, streets):
        weak, none, last = (roads(streets)["asked"]["seven"][0]["table"][k] for k in (0, 1, -1))
        assert (weak["name"], weak["colour"], weak["taken_for"]) == ("drivable", "804080", "living things")
        assert (weak["iou"]["low"], weak["recall"], weak["note"]) == (0.125, 0.5, "weak: why")
        assert np.isnan([none["iou"]["value"], none["precision"], none["average_precision"]]).all()
        assert (none["iou"]["dot"], none["share"], none["taken_for"], last["note"]) == ("", 0, "", "")

    def test_confusion_is_the_share_of_the_truth(self, streets):
        for one in roads(streets)["asked"]["<own>"]:
            rows = one["confusion"]["rows"]
            assert [name for name, _, _ in rows] == [name for name, _ in one["kinds"]]
            assert rows[0][2][:3] == [0.5, 0, 0.5]
            assert rows[1][1:] == (0, [0] * len(rows))
            assert all(sum(shares) == 1 for _, total, shares in rows if total)
            assert one["confusion"]["n"] == sum(total for _, total, _ in rows) == 8 + 4 * (len(rows) - 2)

    def test_drops_are_dots_about_nought(self, streets):
        drops = roads(streets)["drops"]
        (one,) = drops["tables"]
        assert (one["run"], one["between"]) == ("seven", [("idd_lite", 3), ("cityscapes", 4)])
        assert drops["end"] == 0.6
        shown = dict(one["classes"])
        assert circle(shown["drivable"]["dot"]) == pytest.approx(60 + 56 * 0.25 / 0.6, abs=0.06)
        assert circle(shown["mean"]["dot"]) == pytest.approx(60 - 56 * 0.5 / 0.6, abs=0.06)
        assert shown["sky"]["dot"] == ""

    def test_without_drops_there_is_none(self, streets):
        Path(streets.patterns["roads_drops"]).write_text("between\n")
        assert roads(streets)["drops"]["tables"] == []

    def test_the_worst_frames_are_shown_once_each_with_the_classes_that_they_are_shown_for(self, streets):
        worst = roads(streets)["asked"]["seven"][0]["worst"]
        told = [(frame["row"], frame["classes"]) for frame in worst]
        assert told == [(8, [("drivable", 0.5)]), (9, [("living things", 0.0), ("vehicles", 0.25)])]

    def test_pictures_are_small_painted_and_red_where_the_answer_is_wrong(self, streets):
        frame, *_ = roads(streets)["asked"]["seven"][0]["worst"]
        names = [picture["name"] for picture in frame["pictures"]]
        assert names == ["frame", "truth", "answer", "wrong, in red"]
        image, truth, answer, error = (pixels_of(picture["image"]) for picture in frame["pictures"])
        assert image.shape == truth.shape == answer.shape == error.shape == (20, WIDEST, 3)
        assert (image == 120).all()
        assert (truth[:5] == 255).all()
        assert (truth[5:] == [0x80, 0x40, 0x80]).all()
        assert (answer[:, :160] == [0xDC, 0x14, 0x3C]).all()
        red = (error == RED).all(axis=2)
        assert red[5:, :160].all()
        assert not red[:5].any()
        assert not red[:, 160:].any()
        words = [picture["words"] for picture in frame["pictures"]]
        assert words[1:] == ["drivable 100%", "drivable 50%, living things 50%", "50%"]

    def test_of_many_classes_the_first_are_shown_and_of_many_runs_smaller_frames(self, streets):
        board = Path(streets.patterns["roads_board"])
        lines = board.read_text().splitlines()
        board.write_text("\n".join(lines + lines[1:] * 5) + "\n")
        path = streets.path("roads_worst", run="<own>", dataset="cityscapes")
        content = dict(np.load(path))
        content |= {"shown": np.array([[2, k] for k in range(MOST + 2)]), "iou": np.zeros(MOST + 2)}
        np.savez(path, **content)
        (frame,) = roads(streets)["asked"]["<own>"][1]["worst"]
        assert len(frame["classes"]) == MOST
        assert pixels_of(frame["pictures"][0]["image"]).shape[1] == WIDEST // 2

    def test_losses_are_per_pixel_a_line_per_run(self, streets):
        part = roads(streets)
        assert len(part["learning"]) == 3
        assert "nats per pixel" in part["learning"][0]["svg"]
        assert "nats per image" not in json.dumps(part["learning"])
        assert path_of(part["learning"][0]["svg"], "<own>").shape == (3, 2)

    def test_random_weights_are_named(self, streets, monkeypatch):
        monkeypatch.setattr(runs, "random_weights", lambda: {"mobilenet_v2"})
        assert roads(streets)["places"][0] == ("seven (random weights)", 0)

    def test_what_is_no_run_is_named(self, streets):
        wrong = STREETS | {"runs": {"seven": STREETS["runs"]["seven"] | {"classes": "six"}}}
        streets.path("roads_params").write_text(yaml.safe_dump(wrong))
        with pytest.raises(InputError, match=r"runs\.seven\.classes: got 'six'"):
            roads(streets)


def page_of(files):
    """Return the page with the road scenes alone."""
    lists = ("tasks", "questions", "controls", "alarms", "mistakes", "maps", "searches", "audits")
    others = {"objects": None, "corruptions": None, "attacks": None, "parts": [("roads", "Road scenes")]}
    return report._page({name: [] for name in lists} | others | {"roads": roads(files)}).decode()


def test_the_page_says_of_the_road_scenes_where_they_are_from_and_how_many(streets):
    text = page_of(streets)
    assert page_of(streets) == text
    section = re.search(r'<section id="roads".*?</section>', text, re.DOTALL)[0]
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", section, re.DOTALL)
    assert len(captions) == 2 + 3 + 1 + 4 + 4 * 2
    assert all("drawn sample, not real data" in caption for caption in captions)
    assert all("n = " in caption for caption in captions[5:])
    assert "Synthetic: streets drawn by the project itself" in section
    assert "90&nbsp;% bootstrap intervals" in section
    assert not re.search(r"\bnan\b|None", re.sub(r'src="[^"]*"', "", section))
    assert "<own>" not in text
    streets.path("roads_params").write_text(yaml.safe_dump(STREETS | {"source": "local"}))
    assert "The road scenes: local data." in page_of(streets)


@pytest.fixture(scope="module")
def page(small):
    return small / "plots/report.html"


@pytest.mark.pipeline
def test_it_stands_alone_is_small_and_says_what_it_is_made_of(small, page):
    text = page.read_text()
    assert page.stat().st_size < 15 * 2**20
    addresses = re.findall(r"""(?:src|href|url\()\s*=?\s*["']?([^"'\s>)]+)""", text)
    assert {one.partition(":")[0] for one in addresses if not one.startswith("#")} <= {"data"}
    assert text.count("drawn sample") > 20
    assert "Synthetic" in text
    assert '<section id="roads"' not in text, "it is not told of any"
    for path in ("data/cinic10/labels.csv", "data/cifake/labels.csv"):
        assert hashlib.sha256((small / path).read_bytes()).hexdigest()[:16] in text
    assert not re.search(r"/tmp/|/home/|20\d\d-\d\d-\d\d", text)


@pytest.mark.pipeline
def test_it_is_the_same_when_built_again_and_its_commit_is_found(repository):
    page = repository / "plots/report.html"
    before = page.read_bytes()
    run(repository, "dvc", "repro", "--force", "--single-item", "report")
    assert page.read_bytes() == before
    (command,) = re.findall(r"<pre><code>(git log .*?)</code>", before.decode())
    told = run(repository, "bash", "-c", command.replace("&lt;", "<"))
    assert told.split() == [run(repository, "git", "rev-parse", "--short", "HEAD").strip()]


@pytest.mark.pipeline
def test_it_says_real_data_where_they_are(repository):
    edit(repository, lambda params: params.update(source="local"))
    command = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]["report"]["cmd"]
    assert "report.html" in run(repository, "bash", "-c", command)
    text = (repository / "plots/report.html").read_text()
    assert "Made from local data." in text
    assert "Synthetic" not in text
    assert "drawn sample" not in text


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    one = browser.Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.mark.skipif(browser.found() is None, reason="needs a Chromium on the path")
@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)])
def test_the_road_scenes_hang_nowhere_over(opened, streets, tmp_path, dark, width):
    (tmp_path / "page.html").write_text(page_of(streets))
    opened.events.clear()
    opened.open(tmp_path / "page.html", dark=dark, width=width)
    opened.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert opened.ask("[...document.images].every((one) => one.complete && one.naturalWidth > 0 && one.alt)")
    assert opened.ask("document.images.length") == 4 * 2 * 4 + 2
    assert opened.ask("document.documentElement.scrollWidth") <= width
    over = "[...document.querySelectorAll('#roads figure, #roads .wide, #roads img')].filter((one) =>"
    assert opened.ask(f"{over} one.getBoundingClientRect().right > {width}).length") == 0
    assert opened.complaints() == []


@pytest.mark.pipeline
@pytest.mark.skipif(browser.found() is None, reason="needs a Chromium on the path")
class TestInABrowser:
    @pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)])
    def test_nothing_complains_nothing_is_broken_nothing_hangs_over(self, opened, page, dark, width):
        opened.events.clear()
        opened.open(page, dark=dark, width=width)
        opened.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert opened.ask("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
        assert opened.ask("document.images.length") > 10
        assert opened.ask("document.documentElement.scrollWidth") <= width
        assert opened.complaints() == []

    def test_every_picture_is_told_in_words_and_every_part_is_there(self, opened, page):
        opened.open(page)
        plain = "img:not([alt]), svg:not([aria-label]):not([aria-hidden]), canvas:not([aria-label])"
        without = f"[...document.querySelectorAll('{plain}')]"
        assert opened.ask(f"{without}.length") == 0
        assert opened.ask("document.querySelectorAll('svg.chart').length") > 20
        broken = (
            "[...document.querySelectorAll('nav a')].filter((a) => !document.querySelector(a.getAttribute('href')))"
        )
        assert opened.ask(f"{broken}.length") == 0
        assert opened.ask("document.documentElement.lang") == "en"
        ids = "[...document.querySelectorAll('[id]')].map((one) => one.id)"
        assert opened.ask(f"{ids}.length === new Set({ids}).size")

    def test_dark_is_dark(self, opened, page):
        shades = []
        for dark in (False, True):
            opened.open(page, dark=dark)
            colour = opened.ask("getComputedStyle(document.body).backgroundColor")
            shades.append(sum(map(int, re.findall(r"\d+", colour)[:3])))
        assert shades[0] > 700
        assert shades[1] < 150

    def test_everything_is_reached_by_keyboard(self, opened, page):
        opened.open(page)
        seen = set()
        for _ in range(400):
            opened.key("Tab", 9)
            seen.add(opened.ask("document.activeElement.tagName + ' ' + document.activeElement.className"))
            if opened.ask(
                "document.activeElement.tagName === 'SUMMARY' && document.activeElement.closest('#about') !== null"
            ):
                break
        else:
            raise AssertionError(f"the end is not reached: {sorted(seen)}")
        assert {tag.split()[0] for tag in seen} >= {"A", "BUTTON", "SUMMARY", "SELECT", "CANVAS", "DIV"}

    def test_a_run_is_picked_out_and_a_value_is_told(self, opened, page):
        opened.open(page)
        part = "document.querySelector('#fake')"
        opened.ask(f"{part}.querySelector('.legend button').click()")
        picked = opened.ask(f"[...{part}.querySelectorAll('.run.picked')].map((one) => one.dataset.run)")
        assert len(set(picked)) == 1
        assert len(picked) >= 3
        opened.ask(f"{part}.querySelector('svg.chart').scrollIntoView({{block: 'center'}})")
        x, y = opened.ask(
            f"(() => {{ const svg = {part}.querySelector('svg.chart'), box = svg.getBoundingClientRect();"
            " return [box.left + 0.55 * box.width, box.top + 0.45 * box.height]; })()"
        )
        for step in range(0, 200, 10):
            opened.move(x, y - 90 + step)
            if opened.ask("!document.getElementById('tip').hidden"):
                break
        told = opened.ask("document.getElementById('tip').textContent")
        assert told.startswith(picked[0])
        assert "false positive rate" in told

    def test_a_map_turns_by_keyboard_and_takes_its_colours(self, opened, page):
        opened.open(page)
        opened.ask("document.querySelector('#maps').scrollIntoView()")
        first = "document.querySelector('.map')"
        canvas = f"{first}.querySelector('canvas')"
        assert opened.ask(f"{first}.querySelectorAll('select')[2].value") == "3"
        before = opened.ask(f"{canvas}.toDataURL()")
        opened.ask(f"{canvas}.focus()")
        opened.key("ArrowRight", 39)
        assert opened.ask(f"{canvas}.toDataURL()") != before
        for value, names in (("category", 10), ("domain", 2)):
            opened.ask(
                f"(() => {{ const by = {first}.querySelector('select'); by.value = '{value}';"
                " by.dispatchEvent(new Event('change')); })()"
            )
            assert opened.ask(f"{first}.querySelectorAll('.key span').length") == names
