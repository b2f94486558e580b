"""Weights & Biases, an optional part (the extra ``wandb``). Project, entity, mode: by its own environment variables."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from typing import Any

from PIL import Image

from biggan.foundation.errors import UserError
from biggan.foundation.files import write_atomically
from biggan.foundation.records import read_bounded
from biggan.training.run import Run
from biggan.training.sinks.contract import Sink

ID = "wandb.id"
CLOCK = "images_seen"
_SECONDS_FOR_LOGIN = 30


class WeightsAndBiases(Sink):
    """One run of theirs for one run of ours, however often it is stopped and goes on."""

    title = "W&B"
    package = "wandb"

    def __init__(self, run: Run) -> None:
        import wandb

        folder = run.directory.path
        own: dict[str, Any] = {}
        if "WANDB_DIR" not in os.environ:
            own["dir"] = str(folder)
        if "WANDB_NAME" not in os.environ:
            own["name"] = folder.resolve().name
        if "WANDB_RUN_ID" not in os.environ:
            own["id"] = _id_of(run)
        if "WANDB_RESUME" not in os.environ:
            own["resume"] = "allow"
        # What it would do besides: catch what is printed, which is ours; read the repository and the program, which was
        # not asked for; wait for a login that nobody types.
        settings = wandb.Settings(
            console="off", disable_git=True, disable_code=True, login_timeout=_SECONDS_FOR_LOGIN, silent=True
        )
        self._wandb: Any = wandb
        self._run: Any = wandb.init(config=run.configuration(), settings=settings, **own)
        # Their own step must rise, and a run that goes back to its last checkpoint does not.
        self._run.define_metric(CLOCK)
        self._run.define_metric("*", step_metric=CLOCK)

    def scalars(self, values: Mapping[str, float], images_seen: int) -> None:
        """Send numbers, without waiting for them to arrive."""
        self._run.log({**values, CLOCK: images_seen})

    def image(self, name: str, picture: Image.Image, images_seen: int) -> None:
        """Send a picture, without waiting for it to arrive."""
        self._run.log({name: self._wandb.Image(picture), CLOCK: images_seen})

    def close(self) -> None:
        """Wait until all has arrived, or lies on disk."""
        self._run.finish()


def _id_of(run: Run) -> str:
    """Return the name of the run on their side, which lies beside it, so that what goes on goes on there too."""
    path = run.directory.path / ID
    if path.is_file():
        try:
            found = read_bounded(path, 100).decode("ascii", "replace").strip()
        except UserError:
            found = ""
        if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", found):
            return found
    made = secrets.token_hex(8)
    write_atomically(path, f"{made}\n")
    return made
