"""The guides in docs/ name every setting and every error code, and their links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from app.core.errors import RequestError
from app.edge import failures, limits, sockets
from app.settings import PREFIX, OidcSettings, Settings, WeChatAppSettings

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def variables(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    """The environment variables of the settings, those of nested ones spelled out."""
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name}".upper()
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from variables(nested, f"{variable}__")
        else:
            yield variable


def codes(error: type[RequestError] = RequestError) -> Iterator[str]:
    yield error.code
    for kind in error.__subclasses__():
        yield from codes(kind)


def test_operations_names_every_setting_and_no_other() -> None:
    page = (DOCS / "operations.md").read_text("utf-8")
    named = set(re.findall(rf"`({PREFIX}\w+)`", page))
    assert named == set(variables(Settings))


@pytest.mark.parametrize("model", [WeChatAppSettings, OidcSettings])
def test_operations_names_every_field_of_settings_in_lists(model: type[BaseModel]) -> None:
    page = (DOCS / "operations.md").read_text("utf-8")
    assert [name for name in model.model_fields if name not in page] == []


def test_partners_explains_every_error_code() -> None:
    # Named, so that the module with its code is loaded.
    known = {
        *codes(),
        sockets.TooManyOperations.code,
        failures.PARSE_FAILED,
        failures.VALIDATION_FAILED,
        failures.INTERNAL,
    }
    page = (DOCS / "partners.md").read_text("utf-8")
    assert {code for code in {*known, limits.LIMIT_EXCEEDED} if f"`{code}`" not in page} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_between_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
