"""A company's certificate in the image is believed by everything an agent fetches with."""

import datetime
import ipaddress
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests import docker_engine
from tests.worker_images import built, real_builder

pytestmark = [pytest.mark.service, pytest.mark.docker]

#: Each fails afterwards, for nothing is served; what counts is who got as far as a request.
FETCH = """
curl --silent --max-time 20 {url}curl
git ls-remote {url}git
python3 -m venv /tmp/v
/tmp/v/bin/pip download --no-deps --retries 0 --timeout 20 --dest /tmp --index-url {url}pip nothing
uv pip install --no-deps --python /tmp/v/bin/python --index-url {url}uv nothing
npm view nothing --registry {url}npm --fetch-retries 0
true
"""
PROGRAMS = {"curl", "git", "pip", "uv", "npm"}
RECIPE = """\
FROM {base}
USER root
COPY company.crt /usr/local/share/ca-certificates/company.crt
RUN update-ca-certificates
USER worker
"""


@dataclass
class Company:
    """An authority of the test's own, and a server that it vouches for."""

    address: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def certificate(self, *, subject: str, key: ec.EllipticCurvePrivateKey, is_authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A company of the tests")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if not is_authority:
            address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(self.address))])
            builder = builder.add_extension(address, critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def root(self) -> bytes:
        return self.certificate(subject="A company of the tests", key=self.key, is_authority=True)

    @contextmanager
    def serving(self, place: Path) -> Iterator[tuple[str, set[str]]]:
        """Yield the server's address, and the first words of the paths that were asked for."""
        asked: set[str] = set()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.add(self.path.split("/")[1].split("?")[0])
                self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (place / "server.pem").write_bytes(
            pem + self.certificate(subject=self.address, key=key, is_authority=False)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place / "server.pem")
        server = ThreadingHTTPServer((self.address, 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://{self.address}:{server.server_port}/", asked
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker_engine.client()
    yield client
    client.close()


@pytest.mark.parametrize("believed", [True, False])
def test_what_an_agent_fetches_with_believes_the_company(
    engine: docker.DockerClient, tmp_path: Path, believed: bool
) -> None:
    gateway = engine.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    company = Company(gateway)
    builder = real_builder()
    built(builder, builder.base())
    (tmp_path / "Dockerfile").write_text(RECIPE.format(base=builder.base_tag))
    (tmp_path / "company.crt").write_bytes((company if believed else Company(gateway)).root())
    tag = f"codegen-test-company:{uuid.uuid4().hex[:12]}"
    engine.images.build(path=str(tmp_path), tag=tag, rm=True, forcerm=True)

    try:
        with company.serving(tmp_path) as (url, asked):
            command = ["sh", "-c", FETCH.format(url=url)]
            container = engine.containers.create(tag, command, entrypoint=[], network="bridge")
            try:
                container.start()
                container.wait(timeout=120)
                said = container.logs().decode()
            finally:
                container.remove(force=True, v=True)
    finally:
        engine.images.remove(tag, force=True)

    assert asked == (PROGRAMS if believed else set()), said
