"""The networks of torch-fidelity (the extra ``metrics``): its TF-ported Inception, DINOv2, CLIP, VGG16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from biggan.foundation.downloads import download
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import digest
from biggan.foundation.images import three_channels
from biggan.foundation.tensor_files import looks_like
from biggan.metrics.features import ExtractorOptions, Features

_INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)
_SIDE = 299


class _Fidelity:
    """An extractor of torch-fidelity under our contract."""

    name: str
    theirs: str
    rows_name: str
    logits_name: str | None = None
    resize: str
    takes_floats = False
    classifies = False

    def __init__(self, options: ExtractorOptions) -> None:
        weights = self._weights(options)
        self.weights_hash = digest(weights) if weights else f"torch-fidelity's download of {self.theirs}"
        names = [self.rows_name, *([self.logits_name] if self.logits_name else [])]
        self.network = _build(self.theirs, names, weights).to(options.device)
        self.device = options.device
        self.protocol = f"{self.name}-{self.resize}-uint8"
        self.key = f"{self.protocol}-{self.weights_hash}"

    def _weights(self, options: ExtractorOptions) -> Path | None:
        return None if options.weights is None else checked_weights(options.weights)

    def __call__(self, images: Tensor) -> Features:
        """Return features of images uint8 [B, C, H, W]."""
        with torch.no_grad():
            found = self.network(self._prepared(three_channels(images)).to(self.device))
        return Features(found[0].float(), found[1].float() if self.logits_name else None)

    def _prepared(self, images: Tensor) -> Tensor:
        return images


class Inception(_Fidelity):
    """The network of the published FID and Inception Score (TF, 2015-12-05), images resized bilinearly inside."""

    name, theirs = "inception", "inception-v3-compat"
    rows_name, logits_name = "2048", "logits_unbiased"
    classifies = True
    resize = "bilinear299"

    def _weights(self, options: ExtractorOptions) -> Path | None:
        if options.weights is not None:
            return checked_weights(options.weights)
        # Not by torch-fidelity itself, which neither verifies what came nor opens it as plain tensors.
        return checked_weights(download(_INCEPTION_URL))


class InceptionPillowBicubic(Inception):
    """The same network after a bicubic Pillow resize, as mmgeneration evaluates."""

    name = "inception-pillow-bicubic"
    resize = "pillowbicubic299"

    def _prepared(self, images: Tensor) -> Tensor:
        resized = [
            np.asarray(Image.fromarray(image).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
            for image in images.permute(0, 2, 3, 1).cpu().numpy()
        ]
        return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)


class DinoV2(_Fidelity):
    """DINOv2 ViT-L/14 (Oquab et al. 2023), as for FD-DINOv2 (Stein et al. 2023); fetched by torch.hub."""

    name, theirs, rows_name, resize = "dinov2", "dinov2-vit-l-14", "dinov2", "bilinear224"

    def _weights(self, options: ExtractorOptions) -> Path | None:
        if options.weights is not None:
            raise UserError("--features.weights: torch-fidelity fetches DINOv2 itself and takes no file; leave it out")
        return None


class Clip(_Fidelity):
    """CLIP ViT-B/32 (Radford et al. 2021)."""

    name, theirs, rows_name, resize = "clip", "clip-vit-b-32", "clip", "bilinear224"

    def _weights(self, options: ExtractorOptions) -> Path | None:
        # A TorchScript archive, which torch.jit reads without running pickled code.
        if options.weights is not None and not options.weights.is_file():
            raise UserError(f"--features.weights {options.weights}: there is no such file")
        return options.weights


class Vgg16(_Fidelity):
    """VGG16 (Simonyan and Zisserman 2014), the features of precision and recall (Kynkäänniemi et al. 2019)."""

    name, theirs, rows_name, resize = "vgg16", "vgg16", "fc2_relu", "bilinear224"


def checked_weights(path: Path) -> Path:
    """Return ``path`` if it holds a set of tensors and nothing else, and agrees with the hash in its name.

    Raises:
        UserError: no such file, a web page or anything else, or another hash than its name says.
    """
    if not path.is_file():
        raise UserError(f"--features.weights {path}: there is no such file")
    stem, _, announced = path.stem.rpartition("-")
    is_hash = bool(stem) and len(announced) == 8 and all(c in "0123456789abcdef" for c in announced)
    if is_hash and not digest(path).startswith(announced):
        raise CorruptFileError(
            f"--features.weights {path}: its SHA-256 begins with {digest(path)[:8]}, not with {announced} as its name "
            "says; fetch it again"
        )
    read_tensors_only(path)
    return path


def read_tensors_only(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a PyTorch file that holds nothing else.

    Raises:
        CorruptFileError: it holds something else, or is no such file.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a foreign file raises depends on what it is
        raise CorruptFileError(
            f"--features.weights {path}: not a PyTorch file of tensors and nothing else{looks_like(path)}"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CorruptFileError(f"--features.weights {path}: not a set of named tensors")
    return found


def _build(name: str, outputs: list[str], weights: Path | None) -> Any:
    try:
        from torch_fidelity.utils import create_feature_extractor
    except ImportError as error:
        raise UserError(
            "these features come from torch-fidelity: pip install 'biggan-torch[metrics]', or use --features classifier"
        ) from error
    path = None if weights is None else str(weights)
    try:
        return create_feature_extractor(name, outputs, cuda=False, feature_extractor_weights_path=path, verbose=False)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        what = f"--features.weights {path}: does not fit" if path else "could not be fetched"
        raise UserError(
            f"{name}: {what} ({reason}). Give the right file with --features.weights, or use --features classifier, "
            "which needs none."
        ) from error
