"""STU-1: the sandbox's verifier of students, the real adapter, and the way between them."""

import httpx2
import pytest

from app.gateways.sandbox import SandboxState
from app.gateways.signed_verifier import SignedVerifier, VerifierConfig
from app.gateways.student_verifier import AnswerRefused, StudentFinding
from tests.gateways.conftest import Clock, Receiver

pytestmark = pytest.mark.anyio

RETURN_URL = "https://regulars.example/h5/student?from=verifier"


@pytest.fixture
def verifier(state: SandboxState, receiver: Receiver, clock: Clock) -> SignedVerifier:
    account = state.students
    base_url = f"{state.public_url}/students"
    config = VerifierConfig(base_url, account.client_id, account.secret, receiver.url)
    return SignedVerifier(config, clock=clock)


async def test_a_tester_says_what_the_verifier_finds_and_the_product_hears_it(
    verifier: SignedVerifier, receiver: Receiver, http: httpx2.AsyncClient
) -> None:
    url = verifier.start_url(reference="stu_1", return_url=RETURN_URL)
    page = await http.get(url)
    assert (page.status_code, "Anna &lt;Li&gt;" in page.text) == (200, True)
    answer = await http.post(url, data={"finding": "STUDENT", "student": "anna"})
    assert (answer.status_code, answer.headers["location"]) == (303, RETURN_URL)
    heard = await receiver.next()
    found = verifier.read_answer(heard.headers, heard.body)
    assert (found.reference, found.finding) == ("stu_1", StudentFinding.STUDENT)
    assert (found.institution, found.student) == ("Sandbox University", "anna")
    with pytest.raises(AnswerRefused):
        verifier.read_answer(heard.headers, heard.body.replace(b"anna", b"benn"))
    await http.post(url, data={"finding": "NOT_A_STUDENT", "student": "anna"})
    refused = await receiver.next()
    no = verifier.read_answer(refused.headers, refused.body)
    assert (no.finding, no.student) == (StudentFinding.NOT_A_STUDENT, "")
    assert no.event_id != found.event_id


async def test_the_way_there_is_refused_if_it_was_changed_or_is_old(
    verifier: SignedVerifier, receiver: Receiver, http: httpx2.AsyncClient, clock: Clock
) -> None:
    url = verifier.start_url(reference="stu_1", return_url=RETURN_URL)
    assert (await http.get(url.replace("stu_1", "stu_2"))).status_code == 401
    assert (await http.post(url.replace("stu_1", "stu_2"), data={})).status_code == 401
    clock.advance(seconds=301)
    assert (await http.post(url, data={"finding": "STUDENT"})).status_code == 401
    assert receiver.letters.empty()
