"""From when on packages count, for a whole group (BEN-7)."""

from typing import Annotated, Self

import strawberry

from app.models import packages as rows
from app.models.packages import ValidityRule
from schema.enums import describe
from schema.problems import EditedMeanwhile

describe(
    ValidityRule,
    "From when on the time of a package is counted; 3 days bought on 8 December at 23:00.",
    {
        "IMMEDIATE": "From that moment: they end on 11 December at 23:00.",
        "FROM_PURCHASE_DATE": "From 00:00 of that day: they end with 10 December.",
        "FROM_NEXT_DAY": "From 00:00 of the next day, when it begins: they end with 11 December.",
    },
)


@strawberry.type(description="What holds for all packages of the group.")
class PackageSettings:
    validity_rule: ValidityRule = strawberry.field(
        description="From when on what is bought from now on is counted."
    )
    version: int = strawberry.field(description="Counts the edits; 0 was never set.")

    @classmethod
    def of(cls, row: rows.PackageSettings) -> Self:
        return cls(validity_rule=row.validity_rule, version=row.version)


@strawberry.input(description="What shall hold for all packages; what was bought keeps its time.")
class PackageSettingsSetInput:
    expected_version: int = strawberry.field(description="The `version` the edit began with.")
    validity_rule: ValidityRule = strawberry.field(description="From when on to count.")


PackageSettingsSetResult = Annotated[
    PackageSettings | EditedMeanwhile,
    strawberry.union("PackageSettingsSetResult", description="What holds now, or why not."),
]
