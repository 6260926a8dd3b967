"""No checkpoint runs code of its own, whatever is typed when transformers asks."""

from __future__ import annotations

import ast
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from PIL import Image

import retinoscope
from retinoscope.errors import ModelError, RetinoscopeError
from retinoscope.models import encode, load
from retinoscope.models.template_trial import CHILD, SECONDS
from retinoscope.runs.cost.shape import config_of, shape_of

EVIL = """
from pathlib import Path
Path({marker!r}).write_text("")
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
class Config(LlavaConfig):
    model_type = "evil"
Model, Processor, Tokenizer, Images = LlavaForConditionalGeneration, LlavaProcessor, None, None
"""

AUTO = {
    "AutoConfig": "evil.Config",
    "AutoModelForImageTextToText": "evil.Model",
    "AutoProcessor": "evil.Processor",
    "AutoTokenizer": ["evil.Tokenizer", None],
    "AutoImageProcessor": "evil.Images",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("unknown", [False, True], ids=["known type", "unknown type"])
@pytest.mark.parametrize(
    "files",
    [
        ("config.json",),
        ("processor_config.json",),
        ("preprocessor_config.json",),
        ("tokenizer_config.json",),
        ("config.json", "processor_config.json", "tokenizer_config.json"),
    ],
    ids="+".join,
)
def test_code_beside_the_weights_is_never_run(
    folder: Path,
    tmp_path: Path,
    files: tuple[str, ...],
    unknown: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    model = shutil.copytree(folder, tmp_path / "model")
    marker = tmp_path / "ran"
    (model / "evil.py").write_text(EVIL.format(marker=str(marker)))
    for name in files:
        path = model / name
        values = json.loads(path.read_text()) if path.exists() else {}
        values["auto_map"] = AUTO
        if unknown:
            values |= {"model_type": "evil", "processor_class": "Evil", "tokenizer_class": "Evil"}
        path.write_text(json.dumps(values))
    try:
        load(model)
    except RetinoscopeError as error:
        assert str(error)
    assert not marker.exists()


def test_every_class_that_a_checkpoint_chooses_is_loaded_without_its_code() -> None:
    """Of `Auto` classes, whose ways of asking differ with what is installed and what lies there."""
    found, asking = 0, []
    for path in (Path(retinoscope.__file__).parent).rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            owner = call.func.value
            auto = isinstance(owner, ast.Name) and owner.id.startswith("Auto")
            if auto and call.func.attr in ("from_pretrained", "from_config"):
                given = {word.arg: ast.unparse(word.value) for word in call.keywords}
                found += 1
                if given.get("trust_remote_code") != "False":
                    asking.append(f"{path.name}:{call.lineno}")
    assert found > 5
    assert asking == []


def test_the_cost_of_a_checkpoint_runs_none_of_its_code(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a class that transformers knows, though not as one that sees."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    marker = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(EVIL.format(marker=str(marker)))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "auto_map": AUTO}))
    with pytest.raises(ModelError, match="no model can be made"):
        shape_of("evil", config_of(str(tmp_path)))
    assert not marker.exists()


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in %}",
        "{{ messages[9].content }}",
        "{{ raise_exception('no') }}",
        "{{ 1 / 0 }}",
        "{{ messages | join(1, 2, 3, 4) }}",
        "{% for a in range(10 ** 12) %}{{ a }}{% endfor %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    ],
)
def test_a_chat_template_that_breaks_is_told(folder: Path, template: str) -> None:
    checkpoint = load(folder)
    checkpoint.processor.chat_template = template
    with pytest.raises(ModelError, match="chat template"):
        encode(checkpoint, Image.new("RGB", (20, 20)), "What?")


ENDLESS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "recursion": "{% macro f(n) %}{{ f(n) ~ f(n + 1) }}{% endmacro %}{{ f(0) }}" * 3,
    "one step": "{{ 10 ** (10 ** 10) }}",
    "one text": "{{ messages[0].role * 10 ** 10 }}",
    "a width": "{{ '%999999999d' % 1 }}",
    "doubling": "{% set t = namespace(x='a') %}{% for i in range(60) %}"
    "{% set t.x = t.x ~ t.x %}{% endfor %}{{ t.x }}",
    "a long text": "{% for a in range(9999) %}{% for b in range(999) %}a{% endfor %}{% endfor %}",
    "when it is compiled": "{{ 'a' * 10 ** 10 }}",
}


@pytest.mark.parametrize("template", ENDLESS.values(), ids=ENDLESS)
def test_a_chat_template_that_never_ends_or_explodes_is_told_in_time(
    folder: Path, template: str
) -> None:
    checkpoint = load(folder)
    checkpoint.processor.chat_template = template
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    with pytest.raises(ModelError, match="chat template"):
        encode(checkpoint, Image.new("RGB", (20, 20)), "What?")
    assert time.monotonic() - begun < 6 * SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
    # The next one is none the worse for it.
    checkpoint.processor.chat_template = "<image> {{ messages[0].content[1].text }}"
    assert encode(checkpoint, Image.new("RGB", (20, 20)), "What?").prompt == "<image> What?"


def test_a_configuration_of_the_wrong_types_is_told(folder: Path, tmp_path: Path) -> None:
    for number, field in enumerate(("text_config", "vision_config", "model_type")):
        model = shutil.copytree(folder, tmp_path / str(number))
        values = json.loads((model / "config.json").read_text())
        values[field] = "x" if field != "model_type" else 7
        (model / "config.json").write_text(json.dumps(values))
        with pytest.raises(ModelError):
            load(model)


def test_a_trial_that_nobody_listens_to_ends_without_a_word() -> None:
    child = subprocess.Popen(
        [sys.executable, "-P", str(CHILD), "20", str(10**9), "1000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None and child.stdin is not None and child.stderr is not None
    child.stdout.close()  # before it says that it is ready
    said = child.stderr.read()
    assert child.wait(60) == 0 and said == b""
    for stream in (child.stdin, child.stderr):
        stream.close()
