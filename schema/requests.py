"""Request keys, which every mutation that moves value takes."""

import strawberry

from app.services import requests
from schema.problems import Problem, shown_as


@strawberry.type(description="The request key was used before for a different request.")
class RequestKeyReused(Problem): ...


HANDLERS = [shown_as(RequestKeyReused, requests.RequestKeyReused)]
