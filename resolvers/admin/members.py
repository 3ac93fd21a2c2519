"""Members, as the back office and partners see them: masked unless asked (SEC-2)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.core.texts import checked_text
from app.models.staff import Permission
from app.services import member_records, members, merges
from auth.permissions import Needs
from schema.context import Info
from schema.identities import Merge, MergeUndone, MergeUndoResult, Undo
from schema.member_records import (
    Correct,
    CreateCustomer,
    CreateMember,
    CustomerCreateResult,
    Define,
    Filter,
    Find,
    Member,
    MemberAttributeDefineResult,
    MemberCorrectResult,
    MemberCreateResult,
    MemberUnmasked,
    MemberUnmaskResult,
    Unmask,
)
from schema.members import ATTRIBUTE_NAME_CHARS_MAX, REASON_CHARS_MAX, AttributeDefinition
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after

Reads = Needs(Permission.MEMBERS_READ)
Writes = Needs(Permission.MEMBERS_WRITE)
MemberId = Annotated[strawberry.ID, strawberry.argument(description="The member, `mem_…`.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="One member, or null. The id of a merged record leads to who lives on.",
    )
    async def member(self, info: Info, id: MemberId) -> Member | None:
        row = await info.context.read(
            member_records.get,
            await info.context.actor(),
            member_id=parse_type_id("mem", id),
        )
        return Member.of(row) if row else None

    @strawberry.field(
        permission_classes=[Needs(Permission.MEMBERS_FIND)],
        description="The member with this phone, e-mail address or card number, or null.",
    )
    async def member_find(self, info: Info, input: Find) -> Member | None:
        row = await info.context.read(
            member_records.find,
            await info.context.actor(),
            phone=input.phone or None,
            email=input.email or None,
            card_number=input.card_number or None,
        )
        return Member.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reads],
        description="The group's customers and members, those who joined last first. Merged records"
        " are left out.",
    )
    async def members(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        filter: Filter = None,
    ) -> Connection[Member]:
        found = await info.context.read(
            member_records.search,
            await info.context.actor(),
            wanted=filter.wanted() if filter else None,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[Member].of(
            found.members, first, Member.of, looked_until=found.looked_until
        )

    @strawberry.field(
        permission_classes=[Reads], description="The custom attributes the group defined."
    )
    async def member_attribute_definitions(self, info: Info) -> list[AttributeDefinition]:
        actor = await info.context.actor()
        rows = await info.context.read(members.attribute_definitions, group_id=actor.group_id)
        return [AttributeDefinition.of(row) for row in rows]

    @strawberry.field(
        permission_classes=[Reads],
        description="Merges the member took part in, the newest first; null for no such member.",
    )
    async def merges(self, info: Info, member_id: MemberId) -> list[Merge] | None:
        rows = await info.context.read(
            member_records.merges_of,
            await info.context.actor(),
            member_id=parse_type_id("mem", member_id),
        )
        return None if rows is None else [Merge.of(row) for row in rows]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Write somebody down who holds no card. What staff write down as their phone or"
        " address is theirs once they prove it.",
    )
    async def customer_create(self, info: Info, input: CreateCustomer) -> CustomerCreateResult:
        row = await info.context.run(
            member_records.create_customer,
            await info.context.actor(),
            profile=input.change(),
            phone=input.phone,
            email=input.email,
            store_id=parse_type_id("node", input.store_id) if input.store_id else None,
            now=info.context.now,
        )
        return Member.of(row)

    @strawberry.mutation(
        permission_classes=[Writes, Needs(Permission.CARDS_ISSUE)],
        description="Write somebody down and give them a card, all or nothing.",
    )
    async def member_create(self, info: Info, input: CreateMember) -> MemberCreateResult:
        row = await info.context.run(
            member_records.create_member,
            await info.context.actor(),
            profile=input.change(),
            phone=input.phone,
            email=input.email,
            scheme_id=parse_type_id("sch", input.scheme_id),
            store_id=parse_type_id("node", input.store_id) if input.store_id else None,
            now=info.context.now,
        )
        return Member.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Correct a member's profile. That it was, not what it was, is recorded.",
    )
    async def member_update(self, info: Info, input: Correct) -> MemberCorrectResult:
        row = await info.context.run(
            member_records.update_member,
            await info.context.actor(),
            member_id=parse_type_id("mem", input.member_id),
            change=input.change(),
            phone=input.phone,
            email=input.email,
            now=info.context.now,
        )
        return Member.of(row)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.MEMBERS_UNMASK)],
        description="Lift a member's mask. Who did, whose and why is recorded.",
    )
    async def member_unmask(self, info: Info, input: Unmask) -> MemberUnmaskResult:
        unmasked = await info.context.run(
            member_records.unmask,
            await info.context.actor(),
            member_id=parse_type_id("mem", input.member_id),
            reason=checked_text("reason", input.reason, at_most=REASON_CHARS_MAX),
            request_id=info.context.request_id,
            now=info.context.now,
        )
        return MemberUnmasked.of(unmasked)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Define a custom attribute that each of the group's members may have a value"
        f" of, at most {members.ATTRIBUTES_MAX} in all. It is for good: again with the same"
        " name and kind it is the answer, with others it is refused.",
    )
    async def member_attribute_define(
        self, info: Info, input: Define
    ) -> MemberAttributeDefineResult:
        row = await info.context.run(
            member_records.define_attribute,
            await info.context.actor(),
            key=input.key,
            name=checked_text("name", input.name, at_most=ATTRIBUTE_NAME_CHARS_MAX),
            kind=input.kind,
            now=info.context.now,
        )
        return AttributeDefinition.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Part two records again; each side gets back what it brought, as far as it"
        " is unspent.",
    )
    async def merge_undo(self, info: Info, input: Undo) -> MergeUndoResult:
        undone = await info.context.run(
            merges.undo,
            await info.context.actor(),
            merge_id=parse_type_id("mrg", input.merge_id),
            now=info.context.now,
        )
        return MergeUndone.of(undone)
