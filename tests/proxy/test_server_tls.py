"""What https:// listeners show: files that cannot be used are told with the setting that names them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from sidekey_auth.errors import ConfigurationError
from sidekey_proxy.configuration.settings import Settings
from sidekey_proxy.listener.tls import server_tls


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Give a certificate and its key, each in a file."""
    leaf = trustme.CA().issue_cert("127.0.0.1")
    made = {"tls_certificate": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    leaf.cert_chain_pems[0].write_to_path(made["tls_certificate"])
    leaf.private_key_pem.write_to_path(made["tls_key"])
    return made


def problem(**files: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        server_tls(Settings(**files))  # type: ignore[arg-type]
    return str(caught.value)


def test_without_a_certificate_there_is_no_tls() -> None:
    assert server_tls(Settings()) is None


def test_the_key_may_be_in_the_certificates_file(files: dict[str, Path]) -> None:
    both = files["tls_certificate"]
    both.write_bytes(files["tls_key"].read_bytes() + both.read_bytes())
    assert server_tls(Settings(tls_certificate=both)) is not None


def test_a_certificate_without_its_key_is_refused(files: dict[str, Path]) -> None:
    assert "tls_certificate and tls_key cannot be used" in problem(tls_certificate=files["tls_certificate"])


def test_another_ones_key_is_refused(files: dict[str, Path]) -> None:
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(files["tls_key"])
    assert "key values mismatch" in problem(**files)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(files: dict[str, Path]) -> None:
    key = serialization.load_pem_private_key(files["tls_key"].read_bytes(), None)
    files["tls_key"].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    assert "cannot be used" in problem(**files)


@pytest.mark.parametrize("name", ["tls_certificate", "tls_key", "tls_client_ca"])
def test_a_file_that_is_not_there_is_named(files: dict[str, Path], tmp_path: Path, name: str) -> None:
    missing = tmp_path / "none.pem"
    assert problem(**{**files, name: missing}) == (
        f"{name} cannot be read: {missing}: No such file or directory"
    )


def test_authorities_that_are_none_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    assert "tls_client_ca cannot be used" in problem(**files, tls_client_ca=tmp_path / "ca.pem")
