"""What a view shows: its images, its videos and their frames, each with its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from retinoscope.api.selecting import Tokens
from retinoscope.brief import brief_fields
from retinoscope.engine import Recording
from retinoscope.models import Video
from retinoscope.tokens import of_image, of_video


@dataclass(frozen=True, eq=False)
class SeenImage:
    """One of the images of a view.

    Attributes:
        recording: the view's run.
        index: which of the images, from 0.
        picture: the image.
    """

    recording: Recording
    index: int
    picture: Image.Image

    __repr__ = brief_fields

    @property
    def tokens(self) -> Tokens:
        """Its visual tokens; positions and words are those of the whole prompt."""
        return Tokens(self.recording, of_image(self.recording.layout, self.index))


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """One frame of a video of a view.

    Attributes:
        recording: the view's run.
        video: which of the videos, from 0.
        index: which of the frames, from 0.
        picture: the frame.
    """

    recording: Recording
    video: int
    index: int
    picture: Image.Image

    __repr__ = brief_fields

    @property
    def tokens(self) -> Tokens:
        """The visual tokens that show this frame; some models show others by them as well."""
        return Tokens(self.recording, of_video(self.recording.layout, self.video, self.index))


@dataclass(frozen=True, eq=False)
class SeenVideo:
    """One of the videos of a view.

    Attributes:
        recording: the view's run.
        index: which of the videos, from 0.
        video: its frames.
    """

    recording: Recording
    index: int
    video: Video

    __repr__ = brief_fields

    @property
    def tokens(self) -> Tokens:
        """Its visual tokens, of all frames; `.under` takes a mask for each."""
        return Tokens(self.recording, of_video(self.recording.layout, self.index))

    @property
    def frames(self) -> tuple[SeenFrame, ...]:
        """Its frames, each with its tokens."""
        return tuple(
            SeenFrame(self.recording, self.index, number, frame)
            for number, frame in enumerate(self.video.frames)
        )
