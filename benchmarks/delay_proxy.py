"""A TCP proxy that adds a round trip to a server on loopback: what a cache in another zone or region costs.

It delays every byte by half the round trip in each direction and limits nothing else: order and throughput stay.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BUFFER = 1 << 22


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def receive() -> None:
        while True:
            data = await reader.read(_BUFFER)
            on_the_way.put_nowait((loop.time() + delay, data))
            if not data:
                return

    receiving = asyncio.create_task(receive())
    try:
        while True:
            due, data = await on_the_way.get()
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            if not data:
                return
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # one end closed
    finally:
        receiving.cancel()
        writer.close()


async def serve(host: str, port: int, round_trip: float) -> None:
    """Listen on a free loopback port, print it, and forward to ``host:port`` with ``round_trip`` seconds added."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port, limit=_BUFFER)
        await asyncio.gather(_carry(reader, back, round_trip / 2), _carry(there, writer, round_trip / 2))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_BUFFER)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def delayed(host: str, port: int, round_trip_ms: float) -> Iterator[int]:
    """Port of a proxy in a process of its own, so that it shares no interpreter with what is measured."""
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
    given = parser.parse_args()
    asyncio.run(serve(given.host, given.port, given.round_trip_ms / 1000))
