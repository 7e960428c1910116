"""Services that should answer are asked; three failures in a row are an incident."""

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.infra import incidents, probing
from apps.infra.models import Incident, ServiceDeployment
from apps.infra.probing import certificate_days
from apps.periodic.recording import Run
from tests.factories import make_deployment, make_server
from tests.http_double import DoubleHandler, DoubleServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]


class Service(DoubleServer):
    status = 200

    def __init__(self) -> None:
        super().__init__(_Handler)


class _Handler(DoubleHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Service)
        BaseHTTPRequestHandler.send_response(self, self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.close_connections()
    server.server_close()
    thread.join(10)


def release(service: Service, **fields) -> ServiceDeployment:
    return make_deployment(
        **{"status": "live", "kind": "web", "url": f"{service.url}/", "health_path": "/health", **fields}
    )


def ask(times: int = 1) -> Run:
    for _ in range(times):
        run = Run("probe_deployments")
        probing.probe_deployments(run)
    return run


def test_service_that_answers_is_well(service):
    row = release(service)

    run = ask()

    assert (run.counts["asked"], run.counts["well"], run.failed) == (1, 1, 0)
    assert (row.reload().failed_probes, row.probed_at is None) == (0, False)
    assert not Incident.objects.exists()


def test_three_failures_in_a_row_are_one_incident_until_it_answers(service):
    row = release(service)
    service.status = 500
    ask(times=2)
    early = Incident.objects.count()

    ask(times=2)
    incident = Incident.objects.get()
    service.status = 200
    ask()

    assert early == 0
    assert (incident.kind, incident.project_id, incident.count) == ("service_down", row.project_id, 2)
    assert "500" in incident.message
    incident.refresh_from_db()
    assert (incident.status, row.reload().failed_probes) == ("resolved", 0)


def test_failure_between_answers_is_no_incident(service):
    row = release(service)
    for status in (500, 500, 200, 500, 500):
        service.status = status
        ask()

    assert (Incident.objects.count(), row.reload().failed_probes) == (0, 2)


def test_while_our_own_network_is_in_doubt_no_service_is_called_down(service):
    incidents.report(kind="own_network", subject="platform", message="Most servers fell silent.")
    row = release(service)
    service.status = 500

    ask(times=3)
    doubted = set(Incident.objects.values_list("kind", flat=True))
    incidents.resolve(kind="own_network", subject="platform")
    ask()

    assert (doubted, row.reload().failed_probes) == ({"own_network"}, 4)
    assert Incident.objects.filter(kind="service_down", status="open").exists()


def test_an_address_that_breaks_its_question_breaks_no_other(service):
    release(service, url=f"https://{'a' * 70}.example/")
    well = release(service)

    ask()

    assert well.reload().probed_at is not None


def test_one_that_is_down_does_not_stop_the_others(service):
    release(service, url="http://127.0.0.1:1/")
    release(service, url="not an address")
    well = release(service)

    run = ask(times=3)

    assert (run.counts["asked"], run.counts["well"]) == (3, 1)
    assert Incident.objects.filter(kind="service_down").count() == 2
    assert well.reload().failed_probes == 0


def test_address_that_leads_away_from_the_projects_server_is_not_asked(service):
    server = make_server(kind="ssh", host="203.0.113.7")
    row = release(service, target="workflow", server=server)

    run = ask(times=3)

    assert (run.counts["well"], row.reload().failed_probes) == (0, 3)
    assert "is not" in Incident.objects.get().message


def test_release_that_was_replaced_leaves_no_open_incident(service):
    row = release(service, url="http://127.0.0.1:1/")
    ask(times=3)

    ServiceDeployment.transition(row.pk, to="stopping")
    run = ask()

    assert (Incident.objects.get().status, run.counts["asked"]) == ("resolved", 0)


@pytest.mark.parametrize("fields", [{"kind": "bot"}, {"kind": "worker"}, {"status": "starting"}])
def test_what_has_no_door_is_not_knocked_at(service, fields):
    release(service, **fields)

    assert ask().counts["asked"] == 0


def certificate(path: Path, *, days: int) -> tuple[Path, Path]:
    """Make a certificate for this machine that ends in so many days."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = path / "chain.pem", path / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*form))
    return chain, secret


@pytest.mark.parametrize(("days", "low", "high"), [(5, 4.9, 5.1), (90, 89.9, 90.1), (-3, -1, -1)])
def test_days_of_a_certificate_are_read_from_it(service, tmp_path, days, low, high):
    chain, secret = certificate(tmp_path, days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    service.socket = context.wrap_socket(service.socket, server_side=True)

    left = certificate_days(
        f"https://localhost:{service.server_port}/",
        now=datetime.now(UTC),
        trust=lambda: ssl.create_default_context(cafile=str(chain)),
    )

    assert left is not None
    assert low <= left <= high


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "https://"])
def test_certificate_that_cannot_be_seen_is_unknown(url):
    assert certificate_days(url, now=datetime.now(UTC)) is None
