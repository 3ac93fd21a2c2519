"""The demo's student IDs: what they bring, and a school of its own (STU-2)."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app.core.db import Transaction
from app.models.student_ids import StudentGiftRule, StudentMethod
from app.services import tags
from app.services.actors import Actor
from app.services.coupons import Gift
from app.services.student_ids import institutions, settings
from app.services.student_ids.settings import StudentIdDetails

SCHOOL = "禾木学院 · Hemu College"
SCHOOL_DOMAIN = "college.example"


async def open_to(
    tx: Transaction,
    owner: Actor,
    *,
    group_id: UUID,
    pictures: Mapping[str, UUID],
    gift: Gift,
    now: datetime,
) -> None:
    """Let members become verified students in each of the three ways; the first time brings a
    coupon."""
    await institutions.create(
        tx, owner, name=SCHOOL, domains=[SCHOOL_DOMAIN], is_accepted=True, now=now
    )
    tag = await tags.create(tx, owner, name="学生 · Student", now=now)
    await settings.save(
        tx,
        owner,
        node_id=group_id,
        expected_version=0,
        details=StudentIdDetails(
            is_open=True,
            methods=frozenset(StudentMethod),
            validity_months=6,
            page_title="学生认证 · Student ID",
            page_text="用学校邮箱、学生证或第三方认证。· By school e-mail, card or verifier.",
            cover_file_id=pictures["student"],
            user_group_name="在校学生 · Students",
            tag_id=tag.id,
            gift_rule=StudentGiftRule.FIRST_TIME,
            gifts=(gift,),
            reminder_days=(30, 7),
        ),
        now=now,
    )
