"""Films as files: GIF, MP4 and WebM. A frame is encoded when it comes, so length costs no memory."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from biggan.foundation.errors import UserError
from biggan.foundation.files import replacing
from biggan.foundation.terminal import one_line

if TYPE_CHECKING:
    from types import ModuleType

Frame = npt.NDArray[np.uint8]
"""uint8 [H, W, C] with 1 or 3 channels; all frames of a film have one size."""

FILMS = (".gif", ".mp4", ".webm")
"""Endings of films that are written."""
FASTEST = 240
"""Most frames a second of a film."""
FASTEST_GIF = 50
"""Of a GIF, which counts in hundredths of a second; programs show shorter times than two of them as ten."""
LARGEST_SIDE = {".gif": 65_535, ".mp4": 16_384, ".webm": 16_384}
"""Pixels of a film's side: two bytes of GIF, and what x264 and libvpx encode."""
_CODECS = {".mp4": ("mp4", "libx264", "H.264"), ".webm": ("webm", "libvpx-vp9", "VP9")}
_OPTIONS = {".mp4": {"crf": "18"}, ".webm": {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "4"}}


def check_film(path: Path, frames_per_second: int, size: tuple[int, int] | None = None, option: str = "--out") -> None:
    """Check, before any work, that a film can be written.

    Args:
        path: its file; the ending says what it becomes.
        frames_per_second: its speed.
        size: (height, width) of its frames, if that is known.
        option: that named the file.

    Raises:
        UserError: an ending that names no film, a codec that is not there, or a speed or size that cannot be.
    """
    ending = path.suffix.lower()
    shown = f"{option} {one_line(str(path))}"
    if ending not in FILMS:
        raise UserError(f"{shown}: end the name of a film in {', '.join(FILMS)}")
    most = FASTEST_GIF if ending == ".gif" else FASTEST
    if not 1 <= frames_per_second <= most:
        more = f" in a GIF, {FASTEST} in .mp4 and .webm" if ending == ".gif" else ""
        raise UserError(f"--frames-per-second {frames_per_second}: 1 to {most}{more}")
    if ending != ".gif":
        _encoder(path, shown)
    if size is not None and max(size) > LARGEST_SIDE[ending]:
        raise UserError(
            f"{shown}: frames of {size[1]:,} x {size[0]:,} pixels, where {LARGEST_SIDE[ending]:,} a side are possible; "
            "show fewer images"
        )


def write_film(
    path: Path, frames: Iterable[Frame], frames_per_second: int = 24, *, hold_last: float = 0.0
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Write an endless GIF, an MP4 (H.264) or a WebM (VP9), as the ending says, atomically.

    H.264 and VP9 in the form that everything plays have half as many colours as pixels, so odd sides get one row or
    column more, which repeats the last.

    Args:
        path: the file.
        frames: at least one.
        frames_per_second: see :func:`check_film`.
        hold_last: seconds for which the last frame stays.

    Returns:
        (height, width) of the frames, and of the film.

    Raises:
        UserError: as :func:`check_film`, there are no frames, ``path`` is a link, or the disk is full.
    """
    check_film(path, frames_per_second)
    coming = iter(frames)
    first = next(coming, None)
    if first is None:
        raise UserError(f"{one_line(str(path))}: no frames to show")
    check_film(path, frames_per_second, first.shape[:2])
    with replacing(path) as temporary:
        encode = _gif if path.suffix.lower() == ".gif" else _video
        written = encode(temporary, path.suffix.lower(), _of_one_size(first, coming), frames_per_second, hold_last)
    return (first.shape[0], first.shape[1]), written


def _of_one_size(first: Frame, others: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    for frame in others:
        if frame.shape != first.shape:
            raise ValueError(f"a frame of {frame.shape} in a film of {first.shape}")
        yield frame


def _gif(file: Path, _: str, frames: Iterator[Frame], frames_per_second: int, hold_last: float) -> tuple[int, int]:
    """Write a GIF frame by frame (GIF89a specification); Pillow, which would hold all frames, encodes single ones."""
    with file.open("wb") as out:
        frame = next(frames)
        height, width = frame.shape[:2]
        out.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0))
        out.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")  # for ever
        number = 0
        while True:
            following = next(frames, None)
            # Hundredths of a second up to the end of this frame, less those up to its beginning: the sum is right.
            time = round(100 * (number + 1) / frames_per_second) - round(100 * number / frames_per_second)
            if following is None and hold_last:
                time = min(round(100 * hold_last), 65_535)
            _gif_frame(out, frame, time)
            if following is None:
                break
            frame, number = following, number + 1
        out.write(b"\x3b")
    return height, width


def _gif_frame(out: BinaryIO, frame: Frame, hundredths: int) -> None:
    """Write one frame with a table of colours of its own."""
    height, width, channels = frame.shape
    single = io.BytesIO()
    picture = Image.fromarray(frame[:, :, 0] if channels == 1 else frame)
    if channels == 3:
        picture = picture.convert("P", palette=Image.Palette.ADAPTIVE)
    picture.save(single, "GIF", optimize=False, interlace=False)
    data = single.getvalue()
    flags = data[10]
    bits = flags & 0x07
    colours = data[13 : 13 + 3 * 2 ** (bits + 1)]
    place = 13 + len(colours)
    while data[place] == 0x21:  # extensions: two bytes, then blocks that say their length, and one of none
        place += 2
        while data[place]:
            place += 1 + data[place]
        place += 1
    out.write(b"\x21\xf9\x04" + struct.pack("<BHB", 0x04, hundredths, 0) + b"\x00")
    out.write(b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0x80 | bits) + colours)
    out.write(data[place + 10 :].removesuffix(b"\x3b"))


def _video(
    file: Path, ending: str, frames: Iterator[Frame], frames_per_second: int, hold_last: float
) -> tuple[int, int]:
    import av

    form, codec, name = _CODECS[ending]
    moving = {"movflags": "faststart"} if ending == ".mp4" else {}
    with _encoder_errors(name), av.open(str(file), mode="w", format=form, options=moving) as container:
        stream: Any = None
        for frame in _held(frames, round(hold_last * frames_per_second)):
            even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if stream is None:
                stream = container.add_stream(codec, rate=frames_per_second)
                stream.height, stream.width, stream.pix_fmt = *even.shape[:2], "yuv420p"
                stream.options = _OPTIONS[ending]
            pixels = np.ascontiguousarray(np.broadcast_to(even, (*even.shape[:2], 3)))
            picture: Any = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return even.shape[0], even.shape[1]


def _held(frames: Iterator[Frame], times: int) -> Iterator[Frame]:
    """Yield the frames, and the last one some times more."""
    last = next(frames)
    yield last
    for last in frames:
        yield last
    for _ in range(times):
        yield last


def _encoder(path: Path, shown: str) -> None:
    """Make sure that there is PyAV, and the encoder in it.

    Raises:
        UserError: the extra ``video`` is not installed, does not load, or was built without the encoder.
    """
    try:
        import av
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "av":
            raise UserError(f'{shown} needs PyAV: pip install "biggan-torch[video]", or write a .gif') from error
        raise UserError(
            f"{shown}: PyAV is there and does not load ({one_line(str(error), 200)}); reinstall it, pip install "
            "--force-reinstall av, or write a .gif"
        ) from error
    _, codec, name = _CODECS[path.suffix.lower()]
    if not _has_encoder(av, codec):
        there = [ending for ending, (_, other, _) in _CODECS.items() if _has_encoder(av, other)]
        raise UserError(
            f"{shown}: this PyAV has no encoder for {name} ({codec}); write {' or '.join([*there, '.gif'])}, or "
            "reinstall PyAV from its wheels"
        )


def _has_encoder(av: ModuleType, codec: str) -> bool:
    with contextlib.suppress(ValueError):  # what an unknown one raises is of that kind
        av.codec.Codec(codec, "w")
        return True
    return False


@contextlib.contextmanager
def _encoder_errors(name: str) -> Iterator[None]:
    """Turn what an encoder refuses into a sentence; what the system says stays what it is."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise UserError(f"the encoder of {name} refuses these frames ({one_line(str(error), 200)})") from error
