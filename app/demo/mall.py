"""The demo's points mall: things to fetch, things that are sent, coupons (MAL-1)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from app.core.db import Transaction
from app.core.money import Money
from app.demo.money import CURRENCY, YUAN
from app.models.points_mall import MallItem, MallItemKind
from app.services.actors import Actor
from app.services.coupons import Gift
from app.services.points_mall import editing
from app.services.points_mall.contents import Brings
from app.services.points_mall.details import ItemDetails
from app.services.scopes import ScopeRules

A_THING = Brings(kind=MallItemKind.PHYSICAL)


async def stock(
    tx: Transaction,
    owner: Actor,
    *,
    group_id: UUID,
    pictures: Mapping[str, UUID],
    coupons: Sequence[tuple[str, Gift]],
    now: datetime,
) -> list[MallItem]:
    """Every kind of item, listed; one of them for points and money, one sold out."""

    def item(name: str, picture: str, points: int, **more: object) -> ItemDetails:
        return ItemDetails(
            name=name,
            scope=ScopeRules(),
            file_ids=(pictures[picture],),
            price_points=points,
            **more,  # type: ignore[arg-type]  # as ItemDetails has them
        )

    fetched: dict[str, object] = {"can_be_picked_up": True, "category": "周边 · Things"}
    wanted: list[tuple[Brings, int | None, ItemDetails]] = [
        (A_THING, 40, item("山茶马克杯 · Camellia mug", "mug", 300, **fetched)),
        (
            A_THING,
            200,
            item(
                "帆布袋 · Canvas bag", "tote", 150, **fetched, can_be_shipped=True,
                price=Money(9 * YUAN + 90, CURRENCY),
                description="积分加钱购，可寄送。· For points and money; we send it.",
            ),
        ),
        (A_THING, 0, item("晴雨伞 · Umbrella", "umbrella", 800, **fetched, limit_per_member=1)),
        *(
            (
                Brings.coupons(gift),
                None,
                item(name, "coupon-cash", 100 * number, category="优惠券 · Coupons"),
            )
            for number, (name, gift) in enumerate(coupons, start=1)
        ),
    ]  # fmt: skip
    made = []
    for brings, pieces, details in wanted:
        drafted = await editing.create(
            tx, owner, perspective_id=group_id, brings=brings, stock=pieces, details=details,
            now=now,
        )  # fmt: skip
        made.append(
            await editing.set_listed(
                tx,
                owner,
                item_id=drafted.id,
                expected_version=drafted.version,
                is_listed=True,
                now=now,
            )
        )
    return made
