"""`python -m services.debater`: one agent, named by SERVICE_NAME."""

import gc

gc.disable()  # until it has started: see mesh.runtime

from mesh.runtime import run  # noqa: E402
from services.debater.wiring import build  # noqa: E402

if __name__ == "__main__":
    run(build)
