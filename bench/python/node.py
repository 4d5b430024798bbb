"""A node of the DHT of Python's `kademlia`, to compare Moim's with. Run by `moim-bench dht`.

node.py [HOST:PORT of a node to enter by]

It says its address as a line of JSON once it is in the DHT, and then answers one line each: `known`, `put KEY`, `get KEY`.
"""

import asyncio
import json
import logging
import sys
import time

from kademlia.network import Server
from kademlia.utils import digest

VALUE = "x" * 100

# What it warns of is no reading matter beside a measurement.
logging.disable(logging.CRITICAL)


def say(**what):
    print(json.dumps(what), flush=True)


async def main():
    server = Server()
    await server.listen(0, interface="127.0.0.1")
    if len(sys.argv) > 1:
        host, port = sys.argv[1].rsplit(":", 1)
        await server.bootstrap([(host, int(port))])
    host, port = server.transport.get_extra_info("sockname")
    say(address=f"{host}:{port}")

    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, _, key = line.strip().partition(" ")
        if command == "known":
            buckets = server.protocol.router.buckets
            say(known=sum(len(bucket.nodes) for bucket in buckets))
            continue
        if command == "get":
            # A copy of its own would be no lookup.
            server.storage.data.pop(digest(key), None)
        started = time.perf_counter()
        if command == "put":
            done = await server.set(key, VALUE)
        else:
            done = await server.get(key) == VALUE
        say(took=(time.perf_counter() - started) * 1e3, done=bool(done))


asyncio.run(main())
