"""Members as staff and partners see them (SEC-2, MEM-1, MEM-4, MEM-6, MEM-7).

`reading` shows one of them, `searching` finds them by whatever is known, `writing` adds and
corrects them by hand.
"""

from app.services.member_records.reading import (
    AttributeDefined,
    Unmasked,
    define_attribute,
    find,
    get,
    merges_of,
    unmask,
)
from app.services.member_records.searching import (
    Found,
    Known,
    MemberFilter,
    MemberKind,
    search,
)
from app.services.member_records.writing import (
    create_customer,
    create_member,
    index_names,
    update_member,
)

__all__ = [
    "AttributeDefined",
    "Found",
    "Known",
    "MemberFilter",
    "MemberKind",
    "Unmasked",
    "create_customer",
    "create_member",
    "define_attribute",
    "find",
    "get",
    "index_names",
    "merges_of",
    "search",
    "unmask",
    "update_member",
]
