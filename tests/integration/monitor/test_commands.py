"""What operators run beside the monitor."""

from headrace_monitor import commands
from headrace_monitor.settings import MonitorSettings


async def test_the_schema_is_made_once_and_the_incarnation_renewed(postgres_url):
    settings = MonitorSettings(database_url=postgres_url, s3_endpoint="http://127.0.0.1:1", registry_target="none:1")
    for _ in range(2):
        assert await commands.migrate(settings) == {"database": "has the schema of this version"}
    first, second = [await commands.renew(settings) for _ in range(2)]
    assert first["incarnation"] != second["incarnation"]
