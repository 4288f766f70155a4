"""Pictures: the same bytes twice, every run told apart, the numbers that were given, and nothing cut off."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.text import Text
from sklearn.metrics import roc_auc_score

from stages import compare, compare_objects
from whence import pictures
from whence.base.errors import InputError

METRICS = ("roc_auc", "balanced_accuracy")


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def standings(names, intervals=True):
    """A leaderboard as compare makes it."""
    rng = np.random.default_rng(0)
    records = []
    for name in names:
        record = {"run": name, "official_n": 9000, "official_n_positive": 4500, "clean_n": 8900}
        for rows in ("official", "clean"):
            for metric in METRICS:
                value = rng.uniform(0.5, 0.95)
                record[f"{rows}_{metric}"] = value
                if intervals:
                    record |= {f"{rows}_{metric}_lo": value - 0.02, f"{rows}_{metric}_hi": value + 0.03}
        records.append(record)
    return pd.DataFrame.from_records(records)


def curve_tables(names):
    x = np.linspace(0, 1, 30)
    confusion = {
        "actual": ["real", "real", "fake", "fake"],
        "predicted": ["real", "fake"] * 2,
        "count": [40, 10, 5, 9945],
    }
    one = {
        "roc": pd.DataFrame({"fpr": x, "tpr": np.sqrt(x)}),
        "pr": pd.DataFrame({"recall": x, "precision": 1 - x / 2}),
        "reliability": pd.DataFrame({"mean_score": x, "observed": x**2, "count": np.arange(30)}),
        "confusion": pd.DataFrame(confusion),
    }
    return {kind: dict.fromkeys(names, table) for kind, table in one.items()}


def histories(names, epochs=12, seeds=(0, 1, 2)):
    """Training tables; the last run is no network."""
    epoch = np.arange(1, epochs + 1)
    one = {"epoch": epoch, "train_loss": 2 / epoch, "valid_loss": 3 / epoch, "train_accuracy": 1 - 1 / (epoch + 1)}
    one |= {"valid_accuracy": one["train_accuracy"] / 2}
    return {name: pd.concat([pd.DataFrame({"seed": seed} | one) for seed in seeds]) for name in names}


def without_epochs(name):
    table = pd.DataFrame([{"seed": 0, "epoch": 0, "train_loss": 1.0, "valid_loss": 1.0}])
    return {name: table.assign(train_accuracy=0.5, valid_accuracy=0.5)}


def cross(names, dirty=("cifar",)):
    """What compare_objects gathers: accuracy and macro F1 by run, domain and kind of rows."""
    rng = np.random.default_rng(0)
    records = [
        {"run": name, "domain": domain, "rows": rows, "n": 9, "accuracy": rng.uniform(), "macro_f1": rng.uniform()}
        for name in names
        for domain in ("cifar", "imagenet", "fake", "real")
        for rows in ("valid", "official", "clean")
        if rows != "clean" or domain not in dirty
    ]
    return pd.DataFrame.from_records(records)


def axes():
    return plt.subplots()[1]


def curves(**tables):
    return {name: pd.DataFrame({"x": x, "y": y}) for name, (x, y) in tables.items()}


# Files


def drawing(path):
    figure, ax = plt.subplots()
    ax.plot([0, 1], [1, 0], label="a")
    ax.legend()
    pictures.save(figure, path)
    return path.read_bytes()


def test_two_saves_have_the_same_bytes(tmp_path):
    assert drawing(tmp_path / "one.png") == drawing(tmp_path / "two.png")


def test_no_version_and_no_date_is_written_and_the_figure_is_closed(tmp_path):
    content = drawing(tmp_path / "one.png")
    assert content.startswith(b"\x89PNG")
    assert b"Matplotlib" not in content
    assert b"tIME" not in content
    assert not plt.get_fignums()


def test_a_temporary_name_without_ending_will_do(tmp_path):
    assert drawing(tmp_path / ".one.png.x8f2k") == drawing(tmp_path / "two.png")


# Styles


def test_forty_runs_stay_apart():
    look = pictures.styles([f"run {k}" for k in range(40)])
    assert len({(to_rgb(style["color"]), style["ls"]) for style in look.values()}) == 40
    assert list(look) == [f"run {k}" for k in range(40)]


def test_ten_runs_have_ten_colours_and_solid_lines():
    look = pictures.styles([f"run {k}" for k in range(10)])
    assert len({to_rgb(style["color"]) for style in look.values()}) == 10
    assert {style["ls"] for style in look.values()} == {"-"}


# Curves


def test_each_curve_is_the_line_of_its_table():
    ax = axes()
    tables = curves(a=([0, 0.5, 1], [0, 0.75, 1]), b=([0, 1], [0.25, 0.5]))
    look = pictures.styles(["b", "a"])
    pictures.draw_curve(ax, tables, "x", "y", look, drawstyle="steps-pre")
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines) == ["a", "b"]
    for name, line in lines.items():
        assert line.get_xdata().tolist() == tables[name]["x"].tolist()
        assert line.get_ydata().tolist() == tables[name]["y"].tolist()
        assert to_rgb(line.get_color()) == to_rgb(look[name]["color"])
        assert line.get_drawstyle() == "steps-pre"


def test_the_ends_of_a_curve_are_within_the_axes():
    ax = axes()
    pictures.draw_curve(ax, curves(a=([0, 1], [0, 1])), "x", "y", pictures.styles(["a"]))
    for low, high in (ax.get_xlim(), ax.get_ylim()):
        assert low < 0
        assert high > 1


# Intervals


def test_dots_rings_and_bars_stand_where_the_numbers_say():
    board = standings(["one", "two", "three"])
    ax = axes()
    pictures.draw_intervals(ax, board, "roc_auc")
    lines = ax.get_lines()
    for place, row in board.iterrows():
        for k, (rows, filled) in enumerate((("official", True), ("clean", False))):
            bar, mark = lines[4 * place + 2 * k : 4 * place + 2 * k + 2]
            value, low, high = (row[f"{rows}_roc_auc{end}"] for end in ("", "_lo", "_hi"))
            assert bar.get_xdata().tolist() == [low, high]
            assert mark.get_xdata().tolist() == [value]
            assert {round(y) for y in [*bar.get_ydata(), *mark.get_ydata()]} == {place}
            assert (mark.get_markerfacecolor() == "white") is not filled
    assert [text.get_text() for text in ax.texts] == [f"{x:.3f}" for x in board["official_roc_auc"]]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["one", "two", "three"]
    low, high = ax.get_ylim()
    assert low > high, "the best run stands on top"


def test_without_intervals_the_dots_are_drawn_alone():
    """evaluate.metrics.resamples: 0."""
    ax = axes()
    pictures.draw_intervals(ax, standings(["one", "two"], intervals=False), "roc_auc")
    assert [len(line.get_xdata()) for line in ax.get_lines()] == [1] * 4


# Confusion matrices


def test_counts_and_shares_by_hand():
    ax = axes()
    table = curve_tables(["a"])["confusion"]["a"]
    pictures.draw_confusion(ax, table, "title")
    assert ax.images[0].get_array().tolist() == [[0.8, 0.2], [5 / 9950, 9945 / 9950]]
    assert [text.get_text() for text in ax.texts] == ["40\n80.0%", "10\n20.0%", "5\n0.1%", "9,945\n99.9%"]
    assert [(text.get_position()) for text in ax.texts] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["real", "fake"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["real", "fake"]
    assert ax.get_title() == "title"


def test_the_ink_differs_from_the_ground():
    ax = axes()
    pictures.draw_confusion(ax, curve_tables(["a"])["confusion"]["a"], "")
    for text, share in zip(ax.texts, ax.images[0].get_array().ravel(), strict=True):
        ground = np.mean(ax.images[0].cmap(share)[:3])
        assert abs(np.mean(to_rgb(text.get_color())) - ground) > 0.3


def test_the_order_of_the_lines_does_not_matter():
    ax = axes()
    table = curve_tables(["a"])["confusion"]["a"].iloc[[0, 3, 2, 1]]
    pictures.draw_confusion(ax, table, "")
    assert [text.get_text().split("\n")[0] for text in ax.texts] == ["40", "10", "5", "9,945"]


# Heat maps


def test_cells_hold_their_numbers_marks_and_nothing_where_there_is_none():
    ax = axes()
    table = pd.DataFrame([[0.1, 0.95], [np.nan, 1.0]], index=["one", "two"], columns=["a", "b"])
    pictures.draw_heat(ax, table, pd.DataFrame([[False, True], [True, False]]))
    assert [(text.get_text(), text.get_position()) for text in ax.texts] == [
        ("0.100", (0, 0)),
        ("0.950*", (1, 0)),
        ("1.000", (1, 1)),
    ]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["one", "two"]


def test_the_ink_of_a_heat_map_differs_from_its_ground():
    ax = axes()
    table = pd.DataFrame(np.linspace(0, 1, 101)[np.newaxis])
    pictures.draw_heat(ax, table, table.isna())
    weights = [0.2126, 0.7152, 0.0722]  # luminance, Rec. 709
    for text, share in zip(ax.texts, table.to_numpy()[0], strict=True):
        ground, ink = (weights @ np.array(to_rgb(colour)) for colour in (ax.images[0].cmap(share), text.get_color()))
        assert abs(ground - ink) > 0.3, share


def test_a_domain_without_clean_rows_shows_its_official_ones_with_a_mark():
    board = cross(["one", "two"])
    figure = compare_objects._heat(TITLE, board)
    for ax, metric in zip(figure.axes, ("accuracy", "macro_f1"), strict=True):
        shown = [text.get_text() for text in ax.texts]
        wanted = board.set_index(["run", "domain", "rows"])[metric]
        assert shown == [
            f"{wanted[run, domain, 'official' if domain == 'cifar' else 'clean']:.3f}{'*' * (domain == 'cifar')}"
            for run in ("one", "two")
            for domain in ("cifar", "imagenet", "fake", "real")
        ]
    assert figure.get_supxlabel() == "clean test rows; *: official ones, as none are clean"
    assert compare_objects._heat(TITLE, cross(["one"], ())).get_supxlabel() == "clean test rows"
    board.loc[(board["run"] == "two") & (board["domain"] == "fake"), "n"] = 1000
    ticks = compare_objects._heat(TITLE, board).axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["cifar\n9", "imagenet\n9", "fake\n9–1,000", "real\n9"]
    none = compare_objects._heat(TITLE, cross(["one"], ("cifar", "imagenet", "fake", "real")))
    assert [text.get_text()[-1] for text in none.axes[0].texts] == ["*"] * 4


# Training


def test_every_seed_of_every_network_has_a_line_in_each_panel():
    tables = histories(["b", "a"]) | without_epochs("c") | histories(["d"], seeds=(7,))
    figure = pictures.training(TITLE, tables)
    look = pictures.styles(["b", "a", "c", "d"])
    names = ("train_loss", "valid_loss", "train_accuracy", "valid_accuracy")
    for ax, column in zip(figure.axes, names, strict=True):
        assert len(ax.get_lines()) == 3 + 3 + 1
        for line, run in zip(ax.get_lines(), ["b"] * 3 + ["a"] * 3 + ["d"], strict=True):
            assert to_rgb(line.get_color()) == to_rgb(look[run]["color"])
            assert line.get_xdata().tolist() == list(range(1, 13))
            assert line.get_ydata().tolist() == tables[run][column].tolist()[:12]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["b", "a", "d"]


def test_twenty_networks_look_different_in_the_training_picture():
    figure = pictures.training(TITLE, histories(LONG[:20], seeds=(0,)))
    looks = {(to_rgb(line.get_color()), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len(looks) == 20


def test_a_single_epoch_is_seen():
    figure = pictures.training(TITLE, histories(["a"], epochs=1))
    assert {line.get_marker() for ax in figure.axes for line in ax.get_lines()} == {"."}


def test_a_loss_says_of_what_it_is_the_mean():
    for figure, each in (
        (pictures.training(TITLE, histories(["a"])), "image"),
        (pictures.training(TITLE, histories(["a"]), "pixel"), "pixel"),
    ):
        assert figure.axes[0].get_ylabel() == f"loss, nats per {each}"


def test_without_a_network_there_is_a_picture_that_says_so():
    figure = pictures.training(TITLE, without_epochs("majority"))
    figure.canvas.draw()
    assert figure.get_supxlabel() == "no network among the runs"
    assert not figure.legends


# The pictures of compare and compare_objects

LONG = [f"fake-{k:02d}-pixels-and-spectrum-{'mwMW'[k % 4] * 12}" for k in range(40)]
"""Run names of 40 characters, a third of them the widest there are."""


def test_confusion_says_that_it_is_of_several_seeds_where_it_is():
    tables = curve_tables(["one", "two"])["confusion"]
    most = max(table["count"].sum() for table in tables.values())
    assert compare._confusions(TITLE, tables, most).get_supxlabel() == "predicted"
    assert compare._confusions(TITLE, tables, most - 1).get_supxlabel().startswith("predicted; of several seeds")


def question():
    content = {"dataset": "cifake", "question": "real or AI-generated?", "label": "domain"}
    return compare.Task(**content, negative="real", positive="fake")


TITLE = "fake: real or AI-generated?\ncifake (drawn sample, not real data), 20,000 test rows, 19,000 of them clean"
PICTURES = {
    "curves": lambda names: compare._curves(TITLE, question(), curve_tables(names), standings(names)),
    "leaderboard": lambda names: compare._standings(TITLE, standings(names)),
    "confusion": lambda names: compare._confusions(TITLE, curve_tables(names)["confusion"], 9),
    "training": lambda names: pictures.training(TITLE, histories(names)),
    "cross": lambda names: compare_objects._heat(TITLE, cross(names)),
}


def texts(figure):
    """Every text that is drawn, with its place in pixels; ticks outside the limits are not."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    hidden = set()
    for ax in figure.axes:
        if not ax.axison:
            hidden |= set(map(id, ax.findobj(Text)))
        for axis in (ax.xaxis, ax.yaxis):
            drawn = {id(label) for tick in axis._update_ticks() for label in (tick.label1, tick.label2)}
            hidden |= {id(label) for label in axis.get_ticklabels(which="both")} - drawn
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and id(text) not in hidden:
            yield text, text.get_window_extent(renderer)


@pytest.mark.parametrize("count", [1, 3, 20, 40])
@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_off(name, count):
    names = LONG[:count]
    assert {len(run) for run in names} == {40}
    figure = PICTURES[name](names)
    width, height = figure.bbox.size
    seen = []
    for text, box in texts(figure):
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
        seen.append(text.get_text().replace("\n", ""))
    for run in names:
        assert any(run in text for text in seen), f"{run} is not named in the picture"


@pytest.mark.parametrize("name", PICTURES)
def test_no_two_names_lie_on_each_other(name):
    figure = PICTURES[name](LONG[:20])
    named = [(text, box) for text, box in texts(figure) if text.get_text().startswith("fake-")]
    assert len(named) == 20
    for k, (one, box) in enumerate(named):
        for other, box_ in named[:k]:
            apart = box.x1 <= box_.x0 or box_.x1 <= box.x0 or box.y1 <= box_.y0 or box_.y1 <= box.y0
            assert apart, (one, other)


@pytest.mark.parametrize("name", PICTURES)
def test_the_axes_keep_their_room(name):
    figure = PICTURES[name](LONG[:20])
    figure.canvas.draw()
    for ax in figure.axes:
        if ax.axison:
            box = ax.get_window_extent()
            assert min(box.width, box.height) > 1.4 * figure.dpi


def test_curves_show_every_run_in_each_panel_and_its_auc_in_the_legend():
    names = ["b", "a"]
    board = standings(names)
    figure = PICTURES["curves"](names)
    for ax in figure.axes:
        drawn = [line.get_label() for line in ax.get_lines() if not line.get_label().startswith("_")]
        assert drawn == names
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == [f"{run}  {auc:.3f}" for run, auc in zip(board["run"], board["official_roc_auc"], strict=True)]
    assert len(figure.legends) == 1


def test_a_run_with_a_single_calibration_bin_is_seen():
    tables = curve_tables(["majority"])
    tables["reliability"]["majority"] = pd.DataFrame({"mean_score": [0.5], "observed": [0.5], "count": [100]})
    figure = compare._curves(TITLE, question(), tables, standings(["majority"]))
    (line, _) = figure.axes[2].get_lines()
    assert line.get_xdata().tolist() == [0.5]
    assert line.get_marker() == "o"


def test_calibration_bins_of_few_rows_are_left_out():
    figure = PICTURES["curves"](["a"])
    shown = figure.axes[2].get_lines()[0].get_xdata()
    assert len(shown) == 30 - compare.MIN_BIN


# The stage as a whole

RUN = "{task: fake, dataset: cifake, features: colour, kind: classical, classifier: guess, settings: guess}"
PARAMS = """
source: sample
weights: {}
transfers: {}
evaluate:
  metrics: {resamples: 50, confidence: 0.95, ece_bins: 15, seed: 0}
tasks:
  fake: {dataset: cifake, question: real?, label: domain, negative: real, positive: fake}
  empty: {dataset: cifake, question: real?, label: domain, negative: real, positive: fake}
runs:
  worse: NETWORK
  best: NETWORK
  worst: RUN
""".replace("RUN", RUN).replace("NETWORK", RUN.replace("classical", "network"))


def answers(auc):
    """Scores of 200 test rows, and of some of valid that nobody is to look at; the better the higher `auc` is."""
    rng = np.random.default_rng(round(100 * auc))
    actual = np.array(["real", "fake"] * 100 + ["fake"] * 9)
    score = ((actual == "fake") * (auc - 0.5) * 4 + rng.normal(size=209)).clip(-2, 4) / 6 + 1 / 3
    split = np.repeat(["test", "valid"], [200, 9])
    columns = {"row": range(209), "path": [f"{k}.jpg" for k in range(209)], "split": split, "clean": split == "test"}
    return pd.DataFrame(columns | {"actual": actual, "score_0": score})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which compare can run, with the three runs' numbers, and those of a run that is not listed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    kinds = {"roc": "roc", "pr": "precision_recall", "reliability": "reliability", "confusion": "confusion"}
    for name, auc in (("worse", 0.8), ("best", 0.9), ("worst", 0.7), ("unlisted", 0.99)):
        part = {"n": 100, "n_positive": 40} | {m + e: auc for m in METRICS for e in ("", "_lo", "_hi")}
        (tmp_path / "full").mkdir(exist_ok=True)
        (tmp_path / "full" / f"{name}.json").write_text(json.dumps({"valid": part, "official": part, "clean": part}))
        for kind, where in kinds.items():
            (tmp_path / where).mkdir(exist_ok=True)
            curve_tables([name])[kind][name].to_csv(tmp_path / where / f"{name}.csv", index=False)
        (tmp_path / "scores").mkdir(exist_ok=True)
        answers(auc).to_csv(tmp_path / "scores" / f"{name}.csv", index=False)
        kind, table = ("classical", without_epochs(name)) if name == "worst" else ("network", histories([name]))
        (tmp_path / "training" / kind).mkdir(parents=True, exist_ok=True)
        table[name].to_csv(tmp_path / "training" / kind / f"{name}.csv", index=False)
    return tmp_path


def comparison(folder, task="fake", out="out"):
    curves = ("roc", "precision_recall", "reliability", "confusion")
    inputs = [folder / name for name in ("full", *curves, "training", "scores")]
    tables = ("leaderboard.csv", "roc.csv", "pr.csv", "reliability.csv", "confusion.csv", "training.csv")
    names = (
        "headline.json",
        *tables,
        "significance.csv",
        "curves.png",
        "leaderboard.png",
        "confusion.png",
        "training.png",
        "significance.png",
    )
    outputs = [folder / out / name for name in names]
    compare.main(task, *inputs, *outputs)
    return dict(zip(names, outputs, strict=True))


def test_the_leaderboard_and_the_gathered_tables(folder):
    written = comparison(folder)
    board = pd.read_csv(written["leaderboard.csv"])
    assert board["run"].tolist() == ["best", "worse", "worst"]
    assert board["official_roc_auc"].tolist() == [0.9, 0.8, 0.7]
    assert board["epochs"].tolist() == [12.0, 12.0, 0.0]
    assert board["group"].tolist() == [1, 1, 2]
    assert {f"{rows}_n" for rows in ("valid", "official", "clean")} <= set(board.columns)
    roc = pd.read_csv(written["roc.csv"])
    assert roc.columns.tolist() == ["run", "fpr", "tpr"]
    assert roc["run"].tolist() == np.repeat(["best", "worse", "worst"], 30).tolist()
    assert json.loads(written["headline.json"].read_text()) == {"best": 0.9, "worse": 0.8, "worst": 0.7}
    reliability = pd.read_csv(written["reliability.csv"])
    assert reliability.columns.tolist() == ["run", "mean_score", "observed", "count"]
    training = pd.read_csv(written["training.csv"])
    assert training["run"].tolist() == ["best"] * 36 + ["worse"] * 36 + ["worst"]


def test_every_pair_of_runs_is_held_against_each_other(folder):
    table = pd.read_csv(comparison(folder)["significance.csv"])
    assert table[["first", "second"]].to_numpy().tolist() == [["best", "worse"], ["best", "worst"], ["worse", "worst"]]
    truth = answers(0.9).query("split == 'test'")["actual"] == "fake"
    auc = {k: roc_auc_score(truth, answers(k).query("split == 'test'")["score_0"]) for k in (0.9, 0.8, 0.7)}
    assert table["auc"].tolist() == pytest.approx(
        [auc[0.9] - auc[0.8], auc[0.9] - auc[0.7], auc[0.8] - auc[0.7]], abs=1e-5
    )


def test_the_matrix_shows_who_is_better_on_both_sides_of_the_diagonal():
    differ = {
        "first": ["a"],
        "second": ["b"],
        "auc": [0.2],
        "accuracy": [0.1],
        "delong_holm": [0.01],
        "mcnemar_holm": [0.3],
    }
    figure = compare._differences(TITLE, ["a", "b"], {name: np.array(column) for name, column in differ.items()}, 0.05)
    shown = {tuple(int(c) for c in text.get_position()): text.get_text() for text in figure.axes[0].texts}
    assert shown == {(0, 1): "-.200*", (1, 0): "+.100"}, "column, row: b has less ROC AUC than a, and a more accuracy"


def test_scores_of_other_rows_are_refused(folder):
    table = answers(0.8)
    table.loc[3, "path"] = "another.jpg"
    table.to_csv(folder / "scores" / "worse.csv", index=False)
    with pytest.raises(InputError, match=r"worse\.csv: its test rows are not those of best; run dvc repro"):
        comparison(folder)


def test_two_comparisons_have_the_same_bytes(folder):
    one, two = comparison(folder), comparison(folder, out="again")
    for name, path in one.items():
        assert path.read_bytes() == two[name].read_bytes(), name
    assert imread(one["curves.png"]).shape[1] == 14 * 150


def test_a_task_without_runs_is_refused(folder):
    with pytest.raises(InputError, match=r"params\.yaml: runs: none is of task 'empty'; add one"):
        comparison(folder, "empty")


def test_no_window_is_needed():
    assert plt.get_backend().lower() == "agg"
