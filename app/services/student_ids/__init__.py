"""Student IDs: who is a verified student, how that came about, and what it brings (STU-1…STU-4).

`settings` says what a group or brand decided, `schools` and `institutions` which schools count,
`claims` keeps one student identity with one member. `applying` is what members do, `deciding` what
staff and the outside verifier do; both move a verification by `verifications`. `expiring` is what
time does, `reading` what is read, `forgetting` what a closed account leaves.
"""

from app.services.student_ids.applying import (
    AlreadyStudent,
    Applied,
    StudentCard,
    StudentVerificationPending,
    TooManySubmissions,
    send_code,
    start_verifier,
    submit_card,
    verify_email,
    withdraw,
)
from app.services.student_ids.claims import StudentIdentityInUse
from app.services.student_ids.deciding import answered
from app.services.student_ids.expiring import expire_due, remind_due, withdraw_lapsed
from app.services.student_ids.forgetting import forget
from app.services.student_ids.reading import Dashboard, Standing
from app.services.student_ids.schools import InstitutionNotListed, School
from app.services.student_ids.settings import StudentIdClosed, StudentIdDetails
from app.services.student_ids.verifications import (
    StudentVerificationNotFound,
    StudentVerificationNotOpen,
)

__all__ = [
    "AlreadyStudent",
    "Applied",
    "Dashboard",
    "InstitutionNotListed",
    "School",
    "Standing",
    "StudentCard",
    "StudentIdClosed",
    "StudentIdDetails",
    "StudentIdentityInUse",
    "StudentVerificationNotFound",
    "StudentVerificationNotOpen",
    "StudentVerificationPending",
    "TooManySubmissions",
    "answered",
    "expire_due",
    "forget",
    "remind_due",
    "send_code",
    "start_verifier",
    "submit_card",
    "verify_email",
    "withdraw",
    "withdraw_lapsed",
]
