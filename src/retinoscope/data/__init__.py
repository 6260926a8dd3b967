"""Samples: images, the objects on them with exact masks, and questions about them.

Every source (COCO, a plain folder, one image, the embedded scenes) is read into
the same `Dataset`, so everything above this layer knows one kind of data.
"""

from retinoscope.data.cached_scenes import Composing, arranged_scenes, embedded_scenes
from retinoscope.data.coco import read_coco
from retinoscope.data.folder import image_files, read_folder, single_image
from retinoscope.data.images import MAX_PIXELS, load_image, open_image, upright_rgb
from retinoscope.data.masks import mask_image, object_mask
from retinoscope.data.samples import Annotation, Dataset, Question, Relation, Sample, Segment, Step
from retinoscope.data.selection import (
    ANY_SIZE,
    EMBEDDED_FILTER,
    PAPER_FILTER,
    Filter,
    Selection,
    select,
)
from retinoscope.data.sources import (
    Choices,
    Source,
    mean_images,
    open_data,
    open_images,
    source_of,
    sources,
)

__all__ = [
    "ANY_SIZE",
    "EMBEDDED_FILTER",
    "MAX_PIXELS",
    "PAPER_FILTER",
    "Annotation",
    "Choices",
    "Composing",
    "Dataset",
    "Filter",
    "Question",
    "Relation",
    "Sample",
    "Segment",
    "Selection",
    "Source",
    "Step",
    "arranged_scenes",
    "embedded_scenes",
    "image_files",
    "load_image",
    "mask_image",
    "mean_images",
    "object_mask",
    "open_data",
    "open_image",
    "open_images",
    "read_coco",
    "read_folder",
    "select",
    "single_image",
    "source_of",
    "sources",
    "upright_rgb",
]
