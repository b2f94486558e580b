"""Reading all images before training, and what happens to corrupt ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, UnreadableImageError
from biggan.foundation.errors import UserError

_SHOWN = 20


def listed_problems(source: ImageSource, corrupt: list[tuple[int, str]], config: ReadingConfig) -> str:
    """Return the remark that corrupt images were left out, if the user said that they may be.

    Args:
        source: where they are.
        corrupt: (index, reason) of each.
        config: says whether to skip.

    Raises:
        UserError: ``--data.skip-corrupt`` was not given; they are named.
    """
    listed = "\n".join(f"  {source.name(index)}: {reason}" for index, reason in corrupt[:_SHOWN])
    listed += f"\n  and {len(corrupt) - _SHOWN} more" if len(corrupt) > _SHOWN else ""
    if not config.skip_corrupt:
        raise UserError(
            f"--data {config.path}: {len(corrupt)} of {len(source)} images cannot be used:\n{listed}\n"
            "Repair or remove them, or leave them out with --data.skip-corrupt."
        )
    return f"left out {len(corrupt)} corrupt image{'s' * (len(corrupt) != 1)}:\n{listed}"


def check_all(
    source: ImageSource,
    config: ReadingConfig,
    progress: Callable[[Iterable[str | None]], Iterable[str | None]] = iter,
) -> ImageSource:
    """Decode every image, and stop on corrupt ones (or return the source without them).

    Raises:
        UserError: see :func:`listed_problems`.
    """
    from biggan.data.choosing.selection import without

    def problem(index: int) -> str | None:
        try:
            source.read(index)
        except UnreadableImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(1 if source.in_memory else None) as pool:
        results = list(progress(pool.map(problem, range(len(source)))))
    corrupt = [(index, reason) for index, reason in enumerate(results) if reason is not None]
    if not corrupt:
        return source
    remark = listed_problems(source, corrupt, config)
    return without(source, [index for index, _ in corrupt], remark)
