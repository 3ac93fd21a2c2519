"""Limits of the law of prepaid cards, and who is behind large sums (TOP-11)."""

from typing import Annotated

import strawberry

from app.core.errors import BadInput
from app.core.ids import parse_type_id
from app.core.money import MINOR_UNIT_DIGITS
from app.models.staff import Permission
from app.services import compliance
from auth.permissions import Needs
from schema.compliance import (
    GroupRules,
    GroupRulesSetInput,
    RealName,
    RealNameRecordInput,
    RealNameRecordResult,
)
from schema.context import Info
from schema.scalars import CurrencyCode


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.ORGANISATION_READ)],
        description="The limits in force in a currency: the group's own, or those of the law.",
    )
    async def group_rules(
        self,
        info: Info,
        currency: Annotated[CurrencyCode, strawberry.argument(description="Which currency.")],
    ) -> GroupRules:
        if currency not in MINOR_UNIT_DIGITS:
            raise BadInput("currency is not an ISO 4217 code.")
        actor = await info.context.actor()
        row = await info.context.read(
            compliance.rules, group_id=actor.group_id, currency=currency, now=info.context.now
        )
        return GroupRules.of(row)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.SETTINGS_WRITE)],
        description="Replace the group's limits in a currency, all at once: null lifts one. They"
        " hold for what comes; what is above one already stays, and `complianceReport` lists it.",
    )
    async def group_rules_set(
        self,
        info: Info,
        input: Annotated[GroupRulesSetInput, strawberry.argument(description="The limits.")],
    ) -> GroupRules:
        row = await info.context.run(
            compliance.set_rules,
            await info.context.actor(),
            currency=input.currency,
            limits=input.limits(),
            now=info.context.now,
        )
        return GroupRules.of(row)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.MEMBERS_WRITE)],
        description="Write down who a member is by a document the asker has seen; it replaces what"
        " was there.",
    )
    async def real_name_record(
        self,
        info: Info,
        input: Annotated[RealNameRecordInput, strawberry.argument(description="The document.")],
    ) -> RealNameRecordResult:
        row = await info.context.run(
            compliance.record_real_name,
            await info.context.actor(),
            member_id=parse_type_id("mem", input.member_id),
            name=input.name,
            document_kind=input.document_kind,
            document_number=input.document_number,
            now=info.context.now,
        )
        return RealName.of(row)
