"""Asks for one portrait as a person would, and dies at the moment the request has returned.

`python tests/chaos/asker.py PERSON CHARACTER`
"""

import os
import signal
import sys
from uuid import UUID

from core import generation
from core.services import open_services
from core.settings import Settings
from core.values import CharacterId, Person, PersonId, PortraitRequest, Role

person = Person(id=PersonId(UUID(sys.argv[1])), roles=frozenset({Role.editor}))
with open_services(Settings()) as services:
    generation.request(PortraitRequest(character_id=CharacterId(UUID(sys.argv[2]))), person, services)
    os.kill(os.getpid(), signal.SIGKILL)
