"""What can be added to a loss: one object a method, one file, one line of the registry.

A term's options are the fields of its frozen dataclass, its state is tensors. It acts at any of these places:

- ``latents``: on what G is given;
- ``reals``: on what stands for the reals;
- ``view``: on what D sees of an image, fakes and reals alike;
- ``chosen``: on which fakes G learns from;
- ``loss``: a number that is added to that of a micro-batch, a mean over its images;
- ``gradients``: on the gradients of a network, once an update;
- ``stops``: on whether the update is made;
- ``after``: on its own state, once an update, from what was summed over the images of all ranks.

The update of a batch is the same however the batch was divided, to rounding, unless ``batch_relative`` says that images
of a micro-batch are compared with each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from biggan.foundation.chance import Chance
from biggan.foundation.courses import Course, constant, parse_course
from biggan.foundation.errors import UserError, unknown
from biggan.foundation.registry import Registry

if TYPE_CHECKING:
    from biggan.losses.scene import Scene

Phase = Literal["discriminator", "generator"]


class Seen(NamedTuple):
    """What a term may have to say something of."""

    channels: int
    resolution: tuple[int, int]
    flipped: bool
    """Whether images are mirrored as they are read."""
    duration: int | None = None
    """Images of the run; None where that is no matter."""
    updates: int | None = None
    """Updates of D in it."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """A term; this one does nothing."""

    weight: Course = constant(1.0)
    """By which its loss is multiplied, or how strong it is; 0 is as if it were not there."""
    every: int = 1
    """It acts in one of so many updates of a network, then so many times as strongly."""
    state: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What it remembers; changed in place."""

    phases: ClassVar[tuple[Phase, ...]] = ("discriminator",)
    """In whose updates it acts."""
    batch_relative: ClassVar[bool] = False
    """Whether images of a micro-batch are compared with each other."""
    needs_reals: ClassVar[bool] = False
    """Whether G's phase must have reals on stage, as many as fakes."""
    calls_generator: ClassVar[bool] = False
    """Whether it makes further fakes of a micro-batch, which G cannot do where moments are those of the whole batch."""
    differentiates_twice: ClassVar[bool] = False
    """Whether it uses ``scene.twice_differentiable``: the backward pass of such updates keeps all of float32."""
    turns_gradients: ClassVar[bool] = False
    """Whether it changes the gradient of the loss itself, and so acts before those that add gradients of their own."""
    head: ClassVar[str] = ""
    """Which head of D it reads; empty for none."""
    of_data: ClassVar[tuple[str, ...]] = ()
    """Options that are the number of images of the data where they are not given."""
    before: ClassVar[Mapping[str, str]] = {}
    """Of options that came later with another default, what a run did that was stored before."""
    paper: ClassVar[str] = ""
    """Where it is from."""

    def latents(self, scene: Scene) -> Tensor | None:  # noqa: ARG002 - as terms are called
        """Return what G is given in the place of ``scene.latents``, float [N, z_size]; None for the same.

        G is called anew then; its first pass alone moves running statistics.
        """
        return None

    def reals(self, scene: Scene) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002
        """Return what stands for the reals, float [N, C, H, W] in [-1, 1], and its labels [N]; None for the reals."""
        return None

    def chosen(self, scene: Scene) -> Tensor | None:  # noqa: ARG002
        """Return indices of the fakes, int64 [k], over which the adversarial loss of G is a mean; None for all."""
        return None

    def view(self, images: Tensor, chance: Chance, weight: float) -> Tensor:  # noqa: ARG002
        """Return what D sees of ``images``, float [N, C, H, W]."""
        return images

    def loss(self, scene: Scene) -> Tensor | None:  # noqa: ARG002
        """Return what is added, before it is weighted: a mean over the images of ``scene``; None for nothing."""
        return None

    def gradients(self, network: nn.Module, loss: Tensor, weight: float) -> bool:  # noqa: ARG002
        """Change the gradients of ``network``; return whether they were changed.

        Args:
            network: what learns in this update.
            loss: its loss, of the whole update over all ranks.
            weight: the weight of this term in this update.
        """
        return False

    def stops(self, loss: Tensor, weight: float) -> Tensor | None:  # noqa: ARG002
        """Return whether the update is left out, a bool on the device; None if never. Arguments as of ``gradients``."""
        return None

    def after(self, sums: Mapping[str, Tensor], images: Tensor, taken: Tensor) -> None:
        """Change the state, once the update is done.

        Args:
            sums: what was summed over the images of the update, on all ranks.
            images: how many these were, a number on the device.
            taken: 1 if the update was made, 0 if it was skipped: then the state must stay as it is.
        """

    def fresh(self) -> dict[str, Tensor]:
        """Return the state that a run begins with, on the CPU; the same names and shapes always."""
        return {}

    def begin(self, device: torch.device) -> None:
        """Begin anew, on ``device``."""
        self.state.clear()
        self.state.update({name: value.to(device) for name, value in self.fresh().items()})

    def remarks(self, data: Seen) -> list[str]:  # noqa: ARG002
        """Return sentences to print about the term where the data are such."""
        return []

    def check(self, name: str) -> None:
        """Check the options of the term that is called ``name``.

        Raises:
            UserError: a value that is not allowed.
        """
        if self.weight.least < 0:
            raise UserError(f"--terms {name},weight={self.weight}: must not be negative; 0 leaves the term out")
        if self.every < 1:
            raise UserError(f"--terms {name},every={self.every}: one of how many updates, 1 or more")


class Acting(NamedTuple):
    """A term in one update."""

    name: str
    term: Term
    weight: float


TERMS: Registry[type[Term]] = Registry(
    "term",
    {
        "orthogonal": "biggan.losses.orthogonal:Orthogonal",
        "d-orthogonal": "biggan.losses.orthogonal:DiscriminatorOrthogonal",
        "diffaugment": "biggan.losses.augmented:DiffAugment",
        "ada": "biggan.losses.augmented:Ada",
        "noise": "biggan.losses.augmented:Noise",
        "lecam": "biggan.losses.lecam:LeCam",
        "r1": "biggan.losses.gradient_penalties:R1",
        "r2": "biggan.losses.gradient_penalties:R2",
        "gp": "biggan.losses.gradient_penalties:GradientPenalty",
        "d-flood": "biggan.losses.flood:DiscriminatorFlood",
        "g-flood": "biggan.losses.flood:GeneratorFlood",
        "d-stop": "biggan.losses.stop:DiscriminatorStop",
        "g-stop": "biggan.losses.stop:GeneratorStop",
        "cr": "biggan.losses.consistency:Consistency",
        "bcr": "biggan.losses.consistency:BalancedConsistency",
        "zcr": "biggan.losses.consistency:LatentConsistency",
        "feature-matching": "biggan.losses.feature_matching:FeatureMatching",
        "ac": "biggan.losses.classifier:Classifier",
        "adc": "biggan.losses.classifier:DiscriminativeClassifier",
        "2c": "biggan.losses.contrastive:ConditionalContrastive",
        "d2d-ce": "biggan.losses.contrastive:DataToData",
        "rotation": "biggan.losses.rotation:Rotation",
        "apa": "biggan.losses.pseudo_augmentation:PseudoAugmentation",
        "top-k": "biggan.losses.top_k:TopK",
        "logan": "biggan.losses.latent_optimisation:LatentOptimisation",
    },
)


def acting(terms: Mapping[str, Term], phase: str, clock: int, number: int) -> list[Acting]:
    """Return the terms that act in an update, in the order in which they do.

    Args:
        terms: all, by name.
        phase: the network that learns.
        clock: images seen at its beginning.
        number: which update of that network it is.
    """
    found = [
        Acting(name, term, weight * term.every)
        for name, term in terms.items()
        if phase in term.phases and number % term.every == 0 and (weight := term.weight.at(clock))
    ]
    return sorted(found, key=lambda each: not each.term.turns_gradients)


def parse_terms(words: Sequence[str]) -> dict[str, Term]:
    """Return terms by name from words like ``cr,weight=10``.

    Raises:
        UserError: an unknown term or option, a value that cannot be, a term twice.
    """
    found: dict[str, Term] = {}
    for word in words:
        name, *options = word.split(",")
        if name in found:
            raise UserError(f"--terms {name}: is there twice; give it once, with all its options")
        kind = TERMS[name]
        known = {each.name: each for each in fields(kind) if each.init}
        values: dict[str, object] = {}
        for option in options:
            key, equals, value = option.partition("=")
            if not equals or not value:
                raise UserError(f"--terms {word}: write {name},OPTION=VALUE; '{option}' has no value")
            if key not in known:
                raise unknown(f"option of the term {name}", key, known)
            if key in values:
                raise UserError(f"--terms {word}: {key} is there twice; give it once")
            kind_of = getattr(known[key].type, "__name__", str(known[key].type))  # annotations may be evaluated
            values[key] = _value(kind_of, value, f"--terms {name},{key}")
        found[name] = kind(**values)  # type: ignore[arg-type]
        found[name].check(name)
    return found


def _value(kind: str, word: str, option: str) -> object:
    """Return an option's value from its word, by the type of its field."""
    if kind == "Course":
        return parse_course(word, option)
    if kind == "bool":
        if word not in ("yes", "no"):
            raise UserError(f"{option}={word}: yes or no")
        return word == "yes"
    if kind.startswith("tuple"):
        return tuple(word.split("+"))
    try:
        value = {"int": int, "float": float, "str": str}[kind](word)
    except ValueError:
        raise UserError(f"{option}={word}: must be {'a whole number' if kind == 'int' else 'a number'}") from None
    if isinstance(value, int) and abs(value) > 2**53:  # floats hold all that are smaller
        raise UserError(f"{option}={word}: beyond {2**53:,}; choose a smaller number")
    return value


def described(terms: Mapping[str, Term], data: Seen) -> list[str]:
    """Say of each term how it acts, and what is to be said of it with such data."""
    lines = []
    for name, term in terms.items():
        how = f"weight {term.weight}" + f", every {term.every} updates" * (term.every > 1) + f" ({term.paper})"
        relative = "; compares the images of a micro-batch, so that those are part of the result" * term.batch_relative
        lines.append(f"term {name}: {how}{relative}")
        begin = term.weight.begin if term.weight.first == 0 < term.weight.last else 0
        if data.duration is not None and data.duration <= begin:
            lines.append(f"  its weight is 0 until {begin:,} images, and the run ends at {data.duration:,}")
        lines += [f"  {remark}" for remark in term.remarks(data)]
    return lines


def listing() -> str:
    """Return a line for each term: name, what it does, options with their values, where it is from."""
    lines = ["terms: --terms NAME NAME,OPTION=VALUE,OPTION=VALUE ...", ""]
    for name, kind in ((name, TERMS[name]) for name in TERMS):
        first = (kind.__doc__ or "").partition("\n")[0]
        options = " ".join(f"{each.name}={_shown(getattr(kind(), each.name))}" for each in fields(kind) if each.init)
        lines.append(f"  {name:14} {first}\n{'':17}{options}\n{'':17}{kind.paper}")
    return "\n".join(lines)


def _shown(value: object) -> str:
    value = ("no", "yes")[value] if isinstance(value, bool) else value
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)


def on_stage(term: Term) -> bool:
    """Tell whether a term looks at images, and not at gradients alone."""
    return any(acts(term, place) for place in ("latents", "reals", "view", "chosen", "loss"))


def acts(term: Term, place: str) -> bool:
    """Tell whether a term acts at a place, of those above."""
    return getattr(type(term), place) is not getattr(Term, place)


def term_tensors(terms: Mapping[str, Term]) -> dict[str, Tensor]:
    """Return the state of all terms by name."""
    return {f"{name}/{key}": value for name, term in terms.items() for key, value in term.state.items()}
