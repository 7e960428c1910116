"""The deploy flow: from a merged commit to an address that answers."""

from apps.graph.flow import Flow, Stop
from apps.graph.nodes import deployment, finish, question

DEPLOY = Flow(
    name="deploy",
    version=1,
    start="load",
    stops={
        "load": Stop(node=deployment.load, ok="resolve_secrets"),
        # A missing secret is asked for, one at a time.
        "resolve_secrets": Stop(
            node=question.resolve_secrets, ok="request_deployment", again="request_answer"
        ),
        "request_answer": Stop(node=question.request_answer, ok="await_answer"),
        "await_answer": Stop(node=question.await_answer, ok="resolve_secrets"),
        "request_deployment": Stop(node=deployment.request_deployment, ok="await_deployment"),
        "await_deployment": Stop(node=deployment.await_deployment, ok="smoke"),
        "smoke": Stop(node=deployment.smoke, ok="finish", again="request_deployment"),
        "finish": Stop(node=finish.finish),
    },
)
