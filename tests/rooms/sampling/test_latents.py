"""From seeds to latents."""

from __future__ import annotations

import pytest
import torch

from biggan.foundation.errors import UserError
from biggan.sampling.latents import TRUNCATION_KINDS, latents


@pytest.mark.parametrize("kind", TRUNCATION_KINDS)
@pytest.mark.parametrize("truncation", [0.05, 0.5, 1.0, 2.0])
def test_truncation(kind: str, truncation: float) -> None:
    z, whole = latents(range(200), 16, truncation, kind), latents(range(200), 16)
    assert z.dtype == torch.float32
    assert float(z.abs().max()) <= truncation * {"tfhub": 2.0, "scale": 6.0}.get(kind, 1.0) + 1e-6
    inside = whole.abs() <= truncation
    if kind == "resample":
        assert torch.equal(z[inside], whole[inside]), "values within are not redrawn"
        bound = torch.tensor(truncation)
        expected = float(torch.erf(bound / 2**0.5) - bound * torch.exp(-(bound**2) / 2) * (2 / torch.pi) ** 0.5)
        expected /= float(torch.erf(bound / 2**0.5))  # variance of the truncated normal
        assert abs(float(z.var()) - expected) < 0.05 * expected
    elif kind == "clamp":
        assert torch.equal(z, whole.clamp(-truncation, truncation))
    elif kind == "scale":
        assert torch.equal(z, whole * truncation)
    else:
        assert torch.allclose(z, latents(range(200), 16, 2.0, "resample") * truncation)
        assert abs(float(z.std()) - 0.88 * truncation) < 0.03 * truncation


def test_a_seed_is_a_latent() -> None:
    assert torch.equal(latents([5, 9, 5], 24)[[0, 2]], latents([5], 24).expand(2, -1))
    assert torch.equal(latents([3, 8], 24, 0.3)[1:], latents([8], 24, 0.3))
    assert not torch.equal(latents([1], 24), latents([2], 24))
    assert latents([2**40], 24).shape == (1, 24)
    assert latents([], 24).shape == (0, 24)


def test_what_no_truncation_is() -> None:
    with pytest.raises(UserError, match="nearest: resample"):
        latents([1], 4, 0.5, "resampling")
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="--truncation"):
            latents([1], 4, wrong)
    with pytest.raises(UserError, match="not negative"):
        latents([-1], 4)
