"""Digits as Code 128, which tills scan that read no QR codes (CPN-3).

ISO/IEC 15417, code set C alone: two digits a symbol, so an even number of digits.
"""

from functools import lru_cache
from itertools import chain
from typing import Final

START_C: Final = 105
STOP: Final = "2331112"
CHECK_MODULUS: Final = 103
QUIET_MODULES: Final = 10
HEIGHT_MODULES: Final = 40
DRAWN_MAX: Final = 64
"""Images kept: so that a document that asks for one under many aliases makes us draw it once."""

# The widths of each symbol's bars and spaces in modules, bar first. Those from 100 to 102 are no
# digits: only a check symbol takes them.
_SYMBOLS: Final = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312"
    " 231212 112232 122132 122231 113222 123122 123221 223211 221132 221231 213212"
    " 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321 232121"
    " 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331"
    " 132131 113123 113321 133121 313121 211331 231131 213113 213311 213131 311123"
    " 311321 331121 312113 312311 332111 314111 221411 431111 111224 111422 121124"
    " 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114"
    " 413111 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112"
    " 421211 212141 214121 412121 111143 111341 131141 114113 114311 411113 411311"
    " 113141 114131 311141 411131"
)
_SYMBOL_CHARS: Final = 7
_START_C: Final = "211232"


def code_128_widths(digits: str) -> list[int]:
    """The widths of all bars and spaces in modules, the first and the last of them bars."""
    assert digits.isascii(), "code set C writes digits"
    assert digits.isdigit(), "code set C writes digits"
    assert len(digits) % 2 == 0, "code set C writes two digits a symbol"
    values = [int(digits[at : at + 2]) for at in range(0, len(digits), 2)]
    weighed = sum(place * value for place, value in enumerate(values, start=1))
    check = (START_C + weighed) % CHECK_MODULUS
    symbols = [_START_C, *(_symbol(value) for value in (*values, check)), STOP]
    return [int(width) for width in chain.from_iterable(symbols)]


def _symbol(value: int) -> str:
    return _SYMBOLS[_SYMBOL_CHARS * value :][:6]


@lru_cache(maxsize=DRAWN_MAX)
def code_128_svg(digits: str) -> str:
    """An SVG document of one path, with the quiet zones a scanner needs."""
    at, bars = QUIET_MODULES, []
    for number, width in enumerate(code_128_widths(digits)):
        if number % 2 == 0:
            bars.append(f"M{at},0h{width}v{HEIGHT_MODULES}h-{width}z")
        at += width
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {at + QUIET_MODULES}'
        f' {HEIGHT_MODULES}" shape-rendering="crispEdges"><path d="{"".join(bars)}"/></svg>'
    )
