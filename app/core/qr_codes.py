"""Member codes and links as images: QR in SVG and PNG (QRC-4, MAL-4).

Version and mask are fixed: letting the library try all of them costs ten times the drawing. 18
digits fit version 1 at level Q, which still reads with a quarter of its area damaged. A link gets
the smallest version that holds it, and is printed on walls and tables: level Q for it, too.
"""

import io
from functools import lru_cache
from typing import Final, TypeVar

import qrcode
from qrcode.constants import ERROR_CORRECT_Q
from qrcode.image.base import BaseImage
from qrcode.image.pure import PyPNGImage
from qrcode.image.svg import SvgPathImage

Image = TypeVar("Image", bound=BaseImage)

VERSION: Final = 1
MASK: Final = 2
QUIET_MODULES: Final = 4
PNG_MODULE_PIXELS: Final = 10
LINK_CHARS_MAX: Final = 300
DRAWN_MAX: Final = 64
"""Images kept: not to spare the next page, which has another code, but so that a document that
asks for one image under many aliases makes us draw it once."""


@lru_cache(maxsize=DRAWN_MAX)
def qr_svg(digits: str) -> str:
    """An SVG document, of one path."""
    return str(_image(digits, SvgPathImage).to_string(encoding="unicode"))


@lru_cache(maxsize=DRAWN_MAX)
def qr_png(digits: str) -> bytes:
    """A PNG of 290 × 290 pixels, black on white."""
    png = io.BytesIO()
    _image(digits, PyPNGImage).save(png)
    return png.getvalue()


@lru_cache(maxsize=DRAWN_MAX)
def link_svg(link: str) -> str:
    """A link as an SVG document, of one path."""
    return str(_image(link, SvgPathImage, None).to_string(encoding="unicode"))


@lru_cache(maxsize=DRAWN_MAX)
def link_png(link: str) -> bytes:
    """A link as a PNG, black on white."""
    png = io.BytesIO()
    _image(link, PyPNGImage, None).save(png)
    return png.getvalue()


def _image(text: str, kind: type[Image], version: int | None = VERSION) -> Image:
    """`version` None is the smallest that holds the text."""
    assert len(text) <= LINK_CHARS_MAX, len(text)
    code = qrcode.QRCode(
        version=version,
        mask_pattern=MASK,
        error_correction=ERROR_CORRECT_Q,
        border=QUIET_MODULES,
        box_size=PNG_MODULE_PIXELS,
        image_factory=kind,
    )
    code.add_data(text)
    code.make(fit=version is None)
    return code.make_image()
