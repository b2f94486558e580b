"""What the log says of terms, for data of some kinds."""

from __future__ import annotations

import pytest

from biggan.foundation.errors import UserError
from biggan.losses.terms import Seen, described, parse_terms
from biggan.training.resolving import remarks
from tests.conftest import tiny_config

COLOUR = Seen(3, (32, 32), flipped=True)
UNMIRRORED = Seen(3, (32, 32), flipped=False)
SHORT = Seen(3, (32, 32), flipped=True, duration=640, updates=10)
FOUR = Seen(4, (32, 24), flipped=True)


@pytest.mark.parametrize(
    ("word", "data", "says"),
    [
        ("cr", COLOUR, []),
        ("cr", UNMIRRORED, ["write mirror=no"]),
        ("bcr", UNMIRRORED, ["write mirror=no"]),
        ("cr,mirror=no", UNMIRRORED, []),
        ("cr,mirror=no,shift=0", COLOUR, ["it moves nothing, and D says the same of the same: write augmented=no"]),
        ("bcr,mirror=no,shift=0.03", COLOUR, ["it moves nothing"]),  # less than a pixel of 32
        ("cr,mirror=no,shift=0,augmented=no", COLOUR, []),
        ("ada", COLOUR, []),
        ("ada", UNMIRRORED, ["write without=xflip+rotate90"]),
        ("ada,without=xflip", UNMIRRORED, []),
        ("ada", FOUR, ["rotate90 is off", "luma_flip is off", "hue is off", "saturation is off"]),
        ("diffaugment", COLOUR, []),
        ("diffaugment", FOUR, ["saturation is off: it needs three channels, images have 4"]),
        ("lecam", FOUR, []),
        ("lecam", SHORT, ["it acts after 1,000 updates of D, and the run has 10"]),
        ("lecam,start=9", SHORT, []),
        ("r1,weight=0..1:640..800", SHORT, ["its weight is 0 until 640 images, and the run ends at 640"]),
        ("r1,weight=0..1:639..800", SHORT, []),
        ("r1,weight=1..0:640..800", SHORT, []),
        ("ada,p=0.5,target=0.7,images=9", COLOUR, ["adapts to nothing: target and images say nothing"]),
        ("apa,p=0..1:0..9,interval=8", COLOUR, ["adapts to nothing: interval says nothing"]),
        ("ada,target=0.7", COLOUR, []),
    ],
)
def test_remarks(word: str, data: Seen, says: list[str]) -> None:
    first, *found = described(parse_terms([word]), data)
    assert first.startswith(f"term {word.partition(',')[0]}: weight")
    assert len(found) == len(says), found
    for remark, part in zip(found, says, strict=True):
        assert part in remark


def test_how_terms_act_is_said() -> None:
    lines = described(parse_terms(["r1,every=16", "feature-matching", "lecam,weight=0..1:0..1M"]), COLOUR)
    assert "every 16 updates" in lines[0]
    assert "compares the images of a micro-batch" in lines[1]
    assert "weight 0..1:0..1M" in lines[2].replace("1Mi", "1M")


@pytest.mark.parametrize(("micro_batch", "count"), [(1, 1), (2, 0)])
def test_terms_that_compare_images_are_said_to_have_nothing_to_compare(micro_batch: int, count: int) -> None:
    config = tiny_config(None, micro_batch=micro_batch, terms=("feature-matching", "lecam"))
    found = [line for line in remarks(config) if "none to compare" in line]
    assert len(found) == count
    assert all(line.startswith("--terms feature-matching:") and "--micro-batch 1" in line for line in found)


@pytest.mark.parametrize("word", ["diffaugment", "ada", "apa", "top-k"])
def test_a_weight_that_is_no_strength_is_refused(word: str) -> None:
    parse_terms([f"{word},weight=0"])
    with pytest.raises(UserError, match=r"weight=0\.5: it is there \(1\) or not \(0\), and has no weight"):
        parse_terms([f"{word},weight=0.5"])


def test_an_option_that_is_there_twice_is_refused() -> None:
    with pytest.raises(UserError, match="weight is there twice; give it once"):
        parse_terms(["lecam,weight=1,weight=2"])


@pytest.mark.parametrize("word", ["ada,images", "lecam,start", "r1,every", "top-k,epoch"])
def test_whole_numbers_that_no_float_holds_are_refused(word: str) -> None:
    with pytest.raises(UserError, match=f"--terms {word}=99999999999999999999: beyond .*; choose a smaller number"):
        parse_terms([f"{word}=99999999999999999999"])
