"""What is written down about a run: what was derived from its configuration, and where its weights come from."""

from __future__ import annotations

import dataclasses
import platform
import sys
from typing import Any

import numpy as np
import torch

from biggan.data.contract import ImageSource
from biggan.training.batches import BatchPlan, images_for_moments
from biggan.training.configuration import TrainingConfig
from biggan.version import __version__


def facts(
    config: TrainingConfig, source: ImageSource, key: str, plans: dict[str, BatchPlan], ranks: int, *, tried: bool
) -> dict[str, Any]:
    """Return what was derived, for the record; the micro-batch was ``tried`` or given."""
    return derived(config, plans, ranks, tried=tried) | {
        "data": {
            "source": source.notes().kind,
            "images": len(source),
            "key": key,
            "class_names": list(source.class_names),
        },
    }


def derived(config: TrainingConfig, plans: dict[str, BatchPlan], ranks: int, *, tried: bool = False) -> dict[str, Any]:
    """Return what was derived from the configuration alone; its micro-batch was ``tried`` or given."""
    return {
        "used": {
            "ranks": ranks,
            "precision": config.precision,
            "tf32": config.precision == "tf32",
            **{name: dataclasses.asdict(part) for name, part in plans.items()},
            "found_micro_batch": config.micro_batch if tried else None,
            "images_for_moments": images_for_moments(config, ranks),
            "images_per_iteration": plans["discriminator"].batch * config.discriminator_steps,
        },
        "versions": _versions(),
    }


def provenance(config: TrainingConfig, preset: str, source: ImageSource) -> dict[str, Any]:
    """Return what a snapshot tells about where it comes from."""
    return {
        "preset": preset,
        "seed": config.seed,
        "data": source.notes().kind,
        "images": len(source),
        "batch": config.batch_schedule or config.batch,
        "precision": config.precision,
        "tf32": config.precision == "tf32",
        "compatibility": list(config.compatibility),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {"biggan": __version__, "torch": str(torch.__version__), "python": platform.python_version()} | {
        "numpy": np.__version__,
        "platform": sys.platform,
    }
