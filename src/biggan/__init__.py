"""Class-conditional GANs: train, resume, sample, interpolate.

Example:
    >>> import biggan
    >>> model = biggan.load("runs/digits")  # doctest: +SKIP
    >>> images = model.sample(classes=["3"], seeds=range(16))  # doctest: +SKIP

"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biggan.version import __version__

if TYPE_CHECKING:
    from biggan.hub.pretrained import from_pretrained
    from biggan.sampling.sampler import Sampler, load

__all__ = ["Sampler", "__version__", "from_pretrained", "load"]


def __getattr__(name: str) -> Any:
    # torch takes a second to import; the command line's help must not wait for it.
    if name in ("load", "Sampler"):
        from biggan.sampling import sampler

        return getattr(sampler, name)
    if name == "from_pretrained":
        from biggan.hub.pretrained import from_pretrained

        return from_pretrained
    raise AttributeError(f"module 'biggan' has no attribute '{name}'")
