"""The whole worker as a process: a real channel server with its ACL user, git, agents that misbehave."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from worker_image import contract

pytestmark = pytest.mark.integration

COMMIT = """
import os, subprocess, sys, time
def git(*a): subprocess.run(["git", *a], check=True, stdout=subprocess.DEVNULL)
def commit(name, text="x"):
    open(name, "w").write(text); git("add", name); git("commit", "-q", "-m", "Add " + name)
def finish(status="success"): print('<result>{"status": "%s", "summary": "Done"}</result>' % status)
"""


def _refs(bundle: Path) -> dict[str, str]:
    lines = subprocess.run(
        ["git", "bundle", "list-heads", bundle], check=True, capture_output=True, text=True
    )
    return {ref: sha for sha, ref in (line.split() for line in lines.stdout.splitlines())}


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _wait_for(path: Path, seconds: float = 15) -> str:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.05)
    return path.read_text()


def test_commit_reaches_the_control_plane_before_the_result(worker: Any) -> None:
    worker.write_agent(COMMIT + "commit('hello.py'); finish()")
    worker.push()
    worker.start()

    result = worker.wait_for_result()

    (upload,) = worker.plane.uploads
    assert (result.status, result.branch) == ("success", "task/1")
    assert _refs(upload.path) == {"refs/heads/task/1": result.commit_sha}
    assert (upload.reason, upload.head_sha) == ("result", result.commit_sha)
    kinds = [(item.kind, item.body.get("event")) for item in worker.outputs()]
    assert kinds[0] == ("lifecycle", "started")
    assert ("heartbeat", None) in kinds
    assert [item.seq for item in worker.outputs()] == list(range(1, len(kinds) + 1))


def test_second_turn_goes_on_in_the_same_checkout(worker: Any) -> None:
    worker.write_agent(COMMIT + "commit('file%d' % len(os.listdir('.'))); finish()")
    worker.push()
    worker.start()
    first = worker.wait_for_result()
    worker.push(request_id="turn-2")

    second = worker.wait_for_result(2)

    checkout = worker.directory / "workspace"
    parents = subprocess.run(
        ["git", "rev-parse", f"{second.commit_sha}^"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    assert parents.stdout.strip() == first.commit_sha


@pytest.mark.parametrize(
    ("code", "branch"),
    [
        ("finish()", "task/1"),
        ("git('checkout', '-q', '-b', 'elsewhere'); commit('a'); finish()", "elsewhere"),
        ("open('left.py', 'w').write('x'); finish()", "task/1"),
    ],
    ids=["no commit", "wrong branch", "uncommitted"],
)
def test_claim_without_a_commit_on_the_branch_shows_none(worker: Any, code: str, branch: str) -> None:
    worker.write_agent(COMMIT + code)
    worker.push()
    worker.start()

    result = worker.wait_for_result()

    assert (result.status, result.commit_sha, result.branch) == ("success", None, branch)
    assert worker.plane.uploads == []


def test_timeout_kills_grandchildren_that_left_the_group(worker: Any) -> None:
    pid_file = worker.directory / "grandchild"
    daemon = "import os, time; os.setsid(); time.sleep(60)"
    code = f"""
child = subprocess.Popen([sys.executable, "-c", '''import subprocess, sys
p = subprocess.Popen([sys.executable, "-c", "{daemon}"], start_new_session=True)
open("{pid_file}", "w").write(str(p.pid))'''])
child.wait(); commit("before.py"); open("loose.py", "w").write("y"); time.sleep(60)
"""
    worker.write_agent(COMMIT + code)
    worker.push(timeout=3)
    worker.start()

    result = worker.wait_for_result()

    assert (result.status, result.error_code) == ("timeout", "timeout")
    assert not _is_alive(int(pid_file.read_text()))
    assert contract.DIRTY_REF in _refs(worker.plane.uploads[-1].path), "work before the timeout is kept"


def test_channel_server_killed_mid_turn_loses_nothing(worker: Any) -> None:
    go = worker.directory / "go"
    code = f"""
for number in range(20): print('{{"type": "progress", "message": "p%d"}}' % number, flush=True)
while not os.path.exists("{go}"): time.sleep(0.05)
commit("hello.py"); finish()
"""
    worker.write_agent(COMMIT + code)
    worker.push()
    worker.start()
    deadline = time.monotonic() + 15
    while not any(item.kind == "progress" for item in worker.outputs()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker.valkey.kill()
    go.write_text("go")
    time.sleep(1.5)
    worker.valkey.start()

    result = worker.wait_for_result()

    told = {(item.boot, item.seq): item for item in worker.outputs()}
    messages = [item.body["message"] for item in told.values() if item.kind == "progress"]
    assert result.status == "success"
    assert [words for words in messages if str(words).startswith("p")] == [
        f"p{number}" for number in range(20)
    ]
    assert sorted(seq for _, seq in told) == list(range(1, len(told) + 1))


def test_refused_user_is_waited_for(worker: Any) -> None:
    with worker.valkey.client as client:
        client.execute_command("ACL", "DELUSER", contract.acl_user("w1"))
    worker.write_agent(COMMIT + "finish()")
    worker.push()
    worker.start()
    time.sleep(1.5)
    before = worker.outputs()
    worker.valkey.add_worker()

    result = worker.wait_for_result()

    assert before == []
    assert result.status == "success"


def test_sigterm_ends_the_agent_saves_its_work_and_says_so(worker: Any) -> None:
    pid_file = worker.directory / "pid"
    code = f"""
commit("half.py"); open("loose.py", "w").write("y")
open("{pid_file}", "w").write(str(os.getpid())); time.sleep(60)
"""
    worker.write_agent(COMMIT + code)
    worker.push()
    worker.start()
    agent = int(_wait_for(pid_file))

    worker.process.send_signal(signal.SIGTERM)
    exit_code = worker.process.wait(timeout=12)

    (upload,) = worker.plane.uploads
    last = worker.outputs()[-1]
    assert exit_code == 0
    assert not _is_alive(agent)
    assert upload.reason == "stop"
    assert set(_refs(upload.path)) == {"refs/heads/task/1", contract.DIRTY_REF}
    assert worker.results()[0].error_code == "worker_stopped"
    assert (last.kind, last.body["event"], last.body["exit_code"]) == ("lifecycle", "stopped", 0)


def test_sigterm_while_idle_ends_in_order(worker: Any) -> None:
    worker.start()
    deadline = time.monotonic() + 15
    while not worker.outputs():
        assert time.monotonic() < deadline
        time.sleep(0.05)

    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(timeout=8) == 0
    assert worker.outputs()[-1].body["event"] == "stopped"


def test_turn_cut_off_by_a_killed_wrapper_is_reported_and_not_run_again(worker: Any) -> None:
    starts = worker.directory / "starts"
    worker.write_agent(COMMIT + f"open('{starts}', 'a').write('x'); time.sleep(60)")
    worker.push()
    worker.start()
    _wait_for(starts)
    worker.process.kill()
    worker.process.wait()
    worker.start()

    result = worker.wait_for_result()

    assert (result.status, result.error_code) == ("error", "worker_restarted")
    assert starts.read_text() == "x"


def test_result_known_before_a_restart_is_sent_again_unchanged(worker: Any) -> None:
    worker.write_agent(COMMIT + "commit('a.py'); finish()")
    worker.push()
    worker.start()
    first = worker.wait_for_result()
    worker.process.kill()
    worker.process.wait()
    worker.push()
    worker.start()

    assert worker.wait_for_result(2) == first
    assert len({item.boot for item in worker.outputs()}) == 2


def test_workspace_that_cannot_be_had_is_a_typed_failure(worker: Any) -> None:
    worker.write_agent(COMMIT + "finish()")
    worker.push(base_sha="f" * 40)
    worker.start()

    result = worker.wait_for_result()

    assert (result.status, result.error_code) == ("error", "workspace_unavailable")


def test_control_plane_that_is_away_for_a_moment_is_waited_for(worker: Any) -> None:
    worker.plane.refuse_with = [503, 502, 500]
    worker.write_agent(COMMIT + "commit('a.py'); finish()")
    worker.push()
    worker.start()

    result = worker.wait_for_result()

    assert result.status == "success"


def test_refused_bundle_makes_the_claim_a_failure(worker: Any) -> None:
    worker.plane.upload_status = 413
    worker.write_agent(COMMIT + "commit('a.py'); finish()")
    worker.push()
    worker.start()

    result = worker.wait_for_result()

    assert (result.status, result.error_code, result.summary) == ("error", "snapshot_refused", "Done")


def test_log_is_json_without_secrets(worker: Any) -> None:
    worker.write_agent(COMMIT + "finish()")
    worker.push()
    worker.start()

    worker.wait_for_result()

    log = worker.log()
    assert worker.plane.token not in log
    assert worker.valkey.worker_password not in log
    assert all(json.loads(line)["event"] for line in log.splitlines())


def test_misconfigured_worker_names_the_variable(worker: Any) -> None:
    worker.plane.url = ""
    worker.start()

    assert worker.process.wait(timeout=10) == contract.WrapperExit.MISCONFIGURED
    assert "API_URL" in worker.log()


def test_failed_turn_keeps_its_uncommitted_work(worker: Any) -> None:
    worker.write_agent(COMMIT + "open('loose.py', 'w').write('y'); finish('failure')")
    worker.push()
    worker.start()

    result = worker.wait_for_result()

    (upload,) = worker.plane.uploads
    assert (result.status, result.error_code) == ("failed", "agent_reported_failure")
    assert set(_refs(upload.path)) == {contract.DIRTY_REF}
