"""Members sign in (IDN-1), with codes that are sent to them (IDN-7)."""

import strawberry

from app.models.identities import CodeChannel
from app.services import verification_codes
from auth import sign_in
from schema.context import Info
from schema.members import (
    SessionStarted,
    SessionStartWithCodeResult,
    SessionStartWithTicketResult,
    SessionStartWithWechatResult,
    StartEmail,
    StartPhone,
    StartTicket,
    StartWechat,
)
from schema.verification_codes import (
    Send,
    VerificationCodeSendResult,
    VerificationCodeSent,
)


@strawberry.type
class Mutation:
    # None of these has a permission: whoever asks is about to prove who they are.

    @strawberry.mutation(description="Send a code to a phone or an e-mail address.")
    async def verification_code_send(self, info: Info, input: Send) -> VerificationCodeSendResult:
        sent = await info.context.run(
            verification_codes.send,
            group_id=info.context.group_id,
            channel=input.channel,
            purpose=input.purpose.row,
            target=input.target,
            address=info.context.client_address,
            now=info.context.now,
        )
        return VerificationCodeSent.of(sent)

    @strawberry.mutation(description="Sign in with a mini-program's login code.")
    async def session_start_with_wechat(
        self, info: Info, input: StartWechat
    ) -> SessionStartWithWechatResult:
        return _started(
            await sign_in.with_wechat(
                info.context, app_id=input.app_id, js_code=input.js_code, device=input.device
            )
        )

    @strawberry.mutation(description="Sign in with a phone number and its code.")
    async def session_start_with_phone(
        self, info: Info, input: StartPhone
    ) -> SessionStartWithCodeResult:
        return _started(
            await sign_in.with_code(
                info.context,
                channel=CodeChannel.SMS,
                target=input.phone,
                code=input.code,
                device=input.device,
            )
        )

    @strawberry.mutation(description="Sign in with an e-mail address and its code.")
    async def session_start_with_email(
        self, info: Info, input: StartEmail
    ) -> SessionStartWithCodeResult:
        return _started(
            await sign_in.with_code(
                info.context,
                channel=CodeChannel.EMAIL,
                target=input.email,
                code=input.code,
                device=input.device,
            )
        )

    @strawberry.mutation(
        description="Sign in with the ticket that /auth/…/callback gave to the page."
    )
    async def session_start_with_ticket(
        self, info: Info, input: StartTicket
    ) -> SessionStartWithTicketResult:
        return _started(
            await sign_in.with_ticket(
                info.context, ticket=input.ticket, verifier=input.verifier, device=input.device
            )
        )


def _started(started: sign_in.Started) -> SessionStarted:
    signed_in, session = started
    return SessionStarted.of(
        session.access_token,
        session.refresh_token,
        member=signed_in.member,
        is_new=signed_in.is_new,
        offer=signed_in.merge_offer,
    )
