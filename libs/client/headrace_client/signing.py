"""Signatures of versions by OpenSSF model signing (extra `signing`): made before a version is registered, and checked
against what the registry has.

Nothing here calls a service of Sigstore: a bundle has a public key's hint, or certificates, and no entry of a log.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace_client.errors import PreconditionFailed, invalid
from headrace_client.local_files import read_as
from headrace_client.model_files import CODE_SUFFIX, REQUIREMENTS
from headrace_client.operations.registration import EMPTY_CODE


def sign(
    files: Mapping[str, Path],
    signature: Path,
    key: Path,
    *,
    certificate: Path | None = None,
    chain: Sequence[Path] = (),
) -> None:
    """Write a signature of files by the names that they have in a version.

    key: private, of P-256, P-384 or P-521, in PEM form without a passphrase. certificate: of this key, None for a bare
    key. chain: certificates between it and the root. Raises InvalidArgument, PreconditionFailed without model-signing.
    """
    package = _package()
    config = package.signing.Config()
    if certificate is None:
        with read_as("a private key of P-256, P-384 or P-521 in PEM form without a passphrase", key, "key"):
            config.use_elliptic_key_signer(private_key=key)
    else:
        # The package cannot read an empty chain; the certificate once more changes nothing.
        between = chain or (certificate,)
        with read_as("the certificate of the key, with its chain, in PEM form", certificate, "certificate"):
            config.use_certificate_signer(private_key=key, signing_certificate=certificate, certificate_chain=between)
    config.set_hashing_config(package.hashing.Config().set_allow_symlinks(True))
    with _in_one_folder(files) as folder, read_as("a path that can be written", signature, "output"):
        config.sign(folder, signature)


def verify(folder: Path, signature: Path, *, public_key: Path | None = None, roots: Sequence[Path] = ()) -> None:
    """Check that a signature is of exactly the files in a folder, by a public key or by a certificate from roots.

    Raises PreconditionFailed, reason SIGNATURE_INVALID, where it is not, or without model-signing; InvalidArgument for
    a key or root that cannot be read.
    """
    if (public_key is None) == (not roots):
        raise invalid("public_key", "give either a public key or roots of certificates")
    config = _package().verifying.Config()
    if public_key is not None:
        with read_as("a public key of P-256, P-384 or P-521 in PEM form", public_key, "public_key"):
            config.use_elliptic_key_verifier(public_key=public_key)
    else:
        with read_as("certificates in PEM form", roots[0], "roots"):
            config.use_certificate_verifier(certificate_chain=roots)
    try:
        config.verify(folder, signature)
    except Exception as error:  # the package and its libraries raise what they like for what does not hold
        why = " ".join(str(error).split()) or type(error).__name__
        raise PreconditionFailed(f"the signature does not hold: {why}", reason="SIGNATURE_INVALID") from error


@contextmanager
def _in_one_folder(files: Mapping[str, Path]) -> Iterator[Path]:
    """Give a folder with files under their names, as the package reads them."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as made:
        folder = Path(made, "version")
        for name, path in files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith((CODE_SUFFIX, REQUIREMENTS)) and not path.stat().st_size:
                place.write_bytes(EMPTY_CODE)
            else:
                place.symlink_to(path.resolve())
        yield folder


def _package() -> Any:
    try:
        import model_signing  # takes a second
    except ImportError as error:
        raise PreconditionFailed(
            "signatures are made and checked by the package model-signing: pip install 'headrace-client[signing]'",
            reason="MODEL_SIGNING_MISSING",
        ) from error
    return model_signing
