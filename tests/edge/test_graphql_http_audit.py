"""The official GraphQL-over-HTTP audit (npm package `graphql-http`) against our endpoint."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

AUDIT = Path(__file__).parent / "audit"


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with the audit's packages installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        if os.environ.get("REGULARS_TESTS_REQUIRE_ALL") == "1":
            pytest.fail("the audit needs Node and npm, and REGULARS_TESTS_REQUIRE_ALL is set")
        pytest.skip("the audit needs Node and npm")
    if not (AUDIT / "node_modules").exists():
        subprocess.run([npm, "ci"], cwd=AUDIT, check=True, timeout=300, capture_output=True)
    return node


def test_no_audit_fails_or_warns(address: str, node: str) -> None:
    finished = subprocess.run(
        [node, "audit.mjs", f"http://{address}/"],
        cwd=AUDIT,
        check=True,
        timeout=120,
        capture_output=True,
    )
    report = json.loads(finished.stdout)
    assert report["audits"] >= 60
    assert [audit for audit in report["failed"] if audit["status"] != "notice"] == []
