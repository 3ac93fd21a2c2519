"""How cards reach their tiers: by growth, by tasks, by what was bought or given (TIR).

A card has the higher one of the tier its growth reached and of those it was granted. `rules` says,
without a database, what growth leads to; `evaluating` finds a card's tier, or thousands at once;
`growth` counts purchases and refunds; `granting` and `tasks` give tiers; `settings` releases a
scheme's rules and `running` recomputes its cards; `expiring` ends what is over.

Whoever calls one of these for a card has locked it (`cards.locked`), and has read its scheme after
that: a release is waited for, and its run waits for the card.
"""

from app.services.tiers.evaluating import reevaluate
from app.services.tiers.expiring import expire_due
from app.services.tiers.granting import TierNotFound, end_grants, grant, set_tier
from app.services.tiers.growth import (
    after_change,
    after_event,
    after_purchase,
    after_refund,
    after_roll_back,
    counted_amount,
    counted_back,
    counts,
    earn_growth,
    earned_by,
    take_back_growth,
    taken_by,
)
from app.services.tiers.merging import Combined, after_merge, after_parting
from app.services.tiers.reading import (
    Progress,
    change_told,
    changes_of_card,
    growth_gained,
    progress,
    running_by_scheme,
)
from app.services.tiers.running import (
    RECALCULATE,
    RUN_JOB,
    next_recalculation,
    recalculate,
    run_batch,
    seen_by,
    told,
    topic_of,
)
from app.services.tiers.settings import (
    Released,
    ReleasedForGood,
    Rules,
    TaskGiven,
    TierGiven,
    TierInUse,
    record_only,
    release,
    tasks_by_tier,
)
from app.services.tiers.tasks import Reached

__all__ = [
    "RECALCULATE",
    "RUN_JOB",
    "Combined",
    "Progress",
    "Reached",
    "Released",
    "ReleasedForGood",
    "Rules",
    "TaskGiven",
    "TierGiven",
    "TierInUse",
    "TierNotFound",
    "after_change",
    "after_event",
    "after_merge",
    "after_parting",
    "after_purchase",
    "after_refund",
    "after_roll_back",
    "change_told",
    "changes_of_card",
    "counted_amount",
    "counted_back",
    "counts",
    "earn_growth",
    "earned_by",
    "end_grants",
    "expire_due",
    "grant",
    "growth_gained",
    "next_recalculation",
    "progress",
    "recalculate",
    "record_only",
    "reevaluate",
    "release",
    "run_batch",
    "running_by_scheme",
    "seen_by",
    "set_tier",
    "take_back_growth",
    "taken_by",
    "tasks_by_tier",
    "told",
    "topic_of",
]
