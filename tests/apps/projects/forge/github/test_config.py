"""What the settings say about GitHub, and what is wrong with them."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from apps.projects.forge.github.config import GitHubConfig, read_private_key
from apps.projects.forge.hosting import ForgeCredentialInvalid

pytestmark = pytest.mark.unit


def pem_of(key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture(scope="module")
def pem() -> str:
    return pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def test_key_is_read_in_every_form_it_comes_in(pem, tmp_path):
    file = tmp_path / "app.pem"
    file.write_text(pem)

    forms = [
        read_private_key(value=pem, path=""),
        read_private_key(value=pem.strip().replace("\n", "\\n"), path="/nowhere"),
        read_private_key(value=base64.b64encode(pem.encode()).decode(), path=""),
        read_private_key(value="", path=str(file)),
    ]

    assert {form.strip() for form in forms} == {pem.strip()}


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ("", "", "is not set"),
        ("", "/nowhere/app.pem", "GITHUB_APP_PRIVATE_KEY_PATH"),
        ("nonsense", "", "download a new one"),
        ("bm9uc2Vuc2U=", "", "download a new one"),
        ("-----BEGIN RSA PRIVATE KEY-----\\nx", "", "download a new one"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "", "not an RSA key"),
    ],
)
def test_unusable_key_is_told_with_what_to_do(value, path, words):
    with pytest.raises(ForgeCredentialInvalid) as refused:
        read_private_key(value=value, path=path)

    assert words in refused.value.message


def test_binary_file_is_no_key(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ForgeCredentialInvalid):
        read_private_key(value="", path=str(tmp_path / "key"))


@pytest.mark.parametrize(
    ("api_url", "clone"),
    [
        ("https://api.github.com", "https://github.com/club/books.git"),
        ("https://api.github.com/", "https://github.com/club/books.git"),
        ("https://git.example.com/api/v3", "https://git.example.com/club/books.git"),
        ("http://127.0.0.1:8080/api/v3", "http://127.0.0.1:8080/club/books.git"),
    ],
)
def test_git_is_at_the_host_of_the_api(api_url, clone):
    config = GitHubConfig(organisation="club", api_url=api_url)

    assert config.repository_url("books") == clone


def test_config_does_not_show_its_key(pem):
    assert "BEGIN" not in repr(GitHubConfig(organisation="club", private_key=pem))


def test_other_apps_and_hosts_share_nothing():
    configs = [
        GitHubConfig(organisation="club", app_id="1"),
        GitHubConfig(organisation="club", app_id="2"),
        GitHubConfig(organisation="other", app_id="1"),
        GitHubConfig(organisation="club", app_id="1", api_url="https://git.example.com/api/v3"),
    ]

    assert len({config.name for config in configs}) == 4
    assert GitHubConfig(organisation="Club", app_id="1").name == configs[0].name


def test_missing_app_id_is_told():
    with pytest.raises(ForgeCredentialInvalid) as refused:
        _ = GitHubConfig(organisation="club").pem

    assert "GITHUB_APP_ID" in refused.value.message
