"""What a member's open page is told at once (QRC-3)."""

from collections.abc import AsyncGenerator

import strawberry

from app.core.ids import type_id
from app.services import live, member_codes, members, purchases
from auth.permissions import IsMember
from schema.context import Context, Info
from schema.live import CodeScanned, Listening, MemberEvent, PurchaseRecorded, PurchaseRefunded
from schema.purchases import Purchase


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
    purchase = Purchase.of(await context.run(purchases.told, purchase_id=event.object_id))
    if event.kind == "PURCHASE_RECORDED":
        return PurchaseRecorded(at=event.at, purchase=purchase)
    return PurchaseRefunded(at=event.at, purchase=purchase)
