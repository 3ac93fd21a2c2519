"""Member codes as images: QR in SVG and PNG (QRC-4).

Version and mask are fixed: letting the library try all of them costs ten times the drawing. 18
digits fit version 1 at level Q, which still reads with a quarter of its area damaged.
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


def _image(digits: str, kind: type[Image]) -> Image:
    code = qrcode.QRCode(
        version=VERSION,
        mask_pattern=MASK,
        error_correction=ERROR_CORRECT_Q,
        border=QUIET_MODULES,
        box_size=PNG_MODULE_PIXELS,
        image_factory=kind,
    )
    code.add_data(digits)
    code.make(fit=False)
    return code.make_image()
