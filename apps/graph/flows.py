"""Which flow carries out which type of task."""

from apps.graph.deploy import DEPLOY
from apps.graph.engineering import ENGINEERING
from apps.graph.flow import Flow
from apps.projects.models import TaskType

FLOWS: dict[str, Flow] = {TaskType.ENGINEERING: ENGINEERING, TaskType.DEPLOY: DEPLOY}
