"""What members enjoy: benefits by scheme and tier, and what a card was given (BEN-1…BEN-4)."""

from app.models.benefits import BenefitKind, BenefitSource, BenefitState
from schema.benefits.benefits import (
    HANDLERS,
    Benefit,
    BenefitActivateInput,
    BenefitActivateResult,
    BenefitCreateInput,
    BenefitCreateResult,
    BenefitDeactivateInput,
    BenefitDeactivateResult,
    BenefitNotFound,
    BenefitUpdateInput,
    BenefitUpdateResult,
    CardBenefit,
    benefit_id_of,
)
from schema.benefits.holding import BenefitContextInput, BenefitsFor

__all__ = [
    "HANDLERS",
    "Benefit",
    "BenefitActivateInput",
    "BenefitActivateResult",
    "BenefitContextInput",
    "BenefitCreateInput",
    "BenefitCreateResult",
    "BenefitDeactivateInput",
    "BenefitDeactivateResult",
    "BenefitKind",
    "BenefitNotFound",
    "BenefitSource",
    "BenefitState",
    "BenefitUpdateInput",
    "BenefitUpdateResult",
    "BenefitsFor",
    "CardBenefit",
    "benefit_id_of",
]
