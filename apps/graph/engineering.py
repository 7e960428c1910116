"""The engineering flow: from a sentence to a merged, verified change."""

from apps.graph.flow import Flow, Stop
from apps.graph.nodes import change, finish, project, turn, verification, worker

ENGINEERING = Flow(
    name="engineering",
    version=1,
    start="load",
    stops={
        "load": Stop(node=project.load, ok="request_scaffold"),
        "request_scaffold": Stop(node=project.request_scaffold, ok="await_scaffold"),
        "await_scaffold": Stop(node=project.await_scaffold, ok="request_worker"),
        "request_worker": Stop(node=worker.request_worker, ok="await_worker"),
        "await_worker": Stop(node=worker.await_worker, ok="send_turn"),
        "send_turn": Stop(node=turn.send_turn, ok="await_turn"),
        "await_turn": Stop(node=turn.await_turn, ok="propose_change"),
        "propose_change": Stop(node=change.propose_change, ok="await_change"),
        "await_change": Stop(node=change.await_change, ok="request_verification"),
        "request_verification": Stop(node=verification.request_verification, ok="await_verification"),
        "await_verification": Stop(node=verification.await_verification, ok="request_merge"),
        "request_merge": Stop(node=change.request_merge, ok="await_merge"),
        "await_merge": Stop(node=change.await_merge, ok="finish"),
        # The work said no: the same worker gets the evidence.
        "rework": Stop(node=turn.rework, ok="send_turn"),
        # The base has moved on: the same commits on the new one, inspected and verified again.
        "request_rebase": Stop(node=change.request_rebase, ok="await_change"),
        # The worker broke: another one, after this one is proven gone.
        "request_removal": Stop(node=worker.request_removal, ok="await_removal"),
        "await_removal": Stop(node=worker.await_removal, ok="request_worker"),
        "finish": Stop(node=finish.finish),
    },
)
