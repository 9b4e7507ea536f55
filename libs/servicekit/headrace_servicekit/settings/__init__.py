"""Strict settings: one frozen class per deployable, read from environment variables with its prefix.

A service's class inherits `ServiceSettings` and those of its stores: `class FooSettings(PostgresSettings,
ServiceSettings)` with `model_config = settings_config("FOO_")`.
"""

from headrace_servicekit.settings.service import ServiceSettings, TlsSettings
from headrace_servicekit.settings.stores import HistorySettings, PostgresSettings, S3Settings, ValkeySettings
from headrace_servicekit.settings.strict import (
    SettingsError,
    StrictSettings,
    settings_config,
    settings_table,
    unknown_names,
    variable,
)

__all__ = [
    "HistorySettings",
    "PostgresSettings",
    "S3Settings",
    "ServiceSettings",
    "SettingsError",
    "StrictSettings",
    "TlsSettings",
    "ValkeySettings",
    "settings_config",
    "settings_table",
    "unknown_names",
    "variable",
]
