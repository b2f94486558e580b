"""Films: what they hold, how they are encoded, and what cannot be."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

import biggan
from biggan.foundation.errors import UserError
from biggan.sampling.calibration import calibrate
from biggan.sampling.film_files import Frame, check_film, write_film
from biggan.sampling.frames import path_frames, there_and_back, truncation_frames


def noise(count: int, size: tuple[int, int, int] = (20, 24, 1)) -> Iterator[Frame]:
    draw = np.random.default_rng(0)
    for _ in range(count):
        yield draw.integers(0, 256, size, dtype=np.uint8)


def test_a_gif_holds_its_frames_bitwise(tmp_path: Path) -> None:
    """Sides beyond 16 pixels too, where Pillow by itself would interlace."""
    path = tmp_path / "x.gif"
    assert write_film(path, noise(5), 24, hold_last=1.5) == ((20, 24), (20, 24))
    with Image.open(path) as film:
        assert film.info["loop"] == 0
        times, shown = [], []
        for frame in ImageSequence.Iterator(film):
            times.append(frame.info["duration"])
            shown.append(np.asarray(frame.convert("L")))
    assert [np.array_equal(there, made[:, :, 0]) for there, made in zip(shown, noise(5), strict=True)] == [True] * 5
    assert times == [40, 40, 40, 50, 1500], "hundredths of a second that add up to 24 frames a second"


def test_colours_of_a_gif_are_near(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    frame = np.stack(
        [np.broadcast_to(ramp, (32, 32)), np.broadcast_to(ramp[:, None], (32, 32)), np.full((32, 32), 90)], 2
    )
    write_film(tmp_path / "x.gif", iter([frame.astype(np.uint8)] * 2))
    with Image.open(tmp_path / "x.gif") as film:
        assert np.abs(np.asarray(film.convert("RGB")).astype(int) - frame).mean() < 8


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_a_video_has_even_sides_and_all_frames(tmp_path: Path, ending: str) -> None:
    av = pytest.importorskip("av", reason="the video extra is not installed")
    path = tmp_path / f"x.{ending}"
    frames = [np.full((33, 47, 3), shade, dtype=np.uint8) for shade in (0, 120, 250)]
    assert write_film(path, iter(frames), 5, hold_last=0.4) == ((33, 47), (34, 48))
    with av.open(str(path)) as film:
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 5
    assert [frame.shape for frame in shown] == [(34, 48, 3)] * 5
    assert [round(float(frame.mean()) / 10) for frame in shown] == [0, 12, 25, 25, 25]


def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    def most(frames: int) -> int:
        tracemalloc.start()
        write_film(tmp_path / "x.gif", noise(frames, (128, 128, 1)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    most(2)
    assert most(60) < most(10) + 2 * 128 * 128


GRADIENTS = """
import re, sys
from pathlib import Path
import numpy as np
from biggan.sampling.film_files import write_film

path, count = Path(sys.argv[1]), int(sys.argv[2])
ramp = np.arange(320, dtype=np.uint16)
frames = (np.stack([(ramp[:, None] + k * ramp) % 256 for k in (n, n + 1, 2)], 2).astype(np.uint8) for n in range(count))
write_film(path, frames)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux")
@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_memory_does_not_grow_with_a_video(tmp_path: Path, ending: str) -> None:
    """Encoders are libraries, so the process is measured: 400 frames more are 123 MB of pixels."""
    pytest.importorskip("av", reason="the video extra is not installed")

    def most(frames: int) -> int:
        words = [sys.executable, "-c", GRADIENTS, str(tmp_path / f"x.{ending}"), str(frames)]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    least = most(100)
    assert most(500) < least + 30_000, "in kB; what an encoder looks ahead is there from the beginning"


def test_what_cannot_be_a_film_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, speed, size, message in (
        ("x.avi", 24, None, "end the name of a film in .gif, .mp4, .webm"),
        ("x.gif", 60, None, "--frames-per-second 60: 1 to 50 in a GIF"),
        ("x.gif", 0, None, "--frames-per-second 0"),
        ("x.gif", 24, (70_000, 10), "65,535 a side"),
    ):
        with pytest.raises(UserError, match=message):
            check_film(tmp_path / name, speed, size)
    with pytest.raises(UserError, match="no frames"):
        write_film(tmp_path / "x.gif", iter([]))
    with pytest.raises(ValueError, match="in a film of"):
        write_film(tmp_path / "x.gif", iter([*noise(1), *noise(1, (8, 8, 1))]))
    assert not list(tmp_path.iterdir()), "nothing half-written stays"
    real = builtins.__import__

    missing = ModuleNotFoundError("No module named 'av'", name="av")
    for raised, message in (
        (missing, r"biggan-torch\[video\]"),
        (ImportError("libavcodec.so.61: no such file"), r"does not load \(libavcodec.so.61: .*reinstall it"),
        (ModuleNotFoundError("No module named 'av._core'", name="av._core"), "does not load"),
    ):

        def importing(name: str, *rest: Any, raised: ImportError = raised, **named: Any) -> Any:
            if name == "av":
                raise raised
            return real(name, *rest, **named)

        with monkeypatch.context() as here:
            here.setattr(builtins, "__import__", importing)
            with pytest.raises(UserError, match=message):
                check_film(tmp_path / "x.mp4", 24)


def test_a_codec_that_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av", reason="the video extra is not installed")
    from biggan.sampling import film_files

    monkeypatch.setitem(film_files._CODECS, ".mp4", ("mp4", "no-such-encoder", "H.264"))
    with pytest.raises(UserError, match=r"no encoder for H.264 \(no-such-encoder\); write .webm or .gif"):
        check_film(tmp_path / "x.mp4", 24)


@pytest.mark.nightly
def test_a_full_disk_leaves_no_film(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from biggan.foundation.files import NoSpaceError\n"
        "from biggan.sampling.film_files import write_film\n"
        "from tests.rooms.sampling.test_films import noise\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "for ending in ('gif', 'mp4', 'webm'):\n"
        "    try:\n"
        "        write_film(Path(sys.argv[1]) / f'x.{ending}', noise(30, (128, 128, 3)))\n"
        "    except NoSpaceError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.stdout.count("could not be written") == 3, (done.stdout, done.stderr)
    assert not list(tmp_path.iterdir())


def test_a_loop_has_no_seam(snapshot: Path) -> None:
    model = biggan.load(snapshot, "cpu")
    frames = list(path_frames(model, [1, 2], [3, 4], frames=8, smallest=1))
    assert {frame.shape for frame in frames} == {(16, 16, 3)}
    assert len(frames) == 16
    whole = np.stack(frames).astype(float)
    steps = np.abs(np.roll(whole, -1, axis=0) - whole).mean(axis=(1, 2, 3))
    assert steps[-1] < 2 * steps[:-1].max(), "from the last to the first it is a step like others"
    first = model.sample([1], [3])[0].permute(1, 2, 0).numpy()
    assert np.abs(frames[0].astype(int) - first).max() <= 1


def test_a_film_of_truncation_shows_what_sampling_draws(snapshot: Path, tmp_path: Path) -> None:
    calibrate(biggan.load(snapshot, "cpu"), tmp_path / "bank.safetensors", [0.3, 1.0], kind="scale", batches=1)
    model = biggan.load(tmp_path / "bank.safetensors", "cpu")
    moving = there_and_back(0.2, 1.0, 6)
    assert moving[0] == 1.0
    assert min(moving) == pytest.approx(0.2)
    assert moving[1:] == pytest.approx(moving[:0:-1]), "the way up is the way down"
    assert there_and_back(0.2, 1.0, 6, one_way=True)[-1] == pytest.approx(0.2)
    frames = list(truncation_frames(model, moving, [1, 2], [3, 4, 5], caption=False, smallest=1))
    assert {frame.shape for frame in frames} == {(2 + 2 * 18, 2 + 3 * 18, 3)}
    for truncation, frame in zip(moving, frames, strict=True):
        image = model.sample([2], [4], truncation, "scale")[0].permute(1, 2, 0).numpy()
        assert np.abs(frame[20:36, 20:36].astype(int) - image).max() <= 1
    assert np.array_equal(frames[1], frames[5]), "equal truncations are equal frames: nothing flickers"
    with pytest.raises(UserError, match="--truncation"):
        next(truncation_frames(model, [0.0], [1], [2]))
