"""What a projection leaves behind: pictures, a film, losses, and the latent itself. Also how a picture is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from biggan.data.preparation.decoding import load_image
from biggan.data.preparation.fitting import Preparation, fit
from biggan.exploring.points import Points, images_of, save_points
from biggan.exploring.projection import Projection
from biggan.foundation.errors import UserError
from biggan.foundation.files import write_json, write_picture
from biggan.foundation.plots import figure
from biggan.foundation.terminal import one_line
from biggan.models.architecture import Architecture
from biggan.sampling.film_files import Frame, write_film
from biggan.sampling.film_files import check_film as check_film_file
from biggan.sampling.frames import to_frame
from biggan.sampling.pictures import enlarge, enlargement, sheet
from biggan.sampling.png_text import record_options
from biggan.sampling.point_sheets import PointSheet
from biggan.sampling.recording import Recorder
from biggan.sampling.sampler import Sampler

Film = Literal["gif", "mp4", "none"]
LATENT = "latent.safetensors"
_FRAMES = 60
_FRAMES_PER_SECOND = 20
_HELD = 1.5
"""Seconds for which what was found stays."""


def read_picture(path: Path, architecture: Architecture) -> Tensor:
    """Return a picture file as training would see it: cut to the shape of the images about its centre, and resized.

    Returns:
        uint8 [C, H, W].

    Raises:
        UserError: it cannot be read, or the images have neither 1 nor 3 channels.
    """
    if architecture.channels not in (1, 3):
        raise UserError(f"picture files have 1 or 3 channels, this generator's images {architecture.channels}")
    if not path.is_file():
        raise UserError(f"{one_line(str(path))}: there is no such picture")
    with path.open("rb") as file:
        image = load_image(file, one_line(str(path)))
    how = Preparation(resolution=architecture.resolution, channels=architecture.channels)
    return torch.from_numpy(fit(image, how).copy())  # a picture of the right size is lent, read-only


def write_projection(
    sampler: Sampler, found: Projection, folder: Path, film: Film = "gif", *, metadata: bool = True
) -> list[Path]:
    """Write a projection into a folder; files of the same names are replaced. Return what was written.

    ``projection.png``: the picture, the image that was found, and their difference, with its record if
    ``metadata``; ``latent.safetensors``: the point, for sheets and breeding; ``losses.json``, and ``losses.png`` where
    matplotlib is installed (the extra ``plots``); ``projection.gif`` or ``.mp4``: the picture beside the way there.

    Raises:
        UserError: the extra ``video`` is not installed, a link, or a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    picture, image = found.picture, found.image
    apart = (image.int() - picture.int()).abs().to(torch.uint8)
    written = [folder / "projection.png", folder / LATENT, folder / "losses.json"]
    shown = PointSheet(
        z=found.point.z,
        embedding=found.point.embedding,
        columns=3,
        titles=found.point.titles,
        about="a picture, the image that was found, and their difference",
        blank=(0, 2),
    )
    enlarged = enlargement(sampler.info.architecture.resolution, 3, 3, 128)
    record = Recorder(sampler).points(shown, enlarged) if metadata else None
    pixels = torch.stack([picture, image, 255 - apart])
    write_picture(written[0], shown.picture(pixels, enlarged), **record_options(written[0], record))
    save_points(found.point, sampler, written[1])
    write_json(written[2], as_json(sampler, found))
    if film != "none":
        written.append(folder / f"projection.{film}")
        write_film(written[-1], _frames(sampler, found), _FRAMES_PER_SECOND, hold_last=_HELD)
    if plots_are_there():
        written.append(folder / "losses.png")
        _plot(written[-1], found)
    return written


def check_film(film: Film, folder: Path) -> None:
    """Make sure, before any work, that a film can be written.

    Raises:
        UserError: the extra ``video`` is not installed.
    """
    if film != "none":
        check_film_file(folder / f"projection.{film}", _FRAMES_PER_SECOND, option="--film")


def plots_are_there() -> bool:
    """Return whether matplotlib is installed."""
    try:
        import matplotlib.figure  # noqa: F401  only whether it is there
    except ImportError:
        return False
    return True


def as_json(sampler: Sampler, found: Projection) -> dict[str, object]:
    """Return what is known about a projection, for a file."""
    names = sampler.class_names
    return {
        "class_index": found.label,
        "class_name": names[found.label] if names else None,
        "best_candidate": found.start,
        "best": float(found.loss.total[found.best]),
        "step": found.best,
        "starts": [
            {"class_index": label, "loss": loss} for label, loss in zip(found.labels, found.reached, strict=True)
        ],
        "total": found.loss.total.tolist(),
        "pixels": found.loss.pixels.tolist(),
        "features": found.loss.features.tolist(),
        "latent": found.loss.latent.tolist(),
    }


def _frames(sampler: Sampler, found: Projection) -> Iterator[Frame]:
    """Yield the picture beside the image, at most 61 times along the way, up to the best."""
    steps = found.best + 1
    places = sorted({*range(0, steps, max(1, steps // _FRAMES)), found.best})
    z = found.path[places]
    points = Points(z=z, embedding=found.point.embedding.expand(len(z), -1), titles=tuple(map(str, places)))
    for image in images_of(sampler, points):
        yield to_frame(enlarge(sheet(torch.stack([found.picture, image]), 2), 128))


def _plot(path: Path, found: Projection) -> None:
    with figure(path) as axes:
        axes.semilogy(found.loss.total.tolist(), label="loss")
        axes.semilogy(found.loss.pixels.tolist(), label="pixels")
        if bool(found.loss.features.any()):
            axes.semilogy(found.loss.features.tolist(), label="features")
        axes.axhline(found.start, linestyle=":", color="gray", label="best candidate")
        axes.set_xlabel("step")
        axes.legend()
