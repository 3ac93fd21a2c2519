"""What proves who a member is: bound, removed, merged (IDN-2, IDN-4)."""

import strawberry

from app.core.ids import parse_type_id
from app.models.identities import CodeChannel
from app.services import identities
from app.services.identities import Bound
from app.services.merges import MergeOffer
from auth import sign_in
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.identities import (
    BindEmail,
    BindPhone,
    BindTicket,
    BindWechat,
    BindWechatPhone,
    IdentityBindCodeResult,
    IdentityBindTicketResult,
    IdentityBindWechatResult,
    IdentityBound,
    IdentityUnbindResult,
    IdentityUnbound,
    MergeOffered,
    OwnIdentity,
    Unbind,
)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Add a phone number, or change it, with the code that was sent to it.",
    )
    async def identity_bind_phone(self, info: Info, input: BindPhone) -> IdentityBindCodeResult:
        return _bound(
            await sign_in.bind_code(
                info.context, channel=CodeChannel.SMS, target=input.phone, code=input.code
            )
        )

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Add a phone number, or change it, with WeChat's phone-number code.",
    )
    async def identity_bind_wechat_phone(
        self, info: Info, input: BindWechatPhone
    ) -> IdentityBindWechatResult:
        return _bound(
            await sign_in.bind_wechat_phone(
                info.context, app_id=input.app_id, phone_code=input.phone_code
            )
        )

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Add an e-mail address, or change it, with the code that was sent to it.",
    )
    async def identity_bind_email(self, info: Info, input: BindEmail) -> IdentityBindCodeResult:
        return _bound(
            await sign_in.bind_code(
                info.context, channel=CodeChannel.EMAIL, target=input.email, code=input.code
            )
        )

    @strawberry.mutation(
        permission_classes=[IsMember], description="Add the WeChat account of a mini-program."
    )
    async def identity_bind_wechat(self, info: Info, input: BindWechat) -> IdentityBindWechatResult:
        return _bound(
            await sign_in.bind_wechat(info.context, app_id=input.app_id, js_code=input.js_code)
        )

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Add what a web sign-in proved: WeChat on the web, an OpenID provider.",
    )
    async def identity_bind_ticket(self, info: Info, input: BindTicket) -> IdentityBindTicketResult:
        return _bound(
            await sign_in.bind_ticket(info.context, ticket=input.ticket, verifier=input.verifier)
        )

    @strawberry.mutation(
        permission_classes=[IsMember], description="Remove an identity; never the last one."
    )
    async def identity_unbind(self, info: Info, input: Unbind) -> IdentityUnbindResult:
        await info.context.run(
            identities.unbind,
            bearer=bearer(info.context),
            identity_id=parse_type_id("idn", input.identity_id),
            now=info.context.now,
        )
        return IdentityUnbound(id=input.identity_id)


def _bound(found: Bound | MergeOffer) -> IdentityBound | MergeOffered:
    if isinstance(found, MergeOffer):
        return MergeOffered.of(found)
    return IdentityBound(identity=OwnIdentity.of(found.identity))
