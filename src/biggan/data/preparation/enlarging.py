"""Whether images are enlarged to the size at which they are used: asked of every kind of source alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biggan.data.configuration import ReadingConfig
from biggan.data.preparation.fitting import enlargement, preparation

if TYPE_CHECKING:
    from biggan.data.contract import ImageSource


def note_enlarging(source: ImageSource, config: ReadingConfig) -> None:
    """Count the images that are smaller than the size at which ``source`` gives them, and say so in its remarks."""
    notes, how = source.notes(), preparation(config, source.resolution, source.channels)
    source.enlarged = sum(count for size, count in notes.sizes.items() if enlargement(size, how) > 1)
    height, width = source.resolution
    sentence = f"{source.enlarged} of {notes.examined} images are smaller than {height}x{width} and are enlarged"
    if source.enlarged and sentence not in source.remarks:
        source.remarks.append(sentence)
