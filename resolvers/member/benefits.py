"""What a member's card brings here and now (BEN-2)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import benefits
from auth.permissions import IsMember
from schema.benefits import BenefitContextInput, BenefitsFor
from schema.context import Info


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember],
        description="Which benefits hold for one of the member's cards, with what they give, and"
        " why others do not. Null if there is no such card or store.",
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
            benefits.for_holder,
            member_id=info.context.member_id,
            card_id=parse_type_id("card", card_id),
            question=question,
            now=info.context.now,
        )
        return None if answer is None else BenefitsFor.of(answer, question)
