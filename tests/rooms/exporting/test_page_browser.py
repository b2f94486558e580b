"""Pages as people meet them: Chromium without a window opens, turns every control, and sees our images.

Needs Chromium, Playwright for Python, and the npm package onnxruntime-web; its folder ``BIGGAN_ONNXRUNTIME_WEB`` names.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import biggan
from biggan.cli.main import main
from biggan.sampling.draw import draw
from biggan.sampling.interpolation import embed_on_cpu, path_through
from biggan.sampling.latents import latents
from biggan.sampling.pictures import GAP
from biggan.sampling.png_text import read_record
from biggan.sampling.recreation import find_generator, recreate
from tests.browsers import runtime_folder, started
from tests.conftest import tiny
from tests.rooms.exporting.browser import (
    DESKTOP,
    FOCUSED,
    PHONE,
    apart,
    contrast,
    drawn,
    lowest_contrast,
    opened,
    served,
    status,
)
from tests.snapshots import write

pytestmark = pytest.mark.nightly
NAMES = (
    "<img src=x onerror=\"document.title='ran'\">",
    "</script><script>document.title='ran'</script>",
    "golden_retriever",
    "Édouard",
    "",
    "javascript:document.title='ran'",
    "\u202etxt.exe",
    "&lt;b&gt;",
    "cat",
    "cab",
)
LEVELS = 2


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("given") / "640.safetensors", tiny("biggan", channels=3), names=NAMES)


@pytest.fixture(scope="module")
def folder(snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "page"
    assert main(["export", str(snapshot), "--to", "page", "--runtime", runtime_folder(), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with started() as browser:
        yield browser


@pytest.mark.parametrize("by", ["file", "server"])
def test_images_are_ours_however_it_is_opened(by: str, folder: Path, snapshot: Path, chromium: Any) -> None:
    sampler = biggan.load(snapshot, "cpu")
    with served(folder) as address:
        start = (folder / "index.html").as_uri() if by == "file" else address
        with opened(chromium, start + "#seed=3&class=2") as page:
            assert apart(drawn(page, "#seed=3&class=2"), sampler.sample([2], [3])[0]) <= LEVELS
            for t, kind in ((0.5, "resample"), (0.7, "scale"), (0.3, "clamp"), (0.7, "tfhub")):
                state = f"#seed=12&class=9&kind={kind}&truncation={t}&end-class=0"
                page.evaluate("(state) => { location.hash = state; }", state)
                assert apart(drawn(page, state), sampler.sample([9], [12], t, kind)[0]) <= LEVELS


def test_statistics_follow_the_truncation(snapshot: Path, chromium: Any, tmp_path: Path) -> None:
    calibrated = tmp_path / "flowers.safetensors"
    levels = ["--truncations", "0.2", "0.6", "--truncation-kind", "scale", "--batches", "1"]
    assert main(["calibrate", str(snapshot), "--out", str(calibrated), *levels]) == 0
    words = ["export", str(calibrated), "--to", "page", "--runtime", runtime_folder(), "--out", str(tmp_path / "page")]
    assert main(words) == 0
    sampler = biggan.load(calibrated, "cpu")
    with opened(chromium, (tmp_path / "page" / "index.html").as_uri()) as page:
        for t, kind in ((0.2, "scale"), (0.3, "scale"), (1.5, "scale"), (0.7, "clamp")):
            state = f"#seed=12&class=9&kind={kind}&truncation={t}&end-class=0"
            page.evaluate("(state) => { location.hash = state; }", state)
            assert apart(drawn(page, state), sampler.sample([9], [12], t, kind)[0]) <= LEVELS
        assert page.title() == "flowers"


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_every_control_does_what_it_says(
    phone: bool, folder: Path, snapshot: Path, chromium: Any, tmp_path: Path
) -> None:
    sampler = biggan.load(snapshot, "cpu")
    size = PHONE if phone else DESKTOP
    with served(folder) as address, opened(chromium, address, size, has_touch=phone) as page:
        first = drawn(page, "#seed=0&class=0")
        assert apart(first, sampler.sample([0], [0])[0]) <= LEVELS
        assert page.title() == "640", "no name ran"
        assert page.locator("#caption").inner_text().startswith(NAMES[0])
        page.get_by_role("button", name="Next").click()
        drawn(page, "#seed=1&class=0")
        page.get_by_role("button", name="Previous").click()
        page.get_by_role("button", name="Previous").click()
        drawn(page, "#seed=9223372036854775807&class=0")
        page.get_by_role("button", name="Random").click()
        page.get_by_label("Number of the image").fill("x")
        assert "whole number" in page.locator("#status").inner_text()
        page.get_by_label("Number of the image").fill("5")
        drawn(page, "#seed=5&class=0")
        part = page.get_by_role("group", name="Class", exact=True)
        part.get_by_label("Search").fill("edouard")
        assert part.get_by_role("option").all_inner_texts() == ["Édouard"]
        part.get_by_label("Search").press("Enter")
        drawn(page, "#seed=5&class=3")
        part.get_by_label("Search").fill("Golden Ret")
        part.get_by_role("listbox").select_option("golden_retriever")
        drawn(page, "#seed=5&class=2")
        page.get_by_label("How").select_option("scale")
        page.get_by_role("slider", name="T", exact=True).fill("0.5")
        state = "#seed=5&class=2&kind=scale&truncation=0.5"
        assert apart(drawn(page, state), sampler.sample([2], [5], 0.5, "scale")[0]) <= LEVELS
        with page.expect_download() as found:
            page.get_by_role("button", name="Download PNG").click()
        found.value.save_as(tmp_path / "said.png")
        said = read_record(tmp_path / "said.png")
        again, _ = recreate(said, find_generator(said, snapshot, "cpu").sampler)
        assert apart(np.asarray(Image.open(tmp_path / "said.png")), torch.tensor(np.asarray(again))) <= LEVELS
        blend = page.get_by_role("group", name="Blend with a second class")
        blend.get_by_role("listbox").select_option("cat")
        blend.get_by_label("Share of it").fill("25")
        z = latents([5], sampler.info.architecture.z_size, 0.5, "scale")
        embedded = embed_on_cpu(sampler.generator, torch.tensor([2, 8]))
        mixed = draw(sampler.generator, z, 0.75 * embedded[:1] + 0.25 * embedded[1:])[0]
        assert apart(drawn(page, state + "&second=8&share=25"), mixed) <= LEVELS
        blend.get_by_label("Share of it").fill("0")
        page.get_by_label("How").select_option("none")
        page.get_by_label("Seed at its end").fill("9")
        page.get_by_label("Class at its end").select_option("cab")
        page.get_by_label("Steps").fill("4")
        page.get_by_label("Steps").press("Enter")
        page.get_by_label("Position").fill("1")
        rest = "second=8&end-seed=9&end-class=9"
        path = path_through(latents([5, 9], z.shape[1]), 4, "spherical")
        classes = path_through(embed_on_cpu(sampler.generator, torch.tensor([2, 9])), 4, "linear")
        ours = draw(sampler.generator, path, classes)
        assert apart(drawn(page, f"#seed=5&class=2&{rest}&steps=4&position=1"), ours[1]) <= LEVELS
        with page.expect_download() as found:
            page.get_by_role("button", name="Download PNG").click()
        assert found.value.suggested_filename == "golden_retriever-5-to-cab-9-1of4.png"
        found.value.save_as(tmp_path / "x.png")
        again, _ = recreate(read_record(tmp_path / "x.png"), sampler)
        assert apart(np.asarray(again.convert("RGB")).transpose(2, 0, 1), ours[1]) <= LEVELS
        kept = np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).transpose(2, 0, 1)
        assert apart(kept, ours[1]) <= LEVELS
        page.get_by_label("Images a second").fill("30")
        page.get_by_role("button", name="Play").click()
        rest = f"#seed=5&class=2&{rest}&steps=4&speed=30"
        assert apart(drawn(page, f"{rest}&position=4"), ours[4]) <= LEVELS
        page.get_by_role("button", name="Play").wait_for()
        page.get_by_label("Back and forth").check()
        page.get_by_role("button", name="Play").click()
        drawn(page, f"{rest}&position=3&again=1")
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="To the start").click()
        drawn(page, f"{rest}&again=1")
        page.get_by_label("Curve of the path").select_option("linear")
        drawn(page, f"{rest.replace('&steps', '&curve=linear&steps')}&again=1")
        page.locator("#title").click()
        page.keyboard.press("ArrowRight")
        drawn(page, f"{rest.replace('seed=5&c', 'seed=6&c').replace('&steps', '&curve=linear&steps')}&again=1")
        page.wait_for_timeout(300)
        assert "seed=6" in page.url
        page.reload()
        drawn(page, f"{rest.replace('seed=5&c', 'seed=6&c').replace('&steps', '&curve=linear&steps')}&again=1")
        assert page.title() == "640", "no name ran"


def cells(picture: Path, columns: int, size: int) -> list[torch.Tensor]:
    """Return the images of a row of a sheet, uint8 [3, size, size] each."""
    values = torch.from_numpy(np.asarray(Image.open(picture).convert("RGB")).transpose(2, 0, 1).copy())
    return [values[:, GAP : GAP + size, GAP + i * (size + GAP) :][..., :size] for i in range(columns)]


@pytest.mark.parametrize(("t", "kind"), [(None, "none"), (0.5, "scale")], ids=["whole", "truncated"])
def test_blends_and_paths_are_those_of_sample_and_interpolate(
    t: float | None, kind: str, folder: Path, snapshot: Path, chromium: Any, tmp_path: Path
) -> None:
    """The commands draw: shares of two classes with one seed, and ways from class to class and seed to seed."""
    size = biggan.load(snapshot, "cpu").info.architecture.resolution[0]
    truncated = [] if t is None else ["--truncation", str(t), "--truncation-kind", kind]
    with_t = "" if t is None else f"&kind={kind}&truncation={t}"
    pairs = [("golden_retriever", 2, "cat", 8), ("Édouard", 3, "cab", 9)]

    def drawn_by(*words: object) -> list[torch.Tensor]:
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.png"
        options = ["--frames", "4", "--size", "1", "--device", "cpu", "--out", out, *truncated]
        assert main(["interpolate", *map(str, (snapshot, *words, *options))]) == 0
        return cells(out, 5, size)

    def shows(page: Any, state: str) -> np.ndarray:
        page.evaluate("(state) => { location.hash = state; }", state)
        return drawn(page, state)

    with opened(chromium, (folder / "index.html").as_uri()) as page:
        for first, label, second, other in pairs:
            start = f"#seed=7&class={label}{with_t}"
            for share, image in enumerate(drawn_by("--seeds", 7, "--classes", first, second, "--fix", "z")):
                place = f"&second={other}" + (f"&share={25 * share}" if share else "")
                assert apart(shows(page, start + place), image) <= LEVELS, (first, second, share)
            for curve in ("spherical", "linear"):
                ours = drawn_by("--seeds", "7,9", "--classes", first, second, "--curve", curve)
                assert apart(ours[0].numpy(), ours[4]) > 10 * LEVELS, "classes and seeds matter here"
                bend = "&curve=linear" if curve == "linear" else ""
                for position, image in enumerate(ours):
                    at = f"&position={position}" if position else ""
                    place = f"&end-seed=9&end-class={other}{bend}&steps=4{at}"
                    assert apart(shows(page, start + place), image) <= LEVELS, (first, second, curve, position)
        (tmp_path / "alone").mkdir()
        words = ["--classes", "id:2", "--seeds", "7", "--device", "cpu", *truncated]
        assert main(["sample", str(snapshot), "--out", str(tmp_path / "alone" / "x"), *words]) == 0
        (file,) = (tmp_path / "alone" / "x").glob("*.png")
        image = torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).transpose(2, 0, 1).copy())
        assert apart(shows(page, f"#seed=7&class=2{with_t}"), image) <= LEVELS


def test_what_of_an_address_is_not_possible_is_said_and_controls_show_what_is_drawn(
    folder: Path, snapshot: Path, chromium: Any
) -> None:
    sampler = biggan.load(snapshot, "cpu")
    wrong = "#seed=-1&class=99&kind=scale&truncation=abc&share=700&<b>=1&sed=4"
    with opened(chromium, (folder / "index.html").as_uri() + wrong) as page:
        # A share of 100 is the second class.
        shown = drawn(page, "#seed=0&class=0&kind=scale&share=100")
        assert apart(shown, sampler.sample([1], [0], 1.0, "scale")[0]) <= LEVELS
        said = page.locator("#doubts")
        for part in (
            "seed=-1 (",
            "class=99 (classes are 0 to 9, or their names; 0 is taken)",
            "truncation=abc (",
            "700 (",
            "2 more",
        ):
            assert part in said.inner_text()
        values = {name: page.locator(f"#{name}").input_value() for name in ("seed", "class-list", "kind", "truncation")}
        assert values == {"seed": "0", "class-list": "0", "kind": "scale", "truncation": "1"}
        assert page.locator("#blend").input_value() == "100"
        page.wait_for_function("location.hash === '#seed=0&class=0&kind=scale&share=100'")
        page.get_by_role("button", name="Next").click()
        drawn(page, "#seed=1&class=0&kind=scale&share=100")
        assert not said.inner_text()
        page.evaluate("() => { location.hash = '#seed=1e99&class=2&position=90'; }")
        assert apart(drawn(page, "#seed=0&class=2&position=24"), sampler.sample([2], [1])[0]) <= LEVELS
        assert "seed=1e99 (" in said.inner_text()
        assert "position=90 (a step from 0 to 24; 24 is taken)" in said.inner_text()
        page.evaluate("() => { location.hash = '#seed=4&class=2'; }")
        drawn(page, "#seed=4&class=2")
        assert not said.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_where_the_keyboard_is_can_be_seen(scheme: Any, folder: Path, chromium: Any) -> None:
    """Every control that Tab reaches has a thick frame that stands out, and is not hidden by what sticks to the top."""
    for size in (DESKTOP, PHONE):
        with opened(chromium, (folder / "index.html").as_uri(), size, color_scheme=scheme) as page:
            drawn(page, "#seed=0&class=0")
            page.locator("#kind").select_option("scale")  # the slider of T can be moved
            drawn(page, "#seed=0&class=0&kind=scale")
            page.locator("#title").click()
            seen = []
            for _ in range(40):
                page.keyboard.press("Tab")
                found = page.evaluate(FOCUSED)
                if found is None or found["id"] in seen:
                    break
                seen.append(found["id"])
                assert found["width"] >= 3, found
                assert contrast(found["colour"], found["ground"]) >= 3, found
                assert found["in_sight"], found
            assert {"seed", "next", "truncation", "blend", "speed", "position", "play", "again", "download"} <= {*seen}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(scheme: Any, folder: Path, chromium: Any) -> None:
    with opened(chromium, (folder / "index.html").as_uri(), PHONE, color_scheme=scheme, has_touch=True) as page:
        drawn(page, "#seed=0&class=0")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        small = """() => [...document.querySelectorAll("button, select, input")].filter((e) => e.offsetParent
          && e.type !== "checkbox" && e.getBoundingClientRect().height < 44).map((e) => e.id)"""
        assert page.evaluate(small) == []
        page.get_by_role("button", name="Next").tap()
        drawn(page, "#seed=1&class=0")
        box = page.locator("#picture").bounding_box()
        assert 0 <= box["y"] < 100, "the picture stays in sight of the controls"
        assert lowest_contrast(page) >= 4.5


def test_what_is_missing_is_said(folder: Path, chromium: Any, tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(folder, part)
    settings = part / "settings.js"
    settings.write_text(settings.read_text().replace('"embedded": true', '"embedded": false'))
    with opened(chromium, (part / "index.html").as_uri()) as page:
        assert "python -m http.server" in status(page)
    (part / "generator.onnx").unlink()
    with served(part) as address:
        with opened(chromium, address) as page:
            assert "generator.onnx could not be fetched: the server says 404" in status(page)
        (part / "generator.onnx").write_bytes(b"no graph")
        with opened(chromium, address) as page:
            assert "could not be started" in status(page)
        (part / "runtime" / "ort.wasm.min.js").write_text("globalThis.ort = 1;")
        with opened(chromium, address) as page:
            assert "is no ONNX Runtime Web" in status(page)
        shutil.rmtree(part / "runtime")
        with opened(chromium, address) as page:
            assert "Copy the whole folder" in status(page)
    page = chromium.new_context().new_page()
    page.problems = []
    page.add_init_script("delete globalThis.WebAssembly")
    page.goto((folder / "index.html").as_uri())
    assert "no WebAssembly" in status(page)
    without = chromium.new_context(java_script_enabled=False).new_page()
    without.goto((folder / "index.html").as_uri())
    assert "switched off here" in without.inner_text("noscript")


def test_a_page_whose_runtime_is_elsewhere_and_without_classes(chromium: Any, tmp_path: Path) -> None:
    a = tiny("biggan", classes=0, shared_embedding=0)
    snapshot = write(tmp_path / "s.safetensors", a, names=())
    dist = Path(runtime_folder())
    dist = dist / "dist" if (dist / "dist").is_dir() else dist
    out = tmp_path / "page"
    with served(dist) as runtime, served(tmp_path) as home:
        assert main(["export", str(snapshot), "--to", "page", "--runtime", runtime, "--out", str(out)]) == 0
        assert not (out / "runtime").exists()
        for address in (f"{home}page/", (out / "index.html").as_uri()):
            with opened(chromium, address + "#seed=4") as page:
                assert apart(drawn(page, "#seed=4"), biggan.load(snapshot, "cpu").sample(seeds=[4])[0]) <= LEVELS
                assert not page.locator("#class-part").is_visible()
                assert not page.locator("#blend-part").is_visible()
    with opened(chromium, (out / "index.html").as_uri()) as page:
        assert "could not be fetched" in status(page)
