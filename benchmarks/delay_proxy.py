"""A TCP proxy that adds a round trip to a server on loopback: it stands for a cache in another zone or region.

It delays every byte by half the round trip in each direction and limits nothing else: order and throughput stay.
"""

import argparse
import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class _End(asyncio.Protocol):
    """One end of a connection: bytes that arrive here leave at the other end ``delay`` seconds later."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._on_the_way: deque[tuple[float, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._on_the_way.append((self._loop.time() + self._delay, data))
        if len(self._on_the_way) == 1:
            self._loop.call_later(self._delay, self._deliver)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()

    def _deliver(self) -> None:
        while self._on_the_way:
            due, data = self._on_the_way[0]
            if due > self._loop.time():
                self._loop.call_at(due, self._deliver)
                return
            self._on_the_way.popleft()
            if self.other and self.other.transport:
                self.other.transport.write(data)


class _ClientEnd(_End):
    """The end that a client connects to. It opens the connection to the server."""

    def __init__(self, delay: float, host: str, port: int) -> None:
        super().__init__(delay)
        self._server = (host, port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.other = _End(self._delay)
        self.other.other = self
        back = self.other
        # No need to wait: a connection on loopback is open long before the delayed first bytes are due.
        self._opening = self._loop.create_task(self._loop.create_connection(lambda: back, *self._server))


async def serve(host: str, port: int, round_trip: float) -> None:
    """Listen on a free loopback port, print it, and forward to ``host:port`` with ``round_trip`` seconds added."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _ClientEnd(round_trip / 2, host, port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def delayed(host: str, port: int, round_trip_ms: float) -> Iterator[int]:
    """The port of a proxy in a process of its own, so that it shares no interpreter with the measured code."""
    command = [sys.executable, __file__, host, str(port), str(round_trip_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("round_trip_ms", type=float)
    options = parser.parse_args()
    asyncio.run(serve(options.host, options.port, options.round_trip_ms / 1000))
