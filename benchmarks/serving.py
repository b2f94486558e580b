"""The page of ``biggan serve`` under many users, and how soon and how often it shows images in a browser.

Usage:
    python benchmarks/serving.py RUN --users 30 --seconds 300 --out found.json
    python benchmarks/serving.py RUN --page --browser /usr/bin/chromium

A user opens the page and its API, then asks for another image every 0.1 to 0.5 seconds; one ask in fifty is for a film
(of which two are made at a time: to be told to ask again is no error), one in twenty for the runs. The exit status is 1
if any answer was an error, or if the server's memory grew by more than --growth megabytes after a quarter of the time.
--out keeps the device, what was asked, how long images took, memory over time, and the first errors as they were told.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import torch

from machine import describe
from report import Report

START = 180.0
"""Seconds that the server may take to start."""
POINTS = 60
"""Of the curve of memory that is kept, at most about so many."""
TOLD = 10
"""Errors that are told."""


def started(run: str) -> tuple[subprocess.Popen[str], str]:
    """Start the server; return its process and its address."""
    command = [sys.executable, "-m", "biggan", "serve", run, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.match(r"(http://\S+)", line):
            return process, found[1]
    raise SystemExit("the server did not start")


def resident(process: subprocess.Popen[str]) -> float:
    """Return the megabytes of memory that a process has, as Linux tells it."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


def user(address: str, number: int, end: float, times: list[float], faults: list[str]) -> None:
    """Be one of those who look."""
    chance = random.Random(number)
    with httpx2.Client(base_url=address, timeout=60) as client:
        client.get("/")
        classes = client.get("/api/model").json()["classes"]
        while time.monotonic() < end:
            kind, label, seed = chance.random(), chance.randrange(max(classes, 1)), chance.randrange(10_000)
            path = f"/api/image?mix={label}&seed={seed}&truncation={chance.uniform(0.3, 1.5):.2f}"
            if kind < 0.02:
                path = f"/api/film?points={label}:{seed},{label}:{seed + 1}&frames=12"
            elif kind < 0.07:
                path = "/api/runs"
            begin = time.perf_counter()
            try:
                answer = client.get(path)
                if answer.status_code != 200 and not (kind < 0.02 and answer.status_code == 503):
                    faults.append(f"{path}: {answer.status_code} {answer.text[:200]}")
            except httpx2.HTTPError as error:
                faults.append(f"{path}: {error!r}")
            if kind >= 0.07:
                times.append(time.perf_counter() - begin)
            time.sleep(chance.uniform(0.1, 0.5))


def load(run: str, users: int, seconds: float, growth: float, report: Report) -> bool:
    """Let many look at once; report what came of it, and return whether all went well."""
    process, address = started(run)
    times: list[float] = []
    faults: list[str] = []
    memory: list[float] = []
    moments: list[float] = []
    try:
        begin = time.monotonic()
        end = begin + seconds
        all_users = [threading.Thread(target=user, args=(address, n, end, times, faults)) for n in range(users)]
        for one in all_users:
            one.start()
        while time.monotonic() < end:
            time.sleep(min(1.0, max(end - time.monotonic(), 0.01)))
            memory.append(resident(process))
            moments.append(time.monotonic() - begin)
        for one in all_users:
            one.join()
    finally:
        process.terminate()
        process.wait(30)
    later = memory[len(memory) // 4 :]
    sparse = slice(None, None, -(-len(memory) // POINTS))
    cuts = statistics.quantiles(times, n=100)
    told: dict[str, Any] = {
        "users": users,
        "seconds": seconds,
        "images": len(times),
        "images_per_second": round(len(times) / seconds, 1),
        "milliseconds": {
            "median": round(cuts[49] * 1e3, 1),
            "p95": round(cuts[94] * 1e3, 1),
            "p99": round(cuts[98] * 1e3, 1),
            "most": round(max(times) * 1e3, 1),
        },
        "megabytes": {
            "first": round(memory[0]),
            "after a quarter": round(later[0]),
            "most": round(max(memory)),
            "last": round(memory[-1]),
        },
        "errors": len(faults),
    }
    more = {
        "memory": [[round(at, 1), round(one, 1)] for at, one in zip(moments[sparse], memory[sparse], strict=True)],
        "faults": faults[:TOLD],
    }
    said = json.dumps(told, indent=1) + "".join(f"\n{fault}" for fault in faults[:TOLD])
    report.put(said, told | more, "load")
    return not faults and max(later) - later[0] <= growth


def page(run: str, browser: str, seconds: float, report: Report) -> None:
    """Measure in a browser when the first image is there, and how many a slider shows a second."""
    from playwright.sync_api import sync_playwright

    process, address = started(run)
    early = """new MutationObserver((_, me) => {
        const image = document.getElementById('bg-early');
        if (image) { me.disconnect(); image.addEventListener('load', () => { window.bgSeen = performance.now(); }); }
    }).observe(document, {childList: true, subtree: true});"""
    try:
        with sync_playwright() as playwright:
            started_browser = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            results = []
            for _ in range(5):
                opened = started_browser.new_page()
                opened.add_init_script(early)
                opened.goto(address)
                opened.wait_for_function("window.biggan && biggan.state.shown > 0", timeout=120_000)
                facts = opened.evaluate(
                    "({seen: window.bgSeen, "
                    "load: performance.timing.loadEventEnd - performance.timing.navigationStart, "
                    "controls: performance.now()})"
                )
                results.append(facts)
                if len(results) < 5:
                    opened.close()
            box = opened.locator("#bg-truncation input[type=range]")
            opened.locator("#bg-whole input").uncheck()
            opened.wait_for_timeout(1000)
            before = opened.evaluate("biggan.state.shown")
            begin = time.perf_counter()
            box.evaluate(
                """(slider, seconds) => new Promise(done => { let n = 0; const end = performance.now() + seconds * 1000;
                const step = () => { n += 1; slider.value = (0.3 + (n % 150) / 100).toFixed(2);
                slider.dispatchEvent(new Event('input', {bubbles: true}));
                if (performance.now() < end) setTimeout(step, 30); else done(); }; step(); })""",
                seconds,
            )
            shown = opened.evaluate("biggan.state.shown") - before
            took = time.perf_counter() - begin
            started_browser.close()
    finally:
        process.terminate()
        process.wait(30)
    lines = [
        f"first image {one['seen']:.0f} ms after navigation began, load event {one['load']:.0f} ms, "
        f"controls live {one['controls']:.0f} ms"
        for one in results
    ]
    lines.append(f"slider: {shown} images in {took:.1f} s, {shown / took:.1f} a second")
    found = {
        "milliseconds": [{name: round(at, 1) for name, at in one.items()} for one in results],
        "slider_images_per_second": round(shown / took, 1),
    }
    report.put("\n".join(lines), found, "page")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run or a snapshot")
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--growth", type=float, default=100.0, help="megabytes")
    parser.add_argument("--page", action="store_true", help="measure in a browser instead")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--out", type=Path, help="the results, as JSON")
    words = parser.parse_args()
    report = Report(words.out, float("inf"))
    # The server takes a GPU where there is one.
    report.put("", describe(torch.device("cuda" if torch.cuda.is_available() else "cpu")))
    if words.page:
        page(words.run, words.browser, min(words.seconds, 5.0), report)
    elif not load(words.run, words.users, words.seconds, words.growth, report):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
