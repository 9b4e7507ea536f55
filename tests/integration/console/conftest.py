"""A console for each test, over an API that answers whatever the test wants."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.kit.console.service import ConsoleUnderTest, console_under_test
from tests.kit.stores.servers import postgres_url_with

postgres_url = postgres_url_with("headrace_console.sessions.sql")


@pytest_asyncio.fixture
async def console(postgres_url: str, tmp_path: Path) -> AsyncIterator[ConsoleUnderTest]:
    async with console_under_test(postgres_url, tmp_path / "identity") as running:
        yield running
