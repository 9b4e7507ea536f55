"""Which actuator the settings name."""

from __future__ import annotations

from headrace_servicekit.runtime import Runtime, StartError

from headrace_autoscaler.actuators.actuator import Actuator
from headrace_autoscaler.actuators.local import LocalActuator
from headrace_autoscaler.actuators.recommend import RecommendActuator
from headrace_autoscaler.settings import AutoscalerSettings


async def actuator_of(settings: AutoscalerSettings, runtime: Runtime[AutoscalerSettings]) -> Actuator:
    """Return the actuator. Raises StartError when a setting that it needs is missing."""
    match settings.actuator:
        case "recommend":
            return RecommendActuator()
        case "local":
            if settings.control_socket is None:
                raise StartError("AUTOSCALER_ACTUATOR=local needs AUTOSCALER_CONTROL_SOCKET, the supervisor's")
            return LocalActuator(settings.control_socket, scale_s=settings.actuator_timeout_s)
