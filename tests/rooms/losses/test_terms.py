"""What every term must keep, whatever it does; and that each does what its paper says."""

from __future__ import annotations

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import biggan.losses
from biggan.data.opening import open_source
from biggan.foundation.courses import constant, parse_course
from biggan.foundation.devices import Backends
from biggan.foundation.errors import UserError
from biggan.layers.attention import spelt_out
from biggan.losses.adversarial import Hinge, Relativistic
from biggan.losses.augmented import Ada, Adaptive
from biggan.losses.lecam import LeCam
from biggan.losses.terms import TERMS, Acting, Term, acting, listing, parse_terms
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.training.assembly import make_draws
from biggan.training.engine import Engine
from biggan.training.resolving import resolve
from biggan.training.resolving import terms as said_of_terms
from biggan.training.state import TrainState
from biggan.training.step import Objective, StepInputs, train_discriminator, train_step
from biggan.training.update import Update
from tests.conftest import FAMILIES, assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_step import CPU, FREE, make_inputs, make_state

F64 = torch.float64
WORDS = {
    "lecam": "lecam,start=1",
    "ada": "ada,p=0.5",
    "apa": "apa,p=0.5",
    "d-flood": "d-flood,weight=9",
    "g-flood": "g-flood,weight=9",
    "d-stop": "d-stop,weight=9",
    "g-stop": "g-stop,weight=9",
    "top-k": "top-k,epoch=1",
}
"""With options by which a term acts at once."""
NAMES = list(TERMS)


def term_of(name: str, **values: Any) -> Term:
    (term,) = parse_terms([WORDS.get(name, name)]).values()
    term = dataclasses.replace(term, **values)
    term.begin(CPU)
    return term


def suited(*names: str, family: str = "biggan", **values: Any) -> Architecture:
    """Return a tiny architecture whose D has the heads that these terms read."""
    heads = dict.fromkeys(TERMS[name].head for name in names if TERMS[name].head)
    return tiny(family, discriminator_heads=("projection", *heads), **values)


def run(
    name: str | None, batches: list[StepInputs], parts: int = 1, a: Any = None, **values: Any
) -> tuple[TrainState, Term | None]:
    """Train for as many updates; return everything."""
    state = make_state(a if a is not None else suited(*([name] if name else []), **FREE), F64)
    term = None if name is None else term_of(name, **values)
    state.terms = {} if name is None or term is None else {name: term}
    engine = Engine(device=CPU, accumulation={"discriminator": parts}, terms=state.terms)
    for inputs in batches:
        train_step(state, inputs, Objective(loss=Hinge(), seed=1), engine)
        state.images_seen = inputs.images_seen
        state.iterations += 1
    return state, term


def several(batch: int = 6, count: int = 3, **options: Any) -> list[StepInputs]:
    a = tiny("biggan", **FREE)
    found = [make_inputs(a, batch=batch, dtype=F64, seed=seed, **options) for seed in range(count)]
    return [dataclasses.replace(each, images_seen=(i + 1) * each.images_seen) for i, each in enumerate(found)]


@pytest.mark.parametrize("name", NAMES)
def test_weight_zero_is_absence_to_the_bit_and_another_is_not(name: str) -> None:
    plain, some = run(None, several(), a=suited(name, **FREE))[0], run(name, several())[0]
    nothing = run(name, several(), weight=constant(0.0))[0]
    kept = {key: value for key, value in nothing.tensors().items() if not key.startswith("term/")}
    assert_same_tensors(kept, plain.tensors())
    assert any(not torch.equal(some.tensors()[key], value) for key, value in plain.tensors().items())


@pytest.mark.parametrize("parts", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_gives_the_same_update_however_it_is_divided(name: str, parts: int) -> None:
    if TERMS[name].batch_relative:
        pytest.skip("compares the images of a micro-batch")
    whole, divided = run(name, several())[0], run(name, several(), parts)[0]
    # What terms remember is float32, and so is what follows from it.
    tolerance = 1e-6 if TERMS[name]().fresh() else 1e-10
    for key, value in whole.tensors().items():
        assert torch.allclose(divided.tensors()[key], value, rtol=tolerance, atol=tolerance), key


@pytest.mark.parametrize("name", NAMES)
def test_places_decide_what_is_drawn(name: str) -> None:
    """The rows of a batch in another order, with their places, are the same batch."""
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    turned = []
    for inputs in several():
        d, g = inputs.discriminator[0], inputs.generator
        images = d.images.to(CPU, non_blocking=False)[order]
        turned.append(
            dataclasses.replace(
                inputs,
                discriminator=(type(d)(images, *(rows[order] for rows in d[1:])),),
                generator=type(g)(*(rows[order] for rows in g)),
                places={"discriminator": order, "generator": order},
            )
        )
    one, other = run(name, several())[0], run(name, turned)[0]
    tolerance = 1e-6 if TERMS[name]().fresh() else 1e-10
    for key, value in one.tensors().items():
        assert torch.allclose(other.tensors()[key], value, rtol=tolerance, atol=tolerance), key


@pytest.mark.parametrize("rhythm", ["phase", "forward"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NAMES)
def test_its_passes_move_nothing(name: str, family: str, rhythm: Any) -> None:
    """After an update from the same weights, vectors and statistics are to the bit those of a run without the term."""
    if family == "r3gan" and TERMS[name].head:
        pytest.skip("a family of one head")
    a = suited(name, family=family, generator_attention=("8",), discriminator_attention=("8",))
    found = []
    for which in (None, name):
        state = make_state(a, F64)
        terms = {} if which is None else {which: term_of(which)}
        engine = Engine(device=CPU, terms=terms, spectral_norm=rhythm, statistics=rhythm)
        train_discriminator(state, make_inputs(a, dtype=F64), Objective(loss=Hinge()), engine)
        found.append({key: value for net in state.networks.values() for key, value in net.named_buffers()})
    assert_same_tensors(*found)


@pytest.mark.parametrize("name", NAMES)
def test_a_skipped_update_leaves_its_state_alone(name: str) -> None:
    state, term = run(name, several(count=1))
    assert term is not None
    before = {key: value.clone() for key, value in term.state.items()}
    engine = Engine(device=CPU, terms=state.terms)
    parameter = next(state.discriminator.parameters())
    parameter.requires_grad_().register_hook(lambda gradient: gradient * float("inf"))
    train_step(state, several(count=1)[0], Objective(loss=Hinge()), engine)
    assert float(engine.guard.bad) == 1
    assert_same_tensors(term.state, before)


def slope(loss: Any, parameter: Tensor, place: int, step: float) -> float:
    """Return the slope of a loss along one weight, by differences."""
    values = []
    for by in (step, -2 * step, step):
        with torch.no_grad():
            parameter.view(-1)[place] += by
        values.append(float(loss().detach()))
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_has_the_gradient_that_finite_differences_find(name: str) -> None:
    if TERMS[name].loss is Term.loss or isinstance(TERMS[name](), Adaptive):
        pytest.skip("adds nothing to the loss")
    a, term = suited(name, **FREE, generator_attention=("8",), discriminator_attention=("8",)), term_of(name)
    state, (d,) = make_state(a, F64), make_inputs(a, dtype=F64).discriminator
    for value in term.state.values():
        value.fill_(1.5)
    for layer in (*state.generator.modules(), *state.discriminator.modules()):
        if hasattr(layer, "gamma"):
            torch.nn.init.constant_(layer.gamma, 0.5)  # so that attention takes part
    images, objective = d.images.to(CPU, non_blocking=False), Objective(loss=Hinge(), seed=1)
    for phase in term.phases:

        def loss(phase: Any = phase) -> Tensor:
            update = Update(1, CPU, acting=[Acting(name, term, 1.0)])
            stage = objective.stage(phase, state, state.generator, state.discriminator.judge, update)
            with torch.set_grad_enabled(phase == "generator"):
                fakes = state.generator(d.latents, d.fake_labels)
            scene = stage.scene(fakes, d.latents, d.fake_labels, torch.arange(len(fakes)), images, d.labels)
            found = term.loss(scene)
            return torch.zeros(()) if found is None else found

        if name == "logan" and phase == "discriminator":
            continue  # it costs G alone
        parameters = dict(state.networks[phase].named_parameters())
        gradients = torch.autograd.grad(loss(), list(parameters.values()), allow_unused=True)
        checked = 0
        for (key, parameter), gradient in list(zip(parameters.items(), gradients, strict=True))[::3]:
            place = parameter.numel() // 2
            found = 0.0 if gradient is None else float(gradient.reshape(-1)[place])
            expected: list[float] = []
            for step in (1e-5, 1e-6, 1e-7):  # one may cross a kink
                expected.append(slope(loss, parameter, place, step))
                if abs(found - expected[-1]) < 1e-6 + 1e-4 * abs(expected[-1]):
                    break
            else:
                raise AssertionError((phase, key, found, expected))
            checked += abs(expected[0]) > 1e-9
        assert checked > 3, phase


@pytest.mark.parametrize("name", NAMES)
def test_what_it_remembers_is_part_of_the_state(name: str) -> None:
    whole = run(name, several())[0]
    half, _ = run(name, several()[:1])
    stored = {key: value.clone() for key, value in half.tensors().items()}
    fresh = make_state(suited(name, **FREE), F64)
    fresh.terms = {name: term_of(name)}
    fresh.load_tensors(stored)
    fresh.images_seen, fresh.iterations = half.images_seen, half.iterations
    engine = Engine(device=CPU, terms=fresh.terms)
    for inputs in several()[1:]:
        train_step(fresh, inputs, Objective(loss=Hinge(), seed=1), engine)
        fresh.images_seen = inputs.images_seen
        fresh.iterations += 1
    assert_same_tensors(fresh.tensors(), whole.tensors())


ADAPTS = {"p": "adaptive", "interval": 1, "images": 50, "target": 0.01}
"""Options by which p moves in every update of a few images; above, it is given."""


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(TERMS[name](), Adaptive)])
def test_a_probability_that_adapts_does_not_depend_on_division_and_is_remembered(name: str) -> None:
    batches = several(count=4)
    whole, term = run(name, batches, **ADAPTS)
    assert term is not None
    assert 0 < float(term.state["p"]) < 1
    for parts in (2, 3):
        divided = run(name, batches, parts, **ADAPTS)[0]
        for key, value in whole.tensors().items():
            assert torch.allclose(divided.tensors()[key], value, rtol=1e-6, atol=1e-6), key
    half, _ = run(name, batches[:2], **ADAPTS)
    fresh = make_state(suited(name, **FREE), F64)
    fresh.terms = {name: term_of(name, **ADAPTS)}
    fresh.load_tensors({key: value.clone() for key, value in half.tensors().items()})
    fresh.images_seen, fresh.iterations = half.images_seen, half.iterations
    engine = Engine(device=CPU, terms=fresh.terms)
    for inputs in batches[2:]:
        train_step(fresh, inputs, Objective(loss=Hinge(), seed=1), engine)
        fresh.images_seen = inputs.images_seen
        fresh.iterations += 1
    assert_same_tensors(fresh.tensors(), whole.tensors())
    before = {key: value.clone() for key, value in term.state.items()}
    parameter = next(whole.discriminator.parameters())
    parameter.requires_grad_().register_hook(lambda gradient: gradient * float("inf"))
    train_step(whole, batches[0], Objective(loss=Hinge()), Engine(device=CPU, terms=whole.terms))
    assert_same_tensors(term.state, before)


def test_a_term_that_was_added_begins_anew_and_one_that_was_left_out_is_forgotten() -> None:
    state, _ = run("lecam", several())
    stored = {key: value.clone() for key, value in state.tensors().items()}
    without = make_state(tiny("biggan", **FREE), F64)
    without.load_tensors(stored)
    assert not any(key.startswith("term/") for key in without.tensors())
    added = copy.copy(without)
    added.terms = {"lecam": term_of("lecam")}
    added.load_tensors(without.tensors())
    assert float(added.terms["lecam"].state["updates"]) == 0


def test_every_counts_updates_of_the_network_and_multiplies() -> None:
    terms: dict[str, Term] = {"r1": term_of("r1", every=4)}
    acted = [acting(terms, "discriminator", 0, number) for number in range(9)]
    assert [bool(each) for each in acted] == [number % 4 == 0 for number in range(9)]
    assert acted[4][0].weight == pytest.approx(0.4)
    assert not acting(terms, "generator", 0, 0)
    term, calls = terms["r1"], []
    state = make_state(tiny("biggan"), F64)
    engine = Engine(device=CPU, terms=terms, discriminator_steps=2)
    for i in range(4):
        state.iterations = i
        for _ in range(2):
            with engine.update(state, "discriminator") as update:
                update.staged = True
                calls.append([each.term is term for each in update.acting])
    assert calls == [[True], [], [], [], [True], [], [], []]


def test_a_weight_that_changes_is_that_of_the_clock() -> None:
    terms: dict[str, Term] = {"r1": term_of("r1", weight=parse_course("0..10:0..100", "weight"))}
    assert not acting(terms, "discriminator", 0, 0)
    assert acting(terms, "discriminator", 50, 0)[0].weight == 5
    assert acting(terms, "discriminator", 500, 0)[0].weight == 10


# -- by value ----------------------------------------------------------------------------------------------------------


def test_lecam_by_value() -> None:
    """Averages by hand: set by the first update, moved by a hundredth of the way after that."""
    term = LeCam(start=1)
    term.begin(CPU)
    one, images = torch.ones(()), torch.tensor(4.0)
    term.after({"lecam/real": torch.tensor(8.0), "lecam/fake": torch.tensor(-4.0)}, images, one)
    assert (float(term.state["real"]), float(term.state["fake"])) == (2.0, -1.0)
    term.after({"lecam/real": torch.tensor(4.0), "lecam/fake": torch.tensor(0.0)}, images, one)
    assert float(term.state["real"]) == pytest.approx(2 + 0.01 * (1 - 2))
    assert float(term.state["fake"]) == pytest.approx(-1 + 0.01 * (0 + 1))
    assert float(term.state["updates"]) == 2


def test_lecam_begins_after_as_many_updates_of_d_however_seldom_it_acts() -> None:
    for every in (1, 4):
        begun = []
        for start in (8, 9):
            state, term = run("lecam", several(count=9), start=start, every=every)
            assert term is not None
            begun.append(dict(state.discriminator.named_parameters()))
            assert float(term.state["updates"]) == (9 if every == 1 else 12)
        # The ninth update, which every=4 has as its third, is the first that either start tells apart.
        assert any(not torch.equal(one, other) for one, other in zip(*(each.values() for each in begun), strict=True))


def test_ada_moves_its_probability_by_how_well_the_reals_are_known() -> None:
    term = Ada(interval=2, images=80)
    term.begin(CPU)
    one, images = torch.ones(()), torch.tensor(8.0)
    steps = []
    for signs in (8.0, 8.0, 8.0, -8.0, 8.0, 8.0, 0.0, 0.0, 0.0, 0.0):
        term.after({"ada/signs": torch.tensor(signs)}, images, one)
        steps.append(round(float(term.state["p"]), 6))
    # Sixteen images of eighty a move: up at mean sign 1, down at 0, never below 0.
    assert steps == [0.0, 0.2, 0.2, 0.0, 0.0, 0.2, 0.2, 0.0, 0.0, 0.0]
    term.after({"ada/signs": torch.tensor(8.0)}, images, torch.zeros(()))
    term.after({"ada/signs": torch.tensor(float("nan"))}, images, torch.zeros(()))
    assert float(term.state["updates"]) == 0, "an update that was skipped does not count"
    assert float(term.state["signs"]) == 0


def test_attention_spelt_out_is_attention() -> None:
    from biggan.layers.attention import attend

    q, k, v = torch.randn(2, 9, 3, dtype=F64), torch.randn(2, 4, 3, dtype=F64), torch.randn(2, 4, 5, dtype=F64)
    assert torch.allclose(spelt_out(q, k, v), attend(q, k, v), atol=1e-12)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lecan"], "unknown term 'lecan'"),
        (["r1,gama=3"], "unknown option of the term r1 'gama'"),
        (["r1,weight"], "--terms r1,weight: write r1,OPTION=VALUE; 'weight' has no value"),
        (["r1", "r1,weight=2"], "--terms r1: is there twice"),
        (["r1,weight=-1"], "--terms r1,weight=-1: must not be negative"),
        (["r1,every=0"], "--terms r1,every=0: one of how many updates, 1 or more"),
        (["r1,every=2.5"], "--terms r1,every=2.5: must be a whole number"),
        (["r1,weight=many"], "--terms r1,weight=many: write a number, or FROM..TO:BEGIN..END"),
        (["r1,weight=0..1:2M..1M"], "it ends at 1,000,000 images, and begins at 2,000,000"),
        (["r1,weight=0..1:1M..2M:curved"], "the way is linear or cosine, not curved"),
        (["r1,weight=nan"], "write a number"),
        (["lecam,decay=1"], "--terms lecam,decay=1: from 0 to below 1"),
        (["diffaugment,policy=colour"], "'colour'"),
        (["diffaugment,every=2"], "--terms diffaugment,every=2: D must see images alike in all updates"),
        (["diffaugment,weight=0.5"], "--terms diffaugment,weight=0.5: it is there (1) or not (0), and has no weight"),
        (["ada,weight=0..1:0..1M"], "--terms ada,weight=0..1:0..1M: it is there (1) or not (0), and has no weight"),
        (["d-flood,every=2"], "--terms d-flood,every=2: a level holds in every update"),
        (["ada,without=flip"], "unknown part of ADA 'flip'"),
        (["ada,p=2"], "--terms ada,p=2: adaptive, or a probability from 0 to 1"),
        (["ada,p=much"], "or adaptive, or a probability from 0 to 1"),
        (["ada,target=1"], "--terms ada,target=1: a mean sign"),
        (["ada,images=0"], "--terms ada,images=0: 1 or more"),
        (["zcr,sigma=-1"], "--terms zcr,sigma=-1: must be 0 or a positive number"),
        (["cr,mirror=maybe"], "--terms cr,mirror=maybe: yes or no"),
        (["cr,shift=0.5"], "--terms cr,shift=0.5: a share of the sides"),
    ],
)
def test_words_that_mean_nothing(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_terms(words)
    assert message in str(caught.value)


def test_options_of_a_term_whose_annotations_are_types() -> None:
    kind = dataclasses.make_dataclass("Own", [("much", float, 1.0), ("sure", bool, True)], bases=(Term,), frozen=True)
    TERMS.add("own-for-a-test", kind)
    try:
        (term,) = parse_terms(["own-for-a-test,much=2.5,sure=no"]).values()
    finally:
        del TERMS._loaded["own-for-a-test"]
    assert (term.much, term.sure) == (2.5, False)  # type: ignore[attr-defined]


@pytest.mark.parametrize("rhythm", ["phase", "forward"])
@pytest.mark.parametrize("name", ["r1", "r2", "gp"])
def test_what_is_differentiated_twice_is_wide(name: str, rhythm: Any) -> None:
    """Under autocast, also where filters are held narrow."""
    a = tiny("biggan", generator_attention=("8",), discriminator_attention=("8",))
    state = make_state(a)
    seen: list[torch.dtype] = []
    layer = state.discriminator.get_submodule("head")
    layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].dtype))
    engine = Engine(
        device=CPU, terms={name: term_of(name)}, narrow=torch.bfloat16, spectral_norm=rhythm, statistics=rhythm
    )
    train_discriminator(state, make_inputs(a), Objective(loss=Hinge()), engine)
    assert seen == [torch.bfloat16, torch.float32]
    assert not float(engine.guard.bad)


@pytest.mark.parametrize("name", ["r1", "r2", "gp", "cr"])
def test_what_is_differentiated_twice_is_never_rounded_to_tf32(name: str) -> None:
    """Forwards, and in the one backward pass that its graph shares with the rest."""
    seen: dict[str, list[bool]] = {"forwards": [], "backwards": []}

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.overloadpacket is torch.ops.aten.convolution_backward:
                seen["backwards"].append(torch.backends.cudnn.allow_tf32)
            return func(*args, **(kwargs or {}))

    a = suited(name)
    state = make_state(a)
    layer = state.discriminator.get_submodule("head")
    layer.register_forward_hook(lambda *_: seen["forwards"].append(torch.backends.cudnn.allow_tf32))
    engine = Engine(device=CPU, terms={name: term_of(name)})
    with Backends(tf32=True).for_a_while(), Watched():
        train_discriminator(state, make_inputs(a), Objective(loss=Hinge()), engine)
        assert torch.backends.cudnn.allow_tf32
    assert seen["forwards"] == [True, name == "cr"]
    assert set(seen["backwards"]) == {name == "cr"}


def test_words_mean_options() -> None:
    terms = parse_terms(["lecam,decay=0.9", "cr,weight=0..10:0..1M:cosine,mirror=no", "r1,every=16"])
    assert list(terms) == ["lecam", "cr", "r1"]
    assert terms["r1"].every == 16
    assert terms["cr"].weight.at(500_000) == pytest.approx(5.0)
    assert terms["cr"].mirror is False  # type: ignore[attr-defined]
    assert str(terms["cr"].weight) == "0..10:0..1M:cosine"


def test_all_are_listed_with_their_papers() -> None:
    text = listing()
    for name in TERMS:
        assert f"  {name} " in text
        assert TERMS[name].paper
        assert TERMS[name].paper in text


# -- the house ---------------------------------------------------------------------------------------------------------


def test_nothing_here_draws_from_torchs_generators() -> None:
    for package in (biggan.losses,):
        for path in Path(str(package.__file__)).parent.glob("*.py"):
            for word in ("torch.rand", "randperm", "bernoulli", "manual_seed", "normal_(", "uniform_("):
                assert word not in path.read_text(), f"{path}: {word}"


def test_training_with_terms_leaves_torchs_generators_alone() -> None:
    before = torch.get_rng_state()
    a = suited(*NAMES, generator_spectral_norm=SpectralNorm())
    state, inputs = make_state(a, F64), make_inputs(a, dtype=F64)
    state.terms = {name: term_of(name) for name in NAMES}
    torch.set_rng_state(before)
    train_step(state, inputs, Objective(loss=Hinge()), Engine(device=CPU, terms=state.terms))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_term_of_ones_own_in_the_docs_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biggan.training.setup import train

    monkeypatch.setattr(TERMS, "_loaded", dict(TERMS._loaded))  # so that no other test finds it registered
    page = (Path(__file__).parents[3] / "docs" / "terms.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = tmp_path / "my_terms.py"
    file.write_text(code)
    config = tiny_config(tmp_path / "run", duration=32, step=f"{file}:step", terms=("small-scores,weight=0.001",))
    train(config, "digits")
    assert "term small-scores: weight 0.001" in (tmp_path / "run" / "log.txt").read_text()


def test_every_term_is_in_the_docs() -> None:
    """In both tables: what it does, and with its values and to what it is relative."""
    page = (Path(__file__).parents[3] / "docs" / "terms.md").read_text()
    described, valued = page.split("## Values, cost and effect")
    for name in NAMES:
        assert f"`{name}`" in described
        (row,) = [line for line in valued.splitlines() if line.startswith(f"| `{name}` |")]
        _, _, values, relative, _, _, _ = row.split("|")
        assert ("micro-batch" in relative) is TERMS[name].batch_relative, name
        term, told = TERMS[name](), dict(re.findall(r"`(\w+)=([\d.]+)`", values))
        usual = {key: term.weight.at(0) if key == "weight" else getattr(term, key) for key in told}
        assert {key: float(value) for key, value in told.items() if key != "every"} == {
            key: value for key, value in usual.items() if key != "every"
        }, name
        numbers = {each.name for each in dataclasses.fields(term) if isinstance(each.default, (int, float))}
        switches = {each.name for each in dataclasses.fields(term) if isinstance(each.default, bool)}
        assert numbers - switches - told.keys() <= {"every", "epoch"}, name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"terms": ("zcr",), "statistics": "exact", "spectral_norm": "phase"},
            "--terms zcr: makes fakes of a micro-batch",
        ),
        (
            {"terms": ("feature-matching",), "generator_batch": 4},
            "--generator-batch 4: --terms feature-matching compares",
        ),
        ({"loss": "relativistic", "generator_batch": 4}, "--generator-batch 4: --loss relativistic compares fakes"),
        # As many images at first, and not later: D's change by the clock, or each by a noise scale of its own.
        (
            {"loss": "relativistic", "generator_batch": 8, "batch_schedule": "0:8,24:16", "micro_batch": 4},
            "--generator-batch 8: --loss relativistic compares fakes",
        ),
        (
            {
                "terms": ("feature-matching",),
                **dict.fromkeys(("batch_schedule", "generator_batch_schedule"), "auto:8..16"),
                "micro_batch": 4,
            },
            "--generator-batch-schedule auto:8..16: --terms feature-matching compares fakes",
        ),
        (
            {"terms": ("orthogonal,excluded=class_embeding.weight",)},
            "excluded=class_embeding.weight: the generator has no weight of that name; there are class_embedding.w",
        ),
    ],
)
def test_what_terms_need_is_said_before_training(options: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(tiny_config(None, **options), None, 1)
    assert message in str(caught.value)


def test_what_two_options_ask_for_is_said_to_add_up() -> None:
    for option, said in (("generator_orthogonal", True), ("discriminator_orthogonal", False)):
        lines = said_of_terms(tiny_config(None, terms=("orthogonal,weight=0.1",), **{option: 1e-4}))
        assert ("--generator-orthogonal 0.0001 and --terms orthogonal add up" in lines) == said


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "relativistic", "generator_batch": 4, "generator_batch_schedule": "0:8"},  # in the place of the batch
        {"loss": "relativistic", "batch_schedule": "auto:8..16", "micro_batch": 4},  # G's are D's
        {"terms": ("feature-matching,weight=0",), "generator_batch": 4},
        {"terms": ("orthogonal,excluded=class_embedding.weight+linear.weight",)},
        {"terms": ("zcr,weight=0",), "statistics": "exact", "spectral_norm": "phase"},
    ],
)
def test_what_needs_nothing_is_not_refused(options: Any) -> None:
    resolve(tiny_config(None, **options), None, 1)


@pytest.mark.parametrize("parts", [{"discriminator": 3, "generator": 1}, {"discriminator": 2, "generator": 3}])
def test_pairs_stay_pairs_however_a_batch_is_divided(parts: dict[str, int]) -> None:
    """G is compared with the reals of D's last batch, though their micro-batches are others."""
    found = []
    for accumulation in ({}, parts):
        state = make_state(tiny("biggan", **FREE), F64)
        state.terms = {name: term_of(name) for name in ("r1", "d-flood", "g-flood")}
        engine = Engine(device=CPU, accumulation=accumulation, terms=state.terms)
        for inputs in several(steps=2):
            train_step(state, inputs, Objective(loss=Relativistic(), seed=1), engine)
            state.images_seen = inputs.images_seen
            state.iterations += 1
        found.append(state.tensors())
    for key, value in found[0].items():
        assert torch.allclose(found[1][key], value, rtol=1e-10, atol=1e-10), key


def test_pairs_are_of_one_class(tmp_path: Path) -> None:
    config = resolve(tiny_config(tmp_path / "run", loss="relativistic", batch=8, micro_batch=4), None, 1)
    source = open_source(config.data, config.model.resolution)
    state = make_state(config.model)
    inputs, _ = make_draws(config, source, state, CPU).next(0)
    (d,), g = inputs.discriminator, inputs.generator
    assert torch.equal(d.fake_labels, d.labels)
    assert torch.equal(g.labels, d.labels)
