"""What the story of the digits shows: tables, and lines to paste."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from headrace.monitor.v1 import alert_pb2, monitor_pb2
from headrace_client.address import Address

from examples.digits.drifting import Evaluation
from examples.digits.register import MODEL
from examples.digits.traffic import Row
from examples.digits.train import PIXELS, Candidate
from examples.digits.watching import Known
from examples.story import Story, headrace, in_container, near, shown

_MOST_ALARMS = 5
_WORDS = ("version", "what it is", "variants", "served from")


class Report(Story):
    """Tells the story of the digits."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Print what was measured before registration."""
        self.table(
            ("version", "what it is", "accuracy", "p50 ms", "p99 ms", "bytes"),
            [
                (
                    one.version,
                    one.description,
                    f"{one.accuracy:.3f}",
                    f"{one.latency_p50_ms:.3f}",
                    f"{one.latency_p99_ms:.3f}",
                    f"{one.file.stat().st_size:,}",
                )
                for one in candidates
            ],
            words=_WORDS,
        )

    def seen(self, rows: Sequence[Row]) -> None:
        """Print what callers saw of each version."""
        self.table(
            ("version", "variants", "users", "requests", "accuracy", "p50 ms", "p99 ms", "served from"),
            [
                (
                    row.version,
                    row.variants,
                    str(row.users),
                    str(row.requests),
                    f"{row.accuracy:.3f}",
                    f"{row.p50_ms:.1f}",
                    f"{row.p99_ms:.1f}",
                    row.served_from,
                )
                for row in rows
            ],
            words=_WORDS,
        )

    def measured(self, measured: Mapping[str, Mapping[str, float]]) -> None:
        """Print what was measured on each version, by name of the metric; a gate may ask for such values only."""
        columns = ("latency_p50_ms", "latency_p99_ms", "parity_max_abs_diff")
        self.table(
            ("version", *columns),
            [
                (version, *(f"{metrics[name]:.3g}" if name in metrics else "not yet" for name in columns))
                for version, metrics in measured.items()
            ],
            words=_WORDS,
        )

    def known(self, known: Sequence[Known]) -> None:
        """Print how good versions were, as far as labels are known."""
        self.table(
            ("version", "variant", "predictions", "labelled", "accuracy", "95 %"),
            [
                (
                    one.version,
                    one.variant,
                    str(one.predictions),
                    str(one.labelled),
                    "not yet" if one.accuracy is None else f"{one.accuracy:.3f}",
                    "" if one.lower is None or one.upper is None else f"{one.lower:.3f}-{one.upper:.3f}",
                )
                for one in known
            ],
            words=("version", "variant"),
        )

    def alerts(self, alerts: Sequence[alert_pb2.Alert]) -> None:
        """Say which alerts are open."""
        for alert in alerts:
            severity = monitor_pb2.Severity.Name(alert.severity).removeprefix("SEVERITY_").lower()
            self.say(f"[bold red]alert[/] {severity} of {alert.model} {alert.version}: {alert.summary} ({alert.rule})")
        if not alerts:
            self.say("no alert")

    def alarms(self, looks: Sequence[Evaluation]) -> None:
        """Print the worst of what has changed, as the latest look that found something has it."""
        alarms = next((look.alarms for look in looks if look.alarms), ())
        self.table(
            ("column", "test", "change"),
            [(column, test, f"{effect:.2f}") for column, test, effect in alarms[:_MOST_ALARMS]],
            words=("column", "test"),
        )

    def lines(self, address: Address, pixels: Sequence[int]) -> None:
        """Print where things are and lines that can be pasted."""
        address = shown(address)
        self.title("Yours now")
        self.say(f"front door  {address.url}   gRPC, REST and gRPC-Web on one port")
        stop = "docker compose down" if in_container() else "make down"
        look = f"[bold]{headrace()} status[/], [bold]{headrace()} models history {MODEL}[/]"
        self.say(f"look around {look}; [bold]{stop}[/] stops it")
        self.line("curl", curl_line(address, pixels))
        if not in_container():
            self.line("Python", python_line(address))
        self.line("grpcurl", grpcurl_line(address, pixels))


def curl_line(address: Address, pixels: Sequence[int]) -> str:
    """Return a REST prediction of one image."""
    body = json.dumps({"user_id": "ada", "instances": [list(pixels)]}, separators=(",", ":"))
    headers = f"-H {_bearer()} -H 'content-type: application/json'"
    return f"curl -s {address.url}/v1/models/{MODEL}:predict {headers} -d '{body}'"


def python_line(address: Address) -> str:
    """Return a prediction by the SDK of ten images, printed beside their labels."""
    images = "digits.data[:10].astype('float32')"
    call = f"Client('{address.url}').predict('{MODEL}', {{'image': {images}}}, user_id='ada')"
    code = (
        "from sklearn.datasets import load_digits; from headrace_client import Client; digits = load_digits(); "
        f"answer = {call}; print(answer.outputs['label'], digits.target[:10], answer.version, answer.served_from)"
    )
    return f'{near(Path(sys.executable))} -c "{code}"'


def grpcurl_line(address: Address, pixels: Sequence[int]) -> str:
    """Return a gRPC prediction of one image, by reflection."""
    raw = base64.b64encode(np.array(pixels, "<f4").tobytes()).decode()
    body = json.dumps(
        {
            "model": MODEL,
            "user_id": "ada",
            "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, PIXELS]}],
            "raw_input_contents": [raw],
        },
        separators=(",", ":"),
    )
    flag = "" if address.tls else "-plaintext "
    return f"grpcurl {flag}-H {_bearer()} -d '{body}' {address.target} headrace.router.v1.RouterService/Predict"


def _bearer() -> str:
    return f'"authorization: Bearer $({headrace()} token)"'
