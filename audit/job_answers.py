"""What the provider answered to a job's paid requests, redacted; read when a person asks for it."""

from __future__ import annotations

import json

import streamlit as st

from audit import words
from audit.asking import told
from audit.look import say
from audit.services import person, services
from core import answers
from core.audit.jobs import Story
from core.authority import Action, may
from core.errors import StudioError
from core.values import JobId


def draw(story: Story) -> None:
    """The answers behind a switch; not offered where nothing was sent, or to whom they are not shown."""
    if not story.sent or not may(person(), Action.see_answers):
        return
    if not st.toggle("What the provider answered", key="show_answers"):
        return
    try:
        found = answers.told(JobId(story.job.id), person(), services())
    except StudioError as error:
        told(error)
        return
    for one in found:
        if one.answer is None:
            st.caption(f"{words.provider(one.provider)}, attempt {one.attempt}: no answer came.")
            continue
        text = json.dumps(one.answer, indent=2, ensure_ascii=False)
        st.html(f'<pre class="au-answer">{say(text)}</pre>')
    st.caption("Addresses are cut to their host, and words that may be somebody's to their length.")
