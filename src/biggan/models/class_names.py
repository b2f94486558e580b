"""Names of classes that weights are published without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

IMAGENET_CLASSES = 1000


def imagenet_class_names() -> tuple[str, ...]:
    """Return the names of ImageNet's 1000 classes by index, each once.

    They are torchvision's. Older lists of it give two classes the same name twice, which a command line could not tell
    apart; see :func:`distinct`.
    """
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    return distinct(_IMAGENET_CATEGORIES)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return ``names`` so that none stands twice: those that do are followed by their index, ``crane (517)``.

    Names that stand alone stay as they are, and no name becomes another's.
    """
    counts, taken = Counter(names), set(names)
    found = []
    for index, name in enumerate(names):
        if counts[name] > 1:
            name = f"{name} ({index})"
            while name in taken:
                name += "'"
            taken.add(name)
        found.append(name)
    return tuple(found)
