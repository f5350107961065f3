"""Who has no role, or not the one it takes, is offered nothing that repairs (issue 5, "It must show" 4). The dashboard of
one's own machine has no sign-in, so another person is put in by the seam for tests.
"""

import re

from audit.navigation import ROOMS
from core.values import Role
from tests import builders
from tests.screens.dashboard import keys_of, opened, pages_on, text_of

NAMES = [room.name for members in ROOMS.values() for room in members]
REPAIRS = re.compile(
    r"recover|purge|mend|repair|make_missing|review|take|set_aside|qa_draw|trial_begin|do_|stuck_|library_scan_now|check_now"
)


def test_a_customer_of_the_platform_is_shown_no_page_and_offered_no_repair(services):
    customer = builders.a_person(services.db, "cass")
    builders.a_waiting_job(
        ana := builders.a_person(services.db, "ana", Role.editor),
        services,
        builders.a_character(ana, services),
    )

    with pages_on(services, customer):
        pages = {name: opened(name) for name in NAMES}

    unsaid = [
        name
        for name, page in pages.items()
        if "needs the editor, qa, product or admin role" not in text_of(page)
    ]
    offered = {
        name: keys
        for name, page in pages.items()
        if (keys := {one for one in keys_of(page) if one and REPAIRS.match(one)})
    }
    assert unsaid == []
    assert offered == {}
    assert [name for name, page in pages.items() if page.dataframe] == []


def test_product_reads_stuck_jobs_and_recovers_none(services):
    pia = builders.a_person(services.db, "pia", Role.product)

    with pages_on(services, pia):
        page = opened("stuck")

    assert "needs the" not in text_of(page)
    assert {"stuck_recover", "stuck_purge"}.isdisjoint(keys_of(page))
