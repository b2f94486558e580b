"""Spectral normalisation (Miyato et al. 2018, algorithm 1) with any number of tracked singular values.

Letters: W weight viewed as [rows, columns], rows being the filters; u left and v right singular vectors, as rows.

In training every forward makes ``iterations`` power iterations and stores u. In evaluation one is made from the
stored u and nothing is stored, so that sigma is the same function of (W, u) in both modes. The gradient flows
through sigma = v W' u' with u and v held constant.

PyTorch's own spectral norm stores v as well and evaluates with both as they are. Weights that were trained with it mean
other images otherwise, so a layer can be told to do the same (:func:`keep_right_vectors`).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.precision import at_least_float32, narrows, without_autocast


@dataclass(frozen=True, kw_only=True)
class PowerIteration:
    """How the singular values of one layer are estimated."""

    singular_values: int = 1
    iterations: int = 1
    eps: float = 1e-6


def orthogonalize(vector: Tensor, others: list[Tensor]) -> Tensor:
    """Subtract from ``vector`` [1, n] its projections onto ``others`` (Gram-Schmidt, one after the other)."""
    for other in others:
        vector = vector - (vector @ other.T) * other / (other @ other.T)
    return vector


class Division(NamedTuple):
    """weight / sigma, and by what it was divided."""

    weight: Tensor
    """In the weight's precision but at least float32."""
    u: Tensor
    """[1, rows]."""
    v: Tensor
    """[1, columns], in the order of :meth:`SpectrallyNormalized.matrix`."""
    sigma: Tensor
    """u W v', a number."""


class SpectrallyNormalized(nn.Module, ABC):
    """Mixin for a layer with a ``weight``: adds the buffers ``u`` [k, rows] and ``sigma`` [k].

    ``sigma`` holds the k largest singular values as of the last training forward; it is a log, never an input.
    """

    weight: Tensor
    u: Tensor
    sigma: Tensor
    v: Tensor | None
    power: PowerIteration
    still: bool = False
    """While passes leave u, v and sigma as they are, see :mod:`biggan.layers.standing_still`."""
    held: Tensor | None
    """The normalised weight while it is held for a whole phase, see :mod:`biggan.layers.held_weights`."""

    def track_singular_values(self, power: PowerIteration) -> None:
        """Create the buffers; call at the end of ``__init__``."""
        self.power = power
        self.held = None
        self.register_buffer("u", torch.randn(power.singular_values, self.weight.shape[0]))
        self.register_buffer("sigma", torch.ones(power.singular_values))
        self.v = None

    def keep_right_vectors(self) -> None:
        """Add the buffer ``v`` [k, columns]; evaluation then uses u and v as the last training forward left them."""
        del self.v
        self.register_buffer("v", torch.randn(self.power.singular_values, self.weight[0].numel()))

    def normalized_weight(self) -> Tensor:
        """Return weight / sigma, in the weight's precision but at least float32; or the one that is held."""
        if self.held is not None:
            return self.held
        return self.divided().weight

    def divided(self) -> Division:
        """Divide the weight; training iterates, once whatever for."""
        with without_autocast(self.weight):
            weight = at_least_float32(self.weight)
            W = self.matrix(weight)
            left, right = self.vectors(W)
            sigma = torch.squeeze(right[0] @ W.T @ left[0].T)
            self.log(W, sigma, left, right)
            return Division(weight / sigma, left[0], right[0], sigma)

    def matrix(self, weight: Tensor) -> Tensor:
        """Return ``weight`` as [rows, columns], without a copy where that can be.

        Filters that lie with the channels innermost are read as they lie: then columns come in another order, which
        changes neither u nor sigma. Where v is stored it has the usual order.
        """
        return weight.permute(0, 2, 3, 1).flatten(1) if self._lies_channels_last() else weight.flatten(1)

    def unfolded(self, matrix: Tensor) -> Tensor:
        """Return a ``matrix`` of that order in the shape of the weight, the inverse of :meth:`matrix`."""
        if self._lies_channels_last():
            rows, columns, height, width = self.weight.shape
            return matrix.reshape(rows, height, width, columns).permute(0, 3, 1, 2)
        return matrix.reshape(self.weight.shape)

    def _lies_channels_last(self) -> bool:
        return self.weight.ndim == 4 and self.v is None and not self.weight.is_contiguous()

    @torch.no_grad()
    def vectors(self, W: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the singular vectors u [1, rows] and v [1, columns] by the first of which this mode divides.

        Training iterates, and stores what it finds.
        """
        if self.training and not self.still:
            for _ in range(self.power.iterations):
                left, right = self._iterate(W)
                self.u.copy_(torch.cat(left))
                if self.v is not None:
                    self.v.copy_(torch.cat(right))
            return left, right
        if self.v is not None:
            return [self.u[:1].to(W.dtype)], [self.v[:1].to(W.dtype)]
        return self._iterate(W)

    @torch.no_grad()
    def log(self, W: Tensor, sigma: Tensor, left: list[Tensor], right: list[Tensor]) -> None:
        """Keep the singular values as of a training forward; the first is ``sigma``."""
        if self.training and not self.still:
            values = [torch.squeeze(v @ W.T @ u.T) for u, v in zip(left[1:], right[1:], strict=True)]
            self.sigma.copy_(torch.stack([sigma.detach(), *values]))

    @abstractmethod
    def plain(self) -> nn.Module:
        """Return an ordinary layer that computes what this one does in evaluation, with :meth:`normalized_weight`."""

    @torch.no_grad()
    def _iterate(self, W: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Make one power iteration from the stored u; return the new left and right vectors, each [1, n]."""
        left: list[Tensor] = []
        right: list[Tensor] = []
        for u in torch.split(self.u.to(W.dtype), 1):
            right.append(F.normalize(orthogonalize(u @ W, right), eps=self.power.eps))
            left.append(F.normalize(orthogonalize(right[-1] @ W.T, left), eps=self.power.eps))
        return left, right


class SpectralConv2d(SpectrallyNormalized, nn.Conv2d):
    """2-D convolution, stride 1, "same" zero padding, spectrally normalised: [N, C, H, W] -> [N, C', H, W]."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, power: PowerIteration, *, bias: bool = True, groups: int = 1
    ) -> None:
        nn.Conv2d.__init__(self, inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
        self.track_singular_values(power)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve."""
        weight = self.normalized_weight()
        if weight.dtype != input.dtype and not narrows(input):  # one that is held narrow, in a pass that is not
            weight = weight.to(input.dtype)
        return self._conv_forward(input, weight, self.bias)

    def plain(self) -> nn.Module:
        """Return the convolution."""
        size, padding = (self.kernel_size[0], self.kernel_size[1]), (self.kernel_size[0] // 2, self.kernel_size[1] // 2)
        bias, groups = self.bias is not None, self.groups
        layer = nn.Conv2d(self.in_channels, self.out_channels, size, padding=padding, groups=groups, bias=bias)
        return _given(layer, self)


class SpectralLinear(SpectrallyNormalized, nn.Linear):
    """Linear layer, spectrally normalised: [N, n] -> [N, m]."""

    def __init__(self, inputs: int, outputs: int, power: PowerIteration, *, bias: bool = True) -> None:
        nn.Linear.__init__(self, inputs, outputs, bias=bias)
        self.track_singular_values(power)

    def forward(self, input: Tensor) -> Tensor:
        """Multiply and add."""
        return F.linear(input, self.normalized_weight(), self.bias)

    def plain(self) -> nn.Module:
        """Return the linear layer."""
        return _given(nn.Linear(self.in_features, self.out_features, bias=self.bias is not None), self)


class ClassTable(nn.Embedding):
    """A row for each class: labels int64 [N], or weights of the classes [N, K], -> [N, n].

    Weights that sum to one are a mixture of classes; a one-hot row is that class exactly.
    """

    def table(self) -> Tensor:
        """Return the rows [K, n]."""
        return self.weight

    def forward(self, input: Tensor) -> Tensor:
        """Look up or mix."""
        return input @ self.table() if input.is_floating_point() else F.embedding(input, self.table())


class SpectralClassTable(SpectrallyNormalized, ClassTable):
    """A class table, spectrally normalised; u has one entry a class."""

    def __init__(self, classes: int, size: int, power: PowerIteration) -> None:
        ClassTable.__init__(self, classes, size)
        self.track_singular_values(power)

    def table(self) -> Tensor:
        """Return the normalised rows [K, n]."""
        return self.normalized_weight()

    def plain(self) -> nn.Module:
        """Return the table."""
        return _given(ClassTable(self.num_embeddings, self.embedding_dim), self)


def _given(layer: nn.Module, normalized: SpectrallyNormalized) -> nn.Module:
    """Return ``layer`` with the weight that ``normalized`` computes with in its mode, and its bias."""
    with torch.no_grad():
        layer.weight = nn.Parameter(normalized.normalized_weight().detach(), requires_grad=False)
    bias = getattr(normalized, "bias", None)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer


def without_spectral_norm(network: nn.Module) -> nn.Module:
    """Return a copy of ``network``, for evaluation only, whose weights are divided by their singular values already.

    Its spectrally normalised layers are ordinary ones; what it computes is, to the bit, what ``network`` does in
    evaluation.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for name, layer in spectrally_normalized(folded).items():
        parent, _, leaf = name.rpartition(".")
        setattr(folded.get_submodule(parent), leaf, layer.plain())
    return folded.eval()


@dataclass(frozen=True)
class LayerFactory:
    """Makes the layers of one network, all spectrally normalised alike or all plain (``power`` None)."""

    power: PowerIteration | None

    def conv(self, inputs: int, outputs: int, kernel: int = 3, *, bias: bool = True, groups: int = 1) -> nn.Module:
        """Return a "same" convolution; a normalised one of several groups is divided as one matrix."""
        if self.power is None:
            return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
        return SpectralConv2d(inputs, outputs, kernel, self.power, bias=bias, groups=groups)

    def linear(self, inputs: int, outputs: int, *, bias: bool = True) -> nn.Module:
        """Return a linear layer."""
        if self.power is None:
            return nn.Linear(inputs, outputs, bias=bias)
        return SpectralLinear(inputs, outputs, self.power, bias=bias)

    def class_table(self, classes: int, size: int) -> nn.Module:
        """Return a class table."""
        return ClassTable(classes, size) if self.power is None else SpectralClassTable(classes, size, self.power)


def spectrally_normalized(network: nn.Module) -> dict[str, SpectrallyNormalized]:
    """Return the spectrally normalised layers of ``network`` by name."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, SpectrallyNormalized)}


def keep_right_vectors(network: nn.Module, patterns: Sequence[str]) -> None:
    """Let the layers whose names match one of ``patterns`` (``*`` any text) evaluate with stored vectors."""
    for name, layer in spectrally_normalized(network).items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            layer.keep_right_vectors()


def singular_values(network: nn.Module) -> dict[str, Tensor]:
    """Return the tracked singular values of every layer, float [k] each, as of the last training forward."""
    return {name: layer.sigma.detach() for name, layer in spectrally_normalized(network).items()}
