"""A store of model files that sends them at a network's rate, as one on another machine does.

    python -m benchmarks.peers.paced_store PORT FOLDER MIB_PER_SECOND

Answers any GET with the file of the folder that the last part of its path names, which is all that batchers ask of S3.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

CHUNK_BYTES = 64 * 1024


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, folder: Path, per_s: float) -> None:
    """Answer the requests of one connection."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            name = head.split(" ", 2)[1].partition("?")[0].rpartition("/")[2]
            size = (folder / name).stat().st_size
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            began = loop.time()
            with (folder / name).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    writer.write(chunk)
                    await writer.drain()
                    await asyncio.sleep(max(0.0, began + file.tell() / per_s - loop.time()))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int, folder: Path, per_s: float) -> None:
    server = await asyncio.start_server(lambda r, w: answer(r, w, folder, per_s), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]) * 1024 * 1024))
