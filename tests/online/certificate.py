"""A certificate for 127.0.0.1 that only a test trusts."""

import ssl
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """The files of certificate and key; skips the test where there is no openssl to make them."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    request = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout {key} -out {certificate}"
    command = ["openssl", *request.split(), "-subj", "/CN=cache", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl, which makes the certificate, is not installed")
    return certificate, key


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What a server needs to present it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
