"""Labels: shares, caps, whole groups of duplicates, and the law that no image is both learnt from and chosen by."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from whence import labels
from whence.base import settings
from whence.base.errors import InputError
from whence.datasets import cifake, cinic10
from whence.names import CATEGORIES, Name
from whence.table import rows, tables

DOMAINS = ("a", "b")
OWN_VALID, CARVED = ("train", "valid", "test"), ("train", "test")


def parse(path):
    parts = path.split("/")
    return Name(*parts) if len(parts) == 4 else None


def unparse(name):
    return "/".join(name)


def section(valid_share=None, cap=None, seed=0):
    content = {"valid_share": valid_share, "cap": cap, "seed": seed}
    return settings.check(content, labels.Settings, "params.yaml: label.x")


def index(folder, members):
    """Write the index of (split, category, domain, digest); the stem is the row."""
    path = Path(folder) / "index.csv"
    names = [unparse(Name(*place, f"{k}")) for k, (*place, _) in enumerate(members)]
    tables.write_csv(path, {"path": np.array(names), "digest": np.array([digest for *_, digest in members])})
    return path


def build(folder, members, splits=CARVED, domains=DOMAINS, **section_):
    return labels.build(index(folder, members), parse, unparse, splits, domains, section(**section_))


def members(train, test, categories=("x", "y"), splits=CARVED, digest="{}-{}-{}-{}"):
    """Images of every cell, `train` in each split but test; no two alike."""
    counts = {split: test if split == "test" else train for split in splits}
    places = [(s, c, d, k) for s in splits for c in categories for d in DOMAINS for k in range(counts[s])]
    return [(s, c, d, digest.format(s, c, d, k)) for s, c, d, k in places]


def cells(table, split):
    """How many rows of a split each category × domain has."""
    chosen = table.split == split
    return Counter(zip(table.category[chosen].tolist(), table.domain[chosen].tolist(), strict=True))


def alike(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


# Any index at all: few digests, so that groups span categories, domains and splits.


@st.composite
def indexes(draw, splits):
    place = st.tuples(
        st.sampled_from(splits), st.sampled_from("xyz"), st.sampled_from(DOMAINS), st.sampled_from("01234567")
    )
    found = draw(st.lists(place, max_size=60))
    complete = [
        (s, draw(st.sampled_from("xyz")), d, draw(st.sampled_from("01234567"))) for s in splits for d in DOMAINS
    ]
    return draw(st.permutations(found + complete))


any_cap = st.none() | st.integers(1, 5)
any_seed = st.integers(0, 2**40)


def check_laws(table, given_, cap):
    official = np.array([split for split, *_ in given_])
    digest = np.array([digest for *_, digest in given_])
    assert table.official_split.tolist() == official.tolist()
    assert table.digest.tolist() == digest.tolist()
    # A group is the first row of the same digest.
    assert table.group.tolist() == [digest.tolist().index(d) for d in digest]
    # Duplicates never cross.
    assert not set(digest[table.split == "train"]) & set(digest[table.split == "valid"])
    # Rows move from train to valid, or out of use, and nowhere else.
    assert set(zip(official.tolist(), table.split.tolist(), strict=True)) <= {
        ("train", "train"),
        ("train", "valid"),
        ("train", "unused"),
        ("valid", "valid"),
        ("valid", "unused"),
        ("test", "test"),
        ("test", "unused"),
    }
    if cap is None:
        assert (table.split[official == "test"] == "test").all()
        assert (table.split[official == "train"] != "unused").all()
    else:
        assert max(max(cells(table, split).values(), default=0) for split in ("train", "valid", "test")) <= cap


@budget(max_examples=150, deadline=None)
@given(indexes(CARVED), st.floats(0.01, 0.99), any_cap, any_seed)
def test_the_laws_where_valid_is_carved_out_of_train(tmp_path_factory, given_, share, cap, seed):
    folder = tmp_path_factory.getbasetemp()
    table = build(folder, given_, valid_share=share, cap=cap, seed=seed)
    check_laws(table, given_, cap)
    assert alike(table, build(folder, given_, valid_share=share, cap=cap, seed=seed))
    # Whole groups: a group's train rows move together, up to what the cap takes.
    for group in np.unique(table.group):
        went = set(table.split[(table.group == group) & (table.official_split == "train")]) - {"unused"}
        assert len(went) <= 1


@budget(max_examples=100, deadline=None)
@given(indexes(OWN_VALID), any_cap, any_seed)
def test_the_laws_where_the_dataset_has_its_own_valid_split(tmp_path_factory, given_, cap, seed):
    table = build(tmp_path_factory.getbasetemp(), given_, splits=OWN_VALID, cap=cap, seed=seed)
    check_laws(table, given_, cap)
    if cap is None:
        copies = np.isin(table.digest, table.digest[table.official_split == "train"])
        assert ((table.split == "unused") == (copies & (table.official_split == "valid"))).all()


@budget(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.floats(0.01, 0.99),
    any_seed,
)
def test_the_share_is_met_to_within_one_group(tmp_path_factory, sizes_a, sizes_b, share, seed):
    """Where groups stay within their cell, each cell falls short of its share by less than its largest group."""
    given_ = [("test", "x", "a", "t"), ("test", "x", "b", "u")]
    for domain, sizes in (("a", sizes_a), ("b", sizes_b)):
        given_ += [("train", "x", domain, f"{domain}{k}") for k, size in enumerate(sizes) for _ in range(size)]
    table = build(tmp_path_factory.getbasetemp(), given_, valid_share=share, seed=seed)
    for domain, sizes in (("a", sizes_a), ("b", sizes_b)):
        missing = round(share * sum(sizes)) - cells(table, "valid")["x", domain]
        assert 0 <= missing < max(sizes)


# The valid share


@pytest.mark.parametrize(("share", "expected"), [(0.1, 5), (0.25, 12), (0.5, 25), (0.01, 0), (0.99, 50)])
def test_the_share_is_exact_per_category_and_domain_without_duplicates(tmp_path, share, expected):
    table = build(tmp_path, members(50, 20), valid_share=share)
    every = [(c, d) for c in "xy" for d in DOMAINS]
    assert {cell: cells(table, "valid")[cell] for cell in every} == dict.fromkeys(every, expected)
    assert {cell: cells(table, "train")[cell] for cell in every} == dict.fromkeys(every, 50 - expected)
    assert cells(table, "test") == dict.fromkeys(every, 20)


def test_cells_of_different_sizes_each_give_their_share(tmp_path):
    sizes = {("x", "a"): 100, ("x", "b"): 10, ("y", "a"): 41}
    given_ = [("train", c, d, f"{c}{d}{k}") for (c, d), size in sizes.items() for k in range(size)]
    table = build(tmp_path, [*given_, ("test", "x", "a", "t"), ("test", "x", "b", "u")], valid_share=0.2)
    assert cells(table, "valid") == {("x", "a"): 20, ("x", "b"): 2, ("y", "a"): 8}


def test_groups_that_span_cells_stay_whole(tmp_path):
    given_ = members(40, 5)
    twins = [("train", "y", "b", digest) for s, c, d, digest in given_ if (s, c, d) == ("train", "x", "a")]
    table = build(tmp_path, given_ + twins, valid_share=0.3)
    assert cells(table, "valid")["x", "a"] > 0
    for digest in {digest for *_, digest in twins}:
        assert len(set(table.split[table.digest == digest])) == 1


def test_groups_with_a_member_in_test_stay_whole_and_leave_test_alone(tmp_path):
    given_ = members(40, 5)
    copies = [("test", c, d, digest) for s, c, d, digest in given_ if s == "train"]
    table = build(tmp_path, given_ + copies, valid_share=0.5)
    assert set(table.split) == {"train", "valid", "test"}
    assert (table.split[table.official_split == "test"] == "test").all()
    assert rows.clean(table).sum() == 20


def test_seeds(tmp_path):
    tables_ = [build(tmp_path, members(50, 20), valid_share=0.2, cap=10, seed=seed) for seed in (0, 0, 1)]
    assert alike(tables_[0], tables_[1])
    for split in ("train", "valid", "test"):
        assert not np.array_equal(tables_[0].split == split, tables_[2].split == split)


def test_valid_is_drawn_from_everywhere_in_the_archive(tmp_path):
    table = build(tmp_path, members(200, 1), valid_share=0.5)
    first_half = np.tile(np.arange(200) < 100, 4)
    share = (table.split[table.official_split == "train"] == "valid")[first_half].mean()
    assert share == pytest.approx(0.5, abs=0.1)


# The cap


@pytest.mark.parametrize("cap", [1, 7, 45, 1000])
def test_the_cap_leaves_at_most_that_many_in_each_cell_and_the_rest_unused(tmp_path, cap):
    table = build(tmp_path, members(50, 20), valid_share=0.1, cap=cap)
    for split, count in (("train", 45), ("valid", 5), ("test", 20)):
        assert set(cells(table, split).values()) == {min(cap, count)}
    assert (table.split == "unused").sum() == sum(4 * (count - min(cap, count)) for count in (45, 5, 20))


def test_the_cap_only_takes_away(tmp_path):
    whole, capped = (build(tmp_path, members(50, 20), valid_share=0.1, cap=cap) for cap in (None, 7))
    kept = capped.split != "unused"
    assert (capped.split[kept] == whole.split[kept]).all()


def test_the_capped_test_rows_do_not_depend_on_the_valid_share(tmp_path):
    tables_ = [build(tmp_path, members(50, 20), valid_share=share, cap=7) for share in (0.1, 0.6)]
    one, two = (np.flatnonzero(table.split == "test").tolist() for table in tables_)
    assert one == two


# The dataset's own valid split


def test_copies_of_training_images_leave_the_datasets_own_valid_split(tmp_path):
    given_ = [
        ("train", "x", "a", "1"),
        ("train", "x", "b", "2"),
        ("valid", "y", "b", "1"),  # a copy, of another category and domain even
        ("valid", "x", "a", "3"),
        ("valid", "x", "a", "3"),  # copies within valid may stay
        ("valid", "x", "b", "4"),
        ("test", "x", "a", "1"),
        ("test", "x", "b", "4"),
    ]
    table = build(tmp_path, given_, splits=OWN_VALID)
    assert table.split.tolist() == ["train", "train", "unused", "valid", "valid", "valid", "test", "test"]
    assert table.group.tolist() == [0, 1, 0, 3, 3, 5, 0, 5]
    assert np.flatnonzero(rows.clean(table)).tolist() == []


# Refusals


def refusal(call, *arguments, **keywords):
    with pytest.raises(InputError) as caught:
        call(*arguments, **keywords)
    return str(caught.value)


@pytest.mark.parametrize("strangers", [1, 10, 11, 5000])
def test_names_that_fit_no_rule_are_counted_and_ten_are_shown(tmp_path, strangers):
    path = tmp_path / "index.csv"
    names = np.array([f"stranger {k}.png" for k in range(strangers)] + ["train/x/a/0"])
    tables.write_csv(path, {"path": names, "digest": names})
    message = refusal(labels.build, path, parse, unparse, CARVED, DOMAINS, section(0.1))
    assert message.startswith(f"{path}: {strangers:,} names fit no rule of the published layout:\n  stranger 0.png\n")
    assert message.count("stranger ") == min(10, strangers)
    assert (f"and {strangers - 10:,} more" in message) == (strangers > 10)


@pytest.mark.parametrize("missing", [("train", "a"), ("valid", "b"), ("test", "b")])
def test_a_missing_split_and_domain_is_refused(tmp_path, missing):
    given_ = [m for m in members(3, 3, splits=OWN_VALID) if (m[0], m[2]) != missing]
    message = refusal(build, tmp_path, given_, splits=OWN_VALID)
    assert message.startswith(f"{tmp_path / 'index.csv'}: ")
    assert f"no image of split {missing[0]!r} and domain {missing[1]!r}" in message


def test_a_share_is_refused_where_valid_exists_and_demanded_where_not(tmp_path):
    message = refusal(build, tmp_path, members(3, 3, splits=OWN_VALID), splits=OWN_VALID, valid_share=0.1)
    assert message == "params.yaml: label: valid_share: got 0.1, but this dataset has its own valid split; write null"
    message = refusal(build, tmp_path, members(3, 3))
    assert message.startswith("params.yaml: label: valid_share: got null, but this dataset has no valid split")


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"valid_share": 0.0}, "valid_share"),
        ({"valid_share": 1.0}, "valid_share"),
        ({"cap": 0}, "cap"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, key):
    assert refusal(section, **wrong).startswith(f"params.yaml: label.x.{key}: got ")


def test_two_members_of_one_name_are_refused(tmp_path):
    path = tmp_path / "index.csv"
    names = ["train/x/a/0", "train/x/a/1", "folder:train/x/a/1"]
    tables.write_csv(path, {"path": np.array(names), "digest": np.array(["0", "1", "2"])})
    message = refusal(
        labels.build, path, lambda name: parse(name.split(":")[-1]), unparse, CARVED, DOMAINS, section(0.1)
    )
    assert message == f"{path}: two members or more stand for train/x/a/1; keep one of them"


def test_a_twin_among_many_names_is_found_in_one_pass(tmp_path):
    path = tmp_path / "index.csv"
    names = np.array([f"train/x/a/{k}" for k in range(120_000)] + ["train/x/a/119999"])
    tables.write_csv(path, {"path": names, "digest": names})
    message = refusal(labels.build, path, parse, unparse, CARVED, DOMAINS, section(0.1))
    assert "stand for train/x/a/119999;" in message


# At the size of the real thing


def test_cifake_at_full_size(tmp_path):
    """120,000 rows, with duplicates as in the published archive: within train and across the splits."""
    counts = {"train": 5000, "test": 1000}
    names = [
        Name(split, category, domain, f"{k}")
        for split in cifake.SPLITS
        for domain in cifake.DOMAINS
        for category in CATEGORIES
        for k in range(counts[split])
    ]
    digest = np.arange(len(names))
    digest[:100_000:50] += 1
    digest[100_000::25] = digest[:20_000:25]
    path = tmp_path / "index.csv"
    columns = {"path": np.array([cifake.path(n) for n in names]), "digest": np.array([f"{d:032x}" for d in digest])}
    tables.write_csv(path, columns)
    table = labels.build(
        path, cifake.parse, cifake.path, cifake.SPLITS, cifake.DOMAINS, section(valid_share=0.1, cap=4000)
    )
    assert table.path.tolist() == columns["path"].tolist()
    assert all(499 <= count <= 500 for count in cells(table, "valid").values())
    assert set(cells(table, "train").values()) == {4000}
    assert set(cells(table, "test").values()) == {1000}
    assert not set(table.digest[table.split == "train"]) & set(table.digest[table.split == "valid"])


def test_the_paths_are_the_published_ones_whatever_folder_they_lie_in(tmp_path):
    stems = {"cifar": "cifar10-train-1", "imagenet": "n02121620_1"}
    given_ = [Name(split, "cat", domain, stem) for split in OWN_VALID for domain, stem in stems.items()]
    names = np.array([f"CINIC-10/{cinic10.path(name)}" for name in given_])
    path = tmp_path / "index.csv"
    tables.write_csv(path, {"path": names, "digest": names})
    table = labels.build(path, cinic10.parse, cinic10.path, cinic10.SPLITS, cinic10.DOMAINS, section())
    assert table.path.tolist() == [cinic10.path(name) for name in given_]
    assert table.domain.tolist() == [name.domain for name in given_]


def test_counts_by_hand(tmp_path):
    given_ = [*members(3, 1, categories=("x",)), ("train", "x", "a", "one more")]
    table = build(tmp_path, given_, valid_share=0.3, cap=2)
    assert labels.counts(table) == "train: 2 a, 2 b\nvalid: 1 a, 1 b\ntest: 1 a, 1 b\nunused: 1 a, 0 b"
