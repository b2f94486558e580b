"""Cases of metrics: numbers that the field's implementations make of given features and logits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from biggan.metrics.distances import neighbour_radii
from biggan.metrics.frechet import Frechet, frechet_distance
from biggan.metrics.inception_score import InceptionScore, inception_score
from biggan.metrics.kernel import PolynomialKernel, kid, kid_full
from biggan.metrics.moments import Gaussian, Moments
from biggan.metrics.neighbours import prdc, precision_recall
from tests.parity.case import Case, number_name
from tests.parity.comparison import Comparison

WIDE, NARROW = 1e-8, 1e-6  # relative: where the reference computes in float64, and in float32
EXACT = 1e-9  # relative: of a covariance without full rank, where the libraries only reach NARROW
ROUNDING = 1e-12  # of the terms of which a small distance is the rest


class Metrics:
    """Our numbers for one case; every handler compares one entry of the results, with what its name holds."""

    def __init__(self, case: Case, comparison: Comparison) -> None:
        self.case = case
        self.comparison = comparison
        self.results: dict[str, Any] = case.settings.get("results", {})
        self.relative = (
            NARROW if any(v.dtype == torch.float32 for k, v in case.arrays.items() if k[:3] == "in/") else WIDE
        )

    @property
    def real(self) -> Tensor:
        """Return the real features [n, d]."""
        return self.case.arrays["in/real"]

    @property
    def fake(self) -> Tensor:
        """Return the fake features [m, d]."""
        return self.case.arrays["in/fake"]

    def number(self, path: tuple[object, ...], ours: float, relative: float | None = None, terms: float = 0.0) -> None:
        """Compare a number of the results, relative to itself; ``terms`` is the size of what it is the rest of."""
        theirs = self.case.number(number_name(("results", *path)))
        allowed = (self.relative if relative is None else relative) * abs(theirs)
        self.comparison.number(("results", *path), ours, max(allowed, ROUNDING * terms))

    def setting(self, path: tuple[object, ...], used: int) -> None:
        """Compare a setting with what our result says that it used."""
        self.comparison.number(("results", *path), used, 0.0)

    # -- Fréchet -------------------------------------------------------------------------------------------------------

    def fid(self, name: str) -> None:
        """All implementations' distances of the complete sets, and the terms."""
        self.frechet(name, frechet_distance(gaussian(self.real), gaussian(self.fake)))

    def fid_of_first_rows(self, name: str, rows: str) -> None:
        """The distance of a part, usually with fewer rows than dimensions."""
        n = int(rows)
        self.frechet(name, frechet_distance(gaussian(self.real[:n]), gaussian(self.fake[:n])))

    def frechet(self, name: str, ours: Frechet) -> None:
        """Compare each number under ``name``; what is no part is a distance, by whatever implementation."""
        parts = {
            "mean_term": ours.mean_term,
            "trace_real": ours.traces[0],
            "trace_fake": ours.traces[1],
            "trace_root": ours.root_trace,
        }
        for key in numeric(self.results[name]):
            if key in parts:
                self.number((name, key), parts[key])
            elif re.search("exact|nuclear", key):
                self.number((name, key), ours.distance, EXACT, sum(ours.traces))
            else:
                limit = NARROW if ours.rank_deficient else None
                self.number((name, key), ours.distance, limit, sum(ours.traces))

    # -- kernel --------------------------------------------------------------------------------------------------------

    def kernel(self, name: str) -> None:
        """Subsets by torch-fidelity's draws, everything, and everything cut to equal counts."""
        entry = self.results[name]
        settings: dict[str, Any] = entry.get("settings", {})
        kernel = polynomial(settings.get("kernel", ""))
        if "torch_fidelity_mean" in entry:
            (seed,) = found(r"RandomState\((\d+)\)", settings["rng"])
            ours = kid(
                self.real,
                self.fake,
                subsets=settings["subsets"],
                subset_size=settings["subset_size"],
                seed=int(seed),
                kernel=kernel,
            )
            self.setting((name, "settings", "subsets"), ours.subsets)
            self.setting((name, "settings", "subset_size"), ours.subset_size)
            self.number((name, "torch_fidelity_mean"), ours.mean, terms=1.0)
            self.number((name, "torch_fidelity_std"), ours.std, terms=1.0)
        if "unbiased_mmd2_on_everything" in entry:
            value = kid_full(self.real, self.fake, kernel=kernel)
            self.number((name, "unbiased_mmd2_on_everything"), value, terms=1.0)
        if "dgm_eval_polynomial_mmd_on_first_min_n" in entry:
            n = min(len(self.real), len(self.fake))
            value = kid_full(self.real[:n], self.fake[:n], kernel=kernel)
            self.number((name, "dgm_eval_polynomial_mmd_on_first_min_n"), value, terms=1.0)

    # -- neighbours ----------------------------------------------------------------------------------------------------

    def prdc(self, name: str, k: str) -> None:
        """The four shares at the k that the name tells."""
        ours = prdc(self.real, self.fake, k=int(k))
        for key in ("precision", "recall", "density", "coverage"):
            if key in self.results[name]:
                self.number((name, key), getattr(ours, key))

    def precision_recall(self, name: str) -> None:
        """torch-fidelity's two shares, float32."""
        ours = precision_recall(self.real, self.fake, k=self.results[name]["neighborhood"])
        self.setting((name, "neighborhood"), ours.k)
        for key in ("precision", "recall", "f_score"):
            if key in self.results[name]:
                self.number((name, key), getattr(ours, key), NARROW)

    # -- Inception Score -----------------------------------------------------------------------------------------------

    def inception_score(self, name: str) -> None:
        """Mean and spread by each way to cut the images."""
        entry = self.results[name]
        logits = self.case.arrays["in/logits"]
        self.setting((name, "n"), len(logits))
        self.setting((name, "splits"), self.compare_score(name, logits, entry["splits"]))

    def compare_score(self, name: str, logits: Tensor, splits: int) -> int:
        """Compare every way that the case has, and return the splits that were used."""
        used = 0
        for key in self.results[name]:
            shuffled = re.fullmatch(r"torch_fidelity_shuffled_seed(\d+)", key)
            ours: InceptionScore
            if shuffled:
                ours = inception_score(logits, splits=splits, seed=int(shuffled[1]))
            elif key == "torch_fidelity_unshuffled":
                ours = inception_score(logits, splits=splits, seed=None)
            elif key == "biggan_pytorch":
                ours = inception_score(logits, splits=splits, seed=None, equal_splits=True)
            else:
                continue
            used = ours.splits
            self.number((name, key, 0), ours.mean)
            self.number((name, key, 1), ours.std, terms=ours.mean)
        return used

    # -- arrays --------------------------------------------------------------------------------------------------------

    def array(self, name: str, rest: str) -> None:
        """Compare an array; one of unknown name stays uncompared, which the runner reports."""
        radii = re.fullmatch(r"radii_(real|fake)_k(\d+)", rest)
        moment = re.fullmatch(r"(mu|sigma)_(real|fake)", rest)
        if radii:
            ours = neighbour_radii(self.case.arrays[f"in/{radii[1]}"], int(radii[2]))
        elif moment:
            of = gaussian(self.case.arrays[f"in/{moment[2]}"])
            ours = of.mean if moment[1] == "mu" else of.covariance
        else:
            return
        theirs = self.case.arrays[name].double()
        smallest = float(theirs.abs().min()) if radii else float(theirs.abs().max())
        self.comparison.array(name, ours, self.relative * smallest)


HANDLERS: dict[str, Callable[..., None]] = {
    r"fid": Metrics.fid,
    r"fid_\w+_first_(\d+)_rows": Metrics.fid_of_first_rows,
    r"kid": Metrics.kernel,
    r"prdc_k(\d+)": Metrics.prdc,
    r"precision_recall_torch_fidelity": Metrics.precision_recall,
    r"inception_score": Metrics.inception_score,
}


def run(case: Case, comparison: Comparison) -> None:
    """Run one case."""
    metrics = Metrics(case, comparison)
    if not metrics.results and not any(key.startswith("out/") for key in case.arrays):
        raise ValueError("a case of unknown kind")
    for name in metrics.results:
        for pattern, handler in HANDLERS.items():
            match = re.fullmatch(pattern, name)
            if match:
                handler(metrics, name, *match.groups())
    comparison.each("out/", metrics.array)


def gaussian(rows: Tensor) -> Gaussian:
    """Return the moments of rows."""
    moments = Moments(rows.shape[1])
    moments.add(rows)
    return moments.finish()


def polynomial(text: str) -> PolynomialKernel:
    """Return the kernel that a case describes, such as "polynomial degree 3, gamma 1/dim, coef0 1"."""
    degree, gamma, offset = found(r"polynomial degree (\d+), gamma (\S+), coef0 (\S+)", text)
    return PolynomialKernel(degree=int(degree), gamma=None if gamma == "1/dim" else float(gamma), offset=float(offset))


def found(pattern: str, text: str) -> tuple[str, ...]:
    """Return the groups of a pattern in a setting."""
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"no {pattern} in '{text}'")
    return match.groups()


def numeric(entry: dict[str, Any]) -> Iterator[str]:
    """Yield the keys that hold numbers."""
    return (key for key, value in entry.items() if isinstance(value, int | float) and not isinstance(value, bool))
