"""What a hunt reads in the database of the system that it is on."""

from typing import Any, Final

import psycopg

from tests.journeys.judge import Stage

FINAL: Final = ("succeeded", "failed", "crashed", "canceled")
#: Counts every end and every removal of a worker where they happen.
_WITNESS: Final = """
CREATE TABLE chaos_witness (worker uuid, what text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION chaos_witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.status <> OLD.status AND NEW.status IN ('succeeded', 'failed', 'crashed', 'canceled') THEN
        INSERT INTO chaos_witness (worker, what) VALUES (NEW.id, 'final');
    END IF;
    IF NEW.removed_at IS DISTINCT FROM OLD.removed_at THEN
        INSERT INTO chaos_witness (worker, what) VALUES (NEW.id, 'removed');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER chaos_witness AFTER UPDATE ON workers_worker FOR EACH ROW EXECUTE FUNCTION chaos_witness();
"""
_NAMES: Final = (
    *("worker", "task", "branch", "status", "code", "exit_code", "oom_killed", "lost_since", "finished"),
    *("is_leaving", "turns", "turn_codes", "habit"),
)
_WORKERS: Final = """
SELECT w.id::text, w.task_id::text, w.branch, w.status, w.failure->>'code', w.exit_code, w.oom_killed,
       extract(epoch FROM w.work_lost_since)::float, extract(epoch FROM w.finished_at)::float,
       w.released_at IS NOT NULL OR w.stop_failure IS NOT NULL OR w.status = 'canceling',
       ARRAY(SELECT status FROM workers_turn WHERE worker_id = w.id ORDER BY number),
       ARRAY(SELECT failure->>'code' FROM workers_turn WHERE worker_id = w.id AND failure IS NOT NULL),
       substring(t.spec FROM 'rehearsal: (\\w+):')
FROM workers_worker w JOIN projects_task t ON t.id = w.task_id ORDER BY w.created_at"""
_CHECKS: Final = """
SELECT extract(epoch FROM created_at)::float, extract(epoch FROM finished_at)::float
FROM workers_verification WHERE task_id = %s AND finished_at IS NOT NULL"""


class Rows:
    """One connection, so that looking often costs little."""

    def __init__(self, database_url: str) -> None:
        self._connection = psycopg.connect(database_url, autocommit=True)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def watch_ends(self) -> None:
        """Count ends and removals from now on."""
        self._connection.execute(_WITNESS)

    def workers(self) -> list[dict[str, Any]]:
        """Return every worker there was, in their order."""
        return [dict(zip(_NAMES, row, strict=True)) for row in self._ask(_WORKERS)]

    def stages(self) -> dict[str, Stage]:
        """Return what each worker that has not ended is about."""
        return {row["worker"]: _stage_of(row) for row in self.workers() if row["status"] not in FINAL}

    def unfinished_tasks(self) -> list[str]:
        """Return the tasks that have not ended."""
        query = "SELECT id::text FROM projects_task WHERE status <> ALL(%s)"
        return [task for (task,) in self._ask(query, list(FINAL))]

    def repeated(self) -> list[dict[str, Any]]:
        """Return the workers that ended or were removed more or less often than once."""
        query = """
            SELECT * FROM (
                SELECT w.id::text, w.status, count(*) FILTER (WHERE what = 'final') AS ends,
                       count(*) FILTER (WHERE what = 'removed') AS removals
                FROM workers_worker w LEFT JOIN chaos_witness c ON c.worker = w.id
                GROUP BY w.id, w.status) counted
            WHERE ends <> 1 OR removals <> 1"""
        names = ("worker", "status", "ends", "removals")
        return [dict(zip(names, row, strict=True)) for row in self._ask(query)]

    def task_ends(self, ended: list[dict[str, Any]], restarts: list[float]) -> list[dict[str, Any]]:
        """Return each task's status and failure, and how many of its attempts were lost.

        Args:
            ended: the workers.
            restarts: when the daemon was ended.

        """
        query = "SELECT id::text, status, failure FROM projects_task ORDER BY created_at"
        workers = [worker["task"] for worker in ended if worker["status"] != "succeeded"]
        return [
            {
                "task": task,
                "status": status,
                "failure": failure,
                "lost": workers.count(task),
                "lost_checks": self._lost_checks(task, restarts),
            }
            for task, status, failure in self._ask(query)
        ]

    def _lost_checks(self, task: str, restarts: list[float]) -> int:
        """Return how often the checks of one change were ended by a daemon."""
        spans = self._ask(_CHECKS, task)
        return max((sum(began <= at <= ended for at in restarts) for began, ended in spans), default=0)

    def _ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, parameters or None).fetchall()


def _stage_of(row: dict[str, Any]) -> Stage:
    if row["is_leaving"]:
        return Stage.LEAVING
    if row["status"] in ("pending", "building"):
        return Stage.WAITING
    if row["status"] == "starting":
        return Stage.STARTING
    is_done = row["turns"] and set(row["turns"]) <= set(FINAL)
    return Stage.DONE if is_done else Stage.WORKING
