"""An outside verifier of students: members go to its page, and it tells us what it found (STU-1).

`signed_verifier` is the one that settings describe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

CALLBACK_PATH = "/students/verifier/callback"
ANSWER_MAX_BYTES = 16 * 1024


class StudentFinding(StrEnum):
    STUDENT = "STUDENT"
    NOT_A_STUDENT = "NOT_A_STUDENT"


class AnswerRefused(Exception):
    """What came is not signed by the verifier, too old, or not an answer; the text says which."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class StudentAnswer:
    """What the verifier found out about one verification that was begun here."""

    event_id: str
    reference: str
    """What `start_url` was given."""
    finding: StudentFinding
    institution: str = ""
    student: str = ""
    """What the verifier calls this student, always the same for the same person."""


class StudentVerifier(Protocol):
    """Where members are sent to, and how what comes back is read."""

    def start_url(self, *, reference: str, return_url: str) -> str:
        """The verifier's page for one verification; afterwards it leads back to `return_url`."""

    def read_answer(self, headers: Mapping[str, str], body: bytes) -> StudentAnswer:
        """Raises `AnswerRefused`."""
