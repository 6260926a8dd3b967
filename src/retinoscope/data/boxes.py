"""An object that is known by its box alone."""

from __future__ import annotations

from retinoscope.data.samples import Annotation, Box
from retinoscope.errors import DataError, SampleError


def read_box(text: str) -> Box:
    """A box from text: "x,y,width,height" in pixels.

    Raises:
        DataError: the text is not four numbers.
    """
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise DataError(
            f"box {text!r}: expected four numbers in pixels, x,y,width,height."
        ) from error
    return x, y, width, height


def boxed(
    image: str, class_name: str, box: Box, object_id: int, size: tuple[int, int]
) -> Annotation:
    """The object whose pixels are all those of its box.

    Args:
        image: what to call the image in an error.
        class_name: what the object is.
        box: x, y, width, height in pixels of the upright image.
        object_id: the annotation's id.
        size: width and height of the image.

    Raises:
        SampleError: the box is empty or reaches out of the image.
    """
    left, top, wide, high = box
    right, bottom = left + wide, top + high
    width, height = size
    inside = left >= 0 and top >= 0 and right <= width and bottom <= height
    if not (wide > 0 and high > 0 and inside):
        raise SampleError(
            f"{image}: the box x={left}, y={top}, width={wide}, height={high} is not inside the "
            f"{width} x {height} image. Give pixels of the upright image."
        )
    corners = f"[[{left},{top},{right},{top},{right},{bottom},{left},{bottom}]]"
    return Annotation(object_id, class_name, wide * high, box, False, corners.encode(), "box")
