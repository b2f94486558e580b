"""Every control of the page in a browser of the system, at the size of a desk and of a phone."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from biggan.foundation.locks import held
from biggan.web.bounds import Bounds
from biggan.web.life import LOCK
from biggan.web.server import Listening, application, listen
from biggan.web.service import Service
from tests.browsers import started
from tests.rooms.web import served
from tests.snapshots import write

HANGS = 45.0
pytestmark = pytest.mark.nightly
SIZES = {"desk": (1200, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is served; its first run has three clocks, and two kinds of sheets at the last two."""
    found = served.folder(tmp_path_factory.mktemp("page"))
    for clock in (128, 192):
        for name, level in (("fixed", 100), ("classes", 20)):
            path = found / "first" / "samples" / str(clock) / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("L", (4, 4), level).save(path)
    return found


@pytest.fixture(scope="module")
def address(shown: Path) -> Iterator[str]:
    import uvicorn

    service = Service([str(shown)], "cpu")
    listening: Listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(application(service, "127.0.0.1", Bounds()), log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening.socket]})
    thread.start()
    yield listening.address
    server.should_exit = True
    thread.join(HANGS)
    service.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as found:
        yield found


class Page:
    """A page with what tests do on it. It notes errors, and requests to other hosts."""

    def __init__(self, browser: Any, address: str, size: str, query: str = "", scheme: str = "light") -> None:
        width, height = SIZES[size]
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            has_touch=size == "phone",
            accept_downloads=True,
            color_scheme=scheme,
        )
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.faults.append(said.text))
        self.page.on("request", lambda one: self._note(one.url, address))
        self.page.goto(address + query)
        self.page.wait_for_function("window.biggan && biggan.state.shown > 0", timeout=1000 * HANGS)

    def _note(self, url: str, address: str) -> None:
        if not url.startswith((address, "blob:", "data:")):
            self.faults.append(f"asked {url}")

    def query(self) -> str:
        """Return what is drawn, once nothing more is waited for."""
        self.page.wait_for_timeout(400)
        self.page.wait_for_function("!biggan.state.busy && biggan.state.wish === null")
        return str(self.page.evaluate("decodeURIComponent(biggan.state.query)"))

    def until(self, text: str) -> None:
        """Wait until what is drawn has ``text`` in its query."""
        end = time.monotonic() + HANGS
        while text not in self.query():
            assert time.monotonic() < end, f"'{text}' not in '{self.query()}'; {self.faults}"

    def choose(self, control: str, text: str) -> None:
        """Type into a list, as who searches, and take what it offers."""
        box = self.page.locator(f"#{control} input").first
        box.click()
        box.fill(text)
        box.press("Enter")

    def slide(self, control: str, value: str) -> None:
        box = self.page.locator(f"#{control} input[type=number]")
        box.fill(value)
        box.press("Enter")

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()
        self.page.wait_for_timeout(300)

    def drop(self, file: Path) -> None:
        """Drag a file over the page, and let it go there."""
        held = self.page.evaluate_handle(
            """(bytes) => {
              const held = new DataTransfer();
              held.items.add(new File([Uint8Array.from(bytes)], "dropped.png", { type: "image/png" }));
              return held;
            }""",
            list(file.read_bytes()),
        )
        place = self.page.locator("#bg-drop")
        place.dispatch_event("dragover", {"dataTransfer": held})
        assert "over" in (place.get_attribute("class") or ""), "it says that one may let go here"
        place.dispatch_event("drop", {"dataTransfer": held})
        assert "over" not in (place.get_attribute("class") or "")

    def done(self) -> None:
        assert not self.faults, self.faults
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{wide} pixels lie beyond the right edge"
        self.context.close()


def test_a_link_with_three_classes_keeps_all_when_a_control_moves(browser: Any, address: str) -> None:
    one = Page(browser, address, "desk", "?model=one.safetensors&mix=0:2,1:1,3:1&seed=5")
    one.until("mix=0:0.50,1:0.25,3:0.25&seed=5")
    one.page.locator("#bg-seed textarea, #bg-seed input").fill("6")
    one.until("mix=0:0.50,1:0.25,3:0.25&seed=6")
    assert "(25 %) in it as well" in str(one.page.locator("#bg-says").text_content())
    one.slide("bg-blend", "0")
    one.until("mix=0:0.75,3:0.25&seed=6")
    one.page.locator("#bg-reset").click()
    one.until("mix=0&seed=0")
    assert "in it as well" not in str(one.page.locator("#bg-says").text_content())
    one.done()


def test_a_class_is_typed_after_a_click(browser: Any, address: str) -> None:
    one = Page(browser, address, "desk", "?model=one.safetensors")
    names = one.page.evaluate("fetch('api/model?model=one.safetensors').then(a => a.json()).then(a => a.class_names)")
    for label in (3, 1):
        one.page.locator("#bg-one input").first.click()
        one.page.wait_for_timeout(100)
        one.page.keyboard.type(names[label], delay=20)
        one.page.keyboard.press("Enter")
        one.until(f"mix={label}&")
        assert one.page.locator("[role=option]:visible").count() == 0, "the list is closed"
    one.done()


@pytest.mark.parametrize("size", SIZES)
def test_every_control_of_an_image(browser: Any, address: str, size: str, tmp_path: Path) -> None:
    one = Page(browser, address, size, "?model=one.safetensors")
    one.choose("bg-one", "great white")
    one.until("mix=3&")
    one.page.locator("#bg-seed textarea, #bg-seed input").fill("12")
    one.until("seed=12")
    one.choose("bg-two", "golden")
    one.until("mix=3:0.50,1:0.50")
    one.slide("bg-blend", "0.25")
    one.until("mix=3:0.75,1:0.25")
    one.page.locator("#bg-whole input").uncheck()
    one.until("truncation=1")
    one.page.locator("#bg-whole input").check()
    one.page.wait_for_function("!biggan.state.query.includes('truncation')")
    one.slide("bg-truncation", "0.5")
    one.until("truncation=0.5")
    assert not one.page.locator("#bg-whole input").is_checked(), "who moves the slider means it"
    assert "which fit truncation 0.5 badly" in one.page.locator("#bg-says").inner_text()
    one.choose("bg-kind", "scale")
    one.until("kind=scale")
    one.page.locator("#bg-levels button").first.click()
    one.page.locator("#bg-other textarea, #bg-other input").fill("77")
    one.slide("bg-level1", "0.4")
    one.until("other=77&levels=0,0.4,0")
    one.page.locator("#bg-directions button").first.click()
    one.slide("bg-move2", "3")
    one.until("directions=2:3")
    one.page.wait_for_timeout(400)  # the address follows
    assert "directions=2" in one.page.url
    before = one.query()

    with one.page.expect_download() as coming:
        one.page.locator("#bg-save").click()
    assert coming.value.suggested_filename == "great-white-golden-retriever-12.png"
    assert one.page.locator("#bg-picture").get_attribute("alt") == (
        "what is drawn: great white + golden retriever, seed 12"
    )
    saved = tmp_path / "saved.png"
    coming.value.save_as(saved)
    one.page.locator("#bg-keep").click()
    one.page.locator("#bg-another").click()
    one.page.wait_for_function("!biggan.state.query.includes('seed=12&')")
    one.page.locator("#bg-reset").click()
    one.until("mix=0&seed=0")
    assert "truncation" not in one.query()

    for given in (lambda: one.page.locator("#bg-file").set_input_files(saved), lambda: one.drop(saved)):
        given()
        one.until("directions=2:3")
        assert "seed=12&truncation=0.5&kind=scale&other=77&levels=0,0.4,0" in one.query()
        one.page.locator("#bg-reset").click()
        one.until("mix=0&seed=0")
    one.drop(saved)
    one.until("directions=2:3")
    one.page.locator("#bg-reset").click()
    one.until("mix=0&seed=0")
    one.tab("Favourites")
    one.page.locator("#bg-kept .bg-open").click()
    one.until("directions=2:3")
    assert one.query() == before
    one.page.reload()  # what is kept, and what is drawn, stays
    one.page.wait_for_function("window.biggan && biggan.state.shown > 0", timeout=1000 * HANGS)
    one.until("directions=2:3")
    one.tab("Favourites")
    assert one.page.locator("#bg-kept .bg-card").count() == 1
    one.page.get_by_role("button", name="remove").click()
    assert one.page.locator("#bg-kept .bg-card").count() == 0
    one.done()


@pytest.mark.parametrize("size", SIZES)
def test_films_models_and_runs(browser: Any, address: str, size: str) -> None:
    one = Page(browser, address, size, "?model=one.safetensors")
    one.context.grant_permissions(["clipboard-read", "clipboard-write"])
    one.page.wait_for_timeout(400)  # the address follows what is drawn
    one.page.locator("#bg-link").click()
    one.page.wait_for_function("document.getElementById('bg-says').textContent === 'The link is copied.'")
    assert one.page.evaluate("navigator.clipboard.readText()") == one.page.url
    for seed in ("5", "6"):
        one.tab("Draw")
        one.page.locator("#bg-seed textarea, #bg-seed input").fill(seed)
        one.until(f"seed={seed}")
        one.tab("Path")
        one.page.locator("#bg-add").click()
    assert one.page.locator("#bg-points .bg-card").count() == 2
    one.slide("bg-frames", "3")
    one.slide("bg-rate", "10")
    one.page.get_by_label("linear").check()
    one.page.locator("#bg-loop input").check()
    one.page.wait_for_timeout(400)
    assert one.page.evaluate("JSON.stringify(biggan.state.film)") == '[3,10,"linear",true]'
    assert "points=0%3A5%2C0%3A6" in one.page.url
    again = Page(browser, address, size, f"?{one.page.url.partition('?')[2]}")
    again.tab("Path")
    assert again.page.evaluate("JSON.stringify(biggan.state.film)") == '[3,10,"linear",true]'
    assert again.page.get_by_label("linear").is_checked(), "the address holds the film too"
    assert again.page.locator("#bg-points .bg-card").count() == 2
    again.done()
    one.page.locator("#bg-preview").click()
    one.page.wait_for_function("document.querySelector('#bg-film img')?.naturalWidth > 0")
    for button in ("bg-gif", "bg-mp4"):
        with one.page.expect_download() as coming:
            one.page.locator(f"#{button}").click()
        assert coming.value.suggested_filename == f"tench-5-tench-6.{button[3:]}"
        assert coming.value.path().stat().st_size > 500
    one.page.locator("#bg-points").get_by_role("button", name="remove").first.click()
    assert one.page.locator("#bg-points .bg-card").count() == 1
    assert "seed 6" in one.page.locator("#bg-points").inner_text(), "the first one is gone"
    one.page.locator("#bg-clear").click()
    assert one.page.locator("#bg-points .bg-card").count() == 0

    one.tab("Draw")
    one.choose("bg-model", "two")
    one.until("model=two.safetensors")
    one.tab("Training")
    one.page.wait_for_selector(".bg-run")
    assert one.page.locator(".bg-run").count() == 2, "two runs side by side"
    assert "all images are alike" in one.page.locator(".bg-run").first.inner_text()
    one.page.wait_for_function("[...document.querySelectorAll('#bg-shown img')].every(i => i.naturalWidth > 0)")
    one.page.locator("#bg-runs input").first.uncheck()
    one.page.wait_for_function("document.querySelectorAll('.bg-run').length === 1")
    one.done()


@pytest.mark.parametrize("size", SIZES)
def test_a_run_is_looked_at_while_it_grows(browser: Any, address: str, size: str, shown: Path) -> None:
    one = Page(browser, address, size, "?model=one.safetensors")
    one.tab("Training")
    first = one.page.locator(".bg-run").first
    first.wait_for()
    assert first.locator("h3").inner_text() == "first"
    curves = one.page.locator("#bg-shown .bg-charts img")
    named = one.page.locator("#bg-curves input")
    one.page.locator("summary", has_text="Curves").click()
    for place in range(named.count()):
        named.nth(place).uncheck()
    one.page.wait_for_function("!document.querySelector('#bg-shown .bg-charts img')")
    one.page.locator("#bg-curves label", has_text="G_loss").locator("input").check()
    one.page.wait_for_function("document.querySelectorAll('#bg-shown .bg-charts img').length === 1")
    assert "G_loss of first, second" in (curves.first.get_attribute("alt") or "")
    before = curves.first.get_attribute("src")

    picture, slider = first.locator("img"), first.locator("input[type=range]")
    assert picture.get_attribute("alt") == "sheet fixed at 192 images"
    slider.fill("0")
    assert "64 images" in first.inner_text()
    assert "images=64&sheet=fixed" in (picture.get_attribute("src") or "")
    one.page.locator("#bg-sheet").select_option("classes")
    one.page.wait_for_function("document.querySelector('.bg-run img').src.includes('images=128&sheet=classes')")
    one.page.wait_for_function("[...document.querySelectorAll('#bg-shown img')].every(i => i.naturalWidth > 0)")

    seen = one.page.evaluate("parseInt(document.querySelector('.bg-run p').textContent.replace(/,/g, ''))")
    stats = shown / "first" / "stats.jsonl"
    with stats.open("a") as file:  # the line that was half written is finished, and another one comes
        file.write(f'en": 1}}\n{{"images_seen": {seen + 64}, "iterations": 9, "G_loss": 3.0}}\n')
    one.page.wait_for_function(
        f"document.querySelector('.bg-run p').textContent.startsWith('{seen + 64}')", timeout=1000 * HANGS
    )
    assert curves.first.get_attribute("src") != before, "the curve is drawn anew"
    assert "not training now" in first.inner_text()
    with held(shown / "first" / LOCK, "the run directory"):
        one.page.wait_for_function("document.querySelector('.bg-run p').textContent.includes('seen, training now')")
    assert slider.input_value() == "0", "what one looked at stays"
    one.done()


def test_the_keyboard_is_enough(browser: Any, address: str) -> None:
    one = Page(browser, address, "desk", "?model=one.safetensors&truncation=1")
    reached: list[str] = []
    for _ in range(60):
        one.page.keyboard.press("Tab")
        reached.append(
            str(
                one.page.evaluate("document.activeElement.closest('[id^=bg-]')?.id + ' ' + document.activeElement.type")
            )
        )
        if reached[-1].startswith("bg-truncation range") and reached.count(reached[-1]) == 1:
            one.page.keyboard.press("ArrowLeft")
            one.until("truncation=0.99")
    for control in ("another", "keep", "save", "link", "one", "seed", "two", "blend", "whole", "kind", "reset"):
        assert any(f"bg-{control} " in place for place in reached), (control, reached)
    assert not any("bg-apply" in place for place in reached), "what is not seen is not reached"
    assert any("bg-drop" in place or "bg-file" in place for place in reached), reached
    for tab, controls in (
        ("Path", ("add", "clear", "frames", "rate", "curve", "loop", "preview", "gif", "mp4")),
        ("Training", ("runs", "sheet", "shown")),
    ):
        one.page.get_by_role("tab", name=tab).focus()
        one.page.keyboard.press("Enter")
        if tab == "Training":
            one.page.wait_for_selector(".bg-run")
        passed = set()
        for _ in range(60):
            one.page.keyboard.press("Tab")
            passed.add(str(one.page.evaluate("document.activeElement.closest('[id^=bg-]')?.id")))
        assert {f"bg-{control}" for control in controls} <= passed, (tab, passed)
    one.done()


def test_what_the_server_refuses_is_shown(browser: Any, address: str) -> None:
    one = Page(browser, address, "desk", "?model=one.safetensors")
    one.page.locator("#bg-seed textarea, #bg-seed input").fill("-4")
    one.page.wait_for_function("document.getElementById('bg-error').innerText.includes('whole number')")
    one.faults.clear()  # a refusal is an error of the console
    one.page.locator("#bg-seed textarea, #bg-seed input").fill("4")
    one.until("seed=4")
    one.page.wait_for_function("document.getElementById('bg-error').innerText === ''")
    one.done()


def test_what_is_kept_before_a_control_is_touched_has_its_class(browser: Any, address: str) -> None:
    one = Page(browser, address, "desk")
    one.page.locator("#bg-keep").click()
    with one.page.expect_download() as coming:
        one.page.locator("#bg-save").click()
    assert coming.value.suggested_filename == "tench-0.png"
    (query,) = one.page.evaluate("JSON.parse(localStorage.getItem('biggan-favourites'))")
    assert query == "model=first&mix=0&seed=0"
    one.tab("Favourites")
    assert one.page.locator("#bg-kept .bg-card span").inner_text() == "tench, seed 0"
    one.done()


def test_a_favourite_has_the_names_of_its_own_model(browser: Any, address: str, shown: Path) -> None:
    other = write(shown / "zoo.safetensors", names=("con", "a/b: c", "été.", *"defghij"))
    end = time.monotonic() + HANGS
    while b"zoo" not in urllib.request.urlopen(f"{address}api/models").read():  # folders are looked at now and then
        assert time.monotonic() < end
        time.sleep(0.1)
    one = Page(browser, address, "desk", "?model=zoo.safetensors&mix=1&seed=4")
    one.page.locator("#bg-keep").click()
    for label, name in (("0", "con-4.png"), ("1", "a-b-c-4.png"), ("2", "été-4.png")):
        one.choose("bg-one", ("con", "a/b: c", "été.")[int(label)])
        one.until(f"mix={label}&")
        with one.page.expect_download() as coming:
            one.page.locator("#bg-save").click()
        assert coming.value.suggested_filename == name, "no system has another meaning for it"
    one.page.goto(f"{address}?model=one.safetensors")
    one.page.wait_for_function("window.biggan && biggan.state.shown > 0", timeout=1000 * HANGS)
    one.tab("Favourites")
    one.page.wait_for_function("document.querySelector('#bg-kept .bg-card span')?.textContent === 'a/b: c, seed 4'")
    one.done()
    other.unlink()


IMPOSSIBLE = {
    "class=penguin": "penguin",
    "mix=99": "class index '99'",
    "seed=-1": "seed '-1'",
    "seed=1e99": "seed '1e99'",
    "truncation=0": "truncation '0'",
    "truncation=abc": "truncation 'abc'",
    "kind=none": "kind 'none'",
    "other=5&levels=0,7,0": "levels '7'",
    "directions=99:1": "directions '99'",
    "utm=1": "unknown word 'utm'",
    "points=99:1,3:2": "key points",
}


def test_what_is_impossible_in_an_address_is_said_and_the_rest_is_drawn(browser: Any, address: str) -> None:
    for words, says in IMPOSSIBLE.items():
        one = Page(browser, address, "desk", f"?model=one.safetensors&{words}")
        one.page.wait_for_timeout(400)
        assert says in str(one.page.locator("#bg-error").inner_text()), words
        assert one.query() == "model=one.safetensors&mix=0&seed=0", words
        assert one.page.locator("#bg-picture").evaluate("e => getComputedStyle(e).opacity") == "1", words
        assert one.page.locator("#bg-seed textarea, #bg-seed input").input_value() == "0"
        assert one.page.locator("#bg-one input").first.input_value() == "tench"
        assert one.page.evaluate("biggan.state.points.length") == words.startswith("points")
        one.slide("bg-truncation", "0.5")
        one.until("mix=0&seed=0&truncation=0.5&kind=resample")
        assert one.page.locator("#bg-error").inner_text() == ""
        one.context.close()
    several = Page(browser, address, "desk", "?model=gone&seed=4&mix=3")
    assert "no model 'gone'" in several.page.locator("#bg-error").inner_text()
    assert several.query() == "model=first&mix=0&seed=0", "in another model all may mean something else"
    several.context.close()
    several = Page(browser, address, "desk", "?model=one.safetensors&seed=-1&mix=3&truncation=0.7&kind=scale")
    assert several.query() == "model=one.safetensors&mix=3&seed=0&truncation=0.7&kind=scale", "the rest stays"
    several.context.close()


BEHIND = """
  const light = (colour) => {
    const line = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [red, green, blue] = colour.match(/[0-9.]+/g).map((part) => line(part / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (colour, around) => {
    const nothing = /^(transparent|rgba.* 0.?)$/;
    const clear = () => nothing.test(getComputedStyle(around).backgroundColor);
    while (around.parentElement && clear()) around = around.parentElement;
    const both = [light(colour), light(getComputedStyle(around).backgroundColor)];
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  };
"""
"""Contrast of a colour to what lies behind an element (WCAG 2.2)."""
CONTRAST = f"""() => {{{BEHIND}
  const own = document.activeElement, style = getComputedStyle(own);
  return [style.outlineStyle, parseFloat(style.outlineWidth), contrast(style.outlineColor, own.parentElement)];
}}"""
"""Style, width and contrast of the ring around what has the keyboard."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_where_the_keyboard_is_can_be_seen(browser: Any, address: str, size: str, scheme: str) -> None:
    one = Page(browser, address, size, "?model=one.safetensors&truncation=1", scheme)
    assert one.page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    seen = set()
    for _ in range(24):
        one.page.keyboard.press("Tab")
        one.page.wait_for_timeout(300)  # colours change slowly
        place = str(one.page.evaluate("document.activeElement.closest('[id^=bg-]')?.id"))
        style, width, contrast = one.page.evaluate(CONTRAST)
        assert (style, width) == ("solid", 3), place
        assert contrast >= 3, (place, contrast)
        seen.add(place)
    assert {"bg-another", "bg-seed", "bg-blend", "bg-truncation", "bg-whole", "bg-reset"} <= seen
    for _ in range(16):  # and back: the image that stays above hides nothing
        one.page.keyboard.press("Shift+Tab")
        one.page.wait_for_timeout(300)
        hidden = one.page.evaluate(
            """() => {
              const own = document.activeElement, { left, top, width, height } = own.getBoundingClientRect();
              const column = document.getElementById("bg-column");
              return !column.contains(own)
                && column.contains(document.elementFromPoint(left + width / 2, top + height / 2));
            }"""
        )
        assert not hidden, one.page.evaluate("document.activeElement.closest('[id^=bg-]')?.id")
    one.done()


LETTERS = f"(own) => {{{BEHIND} return contrast(getComputedStyle(own).color, own); }}"
"""Contrast of the letters of an element."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_can_be_read(browser: Any, address: str, scheme: str) -> None:
    one = Page(browser, address, "desk", "?model=one.safetensors", scheme)
    one.page.wait_for_timeout(500)  # colours change slowly
    seen = 0
    for place in one.page.locator("button:visible, span:visible, p:visible").all():
        if place.inner_text().strip():
            seen += 1
            assert place.evaluate(LETTERS) >= 4.5, (place.inner_text(), place.evaluate(LETTERS))
    assert seen > 20
    one.done()


def test_the_keyboard_leaves_lists_closed_and_stays_where_it_removes(browser: Any, address: str) -> None:
    one = Page(browser, address, "desk", "?model=one.safetensors")
    one.page.locator("#bg-link").focus()
    for _ in range(6):
        one.page.keyboard.press("Tab")
    one.page.wait_for_timeout(500)
    assert one.page.locator("[role=option]:visible").count() == 0, "a list that was passed by is closed"
    kept = json.dumps([f"model=one.safetensors&mix=0&seed={seed}" for seed in (1, 2, 3)])
    one.page.evaluate("(kept) => localStorage.setItem('biggan-favourites', kept)", kept)
    one.tab("Favourites")
    focused = "document.activeElement.getAttribute('aria-label')"
    one.page.get_by_role("button", name="remove tench, seed 2").focus()
    for after in ("remove tench, seed 3", "remove tench, seed 1", "favourites"):
        one.page.keyboard.press("Enter")
        assert one.page.evaluate(focused) == after
    one.tab("Draw")
    one.page.locator("#bg-seed textarea, #bg-seed input").fill("8")
    one.until("seed=8")
    one.tab("Path")
    one.page.locator("#bg-add").click()
    one.tab("Draw")
    one.page.locator("#bg-another").click()
    one.page.wait_for_function("!biggan.state.query.includes('seed=8')")
    one.tab("Path")
    one.page.get_by_role("button", name="draw tench, seed 8").click()
    one.until("seed=8")
    one.done()
