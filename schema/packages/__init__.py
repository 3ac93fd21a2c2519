"""Paid packages (BEN-5…BEN-9)."""

from schema.files import FILE_PROBLEMS
from schema.packages import agreements, buying, contents, owned, packages, rules

HANDLERS = [
    *FILE_PROBLEMS,
    *agreements.HANDLERS,
    *buying.HANDLERS,
    *contents.HANDLERS,
    *owned.HANDLERS,
    *packages.HANDLERS,
    *rules.HANDLERS,
]
