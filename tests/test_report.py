"""The report: charts that say what they were given, files that are named when they are missing, and the page itself."""

import base64
import hashlib
import re
from xml.etree import ElementTree

import browser
import numpy as np
import pytest
import yaml
from PIL import Image
from repositories import edit, run

from whence.base.errors import InputError
from whence.report import charts, examples
from whence.report.charts import Axis, Line
from whence.report.files import Files, address


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
