import pytest

from apps.projects.forge import network

pytestmark = pytest.mark.unit


def test_network_of_git_is_what_the_machine_says():
    outer = {"HTTPS_PROXY": "http://proxy:3128", "SSL_CERT_FILE": "/ca.pem", "PIP_INDEX_URL": "x"}

    assert network.network_environment(outer) == {
        "HTTPS_PROXY": "http://proxy:3128",
        "GIT_SSL_CAINFO": "/ca.pem",
    }
    assert network.network_environment({}) == {}
