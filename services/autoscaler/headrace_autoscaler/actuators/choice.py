"""Which actuator the settings name."""

from __future__ import annotations

from headrace_servicekit.runtime import Runtime, StartError

from headrace_autoscaler.actuators.actuator import Actuator, RecommendActuator
from headrace_autoscaler.actuators.docker import DockerActuator
from headrace_autoscaler.actuators.docker import client_of as client_of_docker
from headrace_autoscaler.actuators.kubernetes import KubernetesActuator, client_of
from headrace_autoscaler.actuators.local import LocalActuator
from headrace_autoscaler.decisions.workloads import services_of, workloads_of
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
        case "kubernetes":
            return await _kubernetes(settings, runtime)
        case "docker":
            if settings.docker_socket is None:
                raise StartError("AUTOSCALER_ACTUATOR=docker needs AUTOSCALER_DOCKER_SOCKET, of the filter")
            client = await runtime.enter(client_of_docker(str(settings.docker_socket)))
            services = services_of(settings.docker_services)
            return DockerActuator(client, settings.docker_project, services, change_s=settings.actuator_timeout_s)


async def _kubernetes(settings: AutoscalerSettings, runtime: Runtime[AutoscalerSettings]) -> Actuator:
    account = settings.kubernetes_account_dir
    if account is None:
        raise StartError("AUTOSCALER_ACTUATOR=kubernetes needs AUTOSCALER_KUBERNETES_ACCOUNT_DIR")
    try:
        namespace = (account / "namespace").read_text().strip()
        client = await runtime.enter(client_of(settings.kubernetes_url, account / "ca.crt"))
    except OSError as error:
        raise StartError(
            f"the service account of Kubernetes cannot be read at {account}: {error}; in a pod it needs "
            "automountServiceAccountToken: true"
        ) from None
    workloads = workloads_of(settings.kubernetes_workloads)
    return KubernetesActuator(client, namespace, workloads, account / "token")
