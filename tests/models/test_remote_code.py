"""No checkpoint runs code of its own, whatever is typed when transformers asks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny

from retinoscope.errors import ModelError, RetinoscopeError
from retinoscope.models import encode, load

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
    from PIL import Image

    checkpoint = load(folder)
    checkpoint.processor.chat_template = template
    with pytest.raises(ModelError, match="chat template"):
        encode(checkpoint, Image.new("RGB", (20, 20)), "What?")


def test_a_configuration_of_the_wrong_types_is_told(folder: Path, tmp_path: Path) -> None:
    for number, field in enumerate(("text_config", "vision_config", "model_type")):
        model = shutil.copytree(folder, tmp_path / str(number))
        values = json.loads((model / "config.json").read_text())
        values[field] = "x" if field != "model_type" else 7
        (model / "config.json").write_text(json.dumps(values))
        with pytest.raises(ModelError):
            load(model)
