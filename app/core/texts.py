"""Text that people type into names and titles, checked before it reaches a column."""

import unicodedata
from urllib.parse import urlsplit

from app.core.errors import BadInput


def checked_text(what: str, text: str, *, at_most: int) -> str:
    """The text without the blanks around it: 1 to `at_most` characters, none of them control.

    Raises `BadInput` naming `what`, the field of the input. PostgreSQL cannot store U+0000, and
    nobody's name holds a line break or half a surrogate pair.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(text) <= at_most:
        raise BadInput(f"{what} must have 1 to {at_most} characters.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise BadInput(f"{what} must not hold control characters.")
    return text


def checked_paragraphs(what: str, text: str, *, at_most: int) -> str:
    """As `checked_text`, for text of several lines: line breaks stay, as `\\n`."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip()
    checked_text(what, text.replace("\n", " "), at_most=at_most)
    return text


def normal_name(name: str) -> str:
    """A name as it is looked for: width, case and the number of blanks make no difference."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())


def shortened_text(text: str, *, at_most: int) -> str:
    """What of a text can be stored, for what is only shown: a device's name for itself."""
    kept = [c for c in text if unicodedata.category(c) not in {"Cc", "Cs"}]
    return "".join(kept).strip()[:at_most]


def checked_url(what: str, url: str, *, at_most: int) -> str:
    """An address that a page may open or load: https, a host, nobody's credentials.

    Raises `BadInput` naming `what`.
    """
    url = checked_text(what, url, at_most=at_most)
    try:
        parts = urlsplit(url)
        port = parts.port  # which raises for what is no port
    except ValueError:
        raise BadInput(f"{what} is not an address.") from None
    is_sound = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and port != 0
    if not is_sound or not url.isascii() or " " in url:
        raise BadInput(f"{what} must be an https address.")
    return url


def pattern_of(what: str, part: str | None, *, at_most: int) -> str | None:
    """A LIKE pattern, escaped by `\\`, for what contains the text; its own wildcards mean
    themselves. None, where nothing is looked for, stays None. Raises as `checked_text`."""
    if part is None:
        return None
    text = checked_text(what, part, at_most=at_most)
    for special in ("\\", "%", "_"):
        text = text.replace(special, "\\" + special)
    return f"%{text}%"
