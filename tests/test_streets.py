"""Drawn streets: the same generators draw the same bytes, masks are their polygons, and every class of all is there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence.base.errors import InputError
from whence.datasets import cityscapes
from whence.roads.classes import NAMES, Scene
from whence.roads.frames import painted as mask
from whence.streets.painting import paint
from whence.streets.plan import plan
from whence.streets.styles import STYLES

SIZES = {"india": (160, 112), "germany": (192, 96)}
LEVELS = {each.name: each.level1 for each in cityscapes.CLASSES}
INDIA = {
    "autorickshaw": 3, "animal": 2, "billboard": 4, "non-drivable fallback": 1, "curb": 4, "obs-str-bar-fallback": 4,
}  # fmt: skip
"""Of India alone; the numbers of their classes of level 1."""
NOTHING = 255
IDS = {name: NOTHING if level is None else level for name, level in (LEVELS | INDIA).items()}
SQUARE = [(1, 1), (3, 1), (3, 3), (1, 3)]


def street(style, drive=0, frame=0, size=None):
    place, change = np.random.default_rng([drive, 0]), np.random.default_rng([drive, 1, frame])
    return plan(style, *(size or SIZES[style]), place, change)


def painted(style, scene, seed=0):
    return paint(scene, style, np.random.default_rng(seed))


def names(scene):
    return {name for name, _ in scene.parts}


def skyline(scene):
    return [corners for name, corners in scene.parts if name == "sky"]


def mean(style, name):
    """Return the mean red, green and blue of what a class covers in twelve frames."""
    only = dict.fromkeys(IDS, 0) | {name: 1}
    scenes = [street(style, drive) for drive in range(12)]
    covered = [np.asarray(painted(style, each, seed))[mask(each, only) == 1] for seed, each in enumerate(scenes)]
    return np.concatenate(covered).mean(0)


@pytest.mark.parametrize("style", STYLES)
def test_the_same_generators_draw_the_same_bytes(style):
    first, again = (street(style, drive=3, frame=1) for _ in range(2))
    assert first == again
    assert painted(style, first).tobytes() == painted(style, again).tobytes()
    assert painted(style, first).tobytes() != painted(style, first, seed=1).tobytes()


@pytest.mark.parametrize("style", STYLES)
def test_frames_of_a_drive_share_its_place_and_differ(style):
    first, second = (street(style, frame=frame) for frame in (0, 1))
    assert skyline(first) == skyline(second) != []
    assert [part for part in first.parts if part[0] == "road"] == [part for part in second.parts if part[0] == "road"]
    assert first != second
    assert len({str(skyline(street(style, drive))) for drive in range(8)}) > 1


def test_a_mask_holds_the_id_of_the_uppermost_polygon():
    right = [(2, 2), (9, 2), (9, 9), (2, 9)]
    scene = Scene(6, 5, [("road", SQUARE), ("car", right)])
    expected = [
        [9, 9, 9, 9, 9, 9],
        [9, 7, 7, 7, 9, 9],
        [9, 7, 2, 2, 2, 2],
        [9, 7, 2, 2, 2, 2],
        [9, 9, 2, 2, 2, 2],
    ]
    ids = {"road": 7, "car": 2, "unlabeled": 9}
    found = mask(scene, ids)
    assert found.dtype == np.uint8
    assert found.tolist() == expected
    turned = mask(scene._replace(parts=scene.parts[::-1]), ids)
    assert turned[2, 2] == 7
    assert turned[4, 4] == 2


def test_a_mask_without_polygons_is_unlabeled():
    outside = ("road", [(-9, -9), (-2, -9), (-2, -2)])
    for parts in ([], [outside]):
        assert mask(Scene(4, 3, parts), {"road": 1, "unlabeled": 5}).tolist() == [[5] * 4] * 3


@pytest.mark.parametrize("style", STYLES)
def test_names_are_those_of_the_datasets(style):
    found = set().union(*(names(street(style, drive)) for drive in range(40)))
    known = LEVELS.keys() | (INDIA.keys() if style == "india" else set())
    assert found <= known
    both = {"road", "sidewalk", "building", "vegetation", "sky", "person", "rider", "car", "truck", "bus", "motorcycle"}
    both |= {"bicycle", "pole", "traffic sign", "wall", "fence"}
    alone = INDIA.keys() if style == "india" else {"terrain", "ego vehicle", "traffic light", "parking"}
    assert found == both | alone


@pytest.mark.parametrize("style", STYLES)
def test_all_classes_are_in_most_frames(style):
    masks = [mask(street(style, drive, frame), IDS) for drive in range(8) for frame in range(3)]
    for level, name in enumerate(NAMES):
        # Of what is there, more than a speck.
        share = np.mean([np.count_nonzero(each == level) >= 12 for each in masks])
        assert share >= 0.75, f"{name} is in {share:.0%} of the frames"


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(STYLES), st.integers(64, 640), st.integers(48, 480), st.integers(0, 2**32))
def test_any_size_is_drawn(style, width, height, seed):
    scene = street(style, seed, size=(width, height))
    picture, ids = painted(style, scene, seed), mask(scene, IDS)
    assert (picture.mode, picture.size, ids.shape) == ("RGB", (width, height), (height, width))
    assert IDS["road"] in ids
    assert np.asarray(picture).std() > 10


@pytest.mark.parametrize("style", STYLES)
def test_frames_of_two_sizes_are_the_same_street(style):
    small, large = (street(style, size=size) for size in ((160, 120), (640, 480)))
    shares = [
        np.bincount(mask(each, IDS).ravel(), minlength=7)[:7] / (each.width * each.height) for each in (small, large)
    ]
    assert np.abs(shares[0] - shares[1]).max() < 0.05


def test_styles_share_what_classes_look_like_and_differ_in_light():
    india, germany = ({name: mean(style, name) for name in ("road", "vegetation", "sky", "car")} for style in STYLES)
    for each in india, germany:
        assert each["sky"].min() > each["road"].max()
        assert each["vegetation"].argmax() == 1
        assert np.ptp(each["road"]) < 40
    for name, colour in india.items():
        assert colour.mean() > germany[name].mean(), name
    for name in "road", "vegetation":
        assert india[name][0] - india[name][2] > germany[name][0] - germany[name][2] + 5, name


def test_what_a_mask_does_not_show_is_painted():
    scene = Scene(
        64, 48, [("road", [(0, 0), (64, 0), (64, 48), (0, 48)]), ("car", [(8, 8), (56, 8), (56, 40), (8, 40)])]
    )
    colours = np.asarray(painted("germany", scene)).reshape(-1, 3)[mask(scene, IDS).ravel() == 3].astype(int)
    assert np.count_nonzero(colours.sum(1) < 170) > 30
    assert np.ptp(colours.sum(1)) > 200


def test_a_scene_of_others_is_painted():
    for parts in ([], [("sky", [(0, 0), (6, 0), (6, 5), (0, 5)])], [("car", [(2, 2), (2, 2), (2, 2)])]):
        assert painted("india", Scene(6, 5, parts)).size == (6, 5)


def test_unknown_styles_and_classes_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="style is 'mars', expected india or germany"):
        plan("mars", 64, 48, rng, rng)
    with pytest.raises(InputError, match="style is 'mars', expected india or germany"):
        paint(Scene(6, 5, []), "mars", rng)
    with pytest.raises(InputError, match="germany has no colours for animal, only for sky, road"):
        paint(Scene(6, 5, [("animal", SQUARE)]), "germany", rng)
    with pytest.raises(InputError, match="'animal'"):
        mask(Scene(6, 5, [("animal", SQUARE)]), {"unlabeled": 0})
