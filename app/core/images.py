"""Pictures that strangers send: looked at by their content, and drawn anew.

What comes out was written by us alone: no metadata, no second file hidden behind the first, no
more pixels than a page shows.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps

from app.core.errors import DomainError

IMAGE_BYTES_MAX = 5 * 1024 * 1024
IMAGE_PIXELS_MAX = 25_000_000
"""Decoded, that many take 100 MB for as long as it lasts; a phone's camera makes 12 million."""
EDGE_PIXELS_MAX = 2_048
QUALITY = 85

READABLE = ("JPEG", "PNG", "WEBP", "GIF")
WRITTEN_AS = {"GIF": "PNG"}
"""Of an animation only its first picture is kept, which needs no GIF."""
CONTENT_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}

# The library warns at this many pixels and refuses at twice as many, and so late that a warning is
# no use: here both refuse.
Image.MAX_IMAGE_PIXELS = IMAGE_PIXELS_MAX
warnings.simplefilter("error", Image.DecompressionBombWarning)


class NotAnImage(DomainError):
    """Whatever the file is called, it is no JPEG, PNG, WebP or GIF that can be read."""

    def __init__(self) -> None:
        super().__init__("This is not a picture in JPEG, PNG, WebP or GIF, or it is damaged.")


class ImageTooLarge(DomainError):
    """More bytes or more pixels than a picture may have."""

    def __init__(self) -> None:
        super().__init__(
            f"A picture may have at most {IMAGE_BYTES_MAX // 1024**2} MB and"
            f" {IMAGE_PIXELS_MAX // 1_000_000} million pixels."
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it was drawn anew."""

    content: bytes
    content_type: str
    width: int
    height: int


def redrawn(content: bytes) -> Picture:
    """The picture in some bytes, upright and at most 2,048 pixels a side, without its metadata.

    Takes a core for up to seconds and memory by the pixel: run it in a thread, few at once.
    Raises `NotAnImage`, `ImageTooLarge`.
    """
    if len(content) > IMAGE_BYTES_MAX:
        raise ImageTooLarge
    return _written(*_reading(lambda: _read(content)))


def _reading(read: Callable[[], tuple[Image.Image, str]]) -> tuple[Image.Image, str]:
    try:
        return read()
    except (ImageTooLarge, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLarge from None
    except Exception:  # decoders raise whatever they stumble over: the bytes are no picture
        raise NotAnImage from None


def _read(content: bytes) -> tuple[Image.Image, str]:
    with Image.open(BytesIO(content), formats=READABLE) as opened:
        if opened.width * opened.height > IMAGE_PIXELS_MAX:
            raise ImageTooLarge
        kind = str(opened.format)
        # A JPEG can be decoded at a fraction of its size, which saves most of the work.
        opened.draft("RGB", (EDGE_PIXELS_MAX, EDGE_PIXELS_MAX))
        is_transparent = opened.has_transparency_data and kind != "JPEG"
        image = opened.convert("RGBA" if is_transparent else "RGB")
        image.thumbnail((EDGE_PIXELS_MAX, EDGE_PIXELS_MAX))
        # How the camera was held stands in the metadata, which goes.
        image = ImageOps.exif_transpose(image)
    image.info = {}
    return image, WRITTEN_AS.get(kind, kind)


def _written(image: Image.Image, kind: str) -> Picture:
    content = _saved(image, kind)
    if len(content) > IMAGE_BYTES_MAX:
        # A PNG of what is no drawing: WebP keeps its transparency in a tenth of the size.
        kind = "WEBP"
        content = _saved(image, kind)
    return Picture(content, CONTENT_TYPES[kind], image.width, image.height)


def _saved(image: Image.Image, kind: str) -> bytes:
    options: dict[str, Any] = {"optimize": True} if kind == "PNG" else {"quality": QUALITY}
    written = BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()
