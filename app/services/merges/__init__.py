"""OneID: two records of one person become one, and can be parted again (IDN-4, IDN-5).

`offering` shows what a merge would do and gives a ticket for it, `merging` does it, `undoing`
takes it back as far as nothing was spent.
"""

from app.services.merges.merging import MergeImpossible, merge
from app.services.merges.offering import (
    CardInMerge,
    MergeOffer,
    MergePreview,
    offer,
    preview,
)
from app.services.merges.undoing import MergeNotFound, MergeNotUndoable, NotReturned, Undone, undo

__all__ = [
    "CardInMerge",
    "MergeImpossible",
    "MergeNotFound",
    "MergeNotUndoable",
    "MergeOffer",
    "MergePreview",
    "NotReturned",
    "Undone",
    "merge",
    "offer",
    "preview",
    "undo",
]
