"""Export: the Python lines that reproduce what the explorer shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retinoscope.api import View
from retinoscope.app.acting import image_of
from retinoscope.app.requests import (
    Ablation,
    Action,
    Export,
    KnockingOut,
    Overlay,
    Patching,
    Steering,
)
from retinoscope.app.session import (
    EXAMPLE_SEED,
    Session,
    chosen_tokens,
    find_picture,
    find_view,
)
from retinoscope.app.writing import Say
from retinoscope.experiments.ablation.settings import AblationSettings


@dataclass(frozen=True)
class Exported:
    """Python.

    Attributes:
        code: a whole script.
    """

    code: str


def export(session: Session, request: Export, say: Say) -> Exported:
    """The lines that reproduce a state; everything of the user's is quoted as a Python literal.

    Raises:
        RetinoscopeError: the state is none of this model's.
    """
    view = find_view(session, request.prompt, say)
    lines = [*_opening(session, request), *_question(session, request)]
    if request.patches:
        lines += ["", f"tokens = {_tokens(view, request.patches)}"]
    lines += _changes(session, view, request)
    if request.patches:
        lines += _lens(request)
    if request.overlay is not None:
        names = [name for name, *_ in _steps(view, request)] if request.overlay.steps else []
        lines += _overlay(request.overlay, names)
    return Exported("\n".join(lines) + "\n")


def _opening(session: Session, request: Export) -> list[str]:
    keys = request.prompt.images
    known = any(find_picture(session, key).sample is not None for key in keys)
    steps = [*(step.action for step in request.kept), request.action]
    known |= any(
        isinstance(action, Patching) and find_picture(session, action.image).sample is not None
        for action in steps
    )
    lines = ["import retinoscope as rs"]
    if known:
        lines += ["from retinoscope.data import load_image, open_data", ""]
        lines += [f"scenes = open_data({session.data!r}, seed={EXAMPLE_SEED})"]
    else:
        lines += [""]
    names = ["image"] if len(keys) == 1 else [f"image_{i}" for i in range(1, len(keys) + 1)]
    return [
        *lines,
        *(f"{name} = {_image(session, key)}" for name, key in zip(names, keys, strict=True)),
        f"images = [{', '.join(names)}]",
    ]


def _image(session: Session, key: str) -> str:
    """Python for a picture: an example by its index, an upload by the file that was dropped in."""
    picture = find_picture(session, key)
    if picture.sample is None:
        return repr(picture.title)
    return f"load_image(scenes.samples[{int(picture.key.removeprefix('example-'))}])"


def _question(session: Session, request: Export) -> list[str]:
    options = "".join(f", {name}={value!r}" for name, value in session.options.items())
    return [
        f"vlm = rs.load({session.model!r}{options})",
        f"view = vlm.look(images, {_asked(session, request)})",
        "print('before:', view.answer())",
    ]


def _asked(session: Session, request: Export) -> str:
    prompt = request.prompt
    prefix = f", prefix={prompt.prefix!r}" if prompt.prefix else ""
    return f"{prompt.question!r}{prefix}, max_new_tokens={session.max_new_tokens}"


def _tokens(view: View, patches: tuple[int, ...]) -> str:
    return f"view.tokens.at({', '.join(runs(list(chosen_tokens(view, patches))))})"


def _changes(session: Session, view: View, request: Export) -> list[str]:
    """The interventions in force and what they do; none where nothing is done."""
    steps = _steps(view, request)
    if not steps:
        return []
    made: list[str] = [] if request.patches else [""]
    for name, tokens, patches, action in steps:
        made += _made(session, view, request, (name, tokens, patches), action)
    together = ", ".join(name for name, *_ in steps)
    return [
        *made,
        f"print('after:', view.answer({together}))",
        f"before, after = view.evaluate([(), ({together},)]).probability",
        "for token in before.topk(5).indices.tolist():",
        "    name = vlm.checkpoint.tokenizer.decode([token])",
        "    print(f'{name!r}: {float(before[token]):.4f} -> {float(after[token]):.4f}')",
        f"forced = view.teacher_forced([(), ({together},)])",
        "for word, before, after in zip(forced.words, *forced.probability.tolist()):",
        "    print(f'word {word!r}: {before:.4f} -> {after:.4f}')",
    ]


def _steps(view: View, request: Export) -> list[tuple[str, str, tuple[int, ...], Action]]:
    """What is in force: each with its name, its tokens as Python, its patches and its action."""
    steps = [
        (f"kept_{number}", _tokens(view, step.patches), step.patches, step.action)
        for number, step in enumerate(request.kept, start=1)
    ]
    if request.patches and request.action is not None:
        steps.append(("change", "tokens", request.patches, request.action))
    return steps


def _made(
    session: Session,
    view: View,
    request: Export,
    step: tuple[str, str, tuple[int, ...]],
    action: Action,
) -> list[str]:
    name, tokens, patches = step
    match action:
        case Ablation(value="noise", seed=seed):
            return [f"{name} = rs.Ablate({tokens}, rs.Noise({seed}))"]
        case Ablation(value=value):
            return [f"{name} = rs.Ablate({tokens}, {value!r})"]
        case KnockingOut(first, last, heads):
            layers = f"layers=range({first}, {last + 1})"
            only = f", heads={list(heads)}" if heads else ""
            return [f"{name} = rs.Knockout(view.last, {tokens}, {layers}{only})"]
        case Patching(image, layer):
            place = image_of(view, chosen_tokens(view, patches))
            site = f"resid_pre.{layer}"
            return [
                f"others = [*images[:{place}], {_image(session, image)}, *images[{place + 1}:]]",
                f"other = vlm.look(others, {_asked(session, request)})",
                f"states = other.capture({site!r}, positions={tokens})[{site!r}]",
                f"{name} = rs.Patch({tokens}, {layer}, states)",
            ]
        case Steering(word, layer, strength):
            asked = f"{word.strip()!r}, {tokens}, layer={layer}, strength={strength}"
            return [f"{name} = view.towards({asked})"]


def _lens(request: Export) -> list[str]:
    by = ""
    lines = [""]
    if request.lens:
        by = ", k=3, by=lens"
        lines += [
            "from retinoscope.runs.lens_fit import fitted_lenses",
            "",
            f"lens = fitted_lenses(vlm.checkpoint)[{request.lens!r}]",
        ]
    return [
        *lines,
        f"for layer, words in enumerate(view.lens(tokens{by}).top(3)):",
        "    print(layer, words[0])  # the first selected patch",
    ]


def _overlay(asked: Overlay, steps: Sequence[str]) -> list[str]:
    """What is painted on the image, with these interventions in force."""
    under, behind = ", ".join(steps), "".join(f", {name}" for name in steps)
    if asked.queries and asked.reading in ("attention", "rollout"):
        queries = f"[{', '.join(runs(sorted(asked.queries)))}]"
        found = f"view.attention_from({queries}{behind})"
        rolled = f"view.rollout({''.join(f'{name}, ' for name in steps)}queries={queries})"
        opening = [""]
    else:
        places = sorted({*asked.places}) or [0]
        opening = ["", f"said = view.explain({', '.join(map(str, places))})", "print(said.words)"]
        found, rolled = f"said.attention({under})", f"said.rollout({under})"
    match asked.reading:
        case "attention":
            where = f"map({asked.layer}, {asked.head})"
            show = "print('attention:', found[sorted(view.tokens.visual)].tolist())"
            return [*opening, f"found = {found}.{where}", show]
        case "rollout":
            return [*opening, f"print('rollout:', {rolled}.values.tolist())"]
    if asked.token is not None:
        tokens, views = f"[{asked.token}]", "[view]"
        opening = [""]
    else:
        tokens, views = "said.tokens", "said.views"
    method, options = f"{asked.reading}(token", ""
    if asked.reading == "integrated_gradients":
        settings = AblationSettings()
        options = f", tolerance={settings.gradient_tolerance}, most={settings.gradient_nodes}"
    return [
        *opening,
        f"each = [one.{method}{options}).values for one, token in zip({views}, {tokens})]",
        f"print('{asked.reading}:', sum(each).tolist())",
    ]


def runs(positions: list[int]) -> list[str]:
    """Ascending numbers as arguments, runs of three and more as ranges: ["3", "*range(7, 12)"]."""
    groups: list[list[int]] = []
    for position in positions:
        if groups and position == groups[-1][-1] + 1:
            groups[-1].append(position)
        else:
            groups.append([position])
    return [
        part
        for group in groups
        for part in (
            [f"*range({group[0]}, {group[-1] + 1})"] if len(group) > 2 else map(str, group)
        )
    ]
