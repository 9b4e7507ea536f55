"""What deploy/kubernetes says fits the API of Kubernetes, the services, and the list of who calls whom."""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path, PurePosixPath

import jsonschema
import pytest
from front_door.settings import FrontDoorSettings
from headrace_router.data.settings import DataSettings
from headrace_servicekit.settings import ServiceSettings, StrictSettings, variable
from referencing import Registry, Resource

from tests.kit.deployment import kubernetes, topology
from tests.kit.deployment.kubernetes import workloads
from tests.kit.deployment.kustomize import Resources
from tests.kit.rows import each

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own imports are deprecated ones
    from kubernetes_validate.utils import schema_contents

SERVICES = topology.services()
OWN = [name for name, service in SERVICES.items() if not service.store]
# The oldest with all that is used here (a sleep before the end, containers beside the service), and the newest known.
API_VERSIONS = ("1.30.0", "1.37.0")
SCHEMAS = "kubernetes-json-schema/v{}-local-strict"
MIB = 1024**2


@cache
def definitions(version: str) -> Registry:
    """Return what the schemas of a version refer to, read once: that takes longer than to validate by it."""
    contents = schema_contents(f"{SCHEMAS.format(version)}/_definitions.json", version)
    return (Resource.from_contents(contents) @ Registry()).crawl()


@cache
def validator(kind: str, api_version: str, version: str) -> jsonschema.Draft202012Validator:
    group, _, of_group = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.partition(".")[0], of_group)))
    schema = schema_contents(f"{SCHEMAS.format(version)}/{name}.json", version)
    return jsonschema.Draft202012Validator(schema, registry=Resource.from_contents(schema) @ definitions(version))


@pytest.mark.parametrize("version", API_VERSIONS)
def test_every_resource_is_one_of_the_api(rendered: Resources, version: str):
    for resource in rendered.values():
        validator(resource["kind"], resource["apiVersion"], version).validate(resource)


def test_every_service_has_one_workload_and_no_other_runs(base: Resources):
    assert sorted(workloads(base)) == sorted(OWN)


@each("name", OWN)
def test_what_a_service_is_told_is_what_it_can_be_told(rendered: Resources, name: str, monkeypatch: pytest.MonkeyPatch):
    workload = workloads(rendered)[name]
    _only(monkeypatch, workload.environment)
    for of in topology.settings_of(SERVICES[name]):
        of.load()  # refuses names that there are not, and values that cannot be
    prefixes = tuple(str(of.model_config.get("env_prefix")) for of in topology.settings_of(SERVICES[name]))
    strange = [told for told in workload.environment if not told.startswith(prefixes)]
    assert strange in ([], ["POD_IP"])


@each("name", OWN)
def test_a_service_listens_where_its_settings_probes_and_services_say(rendered: Resources, name: str):
    workload = workloads(rendered)[name]
    listed = SERVICES[name].ports
    assert workload.ports.items() <= listed.items()
    told = {int(value) for key, value in workload.environment.items() if key.endswith("_PORT")}
    # Triton's stay inside the pod; under the neighbour of a GPU they are its own.
    assert {number for port, number in listed.items() if not port.startswith("triton")} <= told
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = workload.container[kind]
        port = next(probe[how]["port"] for how in ("httpGet", "grpc", "tcpSocket") if how in probe)
        assert port in (workload.ports if isinstance(port, str) else workload.ports.values()), kind
    for service in kubernetes.of_kind(rendered, "Service").values():
        if service["spec"]["selector"][kubernetes.NAME] == name:
            for port in service["spec"]["ports"]:
                assert workload.ports[port["targetPort"]] == listed[port["name"]] == port["port"]


def test_targets_name_services_and_their_ports(rendered: Resources):
    addresses = {
        f"{name}:{port['port']}"
        for name, service in kubernetes.of_kind(rendered, "Service").items()
        for port in service["spec"]["ports"]
    }
    for name in OWN:
        workload = workloads(rendered)[name]
        for call in SERVICES[name].calls:
            if SERVICES[call.callee].store:
                continue
            port = SERVICES[call.callee].ports[call.port]
            own = {f"{call.callee}:{port}", f"{call.callee}-data:{port}"} & addresses
            assert any(address in value for value in workload.environment.values() for address in own), call


@each("name", OWN)
def test_all_of_a_service_can_be_chosen_by_its_name(base: Resources, name: str):
    """So that one service at a time is applied: `kubectl apply -k … -l app.kubernetes.io/name=registry`."""
    chosen = [id_.kind for id_, one in base.items() if one["metadata"]["labels"].get(kubernetes.NAME) == name]
    (workload,) = (kind for kind in chosen if kind in kubernetes.WORKLOADS)
    others = ["ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"]
    assert sorted(set(chosen)) == sorted([*others, workload])
    unnamed = [id_ for id_, one in base.items() if kubernetes.NAME not in one["metadata"]["labels"]]
    assert unnamed == [("NetworkPolicy", "nothing-else")]


def test_replicas_that_are_chosen_among_are_all_seen(base: Resources):
    services = kubernetes.of_kind(base, "Service")
    headless = {name for name, one in services.items() if one["spec"].get("clusterIP") == "None"}
    assert headless == {*OWN, "front-door-data"} - {"front-door"}


@each("name", OWN)
def test_files_and_folders_of_the_settings_are_mounted(rendered: Resources, name: str):
    workload = workloads(rendered)[name]
    volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", [])}
    volumes |= {claim["metadata"]["name"]: claim for claim in workload.resource["spec"].get("volumeClaimTemplates", [])}
    assert {mount["name"] for container in workload.containers for mount in container["volumeMounts"]} == set(volumes)
    for key, path in _paths(name, workload.environment).items():
        mount = workload.mount_of(path)
        assert mount is not None, f"{key}={path} lies in no volume"
        if key.endswith("_DIR"):
            assert not mount.get("readOnly"), f"{key}={path} cannot be written"
        elif path.is_relative_to("/run/secrets"):
            assert mount["readOnly"]
            assert {"secret", "configMap"} & set(volumes[mount["name"]])


def test_the_last_good_tables_outlive_a_front_door(rendered: Resources):
    workload = workloads(rendered)["front-door"]
    claims = {claim["metadata"]["name"] for claim in workload.resource["spec"]["volumeClaimTemplates"]}
    mount = workload.mount_of(PurePosixPath(workload.environment["ROUTER_DATA_STATE_DIR"]))
    assert mount is not None
    assert mount["name"] in claims
    (named,) = (one for one in workload.container["env"] if one["name"] == "ROUTER_DATA_ID")
    assert named["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_policies_let_through_what_is_listed_and_nothing_else(rendered: Resources):
    policies = kubernetes.of_kind(rendered, "NetworkPolicy")
    nothing_else = policies.pop("nothing-else")
    assert nothing_else["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in nothing_else["spec"]
    assert {port["port"] for rule in nothing_else["spec"]["egress"] for port in rule["ports"]} == {53}

    guarded = {policy["spec"]["podSelector"]["matchLabels"][kubernetes.NAME] for policy in policies.values()}
    assert guarded == set(workloads(rendered)) - {"init"}
    stores_inside = {name for name in guarded if SERVICES[name].store}
    outgoing = {call for policy in policies.values() for call in _out(policy)}
    incoming = {call for policy in policies.values() for call in kubernetes.let_in(policy, SERVICES)}
    listed = topology.calls()
    assert outgoing == listed
    assert incoming == {call for call in listed if not SERVICES[call.callee].store or call.callee in stores_inside}


def test_only_what_is_published_is_open_to_all(rendered: Resources):
    for name, policy in kubernetes.of_kind(rendered, "NetworkPolicy").items():
        published = {SERVICES[name].ports[port] for port in SERVICES[name].published} if name in SERVICES else set()
        assert kubernetes.open_to_all(policy) == published, name


def test_metrics_are_read_from_monitoring_alone(base: Resources):
    policies = kubernetes.of_kind(base, "NetworkPolicy")
    for name in OWN:
        rules = [
            rule for rule in policies[name]["spec"]["ingress"]
            if {"protocol": "TCP", "port": SERVICES[name].ports["metrics"]} in rule["ports"]
        ]  # fmt: skip
        assert [peer for rule in rules for peer in rule["from"]] == [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ]


def test_a_pod_gets_the_time_that_its_drain_takes(rendered: Resources, monkeypatch: pytest.MonkeyPatch):
    for name in OWN:
        workload = workloads(rendered)[name]
        _only(monkeypatch, workload.environment)
        before = workload.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = before + max(_drain_s(each.load()) for each in topology.settings_of(SERVICES[name]))
        assert workload.pod["terminationGracePeriodSeconds"] >= needed, name
    assert workloads(rendered)["front-door"].container["lifecycle"]["preStop"]["sleep"]["seconds"] >= 5


def test_a_store_that_recovers_after_a_crash_is_given_the_time(rendered: Resources):
    for name, workload in workloads(rendered).items():
        if name in SERVICES and SERVICES[name].store:
            # It says no until it has read its log; ended meanwhile it begins again, and never comes to the end.
            probe = workload.container["startupProbe"]
            assert probe["periodSeconds"] * probe["failureThreshold"] >= 600, name


def test_pods_may_do_nothing_but_their_work(rendered: Resources):
    accounts = kubernetes.of_kind(rendered, "ServiceAccount")
    for name, workload in workloads(rendered).items():
        pod = workload.pod
        assert pod["automountServiceAccountToken"] is False
        assert accounts[pod["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, f"{name}: a Service's address would come as a setting"
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in workload.containers:
            allowed = container["securityContext"]
            assert allowed["readOnlyRootFilesystem"] is True
            assert allowed["allowPrivilegeEscalation"] is False
            assert allowed["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


def test_images_are_pinned(rendered: Resources):
    for workload in workloads(rendered).values():
        for container in workload.containers:
            name, _, tag = container["image"].rpartition(":")
            assert name
            assert tag not in ("", "latest")


def test_no_secret_is_in_the_environment(rendered: Resources):
    for workload in workloads(rendered).values():
        for container in workload.containers:
            assert not any("secretRef" in source for source in container.get("envFrom", []))
            assert not any("secretKeyRef" in one.get("valueFrom", {}) for one in container.get("env", []))


def test_one_replica_may_always_be_taken_away_and_a_rollout_takes_no_more(rendered: Resources):
    budgets = kubernetes.of_kind(rendered, "PodDisruptionBudget")
    for name in OWN:
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        assert budgets[name]["spec"]["selector"]["matchLabels"] == {kubernetes.NAME: name}
        spec = workloads(rendered)[name].resource["spec"]
        if "strategy" in spec:
            assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] in (0, 1)


@each("name", OWN)
def test_of_every_service_there_are_as_many_as_the_description_says_and_two_at_least(base: Resources, name: str):
    assert workloads(base)[name].resource["spec"]["replicas"] == SERVICES[name].replicas >= 2


def test_front_doors_divide_what_they_allow_among_as_many_as_there_are(rendered: Resources):
    door = workloads(rendered)["front-door"]
    assert int(door.environment["FRONT_DOOR_PROCESSES"]) == door.resource["spec"]["replicas"]


def test_triton_on_a_gpu_is_where_its_batcher_looks_for_it(rendered: Resources):
    batcher = workloads(rendered)["batcher"]
    beside = {container["name"]: container for container in batcher.pod.get("initContainers", [])}
    assert bool(batcher.environment["BATCHER_TRITON_COMMAND"]) != ("triton" in beside)
    if "triton" not in beside:
        return
    triton = beside["triton"]
    options = dict(option.removeprefix("--").split("=", 1) for option in triton["command"] if "=" in option)
    target = f"{options['grpc-address']}:{options['grpc-port']}"
    assert target == batcher.environment["BATCHER_TRITON_TARGET"]
    folder = PurePosixPath(target.removeprefix("unix:")).parent
    socket = [mount["name"] for mount in triton["volumeMounts"] if mount["mountPath"] == str(folder)]
    assert socket == [batcher.mounts[folder]["name"]]
    assert options["metrics-port"] == batcher.environment["BATCHER_TRITON_METRICS_PORT"]
    models = batcher.mounts[PurePosixPath(batcher.environment["BATCHER_STATE_DIR"], "models")]
    (seen,) = (mount for mount in triton["volumeMounts"] if mount["mountPath"] == options["model-repository"])
    assert (seen["name"], seen["readOnly"]) == (models["name"], True)
    # Started before the batcher and ended after it.
    assert triton["restartPolicy"] == "Always"
    assert triton["resources"]["limits"]["nvidia.com/gpu"] == 1


@pytest.mark.parametrize("name", ["batcher", "batcher-cpu"])
def test_a_batcher_unloads_before_the_kernel_ends_it(rendered: Resources, name: str):
    workload = workloads(rendered)[name]
    limit = workload.container["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    assert int(workload.environment["BATCHER_MEMORY_LIMIT_BYTES"]) < int(limit.removesuffix("Gi")) * 1024 * MIB


def test_envoy_sheds_load_before_the_kernel_ends_it(rendered: Resources, monkeypatch: pytest.MonkeyPatch):
    workload = workloads(rendered)["front-door"]
    _only(monkeypatch, workload.environment)
    allowed = FrontDoorSettings.load().max_heap_bytes + DataSettings.load().cache_memory_bytes
    assert allowed < int(workload.container["resources"]["limits"]["memory"].removesuffix("Gi")) * 1024 * MIB


def _out(policy: dict) -> set[topology.Call]:
    """Return the calls that a policy lets out; to a store outside the cluster, whose address it knows, by its port."""
    caller = policy["spec"]["podSelector"]["matchLabels"][kubernetes.NAME]
    outside = [rule for rule in policy["spec"].get("egress", []) if "ipBlock" in rule["to"][0]]
    inside = {**policy, "spec": {**policy["spec"], "egress": [
        rule for rule in policy["spec"].get("egress", []) if rule not in outside
    ]}}  # fmt: skip
    by_number = {5432: ("postgres", "postgres"), 6379: ("valkey", "valkey"), 443: ("s3", "s3")}
    return {
        *kubernetes.let_out(inside, SERVICES),
        *(topology.Call(caller, *by_number[port["port"]]) for rule in outside for port in rule["ports"]),
    }


def _only(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in list(os.environ):
        if name.startswith(topology.prefixes()):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def _paths(name: str, environment: dict[str, str]) -> dict[str, PurePosixPath]:
    of_type = {
        variable(each, field)
        for each in topology.settings_of(SERVICES[name])
        for field, info in each.model_fields.items()
        if info.annotation in (Path, Path | None)
    }
    return {key: PurePosixPath(value) for key, value in environment.items() if key in of_type}


def _drain_s(settings: StrictSettings) -> float:
    """Return the longest time from SIGTERM to the end."""
    if isinstance(settings, ServiceSettings):
        # The notice; then what the service finishes, its calls, and what it closes, each within the grace.
        return settings.drain_notice_s + 2 * settings.grace_s + max(settings.grace_s, 5.0)
    notice_s, grace_s = settings.model_dump()["drain_notice_s"], settings.model_dump()["grace_s"]
    return 2 * notice_s + grace_s + 5.0
