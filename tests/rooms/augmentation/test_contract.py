"""What holds for every augmentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import biggan.augmentation
from biggan.augmentation.ada import COLOUR, AdaPipeline
from biggan.augmentation.contract import Augmentation
from biggan.augmentation.diffaugment import DiffAugment
from biggan.augmentation.moving import mean_of_images
from biggan.augmentation.noise import InstanceNoise
from biggan.foundation.chance import Chance
from biggan.foundation.errors import UserError

ALL: dict[str, Augmentation] = {
    "diffaugment": DiffAugment(),
    "ada": AdaPipeline(0.7),
    "ada, always": AdaPipeline(1.0),
    "ada, bilinear": AdaPipeline(1.0, resampling="bilinear"),
    "ada, tensor": AdaPipeline(torch.tensor(0.5)),
    "noise": InstanceNoise(0.2),
}
SHAPES = [(3, 8, 8), (1, 8, 8), (4, 9, 9), (3, 7, 12), (1, 16, 5), (2, 1, 6), (3, 1, 1)]
every = pytest.mark.parametrize("augmentation", ALL.values(), ids=ALL)


def chance(n: int, first: int = 0, clock: int = 640) -> Chance:
    return Chance(seed=5, clock=clock, places=torch.arange(first, first + n))


def images(n: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return (torch.rand(n, *shape, generator=generator, dtype=torch.float64) * 2 - 1).to(dtype)


@every
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shape_precision_and_division(augmentation: Augmentation, shape: tuple[int, ...]) -> None:
    x = images(12, *shape)
    whole = augmentation.view(x, chance(12))
    assert whole.shape == x.shape
    assert whole.isfinite().all()
    assert not torch.equal(whole, x)
    assert not torch.equal(whole, augmentation.view(x, chance(12, clock=641)))
    for first, n in ((0, 5), (5, 7), (3, 1)):
        assert torch.equal(augmentation.view(x[first : first + n], chance(n, first)), whole[first : first + n])
    places = torch.tensor([7, 2, 11])
    assert torch.equal(augmentation.view(x[places], Chance(5, 640, places)), whole[places])
    assert augmentation.view(x[:0], chance(0)).shape == (0, *shape)


@every
def test_precisions(augmentation: Augmentation) -> None:
    x = images(16, 3, 8, 8, dtype=torch.bfloat16)
    low = augmentation.view(x, chance(16))
    high = augmentation.view(x.float(), chance(16))
    assert low.dtype == torch.bfloat16
    assert torch.allclose(low.float(), high, rtol=2**-7, atol=2**-6), "rounded a few times at most"
    double = augmentation.view(x.double(), chance(16))
    assert double.dtype == torch.float64
    assert torch.allclose(double.float(), high, atol=1e-4)
    last = augmentation.view(x.float().contiguous(memory_format=torch.channels_last), chance(16))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert high.is_contiguous()
    assert torch.allclose(last, high, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augmentation.view(x.float(), chance(16)), high)


@pytest.mark.parametrize("name", ["diffaugment", "ada, always", "noise"])
@pytest.mark.parametrize("shape", [(3, 3, 3), (1, 2, 8), (1, 4, 5)], ids=str)
def test_gradients(name: str, shape: tuple[int, ...]) -> None:
    augmentation = ALL[name]
    x = images(1, *shape, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augmentation.view(x, chance(1)), x)
    assert torch.autograd.gradgradcheck(lambda x: augmentation.view(x, chance(1)) ** 3, x)


@pytest.mark.parametrize(
    "augmentation",
    [DiffAugment(("translation", "cutout")), AdaPipeline(1.0, COLOUR, "bilinear")],
    ids=["diffaugment", "ada"],
)
def test_what_moves_pixels_stays_in_range(augmentation: Augmentation) -> None:
    x = images(64, 3, 8, 8)
    assert augmentation.view(x, chance(64)).abs().max() <= 1
    assert torch.allclose(augmentation.view(torch.ones(64, 3, 8, 8), chance(64)).amax((1, 2, 3)), torch.ones(()))


@pytest.mark.parametrize(
    "nothing",
    [DiffAugment(()), AdaPipeline(0.0), AdaPipeline(torch.tensor(0.0)), InstanceNoise(0.0)],
    ids=["diffaugment", "ada", "ada, tensor", "noise"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_without_strength_images_are_themselves(nothing: Augmentation, dtype: torch.dtype) -> None:
    x = images(32, 3, 9, 9, dtype=dtype)
    x[:, :, ::2] = -0.0
    as_bits = torch.int32 if dtype == torch.float32 else torch.int16
    assert torch.equal(nothing.view(x, chance(32)).view(as_bits), x.view(as_bits))


@pytest.mark.parametrize("name", ["diffaugment", "ada, always"])
def test_gradients_do_not_show_the_division(name: str) -> None:
    """Large images and two threads: sums over an image alone are then cut in two, those of a batch are not."""
    augmentation = ALL[name]
    x, weights = images(4, 3, 104, 107).split(2)

    def gradient(first: int, n: int) -> Tensor:
        part = x[first : first + n].clone().requires_grad_()
        (augmentation.view(part, chance(n, first)) * weights[first : first + n]).sum().backward()
        assert part.grad is not None
        return part.grad

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together, alone = gradient(0, 2), torch.cat([gradient(k, 1) for k in range(2)])
        again = gradient(0, 2)
        means, mean = mean_of_images(x), torch.cat([mean_of_images(image[None]) for image in x])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(together, alone)
    assert torch.equal(together, again)
    assert torch.equal(means, mean)
    assert torch.allclose(means[:, 0, 0, 0], x.flatten(1).mean(dim=1), atol=1e-7)


@every
def test_nothing_waits_for_the_device(augmentation: Augmentation) -> None:
    """Tensors without values raise when one is read."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(4, 3, 8, 8)
        places = torch.empty(4, dtype=torch.int64)
        if isinstance(augmentation, AdaPipeline):
            augmentation = AdaPipeline(torch.empty(()))
        assert augmentation.view(x, Chance(5, 640, places)).shape == x.shape
        with pytest.raises(DataDependentOutputException):
            bool(x.sum() > 0)


@every
def test_torchs_generators_are_left_alone(augmentation: Augmentation) -> None:
    before = torch.get_rng_state()
    augmentation.view(images(4, 3, 8, 8), chance(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_no_other_chance() -> None:
    folder = Path(biggan.augmentation.__file__).parent
    files = sorted(folder.glob("**/*.py"))
    assert len(files) >= 5
    for file in files:
        found = re.search(
            r"\brand(n|int|perm|_like|n_like|int_like)?\(|manual_seed|\bGenerator\b|bernoulli|normal_\(|uniform_\(|dropout|grid_sample\(",
            file.read_text(),
        )
        assert found is None, (file, found)


def test_the_strength_moves() -> None:
    p, x = torch.tensor(0.0), images(32, 3, 8, 8)
    pipeline = AdaPipeline(p)
    assert torch.equal(pipeline.view(x, chance(32)), x)
    p.fill_(0.3)
    assert torch.equal(pipeline.view(x, chance(32)), AdaPipeline(0.3).view(x, chance(32)))
    assert torch.equal(AdaPipeline(torch.tensor(1.0)).view(x, chance(32)), AdaPipeline(1.0).view(x, chance(32)))


def test_what_is_off_is_said() -> None:
    assert DiffAugment().off(3, (32, 32)) == {}
    assert AdaPipeline(0.5).off(3, (32, 32)) == {}
    assert InstanceNoise(0.1).off(1, (3, 5)) == {}
    assert DiffAugment().off(1, (6, 32)) == {
        "saturation": "needs three channels, images have 1",
        "vertical translation": "an eighth of 6 px is less than a pixel",
    }
    assert DiffAugment(("cutout",)).off(4, (1, 2)) == {"cutout": "half of 1 px is less than a pixel"}
    assert DiffAugment(("translation",)).off(1, (8, 8)) == {}
    gray = AdaPipeline(0.5, without=("hue",)).off(1, (16, 24))
    assert gray.keys() == {"rotate90", "luma_flip", "saturation"}
    assert gray["rotate90"] == "needs square images, these are 16x24"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DiffAugment(("colour",)), "augmentation of DiffAugment 'colour'; nearest: color"),
        (lambda: DiffAugment(("color", "cutout", "color")), "color,cutout,color names color twice"),
        (lambda: AdaPipeline(0.5, without=("x-flip",)), "part of ADA 'x-flip'; nearest: xflip"),
        (lambda: AdaPipeline(0.5, resampling="wavelets"), "resampling of ADA 'wavelets'; nearest: wavelet"),  # type: ignore[arg-type]
        (lambda: AdaPipeline(1.5), "ADA's p is 1.5; give a probability"),
        (lambda: AdaPipeline(float("nan")), "ADA's p is nan"),
        (lambda: AdaPipeline(torch.zeros(1)), r"a tensor of shape \[1\]; give one without dimensions"),
        (lambda: InstanceNoise(-0.1), "sigma of instance noise is -0.1; give"),
        (lambda: InstanceNoise(float("inf")), "sigma of instance noise is inf"),
    ],
)
def test_mistakes_are_named(make: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        make()  # type: ignore[operator]
