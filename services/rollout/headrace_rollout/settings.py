"""ROLLOUT_* variables."""

from headrace_servicekit.settings import PostgresSettings, ServiceSettings, settings_config


class RolloutSettings(PostgresSettings, ServiceSettings):
    """What the rollout can be told."""

    model_config = settings_config("ROLLOUT_")
