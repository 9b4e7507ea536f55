"""AUTOSCALER_* variables."""

from headrace_servicekit.settings import PostgresSettings, ServiceSettings, settings_config


class AutoscalerSettings(PostgresSettings, ServiceSettings):
    """What the autoscaler can be told."""

    model_config = settings_config("AUTOSCALER_")
