"""The command line takes tritonserver's place: its options, those of the simulator, and what follows `--`."""

from pathlib import Path

import pytest
from headrace_simulator import scripts
from headrace_simulator.arguments import Options, parse
from headrace_simulator.scripts import WrongScript


def test_alone_it_takes_what_tritonserver_takes():
    options = parse(["--model-repository=models", "--grpc-port=9", "--metrics-port=8", "--allow-metrics", "false"])
    assert (options.repository, options.port, options.command) == (Path("models"), 9, ())


def test_before_a_triton_it_takes_its_port_and_hands_on_everything_else():
    options = parse(
        ["--control=127.0.0.1:0", "--", "/opt/launch", "--model-repository=m", "--grpc-port=9", "--metrics-port=8"]
    )
    assert options.port == 9
    assert options.command == ("/opt/launch", "--model-repository=m", "--metrics-port=8")
    assert options.control == ("127.0.0.1", 0)


def test_before_a_triton_it_takes_its_socket_too():
    options = parse(["--", "launch", "--grpc-address=unix:/run/t/grpc", "--x=1", "--grpc-port=7"])
    assert (options.host, options.port, options.command) == ("unix:/run/t/grpc", 7, ("launch", "--x=1"))


def test_the_port_may_stand_apart_from_its_option():
    assert parse(["--", "launch", "--grpc-port", "9", "--x"]).command == ("launch", "--x")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--falts=x"], "--falts"),
        (["--grpc-port=70000"], "--grpc-port"),
        (["--grpc-port=x"], "--grpc-port"),
        (["--", "launch", "--grpc-port=x"], "--grpc-port"),
        (["--"], "nothing follows"),
        (["--target=a:1", "--", "launch"], "--target"),
        (["--control=9001"], "--control"),
        (["--control=0.0.0.0:9001"], "--control-token-file"),
        (["--latency-ms=-1"], "--latency-ms"),
        (["--latency-ms=nan"], "--latency-ms"),
    ],
)
def test_what_is_wrong_is_named_by_its_option(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_the_help_teaches_by_examples_that_parse(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = capsys.readouterr().out
    examples = [line.split("   ")[0].split()[1:] for line in shown.splitlines() if line.startswith("  headrace-sim")]
    assert len(examples) == 3
    assert all(isinstance(parse(words), Options) for words in examples)
    assert '"kind": "slow"' in shown


@pytest.mark.parametrize("name", ["faults.toml", "faults.json"])
def test_a_script_has_faults_by_name(name: str, tmp_path: Path):
    content = {
        "faults.toml": '[one-in-ten]\nkind = "dead"\nshare = 0.1\nafter_s = 60\n',
        "faults.json": '{"one-in-ten": {"kind": "dead", "share": 0.1, "after_s": 60}}',
    }[name]
    path = tmp_path / name
    path.write_text(content)
    (found,) = scripts.read(path).values()
    assert (found.kind, found.share, found.after_s) == ("dead", 0.1, 60)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[a]\nkind = "slow"\nbase_ms = "x"\n', "a.base_ms"),
        (b'[A_B]\nkind = "dead"\n', "A_B"),
        (b"not toml", "faults.toml"),
        (b"\xff\xfe", "faults.toml"),
        (b"#" * 300_000, "longer than"),
        (b"".join(b'[f%d]\nkind = "dead"\n' % number for number in range(65)), "at most 64"),
    ],
)
def test_a_script_that_cannot_be_used_is_refused_by_its_field(content: bytes, said: str, tmp_path: Path):
    path = tmp_path / "faults.toml"
    path.write_bytes(content)
    with pytest.raises(WrongScript, match=said):
        scripts.read(path)


def test_a_script_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(WrongScript, match="No such file"):
        scripts.read(tmp_path / "none.toml")
