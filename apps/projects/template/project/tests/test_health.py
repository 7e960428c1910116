"""The service says whether it works."""

from fastapi.testclient import TestClient


def test_health_answers_ok(client: TestClient) -> None:
    response = client.get("/health")

    assert response.status_code == 200
    assert response.json()["status"] == "ok"


def test_unknown_path_is_not_found(client: TestClient) -> None:
    response = client.get("/no-such-thing")

    assert response.status_code == 404
