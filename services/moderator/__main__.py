"""`python -m services.moderator`: the service that holds debates."""

from mesh.runtime import run
from services.moderator.wiring import build

if __name__ == "__main__":
    run(build)
