"""The deploy flows: from a merged commit to an address that answers."""

from apps.graph.flow import Flow, Stop
from apps.graph.nodes import deployment, finish, on_server, question, rollout

#: As processes of ours.
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

#: By us, onto a server.
DEPLOY_SERVER = Flow(
    name="deploy_server",
    version=1,
    start="load",
    stops={
        "load": Stop(node=on_server.load, ok="resolve_secrets"),
        "resolve_secrets": Stop(
            node=question.resolve_secrets, ok="request_deployment", again="request_answer"
        ),
        "request_answer": Stop(node=question.request_answer, ok="await_answer"),
        "await_answer": Stop(node=question.await_answer, ok="resolve_secrets"),
        "request_deployment": Stop(node=on_server.request_deployment, ok="await_deployment"),
        "await_deployment": Stop(node=deployment.await_deployment, ok="smoke"),
        "smoke": Stop(node=on_server.smoke, ok="finish"),
        "finish": Stop(node=finish.finish),
    },
)

#: By a workflow of the project's git host, onto a server.
DEPLOY_WORKFLOW = Flow(
    name="deploy_workflow",
    version=1,
    start="load",
    stops={
        "load": Stop(node=deployment.load, ok="resolve_secrets"),
        "resolve_secrets": Stop(node=question.resolve_secrets, ok="request_rollout", again="request_answer"),
        "request_answer": Stop(node=question.request_answer, ok="await_answer"),
        "await_answer": Stop(node=question.await_answer, ok="resolve_secrets"),
        "request_rollout": Stop(node=rollout.request_rollout, ok="request_dispatch"),
        "request_dispatch": Stop(node=rollout.request_dispatch, ok="await_dispatch"),
        # What was neither the code's fault nor a person's is tried once more, with what was merged since.
        "await_dispatch": Stop(node=rollout.await_dispatch, ok="smoke", again="resolve_secrets"),
        "smoke": Stop(node=rollout.smoke, ok="finish"),
        "finish": Stop(node=finish.finish),
    },
)
