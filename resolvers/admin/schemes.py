"""Schemes and tiers, as the back office makes them (CRD-1)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import schemes
from auth.permissions import Needs
from schema.context import Info
from schema.schemes import (
    Scheme,
    SchemeCreateInput,
    SchemeCreateResult,
    SchemeSetOpeningInput,
    SchemeSetOpeningResult,
    SchemeUpdateInput,
    SchemeUpdateResult,
    Tier,
    TierCreateInput,
    TierCreateResult,
    store_ids_of,
)

Reads = Needs(Permission.SCHEMES_READ)
Writes = Needs(Permission.SCHEMES_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The schemes made above or below where the asker works.",
    )
    async def schemes(self, info: Info) -> list[Scheme]:
        rows = await info.context.read(schemes.visible, await info.context.actor())
        return [Scheme.of(row) for row in rows]

    @strawberry.field(
        permission_classes=[Reads], description="One scheme, or null if the asker may not see it."
    )
    async def scheme(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The scheme, `sch_…`.")],
    ) -> Scheme | None:
        row = await info.context.read(
            schemes.seen_by, await info.context.actor(), scheme_id=parse_type_id("sch", id)
        )
        return Scheme.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Make a scheme under a perspective. Members can join once it has a tier.",
    )
    async def scheme_create(
        self,
        info: Info,
        input: Annotated[SchemeCreateInput, strawberry.argument(description="The scheme.")],
    ) -> SchemeCreateResult:
        row = await info.context.run(
            schemes.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            name=input.name,
            currency=input.currency,
            deduction_rule=input.deduction_rule,
            consumption_verification=input.consumption_verification,
            points_unit=input.points_unit,
            points_rate=input.points_rate,
            valid_days=input.valid_days,
            store_ids=store_ids_of(input.store_ids),
            now=info.context.now,
        )
        return Scheme.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change a scheme's rules for what comes; what happened keeps its own.",
    )
    async def scheme_update(
        self,
        info: Info,
        input: Annotated[SchemeUpdateInput, strawberry.argument(description="The rules.")],
    ) -> SchemeUpdateResult:
        row = await info.context.run(
            schemes.change,
            await info.context.actor(),
            scheme_id=parse_type_id("sch", input.id),
            name=input.name,
            deduction_rule=input.deduction_rule,
            consumption_verification=input.consumption_verification,
            points_unit=input.points_unit,
            points_rate=input.points_rate,
            valid_days=input.valid_days,
            is_open_to_join=input.is_open_to_join,
            store_ids=store_ids_of(input.store_ids),
            now=info.context.now,
        )
        return Scheme.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Set what is bought to open a card of a scheme, or let cards be free. Nobody"
        " gives a card away then: a till sells what opens it.",
    )
    async def scheme_set_opening(
        self,
        info: Info,
        input: Annotated[SchemeSetOpeningInput, strawberry.argument(description="What is bought.")],
    ) -> SchemeSetOpeningResult:
        pack_id, package_id = input.coupon_pack_id, input.package_id
        row = await info.context.run(
            schemes.set_opening,
            await info.context.actor(),
            scheme_id=parse_type_id("sch", input.id),
            pack_id=None if pack_id is None else parse_type_id("cpk", pack_id),
            package_id=None if package_id is None else parse_type_id("pkg", package_id),
            now=info.context.now,
        )
        return Scheme.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Add a tier above the highest one of a scheme whose tiers are only recorded."
        " No card moves, and whoever is editing the rules is told so (`EditedMeanwhile`). Once"
        " tiers were released, `tierRulesRelease` alone changes them: BAD_USER_INPUT here. A"
        f" scheme has at most {schemes.TIERS_MAX} tiers.",
    )
    async def tier_create(
        self,
        info: Info,
        input: Annotated[TierCreateInput, strawberry.argument(description="The tier.")],
    ) -> TierCreateResult:
        row = await info.context.run(
            schemes.add_tier,
            await info.context.actor(),
            scheme_id=parse_type_id("sch", input.scheme_id),
            name=input.name,
            growth_from=input.growth_from,
            now=info.context.now,
        )
        return Tier.of(row)
