from __future__ import annotations

import pytest

from codesign.report.document import ReportDocument
from tests.report.documents import empty_document, hostile_document, study_document


@pytest.fixture(scope="session")
def study() -> ReportDocument:
    return study_document()


@pytest.fixture(scope="session")
def empty() -> ReportDocument:
    return empty_document()


@pytest.fixture(scope="session")
def hostile() -> ReportDocument:
    return hostile_document()
