"""What every report is about: a node, and the time between two midnights (FIN-2)."""

from datetime import date, datetime
from typing import Annotated, Self

import strawberry

from app.services.reports.subjects import Subject
from schema.organisation import Node

PerspectiveId = Annotated[
    strawberry.ID,
    strawberry.argument(
        description="The node, `node_…`: the report covers the schemes made there or below."
    ),
]
FROM = "The first day, which is included: from its midnight in the perspective's time zone."
TO = "The day after the last: up to its midnight. At most ten years after the first."
From = Annotated[date, strawberry.argument(name="from", description=FROM)]
To = Annotated[date, strawberry.argument(description=TO)]


@strawberry.type(description="What a report is about: a node, and the time between two midnights.")
class ReportSubject:
    perspective: Node = strawberry.field(description="The node.")
    from_: date = strawberry.field(name="from", description="The first day, included.")
    to: date = strawberry.field(description="The day after the last.")
    time_zone: str = strawberry.field(description="The time zone of both midnights.")
    starts_at: datetime = strawberry.field(description="The midnight that begins it.")
    ends_at: datetime = strawberry.field(description="The midnight that ends it.")
    made_at: datetime = strawberry.field(description="When the report was made.")

    @classmethod
    def of(cls, about: Subject) -> Self:
        return cls(
            perspective=Node.of(about.perspective),
            from_=about.period.from_day,
            to=about.period.to_day,
            time_zone=about.period.zone.key,
            starts_at=about.period.starts_at,
            ends_at=about.period.ends_at,
            made_at=about.made_at,
        )
