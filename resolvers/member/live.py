"""What a member's open page is told at once (QRC-3)."""

from collections.abc import AsyncGenerator

import strawberry

from app.core.ids import type_id
from app.services import live, member_codes, members, notices, purchases, spendings, tiers
from app.services.top_ups import orders
from auth.permissions import IsMember
from schema.context import Context, Info
from schema.live import (
    CodeScanned,
    Listening,
    MemberEvent,
    NoticeWritten,
    PurchaseRecorded,
    PurchaseRefunded,
    TierChanged,
    ToppedUp,
    ValueReturned,
    ValueSpent,
)
from schema.notices import Notice
from schema.purchases import Purchase
from schema.spendings import Spending
from schema.tiers import TierChange
from schema.top_ups import TopUp


@strawberry.type
class Subscription:
    @strawberry.subscription(
        permission_classes=[IsMember],
        description="What happens with the member's cards from now on, as it happens. Ask for the"
        " state itself once `Listening` has come: news of before is not repeated.",
    )
    async def member_events(self, info: Info) -> AsyncGenerator[MemberEvent, None]:
        context = info.context
        member = await context.read(members.signed_in, context.member_id)
        async with context.database.listen(live.topic_of(member.id)) as events:
            yield Listening(at=context.now)
            async for event in events:
                context.begin_event()
                yield await _shown(context, live.Event.heard(event))


async def _shown(context: Context, event: live.Event) -> MemberEvent:
    # By `run`: a replica may not know yet what was committed a moment ago.
    if event.kind == "CODE_SCANNED":
        place = await context.run(member_codes.told, scan_id=event.object_id)
        return CodeScanned(
            at=event.at,
            scan_id=strawberry.ID(type_id("scan", event.object_id)),
            store_name=place.store_name,
            terminal_name=place.terminal_name,
        )
    if event.kind in ("VALUE_SPENT", "VALUE_RETURNED"):
        row = await context.run(spendings.told, spending_id=event.object_id)
        shown = ValueSpent if event.kind == "VALUE_SPENT" else ValueReturned
        return shown(at=event.at, spending=Spending.of(row))
    if event.kind == "TOPPED_UP":
        order = await context.run(orders.existing, event.object_id)
        return ToppedUp(at=event.at, top_up=TopUp.of(order))
    if event.kind == "NOTICE":
        notice = await context.run(notices.told, notice_id=event.object_id)
        return NoticeWritten(at=event.at, notice=Notice.of(notice))
    if event.kind == "TIER_CHANGED":
        change = await context.run(tiers.change_told, change_id=event.object_id)
        return TierChanged(at=event.at, change=TierChange.of(change))
    purchase = Purchase.of(await context.run(purchases.told, purchase_id=event.object_id))
    if event.kind == "PURCHASE_RECORDED":
        return PurchaseRecorded(at=event.at, purchase=purchase)
    return PurchaseRefunded(at=event.at, purchase=purchase)
