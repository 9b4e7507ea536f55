"""BATCHER_* variables."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal, Self

from headrace_runtime.artifacts.place import Place
from headrace_servicekit.ports import target
from headrace_servicekit.settings import S3Settings, ServiceSettings, settings_config
from pydantic import Field, field_validator, model_validator

from headrace_batcher import triton_link


class BatcherSettings(S3Settings, ServiceSettings):
    """Settings of a batcher."""

    model_config = settings_config("BATCHER_")

    pool: str = Field(default="default", description="Pool of batchers that this one belongs to; routes name pools.")
    backend: Literal["triton", "onnxruntime", "oip"] = Field(
        default="triton",
        description="`triton`; `onnxruntime` to run models inside this process on CPUs; `oip` for a server of the Open "
        "Inference Protocol that loads its models itself, such as MLServer.",
    )
    compute: Literal["auto", "triton", "in-process"] = Field(
        default="auto",
        description="Where `triton` has versions of the format onnx executed that name no device and one instance: "
        "`auto` measures each where it is cheapest, through Triton or in this process; `triton`, `in-process`: there.",
    )
    control_target: str = Field(description="`host:port` of the router's control plane.")
    registry_target: str | None = Field(
        default=None,
        description="`host:port` of the registry, which gets what is measured on versions; unset: it is not reported.",
    )
    advertise_address: str | None = Field(
        default=None,
        description="`host:port` under which data planes reach this batcher; unset means what it listens on, or the "
        "name of the machine when that is every address.",
    )
    state_dir: Path = Field(
        description="Directory for cached model files, Triton's model folder and the last demand; one batcher each. "
        "`{slot}` in it stands for the first number whose directory no other batcher holds."
    )

    s3_endpoint: str | None = Field(default=None, description="URL of the S3 store; unset means AWS.")  # type: ignore[assignment]
    cache_bytes: int = Field(
        default=4 * 1024**3, ge=0, description="Most bytes on disk of model files that no version in demand uses."
    )
    fetch_timeout_s: float = Field(
        default=300.0, gt=0, description="Longest time that fetching one model file may take."
    )
    load_timeout_s: float = Field(
        default=120.0, gt=0, description="Longest time that one attempt to load a version and warm it up may take."
    )
    load_cpu_s: float = Field(
        default=30.0,
        gt=0,
        description="Most seconds of a processor that the backend may use to load one version.",
    )
    load_memory_bytes: int = Field(
        default=2 * 1024**3,
        gt=0,
        description="Most memory that loading one version may take, beyond four times the size of its file.",
    )
    loads_at_once: int = Field(
        default=2,
        ge=1,
        le=4,
        description="Versions that are loaded beside each other at most; one at a time while that is quick.",
    )
    unload_after_s: float = Field(
        default=30.0, ge=0, description="How long a version must have been unwanted before it is unloaded."
    )

    memory_limit_bytes: int | None = Field(
        default=None,
        gt=0,
        description="Main memory that the batcher, its Triton and the models may hold together; unset means no limit. "
        "Above it, versions that nothing needs are unloaded, then those for a rollback, then the least recently "
        "used, which are loaded again when they are asked for.",
    )
    gpu_memory_limit_bytes: int | None = Field(
        default=None,
        gt=0,
        description="Memory of all GPUs that Triton sees that may be in use, by whomever; as "
        "`BATCHER_MEMORY_LIMIT_BYTES`.",
    )
    warm_for_s: float = Field(
        default=60.0,
        ge=0,
        description="How long a version stays in memory after an answer, however short that is. Versions whose "
        "serving settings say `warm` always are.",
    )

    triton_command: str = Field(
        default="",
        description="Command that becomes tritonserver and takes its options. Empty: Triton already runs on this "
        "machine, with explicit model control and `models` of the state directory as its repository.",
    )
    triton_target: str = Field(
        default="",
        description="Triton's gRPC on this machine: `unix:/path:number` of a socket, which Triton makes of its "
        "`--grpc-address` and `--grpc-port`, or `127.0.0.1:port`. Empty: `triton/grpc:1` in the state directory, or, "
        "where that is too long for a socket, in a directory of its own below `$XDG_RUNTIME_DIR` or `/tmp`.",
    )
    triton_metrics_port: int = Field(
        default=8002, ge=1, le=65535, description="Port of Triton's metrics, on 127.0.0.1."
    )
    triton_backends: Path | None = Field(
        default=None,
        description="Folder of Triton's backends: which are there says which formats of versions this batcher runs. "
        "Unset means `onnxruntime` alone.",
    )
    allow_code: bool = Field(
        default=False,
        description="Whether versions that are code run here: of format PYTHON in processes that can do little else "
        "than answer, of format PT2 inside Triton.",
    )
    signing_policy_file: Path | None = Field(
        default=None,
        description="TOML file that says whose signatures count; its rules `serving` and `code` are checked before a "
        "version is loaded. Unset: signatures are not checked.",
    )
    code_memory_bytes: int = Field(
        default=1024**3, gt=0, description="Memory that a process of a Python version may take, beyond an empty one."
    )
    package_index: str = Field(
        default="",
        description="URL of the packages that Python versions name by hash, or a folder of wheels; empty: as pip is "
        "configured on this machine.",
    )
    oip_target: str | None = Field(
        default=None, description="`host:port` of the gRPC of that server; required with `oip`, and not used otherwise."
    )
    oip_ca: Path | None = Field(
        default=None,
        description="Authorities (PEM) that certificates of such servers, those that versions name among them, must be "
        "signed by; unset means no TLS to them.",
    )
    oip_model_name: str = Field(
        default="{model}--{version}", description="What a version is called there, from `{model}` and `{version}`."
    )
    oip_model_version: str = Field(default="", description="Its version there, likewise; empty leaves the version out.")
    oip_service: str = Field(
        default="inference.GRPCInferenceService",
        description="Full name of the gRPC service there; TorchServe's is "
        "`org.pytorch.serve.grpc.openinference.GRPCInferenceService`.",
    )
    execution_timeout_s: float = Field(
        default=30.0, gt=0, description="An execution that takes longer counts as lost with its backend."
    )
    liveness_probe_after_s: float = Field(
        default=2.0,
        gt=0,
        description="How long a version may be silent before a row of zeros is sent to see whether it answers.",
    )
    restart_silent_after_s: float = Field(
        default=30.0,
        gt=0,
        description="How long a version may not answer before it is reloaded, and Triton before it is killed.",
    )
    onnxruntime_threads: int = Field(
        default=2, ge=1, description="Executions that ONNX Runtime runs at once in this process."
    )

    max_queue_rows: int = Field(
        default=4096,
        ge=1,
        description="Most rows that may wait for one version; more are refused with RESOURCE_EXHAUSTED.",
    )
    max_queue_bytes: int = Field(
        default=256 * 1024**2, ge=1, description="Most bytes of inputs that may wait for one version."
    )

    @field_validator("triton_target")
    @classmethod
    def _is_on_this_machine(cls, value: str) -> str:
        problem = triton_link.problem(value) if value else None
        if problem is not None:
            raise ValueError(problem)
        return value

    @field_validator("oip_model_name", "oip_model_version")
    @classmethod
    def _is_a_template(cls, value: str) -> str:
        try:
            value.format(model="", version="")
        except (LookupError, ValueError):
            raise ValueError("only {model} and {version} may stand in braces") from None
        return value

    @model_validator(mode="after")
    def _the_server_is_known_and_tells_versions_apart(self) -> Self:
        if self.backend == "oip" and self.oip_target is None:
            raise ValueError("oip needs BATCHER_OIP_TARGET, the host:port of the server's gRPC")
        named = self.oip_model_name + self.oip_model_version
        if "{model}" not in self.oip_model_name or "{version}" not in named:
            raise ValueError(
                "BATCHER_OIP_MODEL_NAME must have {model}, and it or BATCHER_OIP_MODEL_VERSION {version}: "
                "two versions would be one on the server"
            )
        return self

    def artifacts(self) -> Place:
        """Return where model files come from, and where they are kept."""
        return Place(
            root=str(self.state_dir / "blobs"),
            endpoint=self.s3_endpoint,
            bucket=self.s3_bucket,
            region=self.s3_region,
            credentials=None if self.s3_credentials_file is None else str(self.s3_credentials_file),
            max_bytes=self.cache_bytes,
            fetch_timeout_s=self.fetch_timeout_s,
        )

    def advertised(self, port: int) -> str:
        """Return `host:port` of this batcher in its reports; of two with the same one, the later replaces the other.

        port: what it listens on.
        """
        if self.advertise_address:
            return self.advertise_address
        return target(socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host, port)
