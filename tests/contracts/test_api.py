from core import generation
from tests.builders import *

def test_smoke(services, ana, app):
    c = a_character(ana, services)
    o = a_finished_portrait(ana, services, c)
    print(o)
    r = app.as_(ana).get(f"/functions/v1/jobs/{o.job.id}")
    print(r.status_code, r.json())
    assert 0

def test_live(services, ana, app, live_worker):
    c = a_character(ana, services)
    r = app.as_(ana).post("/functions/v1/character-portrait", json={"characterId": str(c.id)})
    print(r.status_code, r.json())
    assert 0
