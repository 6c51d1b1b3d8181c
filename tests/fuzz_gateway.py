"""Lets schemathesis loose on the gateway's own OpenAPI, with real ingest and scorer: `python -m tests.fuzz_gateway`.

Not among the tests, for it takes minutes. Arguments are schemathesis' own; it must find nothing.
"""

import asyncio
import contextlib
import os
import sys
import sysconfig
import tempfile
from pathlib import Path

from infra.rights import configure
from infra.server import EmbeddedServer
from services.gateway import desk
from tests.broker import ASSESSMENT, OFFICES, UNITS, Site, _provision
from tests.test_gateway import gateway, ingesting

# What is well-formed may still be refused by the rulebook, with its name: 422, and of a repeated id with other content.
CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "404", "409", "422"]
negative_data_rejection.expected-statuses = ["207", "400", "401", "404", "405", "406", "409", "413", "415", "422"]
"""


async def main(arguments: list[str]) -> int:
    desk.PATIENCE = 30.0  # on a busy machine too
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        data = Path(folder)
        (data / "schemathesis.toml").write_text(CONFIG)
        configure(data, ASSESSMENT, OFFICES, UNITS)
        site = Site(stack.enter_context(EmbeddedServer(data)), data)
        await _provision(site)
        known = {"NATS_URL": site.server.url, "WUXING_DATA": str(data), "WUXING_ASSESSMENT": ASSESSMENT}
        known |= {"HYPOTHESIS_STORAGE_DIRECTORY": str(data / "hypothesis")}
        with (data / "scorer.log").open("wb") as log:
            scorer = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services", "scorer", stderr=log, env={**os.environ, **known}
            )  # fmt: skip
        try:
            async with ingesting(site), gateway(site) as web:
                child = await asyncio.create_subprocess_exec(
                    Path(sysconfig.get_path("scripts")) / "schemathesis", "run", f"{web.http.base_url}/openapi.json",
                    "-H", f"Authorization: Bearer {web.keys['ducha']}", "--checks", "all", *arguments,
                    cwd=data, env={**os.environ, **known},
                )  # fmt: skip
                return await child.wait()
        finally:
            scorer.terminate()
            await scorer.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
