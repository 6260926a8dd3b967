"""Addresses of sites: read whole or refused."""

from __future__ import annotations

from typing import Any

import pytest

from retinoscope.errors import InterventionError
from retinoscope.interventions import Site, as_site
from retinoscope.interventions.site import GLOBAL_SITES, LAYER_SITES, hook_name


@pytest.mark.parametrize("site", [*(Site(n, 3) for n in LAYER_SITES), *map(Site, GLOBAL_SITES)])
def test_a_site_is_its_string(site: Site) -> None:
    assert as_site(str(site)) == site
    assert as_site(site) is site
    assert {site: 1}[as_site(str(site))] == 1


@pytest.mark.parametrize(
    ("given", "site"),
    [
        ("blocks.3.hook_resid_pre", "resid_pre.3"),
        ("blocks.12.attn.hook_pattern", "attn_probs.12"),
        ("blocks.0.attn.hook_z", "z.0"),
        ("blocks.0.attn.hook_out", "attn_out.0"),
        ("blocks.0.hook_attn_out", "attn_out_post.0"),
        ("blocks.0.mlp.hook_post", "mlp_act.0"),
        ("unembed.hook_in", "final_norm"),
        ("model.layers.3.self_attn.output", "attn_out.3"),
        ("model.language_model.layers.3.mlp.input", "mlp_in.3"),
        ("model.language_model.layers[3].output", "resid_post.3"),
        ("model.layers[12].self_attn.output", "attn_out.12"),
        ("layers.3.output", "resid_post.3"),
        ("mlps_output[3]", "mlp_out.3"),
        ("layers_input[0]", "resid_pre.0"),
        (("z", 3), "z.3"),
        (("pattern", 3), "attn_probs.3"),
        (("post", 0), "mlp_act.0"),
    ],
)
def test_other_tools_names_are_read(given: str | tuple[str, int], site: str) -> None:
    assert str(as_site(given)) == site


@pytest.mark.parametrize("name", LAYER_SITES)
def test_a_hook_name_is_that_of_the_site(name: str) -> None:
    assert as_site(hook_name(Site(name, 3))) == Site(name, 3)


def test_a_site_without_a_hook_is_refused() -> None:
    assert as_site(hook_name(Site("final_norm"))) == Site("final_norm")
    with pytest.raises(InterventionError, match="no hook"):
        hook_name(Site("embeddings"))


@pytest.mark.parametrize(
    "given",
    [
        "resid_pre",
        "resid_pre.",
        "resid_pre.-1",
        "resid_pre.03",
        "resid_pre.3.stream-0",
        "resid_pre.3.site-1",
        "resid_pre:3",
        "resid_pre.3 ",
        "resid_pre.3\n",
        "resid_pre.٣",
        "resid_pree.3",
        "final_norm.3",
        "attn_out.5.0",
        "blocks.3.hook_attn_in",
        "blocks.3.ln1.hook_normalized",
        "blocks.3.hook_resid_pre.head",
        "model.vision_tower.layers.3.output",
        "model.layers.3.self_attn.q_proj.output",
        "model.layers.3.output[0]",
        "mlps_output[3][0]",
        "model.layers[3.output",
        "model.layers.3].output",
        "mlps_output[-1]",
        "",
        ("q", 3),
        ("z", -1),
        ("lm_head", 0),
    ],
)
def test_what_is_not_understood_whole_is_refused(given: Any) -> None:
    with pytest.raises(InterventionError):
        as_site(given)


@pytest.mark.parametrize("fields", [("resid_pre",), ("resid_pre", -1), ("lm_head", 3), ("x", 1)])
def test_no_site_is_made_that_is_none(fields: tuple) -> None:
    with pytest.raises(InterventionError):
        Site(*fields)
