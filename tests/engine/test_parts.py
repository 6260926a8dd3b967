"""Laws of the engine's parts: shared-prefix attention, batch rows and sizes of passes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from retinoscope.engine.recording.attention import AttentionCall
from retinoscope.engine.replay import sharing
from retinoscope.engine.replay.batch_rows import CLEAN, batch_rows
from retinoscope.interventions import Edge, Site, Write


class Grouped(nn.Module):
    """What an attention function asks of its module."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.num_key_value_groups = groups
        self.is_causal = True


@pytest.mark.parametrize("heads", [4, 1])
@pytest.mark.parametrize(("rows", "queries", "prefix"), [(3, 1, 7), (2, 5, 4), (4, 3, 1)])
@pytest.mark.parametrize("masked", ["together", "by row", "by head"])
def test_both_ways_of_sharing_a_prefix_agree(
    heads: int, rows: int, queries: int, prefix: int, masked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = torch.Generator().manual_seed(0)
    groups, width = max(1, heads // 2), 8
    query = torch.randn(rows, heads, queries, width, generator=draw)
    shared = [torch.randn(1, groups, prefix, width, generator=draw) for _ in range(2)]
    own = [torch.randn(rows, groups, queries, width, generator=draw) for _ in range(2)]
    shape = {"together": (1, 1), "by row": (rows, 1), "by head": (rows, heads)}[masked]
    allowed = torch.rand(*shape, queries, prefix + queries, generator=draw) > 0.3
    allowed[..., 0] = True
    call = AttentionCall(
        module=Grouped(heads // groups),
        query=query,
        key=own[0],
        value=own[1],
        mask=None,
        base=sdpa_attention_forward,
        options={"scaling": 0.3},
    )
    found = []
    for few in (0, 100):
        monkeypatch.setattr(sharing, "FEW_QUERIES", few)
        output, _ = sharing.attend(call, (shared[0], shared[1]), (own[0], own[1]), allowed)
        found.append(output)
    assert torch.allclose(found[0], found[1], atol=1e-6)


def test_rows_fork_only_where_conditions_part() -> None:
    write = Write(Site("resid_pre", 0), (3,), torch.zeros(1, 2))
    early, late = Edge(1, (5,), (2,)), Edge(2, (5,), (2,))
    plan = batch_rows(
        [
            (),
            (write,),
            (write, early),
            (early, late),
            (Edge(1, (5,), (2,)),),
        ],
        places=4,
    )
    assert [batch.parents for batch in plan] == [
        (CLEAN,),
        (0, 0, CLEAN),
        (0, 1, 2, 2),
        (0, 1, 2, 3),
    ]
    assert plan[-1].rows == (CLEAN, 0, 1, 2, 3)
    assert [batch.rows[0] for batch in plan] == [CLEAN] * 4


def test_different_writes_never_share_a_row() -> None:
    one, other = (
        Write(Site("resid_pre", 0), (3,), torch.full((1, 2), value)) for value in (1.0, 2.0)
    )
    assert batch_rows([(one,), (other,)], places=2)[-1].rows == (0, 1)
