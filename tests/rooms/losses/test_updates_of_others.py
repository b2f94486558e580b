"""Updates, by value, against those that the functions of others give for the same numbers.

D and G are formulas times a number each: what the update of one of them is, is the gradient to that number. It shows
what a loss of the same value hides: what is a constant to whom. The data say which function of which repository gave
it; what those draw at random was what we draw.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.foundation.chance import Chance
from biggan.layers.heads import Verdict
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.losses.contrastive import ConditionalContrastive
from biggan.losses.lecam import LeCam
from biggan.losses.multi_hinge import crammer_singer
from biggan.losses.scene import Scene
from biggan.losses.terms import Acting, Phase, Term, parse_terms
from tests.rooms.losses import closed_form
from tests.rooms.losses.closed_form import FAKE_LABELS, LABELS, N, Scaled, latents, reals, waves

F64 = torch.float64
CPU = torch.device("cpu")
STORED = json.loads((Path(__file__).parents[2] / "data" / "terms_by_others.json").read_text())
PHASES: tuple[Phase, ...] = ("discriminator", "generator")
NEAR = {"rel": 1e-9, "abs": 1e-13}
HEADS = {"ac": 3, "adc": 6}


def value(name: str) -> Any:
    return STORED[name]["value"]


def acting(words: tuple[str, ...]) -> list[Acting]:
    return [Acting(name, term, term.weight.at(0)) for name, term in map(begun, words)]


def begun(word: str) -> tuple[str, Term]:
    ((name, term),) = parse_terms([word]).items()
    term.begin(CPU)
    return name, term


def scene(
    phase: Phase, *words: str, heads: Mapping[str, int] | None = None, fake_labels: Tensor = FAKE_LABELS
) -> tuple[Scene, nn.Parameter]:
    """Return a scene of formulas that learn, judged as the terms would have it, and the number that learns."""
    D, G = Scaled(closed_form.D(), heads), Scaled(closed_form.G())
    plain = closed_form.scene(phase)
    stage = dataclasses.replace(
        plain.stage, G=G, D=D.judge, plainly=D.judge, generator=G, discriminator=D, acting=acting(words), compares=False
    )
    fakes = G(latents(), fake_labels)
    found = dataclasses.replace(
        plain, stage=stage, fakes=fakes if phase == "generator" else fakes.detach(), fake_labels=fake_labels
    )
    found.change()
    found.judge()
    return found, G.by if phase == "generator" else D.by


def slope(loss: Tensor | None, number: nn.Parameter) -> float:
    assert loss is not None
    (found,) = torch.autograd.grad(loss, number)
    return float(found)


def of_both(make: Callable[[Phase], tuple[Tensor | None, nn.Parameter]]) -> list[float]:
    """Return the updates of D and of G."""
    return [slope(*make(phase)) for phase in PHASES]


def of_loss(name: str, on_stage: Scene) -> Tensor:
    found = getattr(ADVERSARIAL_LOSSES[name](), on_stage.stage.phase)(*on_stage.verdicts)
    return sum(found) if isinstance(found, tuple) else found  # type: ignore[return-value]


def of_term(word: str, **options: Any) -> Callable[[Phase], tuple[Tensor | None, nn.Parameter]]:
    def make(phase: Phase) -> tuple[Tensor | None, nn.Parameter]:
        on_stage, number = scene(phase, **options)
        return begun(word)[1].loss(on_stage), number

    return make


@pytest.mark.parametrize("name", ["hinge", "softplus", "least-squares", "wasserstein"])
def test_losses(name: str) -> None:
    def make(phase: Phase) -> tuple[Tensor, nn.Parameter]:
        on_stage, number = scene(phase)
        return of_loss(name, on_stage), number

    assert of_both(make) == pytest.approx(value(f"update/{name}"), **NEAR)


@pytest.mark.parametrize("name", ["r1", "gp", "cr", "bcr"])
def test_terms_of_d(name: str) -> None:
    assert slope(*of_term(name)("discriminator")) == pytest.approx(value(f"update/{name}"), **NEAR)


@pytest.mark.parametrize(("name", "heads"), [("zcr", None), ("ac", HEADS), ("adc", HEADS)])
def test_terms_of_both(name: str, heads: dict[str, int] | None) -> None:
    assert of_both(of_term(name, heads=heads)) == pytest.approx(value(f"update/{name}"), **NEAR)


def test_adc_by_value() -> None:
    found = [of_term("adc", heads=HEADS)(phase)[0] for phase in PHASES]
    assert [float(loss.detach()) for loss in found if loss is not None] == pytest.approx(value("adc"), **NEAR)


def test_feature_matching() -> None:
    loss, number = of_term("feature-matching")("generator")
    assert loss is not None
    assert float(loss.detach()) == pytest.approx(value("feature-matching"), **NEAR)
    assert slope(loss, number) == pytest.approx(value("update/feature-matching"), **NEAR)


def test_lecam() -> None:
    """Where the averages are 0.4 and 0.2, of scores that have drifted."""
    on_stage, number = scene("discriminator")
    assert on_stage.on_reals is not None
    on_stage.on_reals = on_stage.on_reals._replace(score=on_stage.on_reals.score + 0.1)
    on_stage.on_fakes = on_stage.on_fakes._replace(score=on_stage.on_fakes.score - 0.4)
    term = LeCam(start=1)
    term.begin(CPU)
    for name, number_of in (("real", 0.4), ("fake", 0.2), ("updates", 1.0)):
        term.state[name].fill_(number_of)
    # The averages are float32.
    assert slope(term.loss(on_stage), number) == pytest.approx(value("update/lecam"), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "word"),
    [("diffaugment", "diffaugment"), ("noise", "noise"), ("top-k", "top-k,epoch=1,gamma=0.5")],
)
def test_what_g_is_told_of_fakes_that_are_augmented_or_chosen(name: str, word: str) -> None:
    on_stage, number = scene("generator", word)
    if name == "top-k":
        on_stage.stage = dataclasses.replace(on_stage.stage, clock=1)
    tolerance = 1e-6 if name == "noise" else 1e-9  # ours is drawn in float32
    assert slope(of_loss("hinge", on_stage), number) == pytest.approx(value(f"update/{name}"), rel=tolerance)


def test_latent_optimisation_lets_g_learn_through_the_step() -> None:
    on_stage, number = scene("generator", "logan,share=1")
    cost = on_stage.stage.acting[0].term.loss(on_stage)
    assert cost is not None
    assert slope(of_loss("hinge", on_stage) + 0.1 * cost, number) == pytest.approx(value("update/logan"), **NEAR)


def test_pseudo_augmentation_where_fakes_have_the_labels_of_their_reals() -> None:
    on_stage, number = scene("discriminator", "apa,p=0.5", fake_labels=LABELS)
    assert slope(of_loss("hinge", on_stage), number) == pytest.approx(value("update/apa"), **NEAR)


def weighed(gradient: Tensor) -> float:
    return float((gradient * waves(*gradient.shape, pace=0.37)).sum())


def test_2c() -> None:
    rows = (torch.sin(1.7 * torch.arange(24, dtype=F64) + 0.3).view(6, 4) + 0.2).requires_grad_()
    labels = torch.tensor([0, 1, 2, 0, 1, 0])
    proxies = (torch.cos(2.3 * torch.arange(12, dtype=F64) + 0.1).view(3, 4) + 0.1)[labels].requires_grad_()
    both = torch.stack([F.normalize(rows, dim=1), F.normalize(proxies, dim=1)], dim=1)
    ConditionalContrastive(temperature=1.0).of(both, labels).backward()
    assert rows.grad is not None
    assert proxies.grad is not None
    assert [weighed(rows.grad), weighed(proxies.grad)] == pytest.approx(value("update/2c"), **NEAR)


def test_multi_hinge() -> None:
    outputs = (2 * torch.sin(0.9 * torch.arange(24, dtype=F64) + 0.5)).view(6, 4).requires_grad_()
    crammer_singer(outputs, torch.tensor([0, 1, 2, 0, 1, 0])).backward()
    assert outputs.grad is not None
    assert weighed(outputs.grad) == pytest.approx(value("update/multi-hinge"), **NEAR)


def of_squares(phase: Phase, *words: str) -> tuple[Scene, nn.Parameter]:
    """Return the scene of eight images of 16 x 16, of which the fakes are multiplied by the number that learns."""
    D, number = Scaled(closed_form.D(), {"rotation": 4}), nn.Parameter(torch.ones((), dtype=F64))
    fakes = torch.tanh(waves(8, 3, 16, 16, pace=0.23, size=1.5)) * number
    plain = closed_form.scene(phase)
    labels = torch.zeros(8, dtype=torch.int64)
    stage = dataclasses.replace(plain.stage, D=D.judge, plainly=D.judge, discriminator=D, acting=acting(words))
    found = dataclasses.replace(
        plain,
        stage=stage,
        fakes=fakes if phase == "generator" else fakes.detach(),
        fake_labels=labels,
        reals=waves(8, 3, 16, 16, pace=0.11, size=0.9),
        labels=labels,
        chance=Chance(7, 0, torch.arange(8)),
    )
    found.judge()
    return found, number if phase == "generator" else D.by


def test_ada() -> None:
    """Theirs has zeros beyond the part that it mirrors, which reach into an image by some 1e-5."""
    on_stage, number = of_squares("generator", "ada,p=0.4")
    assert slope(of_loss("hinge", on_stage), number) == pytest.approx(value("update/ada"), rel=5e-5)


def test_penalties_are_to_the_image_before_it_is_augmented() -> None:
    """R1 and R2 where D sees images by ADA, and the whole update of R3GAN's D."""
    on_stage, number = of_squares("discriminator", "ada,p=0.4")
    penalties = [begun(name)[1].loss(on_stage) for name in ("r1", "r2")]
    assert all(penalty is not None for penalty in penalties)
    found = [float(penalty.detach()) for penalty in penalties if penalty is not None]
    *theirs, update = value("r3gan/augmented")
    assert found == pytest.approx(theirs, rel=5e-5)
    total = of_loss("relativistic", on_stage) + 0.1 * sum(penalty for penalty in penalties if penalty is not None)
    assert slope(total, number) == pytest.approx(update, rel=5e-5)
    # To what D sees it would be another number.
    seen = dataclasses.replace(
        on_stage, reals=on_stage.view(on_stage.reals, "reals"), stage=of_squares("discriminator")[0].stage
    )  # type: ignore[arg-type]
    other = begun("r1")[1].loss(seen)
    assert other is not None
    assert abs(float(other.detach()) - found[0]) > 0.01 * found[0]


@pytest.mark.parametrize("phase", PHASES)
def test_rotation(phase: Phase) -> None:
    """Of eight images we turn those of places 0 and 4; theirs, the last two of a batch, were given to be these."""
    on_stage, number = of_squares(phase)
    loss = begun("rotation")[1].loss(on_stage)
    which = PHASES.index(phase)
    assert loss is not None
    # Theirs adds 1e-10 to a probability before its logarithm is taken.
    assert float(loss.detach()) == pytest.approx(value("rotation")[which], rel=1e-7)
    assert slope(loss, number) == pytest.approx(value("update/rotation")[which], rel=1e-6)


@pytest.mark.parametrize("kind", ["flood", "stop"])
def test_floods_and_stops(kind: str) -> None:
    """By what gradients are multiplied at losses above and below the levels that are the defaults."""
    for level, *expected in value(kind):
        for word, factor in zip((f"d-{kind}", f"g-{kind}"), expected, strict=True):
            _, term = begun(word)
            network, loss = nn.Linear(2, 1), torch.tensor(level)
            for parameter in network.parameters():
                parameter.grad = torch.full_like(parameter, 3.0)
            term.gradients(network, loss, term.weight.at(0))
            stopped = term.stops(loss, term.weight.at(0))
            by = 0.0 if stopped is not None and bool(stopped) else 1.0
            for parameter in network.parameters():
                assert parameter.grad is not None
                assert (by * parameter.grad == 3.0 * factor).all(), (word, level)


def test_how_the_probability_of_ada_follows() -> None:
    """32 updates, in which D knows the reals, does not, and knows them again; p is float32 in both."""
    _, term = begun("ada,images=100")
    term.state["p"].fill_(0.5)
    found = []
    for update in range(1, 33):
        on_stage = closed_form.scene("discriminator")
        assert on_stage.on_reals is not None
        drift = 2 if update % 12 < 8 else -2
        on_stage.on_reals = on_stage.on_reals._replace(score=on_stage.on_reals.score + drift)
        term.loss(on_stage)
        term.after(on_stage.stage.sums, torch.tensor(float(N)), torch.ones(()))
        found.append(float(term.state["p"]))
    assert found == pytest.approx(value("ada/p"), abs=1e-6)
    assert len({round(p, 3) for p in found}) > 2, "it moved both ways"


def test_verdicts_of_these_networks_carry_their_heads() -> None:
    verdict = Scaled(closed_form.D(), HEADS).judge(reals(), LABELS)
    assert isinstance(verdict, Verdict)
    assert {name: list(found.shape) for name, found in verdict.outputs.items()} == {"ac": [N, 3], "adc": [N, 6]}
