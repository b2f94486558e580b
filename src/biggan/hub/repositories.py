"""Repositories of the Hugging Face Hub, by its own library, which is imported late."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from biggan.foundation.errors import UserError, nearest
from biggan.foundation.terminal import one_line

PREFIX = "hf://"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def is_repository(word: str) -> bool:
    """Tell whether a word is written as repositories are: ``owner/name``, or ``hf://owner/name``."""
    name = word.removeprefix(PREFIX)
    return bool(_NAME.fullmatch(name)) and ".." not in name and "--" not in name


def files_of(repository: str, revision: str | None = None) -> list[str]:
    """Return the names of a repository's files.

    Raises:
        UserError: the library is missing, or the Hub says no.
    """
    with _told(repository):
        return list(_library().HfApi().list_repo_files(repository.removeprefix(PREFIX), revision=revision))


def fetch_file(repository: str, name: str, revision: str | None = None) -> Path:
    """Return the local copy of one file of a repository, in the cache of the Hub's library.

    Raises:
        UserError: the library is missing, there is no such file, or the Hub says no.
    """
    with _told(f"{repository}: {name}"):
        return Path(_library().hf_hub_download(repository.removeprefix(PREFIX), name, revision=revision))


def choose_file(repository: str, names: list[str], wanted: str | None) -> str:
    """Return the file that is meant.

    Args:
        repository: for messages.
        names: what it holds.
        wanted: the name that was given.

    Raises:
        UserError: none was given and there are several, or there is none of that name; the nearest ones are listed.
    """
    if wanted in names:
        return str(wanted)
    weights = sorted(name for name in names if name.endswith((".safetensors", ".bin", ".pt", ".pth", ".npz", ".h5")))
    if wanted is None and len(weights) == 1:
        return weights[0]
    if wanted is not None:
        close = ", ".join(map(one_line, nearest(wanted, names))) or "none"
        raise UserError(f"--file {one_line(wanted)}: {one_line(repository)} has no such file; nearest: {close}")
    if not weights:
        raise UserError(f"{one_line(repository)} holds no file of weights")
    shown = "\n".join(f"  {one_line(name)}" for name in weights[:200])
    more = f"\n  and {len(weights) - 200:,} more" if len(weights) > 200 else ""
    raise UserError(
        f"{one_line(repository)} holds {len(weights):,} files of weights; choose one with --file:\n{shown}{more}"
    )


def upload(folder: Path, repository: str, *, private: bool, message: str) -> str:
    """Upload the files of a folder to a repository, which is created if it is not there; return its address.

    Raises:
        UserError: no token, the library is missing, or the Hub says no.
    """
    name = repository.removeprefix(PREFIX)
    library = _library()
    require_token(name)
    with _told(name):
        library.HfApi().create_repo(name, private=private, exist_ok=True)
        library.HfApi().upload_folder(repo_id=name, folder_path=folder, commit_message=message)
    return f"{library.constants.ENDPOINT}/{name}"


def require_token(repository: str) -> None:
    """Check that this machine has a token for the Hub.

    Raises:
        UserError: it has none, or the library is missing.
    """
    if not _library().get_token():
        raise UserError(
            f"{repository}: this is a repository of the Hugging Face Hub, which takes a token of yours ('hf auth "
            f"login', or the variable HF_TOKEN); for a folder write ./{repository}"
        )


def _library() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise UserError('the Hugging Face Hub takes a library of its own: pip install "biggan-torch[hub]"') from error
    return huggingface_hub


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Say whatever the library raises in one way."""
    errors = _library().errors
    # What its own error derives from is what its transport raises, which is another library from version to version.
    transport = tuple(set(errors.HfHubHTTPError.__mro__) - {object, BaseException, Exception})
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(f"{what}: its owner lets only those in who asked; ask on its page, then log in") from error
    except errors.LocalEntryNotFoundError as error:
        raise UserError(f"{what}: the Hugging Face Hub could not be reached, and it is not in its cache") from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise UserError(f"{what}: the Hugging Face Hub has no such thing, or not for you to see") from error
    except (*transport, errors.HFValidationError) as error:
        reason = one_line(str(error) or type(error).__name__, 300)
        raise UserError(f"{what}: the Hugging Face Hub could not do it ({reason})") from error
