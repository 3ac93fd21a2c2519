"""Student IDs (STU-1…STU-4)."""

from app.services import student_ids
from app.services.student_ids import institutions as institution_service
from schema.files import FILE_PROBLEMS
from schema.problems import shown_as
from schema.student_ids import applying, institutions, verifications

HANDLERS = [
    *FILE_PROBLEMS,
    shown_as(applying.StudentIdClosed, student_ids.StudentIdClosed),
    shown_as(applying.StudentVerificationPending, student_ids.StudentVerificationPending),
    shown_as(applying.AlreadyStudent, student_ids.AlreadyStudent),
    shown_as(applying.TooManySubmissions, student_ids.TooManySubmissions),
    shown_as(applying.StudentIdentityInUse, student_ids.StudentIdentityInUse),
    shown_as(institutions.InstitutionNotListed, student_ids.InstitutionNotListed),
    shown_as(institutions.InstitutionNotFound, institution_service.InstitutionNotFound),
    shown_as(institutions.InstitutionTaken, institution_service.InstitutionTaken),
    shown_as(institutions.TooManyInstitutions, institution_service.TooManyInstitutions),
    shown_as(verifications.StudentVerificationNotFound, student_ids.StudentVerificationNotFound),
    shown_as(verifications.StudentVerificationNotOpen, student_ids.StudentVerificationNotOpen),
]
