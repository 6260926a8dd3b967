"""Loading a processor, for images with Pillow whether or not torchvision is there.

transformers prefers torchvision for images, whose resampling differs slightly from Pillow's, and
asks for it wherever a processor could also take videos. Results must not depend on what else is
installed: images always go through the Pillow image processors. The slot for videos is filled
where torchvision is installed, and left empty elsewhere.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoVideoProcessor
from transformers.image_processing_base import ImageProcessingMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name
from transformers.processing_utils import ProcessorMixin
from transformers.utils.import_utils import is_torchvision_available


def load_processor(source: str | Path, revision: str | None = None) -> Any:
    """The processor of a checkpoint.

    Args:
        source: a hub name or a folder in Hugging Face format.
        revision: the hub's branch, tag or commit.

    Raises:
        ImportError: it can't do without torchvision (LFM2-VL's image processor), or another
            package is missing.
        OSError: its files are missing.
        ValueError: its files can't be read.
    """
    kind = _processor_class(str(source), revision)
    processor = kind.from_pretrained(source, revision=revision, trust_remote_code=False)
    images = getattr(processor, "image_processor", None)
    if images is not None and not type(images).__name__.endswith("Pil"):
        pillow = AutoImageProcessor.from_pretrained(
            source, revision=revision, backend="pil", trust_remote_code=False
        )
        processor.image_processor = pillow
    empty = isinstance(getattr(processor, "video_processor", None), Unused)
    if empty and is_torchvision_available():
        processor.video_processor = AutoVideoProcessor.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
    return processor


class Unused:
    """What stands in a slot for videos: every option of it is None, and it can't be called."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


def image_only(kind: type[Any]) -> type[Any]:
    """The processor class made without its slot for videos; the class itself if it has none.

    Args:
        kind: a processor class of transformers.
    """
    slots = kind.get_attributes()
    kept = [slot for slot in slots if "video" not in slot]
    if kept == slots:
        return kind

    class KeptSlots(ProcessorMixin):
        """Stands between the class and ProcessorMixin: fills each slot by its name."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            given = {**dict(zip(slots, args, strict=False)), **kwargs}
            for slot in set(slots) - set(kept):
                given.pop(slot, None)
            super().__init__(**given)

    class ImageOnly(kind, KeptSlots):
        """The same processor; what takes videos may be put in its slot afterwards."""

        @classmethod
        def get_attributes(cls) -> list[str]:
            return kept

        @classmethod
        def from_args_and_dict(
            cls, args: list[Any], processor_dict: dict[str, Any], **kwargs: Any
        ) -> Any:
            given = iter(args)
            filled = [next(given) if slot in kept else None for slot in slots]
            return super().from_args_and_dict(filled, processor_dict, **kwargs)

    # Some processors read the video processor's options when they are made. As attributes of the
    # class these are not written into the processor's files.
    for slot in set(slots) - set(kept):
        setattr(ImageOnly, slot, Unused())
    # The name is written into the processor's files, which others read.
    ImageOnly.__name__ = ImageOnly.__qualname__ = kind.__name__
    return ImageOnly


def pixtral_processor() -> type[Any]:
    """Pixtral's processor class, which imports a function from a module that needs torchvision.

    The Pillow image processor's module has the same function; it stands in during the import.
    """
    package = "transformers.models.pixtral"
    needed, name = f"{package}.image_processing_pixtral", f"{package}.processing_pixtral"
    stands_in = needed not in sys.modules and name not in sys.modules
    if stands_in:
        sys.modules[needed] = importlib.import_module(f"{package}.image_processing_pil_pixtral")
    try:
        return importlib.import_module(name).PixtralProcessor
    finally:
        if stands_in:
            del sys.modules[needed]


def _processor_class(source: str, revision: str | None) -> type[Any]:
    """The class that the checkpoint's files name, or that its model type goes with."""
    name = ProcessorMixin.get_processor_dict(source, revision=revision)[0].get("processor_class")
    if name is None:
        files = ImageProcessingMixin.get_image_processor_dict(source, revision=revision)[0]
        name = files.get("processor_class")
    kind: Any
    if name is not None:
        kind = processor_class_from_name(name)
    else:
        config = type(
            AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
        )
        kind = PROCESSOR_MAPPING.get(config, None)
    if kind is None:
        return AutoProcessor
    if kind.__name__ == "PixtralProcessor" or name == "PixtralProcessor":
        return pixtral_processor()
    return image_only(kind)
