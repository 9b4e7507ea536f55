"""`headrace models sign` and `headrace models verify`: signatures for registries and batchers with a signing policy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from headrace_client import signing
from headrace_client.cli.options import connected, reporting
from headrace_client.cli.output import Output, shown
from headrace_client.cli.sources import unconverted
from headrace_client.cli.values import FilePair
from headrace_client.cli.versions import named_version, version_arguments
from headrace_client.client import Client
from headrace_client.errors import DataLoss, PreconditionFailed
from headrace_client.model_files import files_of
from headrace_client.operations.registration import SIGNATURE_FILE, together
from headrace_client.pipeline_files import is_pipeline, read_pipeline

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--key", required=True, type=_FILE, help="Private key: P-256, P-384 or P-521 in PEM form.")
@click.option("--certificate", type=_FILE, help="Certificate of the key; without it the bare key signs.")
@click.option("--chain", type=_FILE, multiple=True, help="Certificates between it and the root; repeat.")
@click.option("--artifact", "artifacts", type=FilePair(), multiple=True, help="A further file, as for register.")
@click.option("--output", "target", type=click.Path(dir_okay=False, path_type=Path), help="Default FILE.sig.")
@reporting
def sign(
    output: Output,
    file: Path,
    key: Path,
    certificate: Path | None,
    chain: tuple[Path, ...],
    artifacts: tuple[tuple[str, Path], ...],
    target: Path | None,
) -> None:
    """Sign the files of a version before it is registered, by OpenSSF model signing; nothing leaves this machine.

    FILE and --artifact are those of `headrace models register`, which takes the signature with --signature. What is
    converted when it is registered cannot be signed before: export it to ONNX.

    \b
    Examples:
      headrace models sign model.onnx --key release.pem
      headrace models sign model.onnx --key release.pem --artifact validation.json=rows.json --output model.sig
      headrace models sign handler/ --key ann.pem --certificate ann.crt --chain intermediate.crt
    """
    if chain and certificate is None:
        raise click.UsageError("--chain goes with --certificate")
    target = target or Path(f"{file if file.name else file.resolve()}.sig")
    with _files(file, dict(artifacts)) as files:
        signing.sign(files, target, key, certificate=certificate, chain=chain)
        names = sorted(files)
    if output.as_json:
        output.document({"signature": str(target), "files": names})
        return
    output.say(f"signed {', '.join(map(shown, names))}")
    again = "".join(f" --artifact {name}={path}" for name, path in artifacts)
    output.note(f"[dim]next: headrace models register MODEL VERSION {file}{again} --signature {target}[/]")


@click.command()
@version_arguments
@click.option("--public-key", type=_FILE, help="That of the signer, in PEM form.")
@click.option("--roots", type=_FILE, help="Certificates that the signer's has to come from, in PEM form.")
@connected
def verify(
    client: Client, output: Output, model: str, version: str | None, public_key: Path | None, roots: Path | None
) -> None:
    """Check the signature of a registered version here: its files are downloaded, and neither the registry nor its
    signing policy is asked.

    \b
    Examples:
      headrace models verify digits@v3 --public-key release.pub
      headrace models verify digits@v3 --roots authority.crt
    """
    if (public_key is None) == (roots is None):
        raise click.UsageError("give either --public-key or --roots")
    model, version = named_version(model, version)
    found = client.versions.get(model, version)
    if all(one.name != SIGNATURE_FILE for one in found.artifacts):
        raise PreconditionFailed(f"version {model}@{version} has no signature", reason="NOT_SIGNED")
    with tempfile.TemporaryDirectory(prefix="headrace-") as made:
        folder, signature = Path(made, "version").resolve(), Path(made, SIGNATURE_FILE)
        for name in (one.name for one in found.artifacts):
            path = signature if name == SIGNATURE_FILE else (folder / name).resolve()
            if path is not signature and not path.is_relative_to(folder):
                raise DataLoss(f"the registry names a file {name!r}, which is outside of the version")
            path.parent.mkdir(parents=True, exist_ok=True)
            client.versions.download_artifact(model, version, name, path)
        signing.verify(folder, signature, public_key=public_key, roots=() if roots is None else (roots,))
    files = sorted(one.name for one in found.artifacts if one.name != SIGNATURE_FILE)
    if output.as_json:
        output.document({"version": f"{model}@{version}", "verified": True, "files": files})
    else:
        output.say(f"signature holds: {', '.join(map(shown, files))}")


@contextmanager
def _files(file: Path, artifacts: Mapping[str, Path]) -> Iterator[Mapping[str, Path]]:
    """Give the files of a version by the names that they will have in it. Raises InvalidArgument."""
    with unconverted(file, artifacts) as source:
        own = read_pipeline(file).graphs if is_pipeline(file) else files_of(source.file, source.kept_as).files
        yield {name: Path(path) for name, path in together(own, source.artifacts).items()}
