"""Text that people type into names and titles, checked before it reaches a column."""

import unicodedata

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
