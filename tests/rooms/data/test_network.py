"""Data that come over the network: verified, kept, removed again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biggan.foundation.errors import UserError
from tests.data_kinds import NAMES, as_cifar_binary, as_shards
from tests.rooms.data.helpers import images
from tests.rooms.data.helpers import opened_as_stored as opened


def test_cifar_is_downloaded_and_verified(server: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    from biggan.data.sources import cifar

    address, folder, requests = server
    monkeypatch.setattr(cifar, "SITE", address)
    with pytest.raises(UserError, match=r"could not be downloaded.*give its path instead"):
        opened("cifar10")
    path = Path(as_cifar_binary(images(), folder))
    with pytest.raises(UserError, match=r"its md5 is \w+, not c32a1d4ab5d03f1284b67883e8d87530; nothing was kept"):
        opened("cifar10")
    import hashlib

    edition = dataclasses.replace(cifar._EDITIONS["cifar10"], md5=hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setitem(cifar._EDITIONS, "cifar10", edition)
    assert len(opened("cifar10")) == 40
    count = len(requests)
    assert len(opened("cifar10:test")) == 2
    assert len(requests) == count, "the second time it lies in the cache"


def test_any_file_by_url(server: tuple[str, Path, list[str]]) -> None:
    from tests.data_kinds import as_stylegan_zip

    address, folder, _ = server
    as_stylegan_zip(images(), folder)
    assert opened(f"{address}/stylegan.zip").class_names == NAMES
    with pytest.raises(UserError, match="could not be downloaded"):
        opened(f"{address}/other.zip")


def test_shards_by_url(server: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    """Shards are fetched once each, kept within the disk allowed, and give what local ones give."""
    address, folder, requests = server
    as_shards(images(), folder, count=4)
    local = opened(folder / "part-{000..003}.tar")
    remote: Any = opened(f"{address}/part-{{000..003}}.tar")
    assert remote.class_names == NAMES
    assert sorted(requests) == ["/class_names.txt", *(f"/part-{number:03}.tar" for number in range(4))]
    for index in (0, 39, 17):
        assert np.array_equal(remote.read(index), local.read(index))
    again = opened(f"{address}/part-{{000..003}}.tar")
    assert np.array_equal(again.labels, remote.labels)
    assert len(requests) == 5, "tables of contents and shards lie in the cache"
    remote.store.cache_bytes = 1
    remote.read(0)
    remote.read(39)
    kept = list((tmp_path / "cache" / "shards").rglob("*.tar"))
    assert len(kept) == 1, "the longest unused are removed"
