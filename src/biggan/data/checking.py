"""Reading all images before training, and what happens to corrupt ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource, UnreadableImageError
from biggan.foundation.errors import UserError

_SHOWN = 20


def refuse_or_leave_out(source: ImageSource, corrupt: list[tuple[int, str]], config: DataConfig) -> None:
    """Stop on corrupt images, or leave them out if the user said so.

    Args:
        source: where they are.
        corrupt: (index, reason) of each.
        config: says whether to skip.

    Raises:
        UserError: there are corrupt images and ``--data.skip-corrupt`` was not given; they are named.
    """
    if not corrupt:
        return
    listed = "\n".join(f"  {source.name(index)}: {reason}" for index, reason in corrupt[:_SHOWN])
    listed += f"\n  and {len(corrupt) - _SHOWN} more" if len(corrupt) > _SHOWN else ""
    if not config.skip_corrupt:
        raise UserError(
            f"--data {config.path}: {len(corrupt)} of {len(source)} images cannot be used:\n{listed}\n"
            "Repair or remove them, or leave them out with --data.skip-corrupt."
        )
    source.leave_out([index for index, _ in corrupt])
    source.remarks.append(f"left out {len(corrupt)} corrupt images:\n{listed}")


def check_all(
    source: ImageSource,
    config: DataConfig,
    progress: Callable[[Iterable[str | None]], Iterable[str | None]] = iter,
) -> None:
    """Decode every image, and stop on corrupt ones (or leave them out).

    Raises:
        UserError: see :func:`refuse_or_leave_out`.
    """

    def problem(index: int) -> str | None:
        try:
            source.read(index)
        except UnreadableImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(1 if source.in_memory else None) as pool:
        results = list(progress(pool.map(problem, range(len(source)))))
    refuse_or_leave_out(source, [(i, reason) for i, reason in enumerate(results) if reason is not None], config)
