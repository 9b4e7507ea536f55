"""The command line: tritonserver's own options where they matter, and ours."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace_simulator.decisions.latency import Latency

_LOOPBACK = ("127.0.0.1", "localhost")
_DESCRIPTION = """\
A fake Triton with scripted faults. It takes the place of tritonserver, and its options:

  headrace-simulator --model-repository=models --grpc-port=8001          answers are made up from config.pbtxt
  headrace-simulator --grpc-port=8001 --target=gpu-3:8001                in front of a Triton that others run
  headrace-simulator --control=127.0.0.1:9001 -- tritonserver --model-repository=models --grpc-port=8001
                                                                         in front of one that it starts and ends

What follows `--` becomes Triton: its --grpc-address and --grpc-port are the simulator's, and Triton gets an address of
its own: the socket with the next number beside unix:/path:number, else a free port. A batcher starts it by

  BATCHER_TRITON_COMMAND="headrace-simulator --control=127.0.0.1:9001 -- deploy/triton/launch"
"""
_EPILOG = """\
faults, as JSON of the control interface and as tables of a script:

  {"kind": "dead"}                                     connections are refused; with a model or a share, UNAVAILABLE
  {"kind": "slow", "base_ms": 500, "per_row_ms": 2, "jitter_ms": 50}
  {"kind": "wedge"}                                    calls are accepted, and not answered until it ends
  {"kind": "out-of-memory", "on": "load"}              or "infer"
  {"kind": "slow-load", "delay_s": 20}
  {"kind": "wrong", "how": "nan"}                      or "shape", "datatype", "constant", "permuted"

  each may have: "model": "digits--v2" (all without), "share": 0.1 and "seed": 7 (of its calls), "after_s": 60 (when it
  begins), "for_s": 30 (when it ends after that)

while it runs:

  curl -X PUT 127.0.0.1:9001/faults/slow -d '{"kind": "slow", "base_ms": 500, "for_s": 30}'
  curl 127.0.0.1:9001/faults                           what is set, and how many calls each has met
  curl -X DELETE 127.0.0.1:9001/faults

a script, --faults=FILE.toml (or .json), whose times count from the start:

  [slow-start]
  kind = "slow-load"
  delay_s = 20.0

  [one-in-ten]
  kind = "dead"
  share = 0.1
  after_s = 60.0
  for_s = 30.0
"""
# Of tritonserver, and without meaning here; `--option=value` or `--option value`.
_IGNORED = (
    *("--metrics-port", "--metrics-address", "--allow-metrics", "--allow-gpu-metrics", "--allow-cpu-metrics"),
    *("--http-port", "--http-address", "--allow-http", "--allow-grpc", "--log-verbose", "--log-info", "--log-error"),
    *("--exit-timeout-secs", "--exit-on-error", "--strict-readiness", "--backend-directory", "--id"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """Arguments of the process.

    command: of the Triton to run, with its options; empty for none. target: of an external Triton. control: address of
    the control interface; port 0 takes a free one, None disables it.
    """

    host: str
    port: int
    repository: Path | None
    explicit: bool
    command: tuple[str, ...]
    target: str | None
    control: tuple[str, int] | None
    token_file: Path | None
    faults: Path | None
    latency: Latency
    seed: int


def parse(words: Sequence[str]) -> Options:
    """Return what the command line says; exits with a message that names what is wrong with it."""
    own, command = list(words), []
    if "--" in own:
        at = own.index("--")
        own, command = own[:at], own[at + 1 :]
    parser = _parser()
    given = parser.parse_args(own)
    if "--" in words and not command:
        parser.error("nothing follows `--`: name the command that becomes tritonserver")
    if command and given.target:
        parser.error("--target: Triton is either started, by the command behind `--`, or run by others")
    listening, command = _listening(given, command)
    if given.control_token_file is None and given.control and given.control[0] not in _LOOPBACK:
        parser.error(f"--control: {given.control[0]} is not loopback, so callers need a token: --control-token-file")
    return Options(
        host=listening.grpc_address,
        port=listening.grpc_port,
        repository=given.model_repository,
        explicit=given.model_control_mode == "explicit",
        command=tuple(command),
        target=given.target,
        control=given.control,
        token_file=given.control_token_file,
        faults=given.faults,
        latency=Latency(
            base_ms=given.latency_ms, per_row_ms=given.latency_per_row_ms, jitter_ms=given.latency_jitter_ms
        ),
        seed=given.seed,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "headrace-simulator",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    ours = parser.add_argument_group("the simulator")
    ours.add_argument("--control", type=_address, metavar="HOST:PORT", help="where faults are set; none without it")
    ours.add_argument("--control-token-file", type=Path, metavar="FILE", help="token that its callers have to bear")
    ours.add_argument("--faults", type=Path, metavar="FILE", help="script of faults, TOML or JSON")
    ours.add_argument("--target", metavar="HOST:PORT", help="gRPC of a Triton that others run")
    made_up = parser.add_argument_group("made-up answers")
    made_up.add_argument("--latency-ms", type=_milliseconds, default=0.0, metavar="MS", help="of each execution")
    made_up.add_argument("--latency-per-row-ms", type=_milliseconds, default=0.0, metavar="MS", help="and of each row")
    made_up.add_argument(
        "--latency-jitter-ms", type=_milliseconds, default=0.0, metavar="MS", help="at most so much more"
    )
    made_up.add_argument("--seed", type=int, default=0, help="of the jitter")
    triton = parser.add_argument_group(
        "as tritonserver has them; --metrics-*, --http-*, --log-* and the like are ignored"
    )
    triton.add_argument("--model-repository", type=Path, metavar="FOLDER", help="of models that are made up")
    triton.add_argument("--model-control-mode", choices=("none", "explicit"), default="none")
    _add_listening(triton)
    for option in _IGNORED:
        triton.add_argument(option, nargs="?", help=argparse.SUPPRESS)
    return parser


def _add_listening(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--grpc-address", default="127.0.0.1", metavar="HOST", help="or unix:/path, of a socket")
    parser.add_argument("--grpc-port", type=_port, default=8001, metavar="PORT", help="0 takes a free one")


def _listening(given: argparse.Namespace, command: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the address that Triton is given, which is the simulator's, and the command without it."""
    parser = argparse.ArgumentParser("headrace-simulator", add_help=False, allow_abbrev=False)
    _add_listening(parser)
    parser.set_defaults(grpc_address=given.grpc_address, grpc_port=given.grpc_port)
    return parser.parse_known_args(command)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:6]) <= 65535):
        raise argparse.ArgumentTypeError(f"'{text}' is no port")
    return int(text)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT")
    return host, _port(port)


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3_600_000:
        raise argparse.ArgumentTypeError(f"'{text}' is no time in milliseconds, 0 to an hour")
    return value
