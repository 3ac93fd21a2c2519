"""A member's own record (IDN-8)."""

import strawberry
from strawberry.scalars import JSON

from app.core.texts import checked_text
from app.services import behaviour, members, merges, privacy
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.identities import Confirm, Merge
from schema.members import (
    PURPOSE_CHARS_MAX,
    VERSION_CHARS_MAX,
    Close,
    Consent,
    Decide,
    MemberClosed,
    MemberCloseResult,
    MemberMergeResult,
    MembersMerged,
    MemberUpdateResult,
    OwnMember,
    Update,
    member_id_of,
)


@strawberry.type
class Query:
    @strawberry.field(permission_classes=[IsMember], description="The signed-in member.")
    async def me(self, info: Info) -> OwnMember:
        row = await info.context.read(members.signed_in, info.context.member_id)
        return OwnMember.of(row)

    @strawberry.field(
        permission_classes=[IsMember],
        description="Everything that is kept about the signed-in member, as one document.",
    )
    async def member_export(self, info: Info) -> JSON:
        # Away from everybody's short reads: this one may be long.
        document = await info.context.database.scan(
            privacy.export, member_id=info.context.member_id, now=info.context.now
        )
        return JSON(document)


@strawberry.type
class Mutation:
    @strawberry.mutation(permission_classes=[IsMember], description="Change one's own profile.")
    async def member_update(self, info: Info, input: Update) -> MemberUpdateResult:
        row = await info.context.run(
            behaviour.change_profile,
            bearer=bearer(info.context),
            change=input.change(),
            now=info.context.now,
        )
        return OwnMember.of(row)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Decide about a purpose; earlier decisions are kept, the latest counts.",
    )
    async def consent_decide(self, info: Info, input: Decide) -> Consent:
        row = await info.context.run(
            members.decide_consent,
            bearer=bearer(info.context),
            purpose=checked_text("purpose", input.purpose, at_most=PURPOSE_CHARS_MAX),
            version=checked_text("version", input.version, at_most=VERSION_CHARS_MAX),
            is_given=input.is_given,
            now=info.context.now,
        )
        return Consent.of(row)

    @strawberry.mutation(
        permission_classes=[IsMember], description="Make two records of one person one."
    )
    async def member_merge(self, info: Info, input: Confirm) -> MemberMergeResult:
        merge = await info.context.run(
            merges.merge,
            bearer=bearer(info.context),
            ticket=input.ticket,
            now=info.context.now,
        )
        return MembersMerged(merge=Merge.of(merge), survivor_id=merge.survivor_id)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Close one's own account. What is on the cards expires, and who the member"
        " was is forgotten.",
    )
    async def member_close(self, info: Info, input: Close) -> MemberCloseResult:
        row = await info.context.run(
            privacy.close,
            bearer=bearer(info.context),
            request_key=input.request_key,
            forfeit_balances=input.forfeit_balances,
            now=info.context.now,
        )
        return MemberClosed(id=member_id_of(row.id), closed_at=row.closed_at)
