"""Benefits as the back office makes them, and as a till asks about a card's (BEN-1…BEN-3)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import benefits
from app.services.benefits.holding import ACTIVE_MAX
from auth.permissions import Needs
from schema.benefits import (
    Benefit,
    BenefitActivateInput,
    BenefitActivateResult,
    BenefitContextInput,
    BenefitCreateInput,
    BenefitCreateResult,
    BenefitDeactivateInput,
    BenefitDeactivateResult,
    BenefitKind,
    BenefitsFor,
    BenefitState,
    BenefitUpdateInput,
    BenefitUpdateResult,
)
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after

Reads = Needs(Permission.BENEFITS_READ)
Writes = Needs(Permission.BENEFITS_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The benefits made above or below where the asker works, the newest first.",
    )
    async def benefits(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        search: Annotated[
            str | None,
            strawberry.argument(description="A part of the name, 1 to 120 characters, any case."),
        ] = None,
        kind: Annotated[
            BenefitKind | None, strawberry.argument(description="Only of this type; null is any.")
        ] = None,
        state: Annotated[
            BenefitState | None, strawberry.argument(description="Only in this state; null is any.")
        ] = None,
        operator: Annotated[
            str | None,
            strawberry.argument(
                description="A part of the name of who saved it last, 1 to 120 characters."
            ),
        ] = None,
    ) -> Connection[Benefit]:
        rows = await info.context.read(
            benefits.page,
            await info.context.actor(),
            state=state,
            kind=kind,
            name_part=search,
            operator_part=operator,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[Benefit].of(rows, first, Benefit.of)

    @strawberry.field(
        permission_classes=[Reads], description="One benefit, or null if the asker may not see it."
    )
    async def benefit(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The benefit, `ben_…`.")],
    ) -> Benefit | None:
        row = await info.context.read(
            benefits.seen_by, await info.context.actor(), benefit_id=parse_type_id("ben", id)
        )
        return Benefit.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reads, Needs(Permission.CARDS_READ)],
        description="Which benefits hold for a card, with what they give, and why others do not."
        " Null if there is no such card or store.",
    )
    async def benefits_for(
        self,
        info: Info,
        card_id: Annotated[strawberry.ID, strawberry.argument(description="The card, `card_…`.")],
        context: Annotated[
            BenefitContextInput, strawberry.argument(description="Where, when and for what.")
        ],
    ) -> BenefitsFor | None:
        question = context.question()
        answer = await info.context.read(
            benefits.for_reader,
            await info.context.actor(),
            card_id=parse_type_id("card", card_id),
            question=question,
            now=info.context.now,
        )
        return None if answer is None else BenefitsFor.of(answer, question)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Draft a benefit under a perspective. Nobody has it before `benefitActivate`,"
        " and its type is for good.",
    )
    async def benefit_create(
        self,
        info: Info,
        input: Annotated[BenefitCreateInput, strawberry.argument(description="The benefit.")],
    ) -> BenefitCreateResult:
        row = await info.context.run(
            benefits.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            content=input.content(),
            now=info.context.now,
        )
        return Benefit.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change what a benefit says, also while it is active. What cards were given"
        " stays as it was.",
    )
    async def benefit_update(
        self,
        info: Info,
        input: Annotated[BenefitUpdateInput, strawberry.argument(description="The benefit.")],
    ) -> BenefitUpdateResult:
        row = await info.context.run(
            benefits.change,
            await info.context.actor(),
            benefit_id=parse_type_id("ben", input.id),
            expected_version=input.expected_version,
            content=input.content(),
            now=info.context.now,
        )
        return Benefit.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Let members enjoy a benefit from now on, as far as its scope and"
        f" restrictions let them. A group has at most {ACTIVE_MAX} active ones.",
    )
    async def benefit_activate(
        self,
        info: Info,
        input: Annotated[BenefitActivateInput, strawberry.argument(description="Which benefit.")],
    ) -> BenefitActivateResult:
        return await _move(info, input.id, BenefitState.ACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Take a benefit from everybody at once, until it is activated again.",
    )
    async def benefit_deactivate(
        self,
        info: Info,
        input: Annotated[BenefitDeactivateInput, strawberry.argument(description="Which benefit.")],
    ) -> BenefitDeactivateResult:
        return await _move(info, input.id, BenefitState.INACTIVE)


async def _move(info: Info, benefit_id: strawberry.ID, state: BenefitState) -> Benefit:
    row = await info.context.run(
        benefits.move,
        await info.context.actor(),
        benefit_id=parse_type_id("ben", benefit_id),
        state=state,
        now=info.context.now,
    )
    return Benefit.of(row)
