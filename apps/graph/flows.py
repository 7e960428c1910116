"""Which flow carries out which task."""

from apps.graph.deploy import DEPLOY, DEPLOY_SERVER, DEPLOY_WORKFLOW
from apps.graph.engineering import ENGINEERING
from apps.graph.flow import Flow
from apps.infra import placing
from apps.projects.models import ForgeName, Task, TaskType

FLOWS: dict[str, Flow] = {flow.name: flow for flow in (ENGINEERING, DEPLOY, DEPLOY_SERVER, DEPLOY_WORKFLOW)}


def flow_of(task: Task) -> Flow:
    """Return the flow of a task: a project elsewhere is deployed by its own workflow, one of ours by us."""
    if task.type == TaskType.ENGINEERING:
        return ENGINEERING
    if task.project.forge != ForgeName.LOCAL:
        return DEPLOY_WORKFLOW
    return DEPLOY_SERVER if placing.is_for_server(project_id=task.project_id) else DEPLOY
