"""What a group or a brand decided about student IDs, and the page that members see (STU-2)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models import student_ids as rows
from app.models.student_ids import StudentGiftRule, StudentMethod
from app.services import coupons
from app.services.student_ids import StudentIdDetails
from app.services.student_ids import settings as student_id_settings
from schema.context import Info
from schema.coupons import GIFT_PROBLEMS, Gift, GiftInput
from schema.enums import describe
from schema.files import FileNotFound, Image, image_of
from schema.organisation import Node, NodeNotFound
from schema.problems import EditedMeanwhile
from schema.tags import TagNotFound

describe(
    StudentGiftRule,
    "When a verification brings its gift.",
    {
        "NONE": "Never.",
        "FIRST_TIME": "The first time that the member is verified, and the student.",
        "EVERY_TIME": "Each time, renewals as well.",
    },
)

_VALIDITY = "For how many months one is a student after approval"
_GROUP_NAME = "What staff call those whose student ID is valid: the user group they make up"
_REMINDERS = "How many days before the end members are reminded"


@strawberry.type(description="What a group or a brand decided about student IDs.")
class StudentIdSettings:
    version: int = strawberry.field(description="For `expectedVersion` of the next edit.")
    is_open: bool = strawberry.field(description="Whether anybody can be verified now.")
    methods: list[StudentMethod] = strawberry.field(description="By which methods.")
    validity_months: int = strawberry.field(description=f"{_VALIDITY}.")
    page_title: str = strawberry.field(description="The title of the page.")
    page_text: str = strawberry.field(description="What the page says.")
    user_group_name: str | None = strawberry.field(description=f"{_GROUP_NAME}.")
    tag_id: strawberry.ID | None = strawberry.field(
        description="The tag that valid students have, `tag_…`."
    )
    gift_rule: StudentGiftRule = strawberry.field(description="When there is a gift.")
    gifts: list[Gift] = strawberry.field(description="The gift.")
    reminder_days: list[int] = strawberry.field(description=f"{_REMINDERS}, the most first.")
    submissions_a_day: int = strawberry.field(
        description="How often a member can try within 24 hours."
    )
    changed_at: datetime = strawberry.field(description="When they were last changed.")
    row: strawberry.Private[rows.StudentIdSettings]

    @classmethod
    def of(cls, row: rows.StudentIdSettings) -> Self:
        return cls(
            version=row.version,
            is_open=row.is_open,
            methods=[StudentMethod(each) for each in row.methods],
            validity_months=row.validity_months,
            page_title=row.page_title,
            page_text=row.page_text,
            user_group_name=row.user_group_name,
            tag_id=strawberry.ID(type_id("tag", row.tag_id)) if row.tag_id else None,
            gift_rule=row.gift_rule,
            gifts=gifts_of(row),
            reminder_days=row.reminder_days,
            submissions_a_day=row.submissions_a_day,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="The group or brand.")
    async def node(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.node_id))

    @strawberry.field(description="The picture on the page.")
    async def cover(self, info: Info) -> Image | None:
        return await image_of(info, self.row.cover_file_id)


@strawberry.type(description="The page on which members become verified students.")
class StudentIdPage:
    is_open: bool = strawberry.field(description="Whether anybody can be verified now.")
    title: str = strawberry.field(description="Its title.")
    text: str = strawberry.field(description="What it says.")
    validity_months: int = strawberry.field(description=f"{_VALIDITY}.")
    gift_rule: StudentGiftRule = strawberry.field(description="When there is a gift.")
    gifts: list[Gift] = strawberry.field(description="The gift.")
    row: strawberry.Private[rows.StudentIdSettings]

    @classmethod
    def of(cls, row: rows.StudentIdSettings) -> Self:
        return cls(
            is_open=row.is_open,
            title=row.page_title,
            text=row.page_text,
            validity_months=row.validity_months,
            gift_rule=row.gift_rule,
            gifts=gifts_of(row),
            row=row,
        )

    @strawberry.field(description="By which methods one can be verified here.")
    def methods(self, info: Info) -> list[StudentMethod]:
        has_verifier = info.context.outside.student_verifier is not None
        return [
            method
            for method in map(StudentMethod, self.row.methods)
            if has_verifier or method is not StudentMethod.VERIFIER
        ]

    @strawberry.field(description="Its picture.")
    async def cover(self, info: Info) -> Image | None:
        return await image_of(info, self.row.cover_file_id)


def gifts_of(row: rows.StudentIdSettings) -> list[Gift]:
    return [Gift.of(coupons.Gift.from_document(each)) for each in row.gifts]


@strawberry.input(description="What to decide about student IDs at a group or a brand.")
class StudentIdSettingsSaveInput:
    node_id: strawberry.ID = strawberry.field(
        description="The group, or a brand that is to have its own, `node_…`."
    )
    expected_version: int = strawberry.field(
        description="The version that the edit began with; 0 where there was none."
    )
    is_open: bool = strawberry.field(description="Whether anybody can be verified.")
    methods: list[StudentMethod] = strawberry.field(description="By which methods.")
    validity_months: int = strawberry.field(
        description=f"{_VALIDITY}, 1 to {student_id_settings.VALIDITY_MONTHS_MAX}."
    )
    page_title: str = strawberry.field(
        description=f"The page's title, 1 to {student_id_settings.TITLE_CHARS_MAX} characters."
    )
    page_text: str = strawberry.field(
        description=f"Its text, 1 to {student_id_settings.TEXT_CHARS_MAX:,} characters."
    )
    cover_file_id: strawberry.ID | None = strawberry.field(
        default=None, description="The page's picture, `file_…`."
    )
    user_group_name: str | None = strawberry.field(
        default=None,
        description=f"{_GROUP_NAME}; up to {student_id_settings.GROUP_NAME_CHARS_MAX} characters.",
    )
    tag_id: strawberry.ID | None = strawberry.field(
        default=None, description="A tag for valid students, `tag_…`."
    )
    gift_rule: StudentGiftRule = strawberry.field(
        default=StudentGiftRule.NONE, description="When there is a gift."
    )
    gifts: list[GiftInput] = strawberry.field(
        default_factory=list,
        description=f"The gift, up to {student_id_settings.GIFTS_MAX}; none with the rule NONE.",
    )
    reminder_days: list[int] = strawberry.field(
        default_factory=list,
        description=f"{_REMINDERS}: up to {student_id_settings.REMINDERS_MAX}, each 1 to"
        f" {student_id_settings.REMINDER_DAYS_MAX}.",
    )
    submissions_a_day: int = strawberry.field(
        default=5,
        description="How often a member can try within 24 hours, 1 to"
        f" {student_id_settings.SUBMISSIONS_A_DAY_MAX}.",
    )

    def details(self) -> StudentIdDetails:
        """What the settings say; raises `BadInput`."""
        return StudentIdDetails(
            is_open=self.is_open,
            methods=frozenset(self.methods),
            validity_months=self.validity_months,
            page_title=self.page_title,
            page_text=self.page_text,
            cover_file_id=_parsed("file", self.cover_file_id),
            user_group_name=self.user_group_name,
            tag_id=_parsed("tag", self.tag_id),
            gift_rule=self.gift_rule,
            gifts=tuple(each.gift() for each in self.gifts),
            reminder_days=tuple(self.reminder_days),
            submissions_a_day=self.submissions_a_day,
        )


def _parsed(prefix: str, given: strawberry.ID | None) -> UUID | None:
    return None if given is None else parse_type_id(prefix, given)


SettingsSave = Annotated[
    StudentIdSettingsSaveInput, strawberry.argument(description="Where, and what.")
]
StudentIdSettingsSaveResult = Annotated[
    StudentIdSettings | EditedMeanwhile | NodeNotFound | TagNotFound | FileNotFound | GIFT_PROBLEMS,
    strawberry.union(
        "StudentIdSettingsSaveResult", description="The settings now, or why nothing changed."
    ),
]
