"""Site: the name of one activation in the field's words, such as `resid_pre.3` or `attn_probs.5`.

The names are those of interp-engine (1.14), in forward order; the hook names of TransformerLens and
the paths of nnsight and nnterp are read as well. A name that is not understood whole is refused,
never read in part: half of it would be another tensor of the right shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from retinoscope.brief import brief
from retinoscope.errors import InterventionError

LAYER_SITES = {
    "resid_pre": "the residual stream that enters the layer",
    "attn_in": "the input of the attention module, after its norm",
    "query": "queries after position embedding, [heads, width]",
    "key": "keys after position embedding, [groups, width]",
    "value": "values, [groups, width]",
    "attn_scores": "what the softmax is taken of, before masking, [heads, keys]",
    "attn_probs": "attention weights, [heads, keys]",
    "z": "each head's output before the output projection, [heads, width]",
    "attn_out": "the output of the attention module",
    "attn_out_post": "what attention adds to the residual stream, after a norm where there is one",
    "resid_mid": "the residual stream between attention and MLP",
    "mlp_in": "the input of the MLP, after its norm",
    "mlp_pre": "the input of the MLP's activation function",
    "mlp_act": "the MLP's neurons: the input of its last projection",
    "mlp_out": "the output of the MLP",
    "mlp_out_post": "what the MLP adds to the residual stream, after a norm where there is one",
    "resid_post": "the residual stream that leaves the layer",
}
"""Sites of each decoder layer, in forward order, and what they hold at each position."""

GLOBAL_SITES = {
    "embeddings": "the input of the first decoder layer, image features and all",
    "final_norm": "the output of the final norm",
    "lm_head": "the output of the unembedding, before any scale or soft-cap",
}
"""Sites outside the layers."""

_ORDER = {name: at for at, name in enumerate(("embeddings", *LAYER_SITES, "final_norm", "lm_head"))}


@dataclass(frozen=True, order=False)
class Site:
    """Where an activation is: a name, and the decoder layer where the name needs one.

    Attributes:
        name: one of LAYER_SITES or GLOBAL_SITES.
        layer: the decoder layer, from 0; None for a global site.

    Raises:
        InterventionError: the name is unknown, or there is a layer too many or too few.
    """

    name: str
    layer: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in _ORDER:
            raise InterventionError(f"There is no site {brief(self.name)}; give one of {_known()}.")
        if (self.layer is None) != (self.name in GLOBAL_SITES):
            wanted = "no layer" if self.name in GLOBAL_SITES else "a layer"
            raise InterventionError(f"The site {self.name} takes {wanted}; got {self.layer!r}.")
        if self.layer is not None and (type(self.layer) is not int or self.layer < 0):
            raise InterventionError(
                f"The layer of {self.name} is {self.layer!r}; give a whole number from 0."
            )

    def __str__(self) -> str:
        return self.name if self.layer is None else f"{self.name}.{self.layer}"

    @property
    def order(self) -> int:
        """Its place among the sites of one layer, in forward order."""
        return _ORDER[self.name]


def as_site(given: Site | str | tuple[str, int]) -> Site:
    """A site from its address: `resid_pre.3`, `blocks.3.hook_resid_pre`, `layers_input[3]`.

    A name and a layer stand for the two together, ("z", 3) for "z.3". Names are then ours, and
    those of TransformerLens' shorthand that we don't have: `pattern`, `scores`, `v`, `pre`, `post`.

    Raises:
        InterventionError: the address isn't understood whole.
    """
    if isinstance(given, Site):
        return given
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str):
        name, layer = given
        return Site(_SHORT.get(name, name), layer)
    if not isinstance(given, str):
        raise InterventionError(f"A site is a Site or its address; got {given!r}.")
    for pattern, names in _GRAMMARS:
        match = re.fullmatch(pattern, given, re.ASCII)
        if match and (names is None or match["name"] in names):
            name = match["name"] if names is None else names[match["name"]]
            layer = match.groupdict().get("layer")
            return Site(name, None if layer is None else int(layer))
    raise InterventionError(
        f"{given!r} is not an address of a site. Give a name with its layer, such as 'attn_out.3' "
        f"(one of {_known()}), a hook name of TransformerLens such as 'blocks.3.attn.hook_z', or a "
        "path of nnsight or nnterp such as 'model.layers.3.mlp.output' or 'mlps_output[3]'."
    )


def hook_name(site: Site) -> str:
    """The hook name of TransformerLens at which `ActivationCache` looks for a site.

    Raises:
        InterventionError: TransformerLens has no hook where the site is.
    """
    if site.name == "final_norm":
        return "unembed.hook_in"
    # Where there are two names the cache's shorthand takes the one that says which stream it is.
    found = [hook for hook, name in _TRANSFORMER_LENS.items() if name == site.name]
    if not found:
        raise InterventionError(f"TransformerLens has no hook at the site {site}; leave it out.")
    return f"blocks.{site.layer}.{max(found, key=len)}"


def _known() -> str:
    return ", ".join(_ORDER)


_TRANSFORMER_LENS = {
    "hook_in": "resid_pre",
    "hook_resid_pre": "resid_pre",
    "attn.hook_in": "attn_in",
    "attn.hook_rot_q": "query",
    "attn.hook_rot_k": "key",
    "attn.hook_v": "value",
    "attn.hook_attn_scores": "attn_scores",
    "attn.hook_pattern": "attn_probs",
    "attn.hook_z": "z",
    "attn.hook_out": "attn_out",
    "hook_attn_out": "attn_out_post",
    "hook_resid_mid": "resid_mid",
    "mlp.hook_in": "mlp_in",
    "mlp.hook_pre": "mlp_pre",
    "mlp.hook_post": "mlp_act",
    "mlp.hook_out": "mlp_out",
    "hook_mlp_out": "mlp_out_post",
    "hook_resid_post": "resid_post",
    "hook_out": "resid_post",
}
"""Of a block. `hook_attn_in`, `hook_mlp_in` and `ln*.hook_normalized` are other tensors than any of
ours, and refused."""

_SHORT = {
    "pattern": "attn_probs",
    "scores": "attn_scores",
    "v": "value",
    "pre": "mlp_pre",
    "post": "mlp_act",
}
"""Of TransformerLens. Its `q` and `k` are before position embedding: other tensors, and refused."""

_NNSIGHT = {
    "input": "resid_pre",
    "output": "resid_post",
    "self_attn.input": "attn_in",
    "self_attn.output": "attn_out",
    "mlp.input": "mlp_in",
    "mlp.output": "mlp_out",
}

_NNTERP = {
    "layers_input": "resid_pre",
    "layers_output": "resid_post",
    "attentions_input": "attn_in",
    "attentions_output": "attn_out",
    "attention_probabilities": "attn_probs",
    "mlps_input": "mlp_in",
    "mlps_output": "mlp_out",
}

_NUMBER = r"(?P<layer>0|[1-9][0-9]*)"
_GRAMMARS: tuple[tuple[str, dict[str, str] | None], ...] = (
    (rf"(?P<name>{'|'.join(LAYER_SITES)})\.{_NUMBER}", None),
    (rf"(?P<name>{'|'.join(GLOBAL_SITES)})", None),
    (rf"blocks\.{_NUMBER}\.(?P<name>[a-z_.]+)", _TRANSFORMER_LENS),
    (r"(?P<name>unembed\.hook_in)", {"unembed.hook_in": "final_norm"}),
    # Only the language model's own layers: a vision tower's stand under other paths. `layers[3]` is
    # how a trace writes them; `output[0]` is refused, which is the states or the first of a batch.
    (
        rf"(?:model\.)?(?:language_model\.)?(?:model\.)?layers(?=\.\d+\.|\[\d+\]\.)[.\[]"
        rf"{_NUMBER}\]?\.(?P<name>[a-z_.]+)",
        _NNSIGHT,
    ),
    (rf"(?P<name>[a-z_]+)\[{_NUMBER}\]", _NNTERP),
)
