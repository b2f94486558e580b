"""A look at how the networks are: numbers, and a line that says whether they are healthy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from biggan.data.contract import ImageSource
from biggan.foundation import distributed
from biggan.foundation.files import write_picture
from biggan.foundation.images import to_bytes
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.losses.terms import Term
from biggan.sampling.identity import network_hash
from biggan.sampling.pictures import sheet
from biggan.sampling.png_text import about_text
from biggan.training.health.judging import findings, line_of
from biggan.training.health.leak import Leak, find_leak, views
from biggan.training.health.measuring import Subject, measure
from biggan.training.health.records import HealthRecord, growth, kept
from biggan.training.health.sample import Sample, take
from biggan.training.hooks.intervals import AtIntervals, evaluating
from biggan.training.rollback import CollapseError, Decision, decide
from biggan.training.run import Run
from biggan.training.run_directory import SAMPLES, STATS
from biggan.training.sinks.contract import Sinks
from biggan.version import __version__

LEAK = "leak.png"
_ON_SHEET = 20
"""Of each kind: clean reals, reals as D sees them, and the fakes that look most augmented."""
Sources = tuple[ImageSource, ImageSource | None]


class Health(AtIntervals):
    """Measures on the first process, which decides for all."""

    def __init__(self, every: int, open_sources: Callable[[], Sources], sinks: Sinks) -> None:
        """Prepare.

        Args:
            every: the interval.
            open_sources: returns the images that are trained on, and those that are held out.
            sinks: get the numbers.
        """
        super().__init__(every)
        self._sinks = sinks
        self._open = open_sources
        self._sample: Sample | None = None
        self._images = 0

    def _act(self, run: Run) -> None:
        """Look, unless the run is shorter than the interval."""
        if self.every is None or run.state.images_seen < self.every:
            return
        record = distributed.on_primary(lambda: self._look(run), "looking at the health of the networks")
        run.state.health = kept([*run.state.health, record])
        if distributed.is_primary():
            line = {"images_seen": record.images_seen, "iterations": run.state.iterations}
            found = {finding.kind: finding.text for finding in record.findings}
            run.directory.note(STATS, {**line, "health": record.numbers | self._passing(run), "findings": found})
            self._sinks.scalars(run, {f"health/{name}": value for name, value in record.numbers.items()})
        run.tell(f"{record.images_seen:,} images: {line_of(record)}")
        collapse = next((finding.text for finding in record.findings if finding.kind == "collapse"), None)
        if collapse is not None and run.config.on_collapse != "warn":
            raise CollapseError(collapse, distributed.on_primary(lambda: _decide(run, collapse), "deciding"))

    def _look(self, run: Run) -> HealthRecord:
        sample = self._sample = self._sample or self._take(run)
        state, clock = run.state, run.state.images_seen
        subject = Subject(
            generator=state.generator,
            average=state.average.network,
            discriminator=state.discriminator,
            loss=ADVERSARIAL_LOSSES[run.config.loss](),
            reals=sample.reals,
            held=sample.held,
            latents=sample.latents,
            wrong=sample.wrong,
            grid=sample.grid,
            chunk=run.config.log.sample_batch,
        )
        numbers = measure(subject) | self._leak(run, sample)
        numbers |= {
            "epochs": clock / self._images,
            "different": sample.different,
            "distinct": sample.different * self._images,
        }
        earlier = [one for one in state.health if one.images_seen < clock]
        numbers |= growth(numbers, earlier, state.attempt)
        record = HealthRecord(images_seen=clock, numbers=numbers, attempt=state.attempt)
        return dataclasses.replace(record, findings=findings([*earlier, record]))

    def _leak(self, run: Run, sample: Sample) -> dict[str, float]:
        """Return how many fakes look augmented, where D sees augmented images, and draw a sheet that shows it."""
        seen = views(run.state.terms, run.state.images_seen)
        if seen is None or sample.more is None:
            return {}
        size = run.config.log.sample_batch
        rows = zip(*(torch.split(part, size) for part in (sample.latents, sample.reals.labels)), strict=True)
        with evaluating(run.sampled) as generator, torch.no_grad():
            fakes = torch.cat([generator(*those) for those in rows])
        leak = find_leak(sample.more, fakes, seen)
        if leak is None:
            return {}
        clean = sample.reals.images[:_ON_SHEET]
        places = leak.likeness.argsort(descending=True)[:_ON_SHEET]
        if len(clean) == len(places) == _ON_SHEET:
            shown = torch.cat([clean, seen(clean, 0), fakes[places.to(fakes.device)]])
            picture = sheet(to_bytes(shown).cpu(), _ON_SHEET // 2)
            about = about_text(_about(run, sample, leak, places.tolist()))
            write_picture(run.directory.path / SAMPLES / str(run.state.images_seen) / LEAK, picture, pnginfo=about)
        return {"leak": leak.share}

    def _take(self, run: Run) -> Sample:
        source, held = self._open()
        self._images = len(source)
        model = run.config.model
        return take(
            source,
            held,
            classes=model.classes,
            z_size=model.z_size,
            seed=run.config.seed,
            device=run.device,
            more=any(type(term).view is not Term.view for term in run.state.terms.values()),  # now or later
        )

    @staticmethod
    def _passing(run: Run) -> dict[str, float]:
        """Return what is known while the run goes on and no part of what it is: for the log alone."""
        norms = {f"{name[0].upper()}_gradient_norm": norm for name, norm in run.engine.gradient_norms.items()}
        found = {name: float(norm) for name, norm in norms.items()}
        values = sorted((clock, value) for name, value, clock in run.state.best if name == run.state.best[-1][0])
        if len(values) > 1:
            found["judge_slope"] = values[-1][1] - values[-2][1]
        return found


def _about(run: Run, sample: Sample, leak: Leak, places: Sequence[int]) -> dict[str, object]:
    """Return what the sheet says of itself; ``places`` are those of its fakes among the latents of the looks."""
    labels = sample.reals.labels.tolist()
    return {
        "generator": network_hash(run.sampled),
        "images_seen": run.state.images_seen,
        "seed": run.config.seed,
        "columns": _ON_SHEET // 2,
        "rows": [
            {"show": "clean reals", "labels": labels[:_ON_SHEET]},
            {"show": "the same as D sees them", "terms": list(run.state.terms)},
            {
                "show": "fakes that look most like that",
                "labels": [labels[place] for place in places],
                "health latents": list(places),
                "likeness": [round(float(leak.likeness[place]), 4) for place in places],
            },
        ],
        "leak": leak.share,
        "biggan": __version__,
    }


def _decide(run: Run, reason: str) -> Decision | None:
    """Decide what is done about a collapse: nothing is lost if that is interrupted before or after it is written."""
    if run.config.on_collapse == "stop":
        return None
    return decide(run.directory.path, run.owned_store(), run.state, reason)
