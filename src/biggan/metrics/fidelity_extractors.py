"""The networks of torch-fidelity (the extra ``metrics``): its TF-ported Inception, DINOv2, CLIP, VGG16.

torch-fidelity builds them, but for DINOv2, whose code it would fetch; the weights are read here, because it opens files
in a way that runs what is in them. They take bytes, through which no gradient flows; what is to have one is resized and
normalized here as it does there, and handed to their first layer.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from biggan.foundation.downloads import download
from biggan.foundation.errors import UserError
from biggan.foundation.images import three_channels
from biggan.metrics.features import ExtractorOptions, Features
from biggan.metrics.vision_transformer import TransformerShape, VisionTransformer
from biggan.metrics.weights import Weights, load_into, read_weights, require_shapes

_CLIP_SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
_SIDE = 299


class _Fidelity:
    """An extractor of torch-fidelity under our contract."""

    name: str
    theirs: str
    rows_name: str
    logits_name: str | None = None
    resize: str
    url: str
    """Where the weights are published."""
    most = 2**30
    """Most bytes of them."""
    published: str | None = None
    """Their SHA-256, where they are a TorchScript archive."""
    shapes: ClassVar[dict[str, tuple[int, ...]]] = {}
    """Of tensors that tell this network from others, and decide how large it is built."""
    mean: tuple[float, ...] = tuple(255 * share for share in (0.485, 0.456, 0.406))
    """Of ImageNet's colours; the network sees (images - mean) / deviation."""
    deviation: tuple[float, ...] = tuple(255 * share for share in (0.229, 0.224, 0.225))
    takes_floats = False
    classifies = False
    gives_gradients = True

    def __init__(self, options: ExtractorOptions) -> None:
        weights = self._weights(options)
        self.weights_hash = weights.sha256
        names = [self.rows_name, *([self.logits_name] if self.logits_name else [])]
        self.network = self._network(names, weights).to(options.device).eval().requires_grad_(False)
        self.device = options.device
        self.protocol = f"{self.name}-{self.resize}-uint8"
        self.key = f"{self.protocol}-{self.weights_hash}"

    def _weights(self, options: ExtractorOptions) -> Weights:
        path = options.weights or download(self.url, sha256=self.published, most=self.most)
        weights = read_weights(path, published=self.published, option=options.option)
        require_shapes(weights, self.shapes, self.name)
        return weights

    def _network(self, names: list[str], weights: Weights) -> Any:
        """Build the network; torch-fidelity takes its weights from a file, which here is memory that we wrote."""
        content = io.BytesIO()
        torch.save(weights.tensors, content)
        content.seek(0)
        return _built(self.theirs, weights, lambda kind: kind(self.theirs, names, content, verbose=False))

    def __call__(self, images: Tensor) -> Features:
        """Return features of images uint8 [B, C, H, W], or of floats in [0, 255], with gradients."""
        images = three_channels(images).to(self.device)
        if images.is_floating_point():
            found = self._of_floats(images.float())
        else:
            with torch.no_grad():
                found = self.network(self._prepared(images))
        return Features(found[0].float(), found[1].float() if self.logits_name else None)

    def _prepared(self, images: Tensor) -> Tensor:
        """Return what torch-fidelity's network is given, of bytes or of floats."""
        return images

    def _of_floats(self, images: Tensor) -> Any:
        """Return what the network says of floats: bytes go through it, and its first layer sees these instead."""
        from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

        side = getattr(self.network, "resolution", None) or self.network.INPUT_IMAGE_SIZE
        resized = interpolate_bilinear_2d_like_tensorflow1x(
            self._prepared(images), size=(side, side), align_corners=False
        )
        mean, deviation = (resized.new_tensor(each).view(3, 1, 1) for each in (self.mean, self.deviation))
        seen = (resized - mean) / deviation
        first = next(module for module in self.network.modules() if isinstance(module, nn.Conv2d))
        hook = first.register_forward_pre_hook(lambda _, __: (seen,))
        try:
            return self.network(torch.zeros_like(seen, dtype=torch.uint8))
        finally:
            hook.remove()


class Inception(_Fidelity):
    """The network of the published FID and Inception Score (TF, 2015-12-05), images resized bilinearly inside."""

    name, theirs = "inception", "inception-v3-compat"
    rows_name, logits_name = "2048", "logits_unbiased"
    classifies = True
    resize = "bilinear299"
    mean, deviation = (128.0,) * 3, (128.0,) * 3
    url = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
    shapes: ClassVar = {"Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3), "fc.weight": (1008, 2048)}


class InceptionPillowBicubic(Inception):
    """The same network after a bicubic Pillow resize, as mmgeneration evaluates."""

    name = "inception-pillow-bicubic"
    resize = "pillowbicubic299"

    def _prepared(self, images: Tensor) -> Tensor:
        """Resize as Pillow does; floats as it would without rounding."""
        if images.is_floating_point():
            return F.interpolate(images, size=(_SIDE, _SIDE), mode="bicubic", antialias=True).clamp(0, 255)
        resized = [
            np.asarray(Image.fromarray(image).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
            for image in images.permute(0, 2, 3, 1).cpu().numpy()
        ]
        return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).to(self.device)


class DinoV2(_Fidelity):
    """DINOv2 ViT-L/14 (Oquab et al. 2023), as for FD-DINOv2 (Stein et al. 2023)."""

    name, theirs, rows_name, resize = "dinov2", "dinov2-vit-l-14", "dinov2", "bilinear224"
    url = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth"
    most = 2**31
    shapes: ClassVar = {
        "cls_token": (1, 1, 1024),
        "pos_embed": (1, 1370, 1024),
        "patch_embed.proj.weight": (1024, 3, 14, 14),
        "blocks.23.mlp.fc2.weight": (1024, 4096),
    }

    def _network(self, names: list[str], weights: Weights) -> Any:
        """Build the network by our own code: torch-fidelity would fetch a repository's newest, and run it unseen."""

        def build(kind: Any) -> Any:
            from torch_fidelity.feature_extractor_base import FeatureExtractorBase

            class Restored(kind):  # type: ignore[misc]  # a base that is known only when the extra is installed
                def __init__(self) -> None:
                    FeatureExtractorBase.__init__(self, DinoV2.theirs, names)
                    self.feature_extractor_internal_dtype = torch.float32
                    self.model = VisionTransformer(TransformerShape())
                    load_into(self.model, weights, "DINOv2 ViT-L/14")

            return Restored()

        return _built(self.theirs, weights, build)


class Clip(_Fidelity):
    """CLIP ViT-B/32 (Radford et al. 2021)."""

    name, theirs, rows_name, resize = "clip", "clip-vit-b-32", "clip", "bilinear224"
    mean = tuple(255 * share for share in (0.48145466, 0.4578275, 0.40821073))
    deviation = tuple(255 * share for share in (0.26862954, 0.26130258, 0.27577711))
    url = f"https://openaipublic.azureedge.net/clip/models/{_CLIP_SHA256}/ViT-B-32.pt"
    published = _CLIP_SHA256
    shapes: ClassVar = {
        "visual.conv1.weight": (768, 3, 32, 32),
        "visual.class_embedding": (768,),
        "visual.positional_embedding": (50, 768),
        "visual.proj": (768, 512),
        "text_projection": (512, 512),
        **{f"visual.transformer.resblocks.{layer}.attn.in_proj_weight": (3 * 768, 768) for layer in range(12)},
    }

    def _network(self, names: list[str], weights: Weights) -> Any:
        """Build the network around tensors: torch-fidelity itself would run the archive that they came in."""
        tensors = weights.tensors

        def build(kind: Any) -> Any:
            from torch_fidelity.feature_extractor_base import FeatureExtractorBase
            from torch_fidelity.feature_extractor_clip import build_model

            class Restored(kind):  # type: ignore[misc]  # a base that is known only when the extra is installed
                def __init__(self) -> None:
                    FeatureExtractorBase.__init__(self, Clip.theirs, names)
                    self.feature_extractor_internal_dtype = torch.float32
                    self.model = build_model(dict(tensors), torch.float32)
                    self.resolution = self.model.visual.input_resolution

            return Restored()

        return _built(self.theirs, weights, build)


class Vgg16(_Fidelity):
    """VGG16 (Simonyan and Zisserman 2014), the features of precision and recall (Kynkäänniemi et al. 2019)."""

    name, theirs, rows_name, resize = "vgg16", "vgg16", "fc2_relu", "bilinear224"
    url = "https://download.pytorch.org/models/vgg16-397923af.pth"
    shapes: ClassVar = {"features.0.weight": (64, 3, 3, 3), "classifier.6.weight": (1000, 4096)}


def _built(name: str, weights: Weights, build: Callable[[Any], Any]) -> Any:
    """Return what ``build`` makes of torch-fidelity's class ``name``."""
    try:
        from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
    except ImportError as error:
        raise UserError(
            'these features come from torch-fidelity: pip install "biggan-torch[metrics]", or choose the features '
            "'classifier', which need nothing"
        ) from error
    try:
        return build(FEATURE_EXTRACTORS_REGISTRY[name])
    except UserError:
        raise
    except Exception as error:  # whatever a foreign library makes of weights that do not fit
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{name}: {weights.where}: does not fit ({reason}). Give the right file, or choose the features "
            "'classifier', which need none."
        ) from error
