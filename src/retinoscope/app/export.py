"""Export: the Python lines that reproduce what the explorer shows."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.api import View
from retinoscope.app.requests import Ablation, Blocking, Export
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
        lines += _selection(view, request.patches)
    lines += _changes(view, request)
    if request.patches:
        lines += _lens()
    if request.reading is not None:
        lines += _overlay(view, request)
    return Exported("\n".join(lines) + "\n")


def _opening(session: Session, request: Export) -> list[str]:
    picture = find_picture(session, request.prompt.image)
    lines = ["import retinoscope as rs"]
    if request.reading == "rollout":
        lines.append("from retinoscope.attribution import attention_rollout")
    elif request.reading == "gradients":
        lines.append("from retinoscope.attribution import integrated_gradients")
    if picture.sample is None:
        return [*lines, "", f"image = {picture.title!r}  # the file that was dropped in"]
    index = int(picture.key.removeprefix("example-"))
    return [
        *lines,
        "from retinoscope.data import load_image, open_data",
        "",
        f"scenes = open_data({session.data!r}, seed={EXAMPLE_SEED})",
        f"image = load_image(scenes.samples[{index}])",
    ]


def _question(session: Session, request: Export) -> list[str]:
    prompt = request.prompt
    prefix = f", prefix={prompt.prefix!r}" if prompt.prefix else ""
    options = "".join(f", {name}={value!r}" for name, value in session.options.items())
    return [
        f"vlm = rs.load({session.model!r}{options})",
        f"view = vlm.look(image, {prompt.question!r}{prefix}, "
        f"max_new_tokens={session.max_new_tokens})",
        "print('before:', view.answer())",
    ]


def _selection(view: View, patches: tuple[int, ...]) -> list[str]:
    return ["", f"tokens = {_tokens(view, patches)}"]


def _tokens(view: View, patches: tuple[int, ...]) -> str:
    return f"view.tokens.at({', '.join(runs(list(chosen_tokens(view, patches))))})"


def _changes(view: View, request: Export) -> list[str]:
    """The interventions in force and what they do; none where nothing is done."""
    made = {
        f"kept_{number}": _made(step.action, _tokens(view, step.patches))
        for number, step in enumerate(request.kept, start=1)
    }
    if request.patches and request.action is not None:
        made["change"] = _made(request.action, "tokens")
    if not made:
        return []
    together = ", ".join(made)
    return [
        *([] if request.patches else [""]),
        *(f"{name} = {code}" for name, code in made.items()),
        f"print('after:', view.answer({together}))",
        f"before, after = view.evaluate([(), ({together},)]).probability",
        "for token in before.topk(5).indices.tolist():",
        "    name = vlm.checkpoint.tokenizer.decode([token])",
        "    print(f'{name!r}: {float(before[token]):.4f} -> {float(after[token]):.4f}')",
    ]


def _made(action: Ablation | Blocking, tokens: str) -> str:
    match action:
        case Ablation(value="noise", seed=seed):
            return f"rs.Ablate({tokens}, rs.Noise({seed}))"
        case Ablation(value=value):
            return f"rs.Ablate({tokens}, {value!r})"
        case Blocking(first, last):
            return f"rs.Knockout(view.last, {tokens}, layers=range({first}, {last + 1}))"


def _lens() -> list[str]:
    return [
        "",
        "for layer, words in enumerate(view.lens(tokens).top(3)):",
        "    print(layer, words[0])  # the first selected patch",
    ]


def _overlay(view: View, request: Export) -> list[str]:
    if request.reading == "rollout":
        return ["", "print('rollout:', attention_rollout(view.recording).tolist())"]
    token = int(view.recording.logits.argmax()) if request.token is None else request.token
    settings = AblationSettings()
    accuracy = f"tolerance={settings.gradient_tolerance}, most={settings.gradient_nodes}"
    return [
        "",
        f"found = integrated_gradients(view.recording, {token}, {accuracy})",
        "print('gradients:', found.score.tolist())",
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
