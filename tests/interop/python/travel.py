"""Sessions of the client of the Python SDK with `typescript2/travel-server.mjs`.

    travel.py URL SESSIONS SEED

For `tests/web/record.sh`. Half of the sessions speak 2026-07-28. The same seed gives the same
choices.
"""

import random
import sys

import anyio
import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

URL, SESSIONS, SEED = sys.argv[1], int(sys.argv[2]), sys.argv[3]
IDENTITY = types.Implementation(name="trip-planner", version="0.12.0")
CITIES = ["Oslo", "Lisbon", "Athens", "Vienna", "Dublin"]
AT_ONCE = 5


async def accept(context, params):
    await anyio.sleep(0.2)
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def session(number):
    choose = random.Random(f"{SEED} {number}")
    mode = "auto" if number % 2 else "legacy"
    headers = {"authorization": f"Bearer planner-{SEED}-{number}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(URL, http_client=http)
        async with Client(transport, mode=mode, client_info=IDENTITY, elicitation_callback=accept) as client:
            listed = await client.list_tools()
            search = next(tool for tool in listed.tools if tool.name == "search_flights")
            airline = {"airline": "any"} if "airline" in search.input_schema["required"] else {}
            for _ in range(choose.randint(3, 9)):
                place, other = choose.sample(CITIES, 2)
                name, arguments = choose.choices(
                    [
                        ("search_flights", {"from": place, "to": other, **airline}),
                        ("book_flight", {"flight": "TF 12"}),
                        ("get_weather", {"city": place}),
                        ("find_hotels", {"city": place, "stars": 3}),
                    ],
                    weights=[50, 15, 30, 5],
                )[0]
                try:
                    await client.call_tool(name, arguments)
                except MCPError:
                    # The record shows it.
                    pass
                await anyio.sleep(choose.random() / 8)


async def main():
    limit = anyio.CapacityLimiter(AT_ONCE)

    async def limited(number):
        async with limit:
            await session(number)

    async with anyio.create_task_group() as group:
        for number in range(SESSIONS):
            group.start_soon(limited, number)


anyio.run(main)
