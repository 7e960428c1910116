"""Many servers that speak SSH and answer a look with the same figures, in a process of their own.

``python -m tests.bench.ssh_farm 20`` prints where they are, and ends with its standard input.
"""

import asyncio
import json
import sys

import asyncssh

from tests.ssh_server import make_key, public_part

ANSWER = (
    "cpus=2\nload_1m=0.10\nmemory_total_kb=2048000\nmemory_available_kb=1024000\n"
    "disk_total_kb=20480000\ndisk_free_kb=10240000\ndocker=1\ncontainers=3\nend=1\n"
)


class Farm:
    """Counts who is there."""

    def __init__(self) -> None:
        self.most = 0
        self._open = 0
        self._key, self._login = make_key(), make_key()

    async def run(self, listeners: int) -> None:
        """Serve until the standard input ends; then tell how many were connected at most."""
        made = [await self._listen() for _ in range(listeners)]
        self._say(
            ports=[listener.get_port() for listener in made],
            host_key=public_part(self._key),
            identity=self._login.export_private_key("openssh").decode(),
        )
        await asyncio.to_thread(sys.stdin.read)
        self._say(most=self.most)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._key],
            authorized_client_keys=asyncssh.import_authorized_keys(public_part(self._login)),
            process_factory=self._answer,
            backlog=500,
        )

    async def _answer(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        self._open += 1
        self.most = max(self.most, self._open)
        process.stdout.write(ANSWER)
        process.exit(0)
        await process.wait_closed()
        self._open -= 1

    def _say(self, **words: object) -> None:
        print(json.dumps(words), flush=True)


if __name__ == "__main__":
    asyncio.run(Farm().run(int(sys.argv[1])))
