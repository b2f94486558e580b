"""Terms and losses, by value, against what the functions of others return for the same numbers.

The data say of each value which function of which repository gave it; what those draw at random was what we draw. Where
they count the same chance from its other end, which is as likely, they were given it so: the sign of DiffAugment's
shifts, and of the shift to the side of an image that CR mirrors.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.losses.consistency import moved
from biggan.losses.lecam import LeCam
from biggan.losses.scene import Scene
from biggan.losses.terms import TERMS, Acting, Phase, Term, parse_terms
from biggan.losses.top_k import TopK
from tests.rooms.losses import closed_form
from tests.rooms.losses.closed_form import CHANNELS, HEIGHT, LABELS, WIDTH, N, Scaled, reals, scene, waves

CPU = torch.device("cpu")
STORED = json.loads((Path(__file__).parents[2] / "data" / "terms_by_others.json").read_text())
EXACT = {"rel": 1e-12, "abs": 1e-13}


def value(name: str) -> Any:
    return STORED[name]["value"]


def begun(word: str) -> Term:
    (term,) = parse_terms([word]).values()
    term.begin(CPU)
    return term


def loss_of(word: str, phase: Phase = "discriminator") -> float:
    found = begun(word).loss(scene(phase))
    assert found is not None
    return float(found.detach())


@pytest.mark.parametrize("name", ["hinge", "softplus", "least-squares", "wasserstein"])
def test_losses(name: str) -> None:
    on_stage, loss = scene(), ADVERSARIAL_LOSSES[name]()
    assert on_stage.on_reals is not None
    parts = loss.discriminator(on_stage.on_fakes, on_stage.on_reals)
    assert float(sum(parts)) == pytest.approx(value(f"loss/{name}/discriminator"), **EXACT)
    assert float(loss.generator(on_stage.on_fakes)) == pytest.approx(value(f"loss/{name}/generator"), **EXACT)


def on_pairs() -> Scene:
    """Return the scene with fakes of the classes of their reals."""
    whole = scene()
    fakes = whole.stage.generator(whole.latents, LABELS)
    pairs = dataclasses.replace(whole, fakes=fakes, fake_labels=LABELS)
    pairs.judge()
    return pairs


def test_the_relativistic_loss_and_r2_are_r3gans() -> None:
    pairs, loss = on_pairs(), ADVERSARIAL_LOSSES["relativistic"]()
    assert pairs.on_reals is not None
    parts = loss.discriminator(pairs.on_fakes, pairs.on_reals)
    assert float(sum(parts)) == pytest.approx(value("relativistic/discriminator"), **EXACT)
    of_generator = loss.generator(pairs.on_fakes, pairs.on_reals)
    assert float(of_generator) == pytest.approx(value("relativistic/generator"), **EXACT)
    penalty = begun("r2").loss(pairs)
    assert penalty is not None
    assert float(penalty.detach()) == pytest.approx(value("r2"), rel=1e-12)


def test_the_updates_of_r3gan_have_its_gradients() -> None:
    """The relativistic loss with R1 and R2 for D, and the loss for G: of numbers that scale the networks."""
    on_d, on_g = value("r3gan/gradients")
    D, G, loss = Scaled(closed_form.D()), Scaled(closed_form.G()), ADVERSARIAL_LOSSES["relativistic"]()
    acting = [Acting(name, begun(name), 0.1) for name in ("r1", "r2")]
    for phase, network, expected in (("discriminator", D, on_d), ("generator", G, on_g)):
        stage = dataclasses.replace(
            scene().stage,
            phase=phase,
            G=G,
            D=D.judge,
            plainly=D.judge,
            generator=G,
            discriminator=D,
            acting=acting if phase == "discriminator" else (),
            compares=True,
        )
        pairs = dataclasses.replace(on_pairs(), stage=stage, fakes=G(closed_form.latents(), LABELS))
        if phase == "discriminator":
            pairs.fakes = pairs.fakes.detach()
        pairs.judge()
        found = getattr(loss, phase)(*pairs.verdicts)
        pairs.total(sum(found) if isinstance(found, tuple) else found).backward()
        assert network.by.grad is not None
        assert float(network.by.grad) == pytest.approx(expected, rel=1e-11)
        D.by.grad = None


def test_the_classifier_is_studiogans() -> None:
    on_stage = scene()
    assert on_stage.on_reals is not None
    logits = waves(N, 3, pace=0.8, size=2.0)
    on_stage.on_reals = on_stage.on_reals._replace(outputs={"ac": logits})
    found = begun("ac").loss(on_stage)
    assert found is not None
    assert float(found) == pytest.approx(value("ac"), **EXACT)


@pytest.mark.parametrize(
    ("word", "name"),
    [("r1", "r1"), ("gp", "gp"), ("cr", "cr"), ("bcr", "bcr"), ("zcr", "zcr/discriminator")],
)
def test_terms_of_d(word: str, name: str) -> None:
    # The root of gp has 1e-12 below it, which its gradient needs where it is 0.
    assert loss_of(word) == pytest.approx(value(name), rel=1e-11)


def test_latent_consistency_of_g() -> None:
    assert loss_of("zcr", "generator") == pytest.approx(value("zcr/generator"), **EXACT)


def test_images_are_moved_as_others_move_them() -> None:
    pixels = torch.arange(N * HEIGHT * WIDTH).view(N, 1, HEIGHT, WIDTH)
    found = moved(pixels, scene().chance.apart("consistency of reals"), shift=0.125, mirror=True)
    assert found.flatten().tolist() == value("cr/moved")


def test_lecam_is_that_of_its_authors_one_update_late() -> None:
    """Theirs moves the averages by a batch before the loss of that batch is taken, ours after."""
    term = LeCam(decay=0.9, start=1)
    term.begin(CPU)
    for i, theirs in enumerate(value("lecam")):
        on_stage = _scored(i)
        before = {key: float(value) for key, value in term.state.items()}
        found = term.loss(on_stage)
        assert found is not None
        if i == 0:
            assert float(found) == 0, "there is nothing to go by yet"
        else:
            above = torch.relu(on_stage.on_reals.score - before["fake"]).square().mean()  # type: ignore[union-attr]
            below = torch.relu(before["real"] - on_stage.on_fakes.score).square().mean()
            assert float(found) == pytest.approx(float(above + below), rel=1e-6)
        term.after(on_stage.stage.sums, torch.tensor(float(N)), torch.ones(()))
        # Averages are the same, in float32; and at these the loss of the same batch is theirs.
        assert float(term.state["real"]) == pytest.approx(theirs["real"], rel=1e-5, abs=1e-6)
        assert float(term.state["fake"]) == pytest.approx(theirs["fake"], rel=1e-5, abs=1e-6)
        again = term.loss(_scored(i))
        assert again is not None
        assert float(again) == pytest.approx(theirs["loss"], rel=1e-5, abs=1e-6)


def _scored(i: int) -> Scene:
    """Return the scene whose scores have drifted for ``i`` updates."""
    on_stage = scene()
    assert on_stage.on_reals is not None
    on_stage.on_reals = on_stage.on_reals._replace(score=on_stage.on_reals.score + 0.1 * i)
    on_stage.on_fakes = on_stage.on_fakes._replace(score=on_stage.on_fakes.score - 0.2 * i)
    return on_stage


def test_diffaugment() -> None:
    chance, weights = scene().chance, waves(CHANNELS, HEIGHT, WIDTH, pace=0.37)

    def seen(policy: str, images: Tensor) -> Tensor:
        return begun(f"diffaugment,policy={policy}").view(images, chance, 1.0)

    sums = (seen("color", reals()) * weights).flatten(1).sum(dim=1)
    assert sums.tolist() == pytest.approx(value("diffaugment/color"), rel=1e-11)
    pixels = torch.arange(1, N * CHANNELS * HEIGHT * WIDTH + 1).double().view(N, CHANNELS, HEIGHT, WIDTH)
    for policy in ("translation", "cutout"):
        assert seen(policy, pixels)[:, 0].flatten().tolist() == value(f"diffaugment/{policy}"), policy


def test_k_of_top_k() -> None:
    """Theirs is rounded down where it is used, not where it falls; so is ours."""
    term = TopK(epoch=10)
    assert [term.k(100, 10 * epoch) for epoch in range(80)] == value("top-k/k")


def test_top_k() -> None:
    on_stage = scene("generator")
    term = TopK(epoch=1, gamma=0.5)
    on_stage.stage = dataclasses.replace(on_stage.stage, acting=(Acting("top-k", term, 1.0),), clock=1)
    loss = ADVERSARIAL_LOSSES["hinge"]().generator(*on_stage.verdicts)
    assert float(loss) == pytest.approx(value("top-k/loss"), **EXACT)


def test_pseudo_augmentation_but_for_labels() -> None:
    """The images are theirs; theirs keep the labels of the reals, ours bring their own."""
    on_stage = scene()
    found = begun("apa,p=0.5").reals(on_stage)
    assert found is not None
    images, labels = found
    sums = (images * waves(CHANNELS, HEIGHT, WIDTH, pace=0.37)).flatten(1).sum(dim=1)
    assert sums.tolist() == pytest.approx(value("apa"), **EXACT)
    taken = (images == on_stage.fakes).flatten(1).all(dim=1)
    assert taken.any()
    assert torch.equal(labels, torch.where(taken, closed_form.FAKE_LABELS, closed_form.LABELS))


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
def test_latent_optimisation(phase: Phase) -> None:
    """Where nothing is clipped; of StudioGAN's cost, which it adds to the losses of both, ours is G's."""
    on_stage = scene(phase)
    term = begun("logan,share=1")
    on_stage.stage = dataclasses.replace(on_stage.stage, acting=(Acting("logan", term, 0.1),))
    on_stage.change()
    for found, expected in zip(on_stage.latents.tolist(), value("logan/latents"), strict=True):
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-12)
    cost = term.loss(on_stage)
    if phase == "discriminator":
        assert cost is None
    else:
        assert cost is not None
        assert float(cost.detach()) == pytest.approx(value("logan/cost"), rel=1e-11)


def test_every_term_and_loss_has_numbers_of_others() -> None:
    """Those of orthogonal regularisation are the weights that BigGAN-PyTorch comes to."""
    words = {key.removeprefix("update/").removeprefix("loss/") for key in STORED}
    known = {word.split("/")[0].split(" ")[0] for word in words}
    floods = {f"{side}-{kind}" for side in "dg" for kind in ("flood", "stop") if kind in known}
    assert set(TERMS) - known - floods == {"orthogonal", "d-orthogonal"}
    assert set(ADVERSARIAL_LOSSES) <= known
    updated = {key.removeprefix("update/") for key in STORED if key.startswith("update/")}
    # R2 and the relativistic loss are in the updates of R3GAN; StudioGAN's D2D-CE is another loss than the paper's.
    assert set(TERMS) - updated - floods == {"orthogonal", "d-orthogonal", "r2", "d2d-ce"}
    assert set(ADVERSARIAL_LOSSES) - updated == {"relativistic"}


def test_all_say_where_they_are_from() -> None:
    for name, stored in STORED.items():
        assert "/" in stored["from"], name
