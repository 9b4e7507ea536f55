"""Builds MLServer's own environment below `.headrace/mlserver-venv`: it is no part of the stack, the tests start it."""

from pathlib import Path

from headrace_stack import environments


def build(checkout: Path) -> Path:
    """Build the environment, unless it is there already; return it. Raises CalledProcessError when uv fails."""
    requirements = checkout / "deploy" / "mlserver" / "requirements.txt"
    environments.build(checkout, "mlserver-venv", requirements, finish=lambda _environment: None)
    return checkout / ".headrace" / "mlserver-venv"


def main() -> None:
    build(Path.cwd())


if __name__ == "__main__":
    main()
