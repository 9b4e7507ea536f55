"""What the tests of the generator share: settings, the committed API, the rendered configuration."""

import pytest
from front_door.api import Api, read_api
from front_door.bootstrap import bootstrap
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json

from tests.kit.front_door.edge import settings_with


@pytest.fixture(scope="session")
def settings() -> FrontDoorSettings:
    return settings_with()


@pytest.fixture(scope="session")
def api(settings: FrontDoorSettings) -> Api:
    return read_api(settings.descriptors)


@pytest.fixture(scope="session")
def rendered(settings: FrontDoorSettings, api: Api) -> Json:
    return bootstrap(settings, api)
