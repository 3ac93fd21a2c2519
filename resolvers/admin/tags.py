"""Tags that staff put on members by hand (SEG-2)."""

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models.staff import Permission
from app.services import tags
from auth.permissions import Needs
from schema.context import Info
from schema.member_records import Member, MemberTagResult, MemberUntagResult
from schema.tags import (
    Create,
    Delete,
    Put,
    Rename,
    Tag,
    TagCreateResult,
    TagDeleted,
    TagDeleteResult,
    TagRenameResult,
    Take,
)

Writes = Needs(Permission.MEMBERS_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.MEMBERS_READ)],
        description="The group's tags, by name; at most 500.",
    )
    async def tags(self, info: Info) -> list[Tag]:
        rows = await info.context.read(tags.of_group, await info.context.actor())
        return [Tag.of(row) for row in rows]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description=f"Make a tag for the group's members, at most {tags.TAGS_MAX} in all. It does"
        " nothing until somebody has it and something is meant for those who do.",
    )
    async def tag_create(self, info: Info, input: Create) -> TagCreateResult:
        row = await info.context.run(
            tags.create, await info.context.actor(), name=input.name, now=info.context.now
        )
        return Tag.of(row)

    @strawberry.mutation(
        permission_classes=[Writes], description="Call a tag something else; members keep it."
    )
    async def tag_rename(self, info: Info, input: Rename) -> TagRenameResult:
        row = await info.context.run(
            tags.rename,
            await info.context.actor(),
            tag_id=parse_type_id("tag", input.tag_id),
            name=input.name,
            now=info.context.now,
        )
        return Tag.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Drop a tag, and take it off everybody. Refused while something is meant for"
        " those who have it, or student IDs bring it.",
    )
    async def tag_delete(self, info: Info, input: Delete) -> TagDeleteResult:
        row = await info.context.run(
            tags.remove,
            await info.context.actor(),
            tag_id=parse_type_id("tag", input.tag_id),
            now=info.context.now,
        )
        return TagDeleted(id=strawberry.ID(type_id("tag", row.id)))

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Put tags on a member, 50 at most in all; those they have already stay.",
    )
    async def member_tag(self, info: Info, input: Put) -> MemberTagResult:
        row = await info.context.run(
            tags.put_on,
            await info.context.actor(),
            member_id=parse_type_id("mem", input.member_id),
            tag_ids=[parse_type_id("tag", tag_id) for tag_id in input.tag_ids],
            now=info.context.now,
        )
        return Member.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Take tags off a member; one they do not have is no mistake.",
    )
    async def member_untag(self, info: Info, input: Take) -> MemberUntagResult:
        row = await info.context.run(
            tags.take_off,
            await info.context.actor(),
            member_id=parse_type_id("mem", input.member_id),
            tag_ids=[parse_type_id("tag", tag_id) for tag_id in input.tag_ids],
            now=info.context.now,
        )
        return Member.of(row)
