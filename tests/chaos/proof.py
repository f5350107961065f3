"""A proof that ends itself with SIGKILL after its first chunk: `python tests/chaos/proof.py DSN HOME`."""

import signal
import sys

from core import proof
from core.services import open_services
from core.settings import Settings
from tests.chaos.worker import strike_after

if __name__ == "__main__":
    proof._ROWS_AT_ONCE = 2
    strike_after("core.proof:_keep", signal.SIGKILL)
    with open_services(
        Settings(_env_file=None, database_url=sys.argv[1], studio_home=sys.argv[2])
    ) as services:
        proof.run_proof(services)
