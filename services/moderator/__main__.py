"""`python -m services.moderator`: the service that holds debates."""

import gc

gc.disable()  # until it has started: see mesh.runtime

from mesh.runtime import run  # noqa: E402
from services.moderator.wiring import build  # noqa: E402

if __name__ == "__main__":
    run(build)
