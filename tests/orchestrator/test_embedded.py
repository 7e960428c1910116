"""The embedded servers against their promises: real PostgreSQL, real Valkey, real kills."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from orchestrator.embedded import Embedded, EmbeddedUrls
from orchestrator.embedded.places import prepare_var_dir
from orchestrator.embedded.processes import PORT_RANGE, Identity, free_port, is_port_free, stop
from orchestrator.envfile import read_env_file

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("postgres", "broker", "channel")
pytestmark = pytest.mark.service

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="dropping to another uid needs root")


@pytest.fixture(scope="module")
def reachable() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir="/tmp", prefix="embedded-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def embedded(reachable: Path) -> Iterator[Embedded]:
    with Embedded(reachable / "var") as running:
        yield running


@pytest.fixture
def urls(embedded: Embedded) -> EmbeddedUrls:
    return embedded.start()


def connect(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=5)


def identities(embedded: Embedded) -> list[Identity]:
    pids = [embedded.pid(name) for name in NAMES]
    return [identity for pid in pids if pid and (identity := Identity.of(pid))]


def test_postgres_is_new_and_durable(urls: EmbeddedUrls) -> None:
    with psycopg.connect(urls.database_url) as connection:
        row = connection.execute(
            "select current_setting('server_version_num')::int, current_setting('fsync'),"
            " current_setting('password_encryption'), current_setting('max_connections')"
        ).fetchone()

    assert row is not None
    assert row[0] >= 180_000
    assert row[1:] == ("on", "scram-sha-256", "200")


def test_postgres_refuses_a_wrong_password(urls: EmbeddedUrls, embedded: Embedded) -> None:
    password = (embedded.var_dir / "postgres" / "password").read_text()

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(urls.database_url.replace(password, "wrong"))


def test_postgres_restarts_with_its_data_at_its_port(urls: EmbeddedUrls, embedded: Embedded) -> None:
    with psycopg.connect(urls.database_url) as connection:
        connection.execute("create table kept (value int)")
        connection.execute("insert into kept values (7)")

    embedded.kill("postgres")
    killed = not embedded.is_alive("postgres")
    embedded.ensure("postgres")

    with psycopg.connect(urls.database_url) as connection:
        assert connection.execute("select value from kept").fetchall() == [(7,)]
    assert killed
    assert embedded.start().database_url == urls.database_url


def test_default_users_need_the_password(urls: EmbeddedUrls) -> None:
    for url in (urls.redis_url, urls.channel_redis_url):
        without_password = "redis://" + url.split("@")[1]

        with pytest.raises(redis.AuthenticationError):
            connect(without_password).ping()


def test_acl_user_and_stream_survive_a_kill_of_the_channel(urls: EmbeddedUrls, embedded: Embedded) -> None:
    client = connect(urls.channel_redis_url)
    client.acl_setuser("worker-1", enabled=True, passwords=["+secret"], keys=["~kept"], commands=["+xlen"])
    client.acl_save()
    client.xadd("kept", {"data": "1"})

    embedded.kill("channel")
    embedded.ensure("channel")

    worker = connect(urls.channel_redis_url)
    port = worker.connection_pool.connection_kwargs["port"]
    as_worker = redis.Redis(port=port, username="worker-1", password="secret")
    assert as_worker.xlen("kept") == 1
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_worker.xrange("kept")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port).ping()


def test_channel_refuses_oversized_words_and_the_broker_does_not(urls: EmbeddedUrls) -> None:
    large = "x" * 1_100_000

    connect(urls.redis_url).set("large", large)

    with pytest.raises((redis.ResponseError, redis.ConnectionError)):
        connect(urls.channel_redis_url).set("large", large)
    policy = connect(urls.channel_redis_url).config_get("maxmemory-policy")
    assert policy == {"maxmemory-policy": "noeviction"}


def test_a_damaged_acl_file_never_means_no_password(urls: EmbeddedUrls, embedded: Embedded) -> None:
    acl_file = embedded.var_dir / "broker" / "users.acl"

    embedded.kill("broker")
    acl_file.write_text("")
    embedded.ensure("broker")

    assert connect(urls.redis_url).ping()
    with pytest.raises(redis.AuthenticationError):
        connect("redis://" + urls.redis_url.split("@")[1]).ping()


def test_start_adopts_running_servers(urls: EmbeddedUrls, embedded: Embedded) -> None:
    before = identities(embedded)

    other = Embedded(embedded.var_dir)
    adopted = other.start()

    assert len(before) == 3
    assert identities(other) == before
    assert adopted.database_url == urls.database_url


def test_start_adopts_servers_that_nobody_recorded(urls: EmbeddedUrls, embedded: Embedded) -> None:
    before = identities(embedded)
    state = embedded.var_dir / "run" / "embedded.json"
    recorded = state.read_text()
    # What is left when the launcher dies between starting a server and writing down who it is.
    state.write_text(recorded.replace('"pid"', '"was"'))

    again = Embedded(embedded.var_dir)
    again.start()

    assert identities(again) == before
    assert again.start().redis_url == urls.redis_url


def test_recycled_pid_is_not_taken_for_a_server(urls: EmbeddedUrls, embedded: Embedded) -> None:
    stranger = subprocess.Popen(["/bin/sleep", "60"])
    state = embedded.var_dir / "run" / "embedded.json"
    pid = embedded.pid("broker")

    try:
        state.write_text(state.read_text().replace(f'"pid": {pid},', f'"pid": {stranger.pid},'))
        taken = embedded.is_alive("broker")
        embedded.kill("broker")
        survived = stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    embedded.ensure("broker")

    assert not taken
    assert survived
    assert embedded.pid("broker") == pid


def test_postmaster_file_that_names_a_stranger_is_no_obstacle(urls: EmbeddedUrls, embedded: Embedded) -> None:
    embedded.kill("postgres")
    pid_file = embedded.var_dir / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    embedded.ensure("postgres")

    with psycopg.connect(urls.database_url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_secrets_are_generated_once_and_are_private(urls: EmbeddedUrls, embedded: Embedded) -> None:
    file = embedded.var_dir / "embedded.env"

    first = read_env_file(file)
    again = Embedded(embedded.var_dir).env()

    assert first["SECRET_KEY"] == again["SECRET_KEY"]
    assert first["ENCRYPTION_KEYS"] == again["ENCRYPTION_KEYS"]
    assert first["DATABASE_URL"] == urls.database_url
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "password" not in repr(urls)


def test_no_secret_is_in_a_command_line_or_a_log(urls: EmbeddedUrls, embedded: Embedded) -> None:
    passwords = [(embedded.var_dir / name / "password").read_text() for name in NAMES]
    command_lines = [" ".join(psutil.Process(identity.pid).cmdline()) for identity in identities(embedded)]
    logs = [path.read_text() for path in (embedded.var_dir / "run" / "logs").iterdir()]

    leaks = [password for password in passwords for text in command_lines + logs if password in text]

    assert len(command_lines) == 3
    assert leaks == []


@needs_root
def test_servers_run_under_different_unprivileged_uids(urls: EmbeddedUrls, embedded: Embedded) -> None:
    uids = {psutil.Process(identity.pid).uids().effective for identity in identities(embedded)}
    groups = {group for identity in identities(embedded) for group in psutil.Process(identity.pid).gids()}

    assert len(uids) == 3
    assert 0 not in uids | groups


@needs_root
def test_another_uid_reads_none_of_it(urls: EmbeddedUrls, embedded: Embedded) -> None:
    script = "import os, sys; sys.exit(sum(os.access(path, os.R_OK) for path in sys.argv[1:]))"
    private = [*embedded.var_dir.iterdir(), *(embedded.var_dir / name / "password" for name in NAMES)]

    argv = ["/usr/bin/python3", "-c", script, *map(str, private)]
    result = subprocess.run(argv, user=12_345, extra_groups=())

    assert len(private) >= 8
    assert result.returncode == 0


def test_stop_leaves_no_process_and_keeps_data_and_ports(reachable: Path) -> None:
    with Embedded(reachable / "stopped") as embedded:
        urls = embedded.start()
        connect(urls.redis_url).lpush("queue", "message")
        before = identities(embedded)
        children = [child for one in before for child in psutil.Process(one.pid).children(recursive=True)]

        embedded.stop()
        left = [one for one in before if one.is_alive()] + [one for one in children if one.is_running()]
        again = embedded.start()

        assert left == []
        assert len(before) == 3
        assert again.redis_url == urls.redis_url
        assert connect(again.redis_url).lrange("queue", 0, -1) == ["message"]
    assert not (reachable / "stopped").exists()


def test_a_port_taken_by_a_stranger_is_replaced(reachable: Path) -> None:
    with Embedded(reachable / "taken", names=["broker"]) as embedded:
        before = embedded.env()["REDIS_URL"]
        port = int(before.rpartition(":")[2].split("/")[0])
        embedded.stop()
        stranger = subprocess.Popen(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)], stderr=subprocess.DEVNULL
        )
        try:
            while is_port_free(port):
                time.sleep(0.02)
            embedded.ensure("broker")
            after = embedded.env()["REDIS_URL"]
        finally:
            stranger.kill()
            stranger.wait()

        assert after != before
        assert connect(after).ping()


@needs_root
def test_root_moves_an_unreachable_state_directory_and_links_it(reachable: Path) -> None:
    closed = reachable / "closed"
    closed.mkdir(mode=0o700)
    (closed / "var" / "bootstrap").mkdir(parents=True)

    real = prepare_var_dir(closed / "var", state_root=reachable / "state")
    repeated = prepare_var_dir(closed / "var", state_root=reachable / "state")

    assert (closed / "var").is_symlink()
    assert (real / "bootstrap").is_dir()
    assert repeated == real
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@needs_root
def test_servers_start_below_a_home_that_only_root_may_enter() -> None:
    closed = Path(tempfile.mkdtemp(dir="/tmp", prefix="embedded-closed-"))
    try:
        with Embedded(closed / "var") as embedded:
            url = embedded.start().database_url
            with psycopg.connect(url) as connection:
                row = connection.execute("select 1").fetchone()
            moved_to = embedded.var_dir

        assert row == (1,)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert list(closed.iterdir()) == []
        assert not moved_to.exists()
    finally:
        shutil.rmtree(closed)


@needs_root
def test_an_ordinary_user_starts_everything(reachable: Path) -> None:
    home = reachable / "ordinary"
    home.mkdir()
    # PostgreSQL wants a passwd entry for its user, as every person who logs in has one.
    account = 65_534
    os.chown(home, account, account)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from orchestrator.embedded import Embedded\n"
        "with Embedded(sys.argv[2]) as e:\n"
        "    import os, psutil; print(*sorted({psutil.Process(e.pid(n)).uids().real for n in"
        " ('postgres', 'broker', 'channel')}), oct(os.stat(e.var_dir).st_mode & 0o777))\n"
    )

    result = subprocess.run(
        [sys.executable, "-B", "-c", script, str(ROOT), str(home / "var")],
        user=account,
        group=account,
        extra_groups=(),
        capture_output=True,
        text=True,
        env={"PATH": os.defpath, "HOME": str(home)},
        cwd=home,
        timeout=60,
    )

    assert result.stderr == ""
    assert result.stdout.split() == [str(account), "0o700"]
    assert list(home.iterdir()) == []


@pytest.mark.unit
def test_ports_lie_outside_the_ephemeral_range() -> None:
    port = free_port()

    assert port in PORT_RANGE
    assert PORT_RANGE.stop <= 32_768


def test_identity_survives_neither_death_nor_zombie() -> None:
    child = subprocess.Popen(["/bin/sleep", "60"])
    identity = Identity.of(child.pid)
    assert identity is not None

    alive = identity.is_alive()
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    as_zombie = identity.is_alive()
    child.wait()

    assert alive
    assert not as_zombie
    assert Identity.of(child.pid) is None
    assert not identity.send(signal.SIGTERM)


def test_stop_escalates_to_kill() -> None:
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    identity = Identity.of(child.pid)
    assert identity is not None

    ended = stop(identity, ((signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0)))
    child.stdout.close()

    assert ended
    assert child.wait() == -signal.SIGKILL
