"""Settings are strict, and their table is what the README shows."""

import pytest
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.s3 import Place
from headrace_servicekit.settings import (
    PostgresSettings,
    S3Settings,
    ServiceSettings,
    SettingsError,
    settings_config,
    settings_table,
)
from pydantic import Field, SecretStr, ValidationError


class ToySettings(ServiceSettings):
    model_config = settings_config("TOY_")

    port: int = Field(default=8082, description="Port for gRPC.")
    database_url: SecretStr = Field(description="Where rows live.")
    pools: tuple[str, ...] = Field(default=("default", "cpu"), description="Names of pools.")


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_DATABASE_URL", "postgres://u:hunter2@h/d")


def test_variables_become_settings(monkeypatch):
    monkeypatch.setenv("TOY_PORT", "9000")
    monkeypatch.setenv("TOY_POOLS", '["a"]')
    settings = ToySettings.load()
    assert (settings.port, settings.pools, settings.host) == (9000, ("a",), "127.0.0.1")


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("TOY_PORT", "")
    assert ToySettings.load().port == 8082


def test_settings_cannot_change():
    with pytest.raises(ValidationError, match="frozen"):
        ToySettings.load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("TOY_POTR", "did you mean TOY_PORT?", id="a typo names the likely one"),
        pytest.param("toy_metricsport", "did you mean TOY_METRICS_PORT?", id="whatever its case"),
        pytest.param("TOY_QQQQ", "unset it, or use one of", id="anything else lists what there is"),
    ],
)
def test_an_unknown_name_with_the_prefix_is_refused(monkeypatch, name, hint):
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError) as caught:
        ToySettings.load()
    assert f"{name}: unknown setting; " in str(caught.value)
    assert hint in str(caught.value)


def test_names_of_other_services_are_nobodys_business(monkeypatch):
    monkeypatch.setenv("TOYS_POTR", "1")
    assert ToySettings.load().port == 8082


def test_all_problems_are_told_at_once_with_variable_and_meaning_but_without_values(monkeypatch):
    monkeypatch.setenv("TOY_PORT", "hunter2")
    monkeypatch.setenv("TOY_GRACE_S", "-1")
    monkeypatch.setenv("TOY_XYZ", "hunter2")
    with pytest.raises(SettingsError) as caught:
        ToySettings.load()
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["TOY_XYZ", "TOY_PORT", "TOY_GRACE_S"]
    assert "Port for gRPC." in lines[1]
    assert "greater than or equal to 0" in lines[2]
    assert "hunter2" not in str(caught.value)


def test_a_missing_variable_is_named(monkeypatch):
    monkeypatch.delenv("TOY_DATABASE_URL")
    with pytest.raises(SettingsError, match=r"TOY_DATABASE_URL: not set; set it \(Where rows live.\)"):
        ToySettings.load()


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        pytest.param(["TLS_CERT"], "belong together", id="a certificate without its key"),
        pytest.param(["TLS_KEY"], "belong together", id="a key without its certificate"),
        pytest.param(["TLS_CA"], "needs tls_cert", id="authorities alone"),
    ],
)
def test_half_a_tls_configuration_is_refused(monkeypatch, names, problem):
    for name in names:
        monkeypatch.setenv(f"TOY_{name}", "/x.pem")
    with pytest.raises(SettingsError, match=problem):
        ToySettings.load()


def test_the_table_has_a_row_for_every_setting_and_hides_secrets():
    table = settings_table(ToySettings)
    assert table.splitlines()[0] == "| variable | default | meaning |"
    assert "| `TOY_PORT` | `8082` | Port for gRPC. |" in table
    assert "| `TOY_DATABASE_URL` | required | Where rows live. |" in table
    assert "| `TOY_POOLS` | `default`, `cpu` | Names of pools. |" in table
    assert "| `TOY_TLS_CA` | unset |" in table
    assert len(table.splitlines()) == 2 + len(ToySettings.model_fields)


def test_every_setting_of_the_kit_says_what_it_means():
    assert [name for name, field in ServiceSettings.model_fields.items() if not field.description] == []


class StoredSettings(S3Settings, PostgresSettings, ServiceSettings):
    """A service that has a database and a bucket."""

    model_config = settings_config("STORED_")


def test_a_service_inherits_the_variables_of_its_stores(monkeypatch):
    monkeypatch.setenv("STORED_DATABASE_URL", "postgresql://u@h/d")
    monkeypatch.setenv("STORED_S3_ENDPOINT", "http://store:9000")
    settings = StoredSettings.load()
    assert (settings.database_connections, settings.s3_bucket) == (10, "headrace")
    assert Address.of(settings) == Address("postgresql://u@h/d")
    place = Place.of(settings, bucket="other")
    assert (place.endpoint, place.bucket) == ("http://store:9000", "other")
    assert place.credentials_setting == "STORED_S3_CREDENTIALS_FILE"


def test_a_service_without_a_bucket_has_no_variables_of_one(monkeypatch):
    monkeypatch.setenv("TOY_S3_BUCKET", "headrace")
    with pytest.raises(SettingsError, match="TOY_S3_BUCKET: unknown setting"):
        ToySettings.load()
