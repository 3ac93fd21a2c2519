"""Lists of gift cards that leave as a spreadsheet, and who took which (GFT-5, GFT-6)."""

from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, light, statement
from app.core.errors import BadInput
from app.core.ids import LARGEST_ID
from app.core.points_expiry import add_months, start_of_day
from app.models.gift_card_batches import GiftCardExport, GiftCardExportKind
from app.models.gift_cards import GiftCardKind, GiftCardState
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import audit, links, organisation
from app.services.actors import Actor
from app.services.gift_cards import sold, transactions
from app.services.gift_cards.transactions import GiftCardTransactionKind
from app.services.links import SignedIn

PURPOSE = "gift card export"
PERIOD_YEARS_MAX = 10
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)

exports_page = statement(
    select(GiftCardExport)
    .join(Node, col(Node.id) == col(GiftCardExport.perspective_id))
    .where(
        col(GiftCardExport.group_id) == bindparam("group_id"),
        col(GiftCardExport.id) < bindparam("before"),
        organisation.at_or_below_nodes,
    )
    .order_by(col(GiftCardExport.id).desc())
    .limit(bindparam("limit")),
    into=GiftCardExport,
)
set_rows = statement(
    update(GiftCardExport)
    .where(col(GiftCardExport.id) == bindparam("export_id"))
    .values(number_of_rows=bindparam("new_number_of_rows"))
)
new_export = light(GiftCardExport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which list; what is None lets all pass.

    Days are those of the perspective's time zone: transactions of the period, or cards sold in it.
    A period has both days or neither; transactions have one.
    """

    kind: GiftCardExportKind
    perspective_id: UUID
    from_day: date | None = None
    to_day: date | None = None
    product_id: UUID | None = None
    store_id: UUID | None = None
    batch_id: UUID | None = None
    state: GiftCardState | None = None
    card_kind: GiftCardKind | None = None
    transaction_kind: GiftCardTransactionKind | None = None

    def require_sound(self) -> None:
        """Raise `BadInput` for what no list can be made of."""
        of_cards = self.kind is GiftCardExportKind.CARDS
        beside = (self.batch_id, self.state, self.card_kind)
        if (of_cards and self.transaction_kind) or (not of_cards and any(beside)):
            raise BadInput("A filter of cards does not fit transactions, nor the other way round.")
        if (self.from_day is None) != (self.to_day is None):
            raise BadInput("A period has both from and to.")
        if self.from_day is None or self.to_day is None:
            if not of_cards:
                raise BadInput("Transactions are exported for a period: from and to.")
            return
        if not FIRST_DAY <= self.from_day <= self.to_day <= LAST_DAY:
            raise BadInput(f"from and to must lie between {FIRST_DAY} and {LAST_DAY}, in order.")
        if self.to_day > add_months(self.from_day, PERIOD_YEARS_MAX * 12):
            raise BadInput(f"An export covers at most {PERIOD_YEARS_MAX} years.")

    def document(self) -> dict[str, Any]:
        """As the link and the history keep it."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: str(value) for name, value in given.items()}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Asked":
        return cls(
            **{
                field.name: _READ[field.name](document[field.name])
                for field in fields(cls)
                if field.name in document
            }
        )


_READ: dict[str, Any] = {
    "kind": GiftCardExportKind,
    "perspective_id": UUID,
    "from_day": date.fromisoformat,
    "to_day": date.fromisoformat,
    "product_id": UUID,
    "store_id": UUID,
    "batch_id": UUID,
    "state": GiftCardState,
    "card_kind": GiftCardKind,
    "transaction_kind": GiftCardTransactionKind,
}


class Opened(NamedTuple):
    """A link that was used: what was asked, where, and the line of the history it made."""

    asked: Asked
    perspective: Node
    group: Node
    export: GiftCardExport
    made_by: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.perspective.time_zone)

    @property
    def cards(self) -> sold.Wanted:
        asked = self.asked
        return sold.Wanted(
            state=asked.state,
            product_id=asked.product_id,
            store_id=asked.store_id,
            kind=asked.card_kind,
            batch_id=asked.batch_id,
            sold_from=self._midnight(asked.from_day),
            sold_to=self._midnight(asked.to_day),
        )

    @property
    def lines(self) -> transactions.Wanted:
        asked = self.asked
        return transactions.Wanted(
            kind=asked.transaction_kind,
            product_id=asked.product_id,
            store_id=asked.store_id,
            from_moment=self._midnight(asked.from_day),
            to_moment=self._midnight(asked.to_day),
        )

    def _midnight(self, day: date | None) -> datetime | None:
        return None if day is None else start_of_day(day, self.zone)


async def link(
    tx: Transaction, actor: Actor, *, asked: Asked, signed_in: SignedIn, now: datetime
) -> str:
    """The secret of a link to a list. Raises `NodeNotFound`, `Forbidden`, `BadInput`."""
    asked.require_sound()
    await _perspective(tx, actor, asked)
    document = asked.document()
    return await links.make(
        tx, actor, purpose=PURPOSE, asked={"export": document}, signed_in=signed_in, now=now
    )


async def use(tx: Transaction, *, secret: str, now: datetime) -> Opened:
    """Take a link, which only one can, and write down who took which list.

    Raises as `links.follow` and `link`.
    """
    actor, payload = await links.follow(tx, purpose=PURPOSE, secret=secret, now=now)
    asked = Asked.from_document(payload["export"])
    perspective = await _perspective(tx, actor, asked)
    export = new_export(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        kind=asked.kind,
        filters=asked.document(),
        operator_kind=actor.kind.value,
        operator_id=actor.id,
        exported_at=now,
    )
    await tx.insert(export)
    await audit.record(
        tx, actor, "gift_cards.export", object_kind="gift_card_export", object_id=export.id,
        node_id=perspective.id, now=now, **asked.document(),
    )  # fmt: skip
    group = await organisation.node(tx, actor.group_id)
    return Opened(asked, perspective, group, export, await links.name_of(tx, actor))


async def count(tx: Transaction, *, export_id: UUID, number_of_rows: int) -> None:
    """Write down how long a list was that is finished."""
    await tx.changed(set_rows, export_id=export_id, new_number_of_rows=number_of_rows)


async def page(
    tx: Transaction, actor: Actor, *, before: UUID | None, limit: int
) -> list[GiftCardExport]:
    """Who exported what where the actor may read gift cards, newest first."""
    actor.require_any(Permission.GIFT_CARDS_READ)
    return await tx.all(
        exports_page,
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.GIFT_CARDS_READ),
        before=before or LARGEST_ID,
        limit=limit,
    )


async def _perspective(tx: Transaction, actor: Actor, asked: Asked) -> Node:
    perspective = await organisation.node(tx, asked.perspective_id)
    actor.require(Permission.GIFT_CARDS_READ, perspective)
    return perspective
