"""What terms change of latents, of reals and of the fakes that G learns from; and the updates that they leave out."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.layers.attention import SelfAttention, attend
from biggan.layers.shared_norm import share_batch_norms
from biggan.losses import scene as scenes
from biggan.losses.adversarial import Hinge, Relativistic
from biggan.losses.gradient_penalties import R1
from biggan.losses.latent_optimisation import natural_step
from biggan.losses.scene import Scene
from biggan.losses.stored_terms import as_stored, going_on, written_out
from biggan.losses.terms import Acting, Term, parse_terms
from biggan.losses.top_k import TopK
from biggan.models.architecture import SpectralNorm
from biggan.training.engine import Engine
from biggan.training.resolving import resolve
from biggan.training.state import TrainState
from biggan.training.step import Objective, train_discriminator, train_step
from biggan.training.update import Update
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.foundation.test_agreement import distributed_port
from tests.rooms.losses.test_terms import F64, NAMES, run, several, slope, suited, term_of
from tests.rooms.training.commands import spawn
from tests.rooms.training.test_step import CPU, FREE, make_inputs, make_state


def word(text: str) -> dict[str, Term]:
    terms = parse_terms([text])
    for term in terms.values():
        term.begin(CPU)
    return terms


def scene_of(text: str, phase: Any, *, clock: int = 0, state: TrainState | None = None, loss: Any = Hinge) -> Scene:
    """Return a scene of six fakes and six reals with one term, or with several."""
    a = tiny("biggan", **FREE)
    state = state or make_state(a, F64)
    acting = [Acting(name, term, term.weight.at(clock)) for each in text.split() for name, term in word(each).items()]
    (d,) = make_inputs(a, dtype=F64).discriminator
    update = Update(1, CPU, acting=acting, clock=clock)
    stage = Objective(loss=loss(), seed=1).stage(phase, state, state.generator, state.discriminator.judge, update)
    with torch.set_grad_enabled(phase == "generator"):
        fakes = state.generator(d.latents, d.fake_labels)
    images = d.images.to(CPU, non_blocking=False)
    return stage.scene(fakes, d.latents, d.fake_labels, torch.arange(len(fakes)), images, d.labels)


# -- pseudo augmentation -----------------------------------------------------------------------------------------------


def test_what_takes_a_reals_place_is_the_fake_on_stage_in_whatever_order_terms_are_named() -> None:
    for text in ("apa,p=1 logan,share=1", "logan,share=1 apa,p=1"):
        scene = scene_of(text, "discriminator")
        assert scene.reals is not None
        assert not torch.equal(scene.latents, scene.drawn)
        assert torch.equal(scene.reals, scene.fakes)


def test_a_fake_in_the_place_of_a_real_brings_its_label() -> None:
    nothing, all_, some = (scene_of(f"apa,p={p}", "discriminator") for p in (0, 1, 0.5))
    assert nothing.reals is not None
    assert nothing.labels is not None
    assert some.reals is not None
    assert some.labels is not None
    assert not torch.equal(nothing.labels, nothing.fake_labels)
    assert torch.equal(all_.reals, all_.fakes)  # type: ignore[arg-type]
    assert torch.equal(all_.labels, all_.fake_labels)  # type: ignore[arg-type]
    taken = (some.reals == some.fakes).flatten(1).all(dim=1)
    assert 0 < int(taken.sum()) < len(taken)
    for i, fake in enumerate(taken.tolist()):
        assert torch.equal(some.reals[i], (some.fakes if fake else nothing.reals)[i])
        assert some.labels[i] == (some.fake_labels if fake else nothing.labels)[i]
    # D judged what stands there.
    assert some.on_reals is not None
    expected = some.stage.D(some.reals, some.labels).score
    assert torch.allclose(some.on_reals.score, expected, atol=1e-12)


def test_reals_are_themselves_in_the_updates_of_g() -> None:
    scene = scene_of("apa,p=1", "discriminator")
    assert "generator" not in scene.stage.acting[0].term.phases


# -- top-k -------------------------------------------------------------------------------------------------------------


def test_g_learns_from_the_fakes_that_d_scores_highest() -> None:
    scene = scene_of("top-k,epoch=1,gamma=0.5", "generator", clock=1)
    (verdict,) = scene.verdicts
    best = sorted(scene.on_fakes.score[:, 0].tolist())[3:]
    assert sorted(verdict.score[:, 0].tolist()) == best
    for score, label, features in zip(verdict.score, verdict.labels, verdict.features, strict=True):
        (place,) = (scene.on_fakes.score == score)[:, 0].nonzero()[:, 0].tolist()
        assert label == scene.on_fakes.labels[place]
        assert torch.equal(features, scene.on_fakes.features[place])
    assert float(Hinge().generator(verdict).detach()) == pytest.approx(-sum(best) / 3)


def test_where_fakes_and_reals_are_pairs_pairs_are_chosen() -> None:
    scene = scene_of("top-k,epoch=1,gamma=0.5", "generator", clock=1, loss=Relativistic)
    fakes, reals = scene.verdicts
    assert scene.on_reals is not None
    for fake, real in zip(fakes.score, reals.score, strict=True):
        (place,) = (scene.on_fakes.score == fake)[:, 0].nonzero()[:, 0].tolist()
        assert real == scene.on_reals.score[place]


@pytest.mark.parametrize(
    ("images", "clock", "k"), [(100, 0, 100), (100, 999, 100), (100, 1000, 99), (100, 68_000, 50), (1, 10**9, 1)]
)
def test_k_falls_by_epochs(images: int, clock: int, k: int) -> None:
    assert TopK(epoch=1000).k(images, clock) == k
    assert TopK().k(images, clock) == images


def test_an_epoch_is_the_data_s_where_nothing_is_said() -> None:
    assert written_out(["top-k", "top-k,epoch=7,gamma=0.9", "r1,every=4"], 60_000) == (
        "top-k,epoch=60000",
        "top-k,epoch=7,gamma=0.9",
        "r1,every=4",
    )


def test_ada_of_a_run_that_was_stored_before_it_had_filters_stays_bilinear() -> None:
    assert written_out(["ada,p=0.5"], 9) == ("ada,p=0.5,resampling=wavelet",)
    stored = as_stored(["lecam", "ada,p=0.5", "of-a-step-of-ones-own"])
    assert stored == ("lecam", "ada,p=0.5,resampling=bilinear", "of-a-step-of-ones-own")
    assert going_on(["ada,p=0.3", "lecam"], stored) == ("ada,p=0.3,resampling=bilinear", "lecam")
    assert going_on(["ada,resampling=wavelet"], stored) == ("ada,resampling=wavelet",)
    assert going_on(["ada"], ["lecam"]) == ("ada",)


# -- latent optimisation -----------------------------------------------------------------------------------------------


def test_latents_take_one_damped_step_to_what_d_believes() -> None:
    scene = scene_of("logan,share=0.5", "discriminator")
    before = scene_of("logan,alpha=0", "discriminator")
    moved = scene.latents - scene.drawn
    stayed = (moved == 0).all(dim=1)
    assert 0 < int(stayed.sum()) < len(stayed)
    for i in (~stayed).nonzero()[:, 0].tolist():
        # By differences, each latent number by itself.
        def score(z: Tensor, i: int = i) -> float:
            label = scene.fake_labels[i : i + 1]
            return float(scene.stage.D(scene.stage.generator(z[None], label), label).score.detach())

        z, step = scene.drawn[i], 1e-6
        ways = torch.eye(len(z), dtype=F64) * step
        gradient = torch.tensor([(score(z + way) - score(z - way)) / (2 * step) for way in ways], dtype=F64)
        assert torch.allclose(moved[i], 0.9 * gradient / (0.1 + gradient.square().sum()), rtol=1e-4, atol=1e-7)
    assert torch.equal(before.latents, before.drawn)
    expected = scene.stage.generator(scene.latents, scene.fake_labels)
    assert torch.allclose(scene.fakes, expected, atol=1e-12)
    assert not scene.latents.requires_grad, "z is a constant in D's updates"


def test_g_learns_through_the_step() -> None:
    """The whole loss of G, with what latents cost, by differences."""
    a = tiny("biggan", **FREE, generator_attention=("8",), discriminator_attention=("8",))
    state = make_state(a, F64)
    for layer in (*state.generator.modules(), *state.discriminator.modules()):
        if isinstance(layer, SelfAttention):
            torch.nn.init.constant_(layer.gamma, 0.5)

    def loss() -> Tensor:
        scene = scene_of("logan", "generator", state=state)
        return scene.total(Hinge().generator(*scene.verdicts))

    parameters = [p for p in state.generator.parameters() if p.numel() > 1][:12]
    found = torch.autograd.grad(loss(), parameters)
    for parameter, gradient in zip(parameters, found, strict=True):
        place = parameter.numel() // 2
        expected = [slope(loss, parameter, place, step) for step in (1e-5, 1e-6)]
        exact = float(gradient.reshape(-1)[place])
        assert any(abs(exact - each) < 1e-6 + 1e-4 * abs(each) for each in expected), (exact, expected)


def test_no_step_is_longer_than_its_damping_allows() -> None:
    gradients = torch.randn(50, 3, dtype=F64) * torch.logspace(-3, 3, 50, dtype=F64)[:, None]
    steps = natural_step(gradients, alpha=0.9, beta=0.1)
    assert float(steps.norm(dim=1).max()) <= 0.9 / (2 * 0.1**0.5) + 1e-12


def _with_shared_moments(rank: int, ranks: int) -> dict[str, Tensor]:
    a = tiny("biggan", generator_spectral_norm=SpectralNorm(enabled=False))
    state = make_state(a, F64)
    if ranks > 1:
        share_batch_norms(state.generator, distributed.gather_within(ranks), ranks)
    state.terms = word("logan")
    engine = Engine(device=CPU, terms=state.terms, spectral_norm="phase", statistics="phase")
    for seed in range(2):
        whole = make_inputs(a, batch=8, dtype=F64, seed=seed)
        rows = torch.arange(rank * 8 // ranks, (rank + 1) * 8 // ranks)
        (d,), g = whole.discriminator, whole.generator
        images = d.images.to(CPU, non_blocking=False)[rows]
        inputs = dataclasses.replace(
            whole,
            discriminator=(type(d)(images, *(each[rows] for each in d[1:])),),
            generator=type(g)(*(each[rows] for each in g)),
            places={"discriminator": rows, "generator": rows},
        )
        train_step(state, inputs, Objective(loss=Hinge(), seed=1), engine)
    return {name: tensor.clone().contiguous() for name, tensor in state.tensors().items()}


def _rank(rank: int, ranks: int, folder: str, port: int) -> None:
    environment = {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    torch.set_num_threads(1)
    distributed.start(CPU)
    save_file(_with_shared_moments(rank, ranks), Path(folder) / str(rank))
    distributed.stop()


def test_moments_of_two_ranks_are_differentiated_twice(tmp_path: Path) -> None:
    """Latents take their step by a gradient through the moments of both, and G learns through that."""
    spawn(_rank, (2, str(tmp_path), distributed_port()), 2)
    one, other = (load_file(tmp_path / str(rank)) for rank in range(2))
    assert_same_tensors(one, other)
    for key, value in _with_shared_moments(0, 1).items():
        assert torch.allclose(one[key], value, rtol=1e-6, atol=1e-8), key


# -- no update ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("letter", "network"), [("d", "discriminator"), ("g", "generator")])
def test_below_the_level_there_is_no_update(letter: str, network: str) -> None:
    def trained(level: float, parts: int = 1) -> tuple[TrainState, Engine]:
        state = make_state(tiny("biggan", **FREE), F64)
        state.terms = word(f"{letter}-stop,weight={level}") | word("lecam,start=1")
        engine = Engine(device=CPU, accumulation={"discriminator": parts}, terms=state.terms)
        for inputs in several(count=2):
            train_step(state, inputs, Objective(loss=Hinge()), engine)
        return state, engine

    fresh = make_state(tiny("biggan", **FREE), F64)
    for parts in (1, 3):
        state, engine = trained(9, parts)
        assert_same_tensors(
            dict(state.networks[network].named_parameters()), dict(fresh.networks[network].named_parameters())
        )
        assert not float(engine.guard.bad), "it is no error"
        engine.guard.check()
        steps = [float(moments["step"]) for moments in state.optimizers[network].state.values()]
        assert not any(steps)
        assert float(state.terms["lecam"].state["updates"]) == (0 if letter == "d" else 2)
        other = ({"discriminator", "generator"} - {network}).pop()
        assert any(
            not torch.equal(value, fresh.networks[other].get_parameter(key))
            for key, value in state.networks[other].named_parameters()
        )
    above = trained(1e-9)[0]
    without = run("lecam", [dataclasses.replace(each, images_seen=0) for each in several(count=2)])[0]
    kept = {key: value for key, value in above.tensors().items() if "-stop" not in key}
    assert kept.keys() == without.tensors().keys()
    if letter == "d":  # G's loss may be below anything
        assert_same_tensors(kept, without.tensors())


# -- in the updates of both --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rhythm", ["phase", "forward"])
@pytest.mark.parametrize("name", NAMES)
def test_its_passes_in_the_updates_of_g_move_nothing(name: str, rhythm: Any) -> None:
    """Statistics and vectors after an iteration in which D learns nothing."""
    a = suited(name, generator_attention=("8",), discriminator_attention=("8",))
    found = []
    for which in (None, name):
        state = make_state(a, F64)
        state.optimizers["discriminator"].param_groups[0]["lr"] = 0.0
        terms = {} if which is None else {which: term_of(which)}
        engine = Engine(device=CPU, terms=terms, spectral_norm=rhythm, statistics=rhythm)
        train_step(state, make_inputs(a, dtype=F64), Objective(loss=Hinge()), engine)
        found.append({key: value for net in state.networks.values() for key, value in net.named_buffers()})
    assert_same_tensors(*found)


# -- attention ---------------------------------------------------------------------------------------------------------


def test_a_penalty_on_gradients_spells_attention_out_where_a_fused_kernel_is_forced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fused kernel has no second derivative, so that the penalty stands only if it is not asked."""
    q, k = torch.randn(2, 9, 4, requires_grad=True), torch.randn(2, 4, 4)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        (first,) = torch.autograd.grad(attend(q, k, k).sum(), q, create_graph=True)
        with pytest.raises(RuntimeError, match="derivative"):
            torch.autograd.grad(first.sum(), q)

    monkeypatch.setattr("biggan.layers.attention.LARGE", 1)  # so that it is padded to what the kernel takes
    a = tiny("biggan", **FREE, discriminator_attention=("8",))

    def trained(*, flash: bool, plain: bool = True) -> TrainState:
        state = make_state(a)
        for layer in state.discriminator.modules():
            if isinstance(layer, SelfAttention):
                torch.nn.init.constant_(layer.gamma, 0.5)
        state.terms = {"r1": R1()} | word("ada,p=0.5")
        with monkeypatch.context() as left_out:
            if not plain:
                left_out.setattr(scenes, "plain_attention", lambda _: scenes.contextlib.nullcontext())
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION if flash else SDPBackend.MATH):
                engine = Engine(device=CPU, terms=state.terms)
                train_discriminator(state, make_inputs(a), Objective(loss=Hinge()), engine)
        return state

    with pytest.raises(RuntimeError, match="derivative"):
        trained(flash=True, plain=False)
    fused, spelt = trained(flash=True), trained(flash=False)
    for key, value in spelt.tensors().items():
        if key.endswith("exp_avg"):  # gradients
            assert torch.allclose(fused.tensors()[key], value, rtol=1e-3, atol=1e-5), key


# -- what cannot be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"terms": ("apa",), "loss": "relativistic"}, "--terms apa: with --loss relativistic a fake"),
        ({"fake_labels": "uniform", "loss": "relativistic"}, "--fake-labels uniform: with --loss relativistic"),
        (
            {"terms": ("logan",), "statistics": "exact", "spectral_norm": "phase"},
            "--terms logan: makes fakes of a micro-batch",
        ),
    ],
)
def test_what_does_not_go_together_is_said_before_training(options: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(tiny_config(None, **options), None, 1)
    assert message in str(caught.value)


def test_one_term_decides_what_takes_the_places_of_reals() -> None:
    from biggan.losses.together import check_together

    class Other(Term):
        def reals(self, scene: Scene) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002
            return None

    with pytest.raises(UserError, match="--terms apa mine: each decides what takes the places of reals"):
        check_together(word("apa") | {"mine": Other()}, "hinge")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apa,every=2", "--terms apa,every=2: p is of all updates"),
        ("apa,p=2", "--terms apa,p=2: adaptive, or a probability from 0 to 1"),
        ("apa,target=0", "--terms apa,target=0: a mean sign"),
        ("apa,without=xflip", "unknown option of the term apa 'without'"),
        ("apa,weight=0.5", "--terms apa,weight=0.5: it is there (1) or not (0), and has no weight; give p"),
        ("top-k,weight=2", "--terms top-k,weight=2: it is there (1) or not (0)"),
        ("top-k,gamma=0", "--terms top-k,gamma=0: a share, above 0"),
        ("top-k,least=2", "--terms top-k,least=2: a share, above 0"),
        ("top-k,epoch=-1", "--terms top-k,epoch=-1: a number of images"),
        ("top-k,every=2", "--terms top-k,every=2: a choice has no strength"),
        ("logan,beta=0", "--terms logan,beta=0: it damps the step"),
        ("logan,alpha=-1", "--terms logan,alpha=-1: must be 0 or a positive number"),
        ("logan,share=0", "--terms logan,share=0: a share of the latents"),
        ("logan,every=2", "--terms logan,every=2: G must be given latents alike"),
        ("d-stop,every=2", "--terms d-stop,every=2: a level holds in every update"),
        ("g-stop,weight=-1", "--terms g-stop,weight=-1: must not be negative"),
    ],
)
def test_words_that_mean_nothing(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_terms([text])
    assert message in str(caught.value)
