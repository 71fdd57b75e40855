"""`python -m services.debater`: one agent, named by SERVICE_NAME."""

from mesh.runtime import run
from services.debater.wiring import build

if __name__ == "__main__":
    run(build)
