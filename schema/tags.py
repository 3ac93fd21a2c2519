"""Tags that staff put on members by hand (SEG-2)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import type_id
from app.models import members as rows
from app.services import tags
from schema.problems import Problem, shown_as


@strawberry.type(description="A word that staff put on members.")
class Tag:
    id: strawberry.ID = strawberry.field(description="Its id, `tag_…`.")
    name: str = strawberry.field(description="The word.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, row: rows.Tag) -> Self:
        return cls(
            id=strawberry.ID(type_id("tag", row.id)), name=row.name, created_at=row.created_at
        )


@strawberry.type(description="The tag is gone, and nobody has it any more.")
class TagDeleted:
    id: strawberry.ID = strawberry.field(description="Which one it was, `tag_…`.")


@strawberry.type(description="There is no such tag in this group.")
class TagNotFound(Problem): ...


@strawberry.type(description="Another tag has this name.")
class TagNameTaken(Problem): ...


@strawberry.type(description="The group or the member has as many tags as one can have.")
class TooManyTags(Problem):
    at_most: int = strawberry.field(description="How many that is.")

    @classmethod
    def of(cls, error: tags.TooManyTags) -> Self:
        return cls(message=str(error), at_most=error.at_most)


@strawberry.type(description="Something is meant for members with this tag.")
class TagInUse(Problem): ...


@strawberry.input(description="A tag to make.")
class TagCreateInput:
    name: str = strawberry.field(description="1 to 64 characters, unlike any other tag's.")


@strawberry.input(description="A tag's new name.")
class TagRenameInput:
    tag_id: strawberry.ID = strawberry.field(description="The tag, `tag_…`.")
    name: str = strawberry.field(description="1 to 64 characters, unlike any other tag's.")


@strawberry.input(description="A tag to drop.")
class TagDeleteInput:
    tag_id: strawberry.ID = strawberry.field(description="The tag, `tag_…`.")


@strawberry.input(description="Tags to put on a member.")
class MemberTagInput:
    member_id: strawberry.ID = strawberry.field(description="The member, `mem_…`.")
    tag_ids: list[strawberry.ID] = strawberry.field(description="The tags, `tag_…`; 1 to 50.")


@strawberry.input(description="Tags to take off a member.")
class MemberUntagInput:
    member_id: strawberry.ID = strawberry.field(description="The member, `mem_…`.")
    tag_ids: list[strawberry.ID] = strawberry.field(description="The tags, `tag_…`; 1 to 50.")


Create = Annotated[TagCreateInput, strawberry.argument(description="The tag.")]
Rename = Annotated[TagRenameInput, strawberry.argument(description="Which, and to what.")]
Delete = Annotated[TagDeleteInput, strawberry.argument(description="Which.")]
Put = Annotated[MemberTagInput, strawberry.argument(description="Which, and on whom.")]
Take = Annotated[MemberUntagInput, strawberry.argument(description="Which, and off whom.")]

TagCreateResult = Annotated[
    Tag | TagNameTaken | TooManyTags,
    strawberry.union("TagCreateResult", description="The tag, or why there is none."),
]
TagRenameResult = Annotated[
    Tag | TagNotFound | TagNameTaken,
    strawberry.union("TagRenameResult", description="The tag now, or why nothing changed."),
]
TagDeleteResult = Annotated[
    TagDeleted | TagNotFound | TagInUse,
    strawberry.union("TagDeleteResult", description="That it is gone, or why not."),
]


HANDLERS = [
    shown_as(TagNotFound, tags.TagNotFound),
    shown_as(TagNameTaken, tags.TagNameTaken),
    shown_as(TooManyTags, tags.TooManyTags),
    shown_as(TagInUse, tags.TagInUse),
]
