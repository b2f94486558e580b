"""Losses of further heads, by value against others' functions and formulas written out; what is refused, and kept."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.layers.head_kinds import HEADS, PLAIN
from biggan.layers.heads import Verdict
from biggan.layers.spectral_norm import SpectrallyNormalized
from biggan.losses.adversarial import ADVERSARIAL_LOSSES, Hinge
from biggan.losses.consistency import apart
from biggan.losses.contrastive import ConditionalContrastive, DataToData
from biggan.losses.multi_hinge import MultiHinge, crammer_singer
from biggan.losses.terms import Acting, Phase, parse_terms
from biggan.models.contract import build
from biggan.training.resolving import resolve
from biggan.training.step import Objective
from biggan.training.update import Update
from tests.conftest import FAMILIES, tiny, tiny_config
from tests.rooms.training.test_step import CPU, FREE, make_inputs, make_state

F64 = torch.float64
STORED = json.loads((Path(__file__).parents[2] / "data" / "terms_by_others.json").read_text())
N, SIZE, K = 6, 4, 3
LABELS = torch.tensor([0, 1, 2, 0, 1, 0])


def embedded() -> Tensor:
    """Return embeddings and proxies [N, 2, SIZE] by a formula, of length 1."""
    rows = torch.sin(1.7 * torch.arange(N * SIZE, dtype=F64) + 0.3).view(N, SIZE) + 0.2
    table = torch.cos(2.3 * torch.arange(K * SIZE, dtype=F64) + 0.1).view(K, SIZE) + 0.1
    return torch.stack([F.normalize(rows, dim=1), F.normalize(table, dim=1)[LABELS]], dim=1)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_2c_is_studiogans(temperature: float) -> None:
    found = ConditionalContrastive(temperature=temperature).of(embedded(), LABELS)
    assert float(found) == pytest.approx(STORED[f"2c {temperature}"]["value"], rel=1e-12)


def data_to_data(temperature: float, m_p: float, *, row_maximum: bool) -> float:
    """Return D2D-CE image by image; with what StudioGAN takes off the negatives, where it is asked for."""
    embeddings, proxies = (part.tolist() for part in embedded().unbind(1))

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    total = 0.0
    for i in range(N):
        near = min(cosine(embeddings[i], proxies[i]) - m_p, 0) / temperature
        far = {j: (cosine(embeddings[i], embeddings[j]) - (1 - m_p)) / temperature for j in range(N) if j != i}
        off = max(far.values()) if row_maximum else 0.0
        others = sum(math.exp(max(value, 0) - off) for j, value in far.items() if LABELS[j] != LABELS[i])
        total += -near + math.log(math.exp(near) + others)
    return total / N


@pytest.mark.parametrize(("temperature", "m_p"), [(0.5, 0.98), (0.25, 0.9)])
def test_d2d_ce_is_the_papers_and_not_studiogans(temperature: float, m_p: float) -> None:
    found = float(DataToData(temperature=temperature, m_p=m_p).of(embedded(), LABELS))
    assert found == pytest.approx(data_to_data(temperature, m_p, row_maximum=False), rel=1e-12)
    theirs = STORED[f"d2d-ce {temperature} {m_p}"]["value"]
    assert theirs == pytest.approx(data_to_data(temperature, m_p, row_maximum=True), rel=1e-12)
    assert abs(found - theirs) > 0.05


def test_contrastive_losses_of_images_of_one_class_are_finite() -> None:
    output = embedded()[:2].requires_grad_()
    for term in (ConditionalContrastive(), DataToData()):
        for labels in (torch.tensor([1, 1]), torch.tensor([0, 1])):
            loss = term.of(output, labels)
            (gradient,) = torch.autograd.grad(loss, output)
            assert loss.isfinite()
            assert gradient.isfinite().all()


def test_multi_hinge_is_studiogans() -> None:
    outputs = (2 * torch.sin(0.9 * torch.arange(N * (K + 1), dtype=F64) + 0.5)).view(N, K + 1)
    verdict = Verdict(torch.zeros(N, 1, dtype=F64), torch.zeros(N, 1, dtype=F64), LABELS, {"multi-hinge": outputs})
    real, fake = STORED["multi-hinge/real"]["value"], STORED["multi-hinge/fake"]["value"]
    on_fakes, on_reals = MultiHinge().discriminator(verdict, verdict)
    assert float(on_fakes) == pytest.approx(fake, rel=1e-12)
    assert float(on_reals) == pytest.approx(real, rel=1e-12)
    assert float(MultiHinge().generator(verdict)) == pytest.approx(0.05 * real, rel=1e-12)
    assert float(crammer_singer(outputs, LABELS)) == pytest.approx(real, rel=1e-12)
    with pytest.raises(TypeError, match="needs verdicts"):
        MultiHinge().generator(verdict.score)


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
def test_classifiers_by_value(phase: Any) -> None:
    """Cross-entropy by its definition: of reals for D, of fakes for G; ADC's of the twin logits."""
    for name in ("ac", "adc"):
        a = tiny("biggan", discriminator_heads=("none", name), **FREE)
        state = make_state(a, F64)
        (d,) = make_inputs(a, dtype=F64).discriminator
        (term,) = parse_terms([name]).values()
        update = Update(1, CPU, acting=[Acting(name, term, 1.0)])
        stage = Objective(loss=ADVERSARIAL_LOSSES["hinge"]()).stage(
            phase, state, state.generator, state.discriminator.judge, update
        )
        fakes = state.generator(d.latents, d.fake_labels)
        images = d.images.to(CPU, non_blocking=False)
        scene = stage.scene(fakes, d.latents, d.fake_labels, torch.arange(len(fakes)), images, d.labels)
        assert scene.on_reals is not None
        shares = {
            which: verdict.outputs[name].softmax(1).gather(1, _columns(name, verdict.labels)).log()
            for which, verdict in (("real", scene.on_reals), ("fake", scene.on_fakes))
        }
        if name == "ac":
            expected = -shares["fake" if phase == "generator" else "real"].mean()
        elif phase == "discriminator":
            expected = -shares["real"][:, 0].mean() - shares["fake"][:, 1].mean()
        else:
            expected = shares["fake"][:, 1].mean() - shares["fake"][:, 0].mean()
        found = term.loss(scene)
        assert found is not None
        assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-9)


def _columns(name: str, labels: Tensor) -> Tensor:
    """Return the columns of a label: one, or those of the real and the fake of it."""
    return labels[:, None] if name == "ac" else torch.stack([2 * labels, 2 * labels + 1], dim=1)


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
@pytest.mark.parametrize("resolution", [(16, 16), (16, 32)], ids=str)
def test_a_quarter_of_the_batch_is_turned_in_all_directions(resolution: tuple[int, int], phase: Phase) -> None:
    """Places 0 and 4 of six; of images that are not square upright and upside down; D sees nothing else of them."""
    a = tiny("biggan", resolution=resolution, discriminator_heads=("projection", "rotation"), **FREE)
    state, (d,) = make_state(a, F64), make_inputs(a, dtype=F64).discriminator
    (term,) = parse_terms(["rotation"]).values()
    sizes: list[int] = []

    def judge(images: Tensor, labels: Tensor) -> Verdict:
        sizes.append(len(images))
        return state.discriminator.judge(images, labels)

    stage = Objective(loss=Hinge()).stage(
        phase, state, state.generator, judge, Update(1, CPU, acting=[Acting("rotation", term, 1.0)])
    )
    reals = d.images.to(CPU, non_blocking=False)
    with torch.set_grad_enabled(phase == "generator"):
        fakes = state.generator(d.latents, d.fake_labels)
    scene = stage.scene(fakes, d.latents, d.fake_labels, torch.arange(6), reals, d.labels)
    found = term.loss(scene)

    quarters = (0, 1, 2, 3) if resolution == (16, 16) else (0, 2)
    assert sizes == [12, 2 * (len(quarters) - 1)]
    assert [len(verdict.score) for verdict in scene.verdicts] == ([6, 6] if phase == "discriminator" else [6])
    assert scene.reals is not None
    assert found is not None
    images, labels, strength = (scene.reals, d.labels, 1.0) if phase == "discriminator" else (fakes, d.fake_labels, 0.2)
    expected = 0.0
    for place in (0, 4):
        for direction, by in enumerate(quarters):
            one = images[place : place + 1].rot90(by, (2, 3))
            logits = state.discriminator.judge(one, labels[place : place + 1]).outputs["rotation"][0, list(quarters)]
            expected -= float(logits.log_softmax(dim=0)[direction].detach())
    # A quarter of six are 1.5 images: the two that are turned count as two of them.
    assert float(found.detach()) == pytest.approx(strength * expected / (1.5 * len(quarters)), rel=1e-12)


def test_consistency_is_of_every_head() -> None:
    one, other = (
        Verdict(scores, scores, LABELS[:2], {"ac": logits})
        for scores, logits in (
            (torch.tensor([[1.0], [2.0]]), torch.zeros(2, 3)),
            (torch.tensor([[1.0], [4.0]]), torch.tensor([[3.0, 0, 0], [0, 0, 0]])),
        )
    )
    assert float(apart(one, other)) == 4 / 2 + 9 / 6
    assert float(apart(one._replace(outputs={}), other)) == 4 / 2
    # An embedding beside its proxy, which does not depend on the image, is as far apart as it is alone.
    alone, moved = torch.zeros(2, 3), torch.tensor([[3.0, 0, 0], [0, 0, 0]])
    pairs = [{"2c": torch.stack([each, torch.ones(2, 3)], dim=1)} for each in (alone, moved)]
    assert float(apart(one._replace(outputs=pairs[0]), other._replace(outputs=pairs[1]))) == 4 / 2 + 9 / 6


# -- networks ----------------------------------------------------------------------------------------------------------

FURTHER = [name for name in HEADS if not HEADS[name].scores]
SCORING = [name for name in HEADS if HEADS[name].scores]
SHAPES = {"ac": (10,), "adc": (20,), "2c": (2, 512), "d2d-ce": (2, 512), "rotation": (4,), "multi-hinge": (11,)}
"""Of ten classes."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_head_of_every_family(family: str) -> None:
    """Shapes, precision, spectral norm as elsewhere in D; and G is the same."""
    if family == "r3gan":  # whose D ends in a vector of the class
        with pytest.raises(UserError, match=r"--model\.discriminator-heads none ac: r3gan has nothing"):
            build(tiny(family, discriminator_heads=("none", "ac")), seed=3)
        return
    plain = build(tiny(family), seed=3)
    for scoring in SCORING:
        a = tiny(family, discriminator_heads=(scoring, *FURTHER))
        networks = build(a, seed=3)
        D = networks.discriminator
        images, labels = torch.rand(4, a.channels, *a.resolution) * 2 - 1, torch.tensor([0, 1, 2, 1])
        verdict = D.judge(images.bfloat16().float(), labels)
        assert verdict.score.shape == (4, 1)
        wanted = {*FURTHER} | ({"multi-hinge"} if scoring == "multi-hinge" else set())
        assert {name: tuple(value.shape[1:]) for name, value in verdict.outputs.items()} == {
            name: SHAPES[name] for name in wanted
        }
        first, second = verdict.split([1, 3])
        for name, output in verdict.outputs.items():
            assert output.dtype == torch.float32
            assert torch.equal(torch.cat([first.outputs[name], second.outputs[name]]), output)
            assert torch.equal(verdict.of(torch.tensor([2])).outputs[name], output[2:3])
        layers = {name for name, module in D.named_modules() if isinstance(module, SpectrallyNormalized)}
        weights = {name.rpartition(".")[0] for name, _ in D.named_parameters() if name.startswith("head")}
        assert {name for name in weights if name.startswith("head")} <= layers
        for key, value in plain.generator.state_dict().items():
            assert torch.equal(value, networks.generator.state_dict()[key])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"heads": ("none", "acc")}, "head of D 'acc'; nearest: ac"),
        ({"heads": ("none", "ac", "ac")}, "name each once"),
        ({"heads": ("none", "projection")}, "only one can give D's score"),
        ({"heads": ("ac",)}, "none gives D's score; write --model.discriminator-heads none ac"),
        ({"heads": ("none", "ac")}, "nothing would teach the head ac; add --terms ac"),
        ({"terms": ("ac",)}, "--terms ac: reads the head ac, and D has projection; write --model.discriminator-heads"),
        ({"loss": "multi-hinge"}, "--loss multi-hinge: reads the head multi-hinge"),
        ({"heads": ("multi-hinge",)}, "nothing would teach the head multi-hinge; add --loss multi-hinge"),
        ({"heads": ("projection", "rotation")}, "nothing would teach the head rotation; add --terms rotation"),
        ({"heads": ("none", "d2d-ce"), "terms": ("d2d-ce,m_p=2",)}, "m_p=2: a cosine"),
        ({"heads": ("none", "2c"), "terms": ("2c,temperature=0",)}, "temperature=0: must be a positive"),
        ({"heads": ("none", "ac"), "classes": 0}, "ac can only tell classes apart, and there are none"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], says: str) -> None:
    values = {"classes": options.get("classes", 3), "shared_embedding": 0, "hierarchical_latent": False}
    model = tiny(
        "biggan",
        discriminator_heads=options.get("heads", PLAIN),
        **(values if "classes" in options else {}),
    )
    config = dataclasses.replace(
        tiny_config(), model=model, terms=options.get("terms", ()), loss=options.get("loss", "hinge")
    )
    with pytest.raises(UserError, match=says):
        resolve(config, None, 1)
