"""Which flow carries out which task."""

from apps.graph.deploy import DEPLOY, DEPLOY_WORKFLOW
from apps.graph.engineering import ENGINEERING
from apps.graph.flow import Flow
from apps.projects.models import ForgeName, Task, TaskType

FLOWS: dict[str, Flow] = {flow.name: flow for flow in (ENGINEERING, DEPLOY, DEPLOY_WORKFLOW)}


def flow_of(task: Task) -> Flow:
    """Return the flow of a task: a project elsewhere is deployed by its own workflow."""
    if task.type == TaskType.ENGINEERING:
        return ENGINEERING
    return DEPLOY if task.project.forge == ForgeName.LOCAL else DEPLOY_WORKFLOW
