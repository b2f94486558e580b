"""A batch is cut into numbered groups; who sees which depends on ranks, what the groups are does not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from biggan.foundation.groups import Share, split_evenly
from biggan.foundation.seeding import consecutive, normals, normals_at, uniforms, uniforms_at


@given(st.integers(1, 300), st.sampled_from([1, 2, 3, 4, 6, 8, 12]), st.data())
def test_groups_are_the_same_however_many_ranks(batch: int, groups: int, data: st.DataObject) -> None:
    batch = max(batch, groups)
    ranks = data.draw(st.sampled_from([n for n in range(1, groups + 1) if groups % n == 0]))
    shares = [Share(batch, rank, ranks, groups // ranks) for rank in range(ranks)]
    in_turn = [shares[number % ranks].runs[number // ranks] for number in range(groups)]
    assert in_turn == Share(batch, groups=groups).runs
    assert sorted(np.concatenate([share.places for share in shares])) == list(range(batch))
    for share in shares:  # which is how an update cuts what it is given
        assert [size for _, size in share.runs] == split_evenly(share.size, groups // ranks)


@given(st.lists(st.integers(0, 40), max_size=20))
def test_rows_at_positions_are_the_rows_of_the_one_table(places: list[int]) -> None:
    positions = np.array(places, dtype=np.int64)
    assert [first + i for first, count in consecutive(positions) for i in range(count)] == places
    assert np.array_equal(uniforms_at(3, "x", 5, positions, 3), uniforms(3, "x", 5, 0, 41, 3)[positions])
    assert np.array_equal(normals_at(3, "x", 5, positions, 3), normals(3, "x", 5, 0, 41, 3)[positions])
