"""Schools that students are welcome from (STU-1)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import type_id
from app.models import student_ids as rows
from app.services import student_ids
from app.services.student_ids import institutions as service
from schema.context import Info
from schema.pages import Connection
from schema.problems import EditedMeanwhile, Problem


@strawberry.type(description="A school, as members choose it.")
class School:
    name: str = strawberry.field(description="What it is called.")
    domain: str = strawberry.field(
        description="One of its domains: what a student card is sent in with."
    )

    @classmethod
    def of(cls, school: student_ids.School) -> Self:
        return cls(name=school.name, domain=school.domain)


@strawberry.type(
    description="A school that the group listed beside the shipped list, or one that it refuses."
)
class Institution:
    id: strawberry.ID = strawberry.field(description="Its id, `inst_…`.")
    name: str = strawberry.field(description="What it is called.")
    is_accepted: bool = strawberry.field(
        description="Whether its students are welcome; false takes it out of the shipped list."
    )
    version: int = strawberry.field(description="For `expectedVersion` of the next edit.")
    created_at: datetime = strawberry.field(description="When it was listed.")
    row: strawberry.Private[rows.Institution]

    @classmethod
    def of(cls, row: rows.Institution) -> Self:
        return cls(
            id=strawberry.ID(type_id("inst", row.id)),
            name=row.name,
            is_accepted=row.is_accepted,
            version=row.version,
            created_at=row.created_at,
            row=row,
        )

    @strawberry.field(description="Its domains, with all below them.")
    async def domains(self, info: Info) -> list[str]:
        return await info.context.loaders.institution_domains.load(self.row.id)


@strawberry.type(description="A page of institutions.")
class InstitutionConnection(Connection[Institution]): ...


@strawberry.type(description="What the group said about the institution is gone.")
class InstitutionDeleted:
    id: strawberry.ID = strawberry.field(description="Which one it was, `inst_…`.")


@strawberry.type(description="There is no such institution among those the group listed.")
class InstitutionNotFound(Problem): ...


@strawberry.type(description="The group listed the name or a domain already.")
class InstitutionTaken(Problem):
    what: str = strawberry.field(description="The name, or the domain.")

    @classmethod
    def of(cls, error: service.InstitutionTaken) -> Self:
        return cls(message=str(error), what=error.what)


@strawberry.type(description="The group listed as many institutions as it can.")
class TooManyInstitutions(Problem):
    at_most: int = strawberry.field(description="How many that is.")

    @classmethod
    def of(cls, error: service.TooManyInstitutions) -> Self:
        return cls(message=str(error), at_most=error.at_most)


@strawberry.type(description="The domain is no school's whose students are welcome here.")
class InstitutionNotListed(Problem): ...


@strawberry.input(description="A school to list, or one of the shipped list to refuse.")
class InstitutionCreateInput:
    name: str = strawberry.field(
        description=f"1 to {service.NAME_CHARS_MAX} characters, unlike any other's."
    )
    domains: list[str] = strawberry.field(
        description=f"1 to {service.DOMAINS_MAX} domains, such as university.example; what lies"
        " below them counts too."
    )
    is_accepted: bool = strawberry.field(
        default=True, description="Whether its students are welcome."
    )


@strawberry.input(description="What a listed school is to be.")
class InstitutionUpdateInput:
    id: strawberry.ID = strawberry.field(description="The institution, `inst_…`.")
    expected_version: int = strawberry.field(description="The version the edit began with.")
    name: str = strawberry.field(description="Its name.")
    domains: list[str] = strawberry.field(description="All of its domains.")
    is_accepted: bool = strawberry.field(description="Whether its students are welcome.")


@strawberry.input(description="A school that the group says nothing about any more.")
class InstitutionDeleteInput:
    id: strawberry.ID = strawberry.field(description="The institution, `inst_…`.")


InstitutionCreate = Annotated[
    InstitutionCreateInput, strawberry.argument(description="The school.")
]
InstitutionUpdate = Annotated[
    InstitutionUpdateInput, strawberry.argument(description="Which, and what.")
]
InstitutionDelete = Annotated[InstitutionDeleteInput, strawberry.argument(description="Which.")]
InstitutionCreateResult = Annotated[
    Institution | InstitutionTaken | TooManyInstitutions,
    strawberry.union("InstitutionCreateResult", description="The school, or why there is none."),
]
InstitutionUpdateResult = Annotated[
    Institution | InstitutionNotFound | InstitutionTaken | EditedMeanwhile,
    strawberry.union("InstitutionUpdateResult", description="The school, or why it is as it was."),
]
InstitutionDeleteResult = Annotated[
    InstitutionDeleted | InstitutionNotFound,
    strawberry.union("InstitutionDeleteResult", description="That it is gone, or why not."),
]
