"""studio.health_state, health_notices, health_looks: what is broken since when, and what was told of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from psycopg.rows import class_row

from core.db import Connection, activity

RECEIVER = "notify.receiver"  # the finding that the receiver does not take what is sent
_LOCK = "health_state"


class Broken(Protocol):
    """A problem as it is kept."""

    @property
    def rule(self) -> str: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def severity(self) -> str: ...  # noqa: D102
    @property
    def sentence(self) -> str: ...  # noqa: D102
    @property
    def page(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class State:
    """One problem as it was last seen; `told_broken` is what the last notice said of it."""

    rule: str
    subject: str
    severity: str
    sentence: str
    page: str
    broken: bool
    broken_since: datetime
    seen_at: datetime
    healed_at: datetime | None
    told_at: datetime | None
    told_broken: bool


@dataclass(frozen=True, kw_only=True)
class Notice:
    """News on its way; `attempts` counts this one too. The body holds sentences of rules and links to pages."""

    id: int
    body: Mapping[str, Any]
    attempts: int


def take_turn(conn: Connection) -> None:
    """One keeper at a time: the others wait until its transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (_LOCK,))


def keep(conn: Connection, problems: Sequence[Broken], asked: Collection[str]) -> None:
    """What the rules of `asked` found. A problem they no longer find is healed; of other rules nothing is concluded."""
    for one in problems:
        conn.execute(
            """
            INSERT INTO studio.health_state (rule, subject, severity, sentence, page)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (rule, subject) DO UPDATE SET severity = excluded.severity, sentence = excluded.sentence,
                page = excluded.page, seen_at = excluded.seen_at, healed_at = NULL, broken = true,
                broken_since = CASE WHEN studio.health_state.broken THEN studio.health_state.broken_since
                                    ELSE excluded.broken_since END
            """,
            (one.rule, one.subject, one.severity, one.sentence, one.page),
        )
    found = [f"{one.rule} {one.subject}" for one in problems]
    conn.execute(
        """
        UPDATE studio.health_state SET broken = false, healed_at = clock_timestamp()
        WHERE broken AND rule = ANY(%s) AND NOT (rule || ' ' || subject = ANY(%s))
        """,
        (list(asked), found),
    )


def states(conn: Connection) -> list[State]:
    """What is broken, the newest first, and then what healed in the last day."""
    with conn.cursor(row_factory=class_row(State)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM studio.health_state
            WHERE broken OR healed_at > now() - interval '1 day'
            ORDER BY broken DESC, coalesce(healed_at, broken_since) DESC, rule, subject LIMIT 500
            """
        ).fetchall()


def news(conn: Connection, *, repeat_after: timedelta) -> list[State]:
    """What was not told yet: newly broken, healed since it was told, or broken still after `repeat_after`."""
    with conn.cursor(row_factory=class_row(State)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM studio.health_state
            WHERE broken <> told_broken OR (broken AND told_at < clock_timestamp() - %s::interval)
            ORDER BY broken DESC, severity, rule, subject LIMIT 200
            """,
            (repeat_after,),
        ).fetchall()


_COLUMNS = """rule, subject, severity, sentence, page, broken, broken_since, seen_at, healed_at, told_at, told_broken"""


def may_tell(conn: Connection, *, apart: timedelta) -> bool:
    """Whether news may go out now: none is on its way, and the last was made `apart` ago."""
    row = conn.execute(
        """
        SELECT NOT EXISTS (SELECT FROM studio.health_notices n
                           WHERE (n.sent_at IS NULL AND n.given_up_at IS NULL)
                              OR n.made_at > clock_timestamp() - %s::interval)
        """,
        (apart,),
    ).fetchone()
    return bool(row and row[0])


def tell(conn: Connection, body: Mapping[str, object], told: Sequence[State]) -> None:
    """Put news on its way; what it tells is told."""
    conn.execute("INSERT INTO studio.health_notices (body) VALUES (%s)", (json.dumps(body),))
    for one in told:
        conn.execute(
            """
            UPDATE studio.health_state SET told_broken = %s, told_at = clock_timestamp()
            WHERE rule = %s AND subject = %s
            """,
            (one.broken, one.rule, one.subject),
        )


def take_due(conn: Connection, *, first: timedelta, longest: timedelta) -> Notice | None:
    """The notice that is due, None where none is. Its next try is set before this one, so a killed sender costs a
    pause and no notice; each pause is twice the last.
    """
    row = conn.execute(
        """
        UPDATE studio.health_notices n SET attempts = n.attempts + 1,
            next_try_at = clock_timestamp() + least(%s::interval * power(2, n.attempts), %s::interval)
        WHERE n.id = (SELECT d.id FROM studio.health_notices d
                      WHERE d.sent_at IS NULL AND d.given_up_at IS NULL AND d.next_try_at <= clock_timestamp()
                      ORDER BY d.id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING n.id, n.body, n.attempts
        """,
        (first, longest),
    ).fetchone()
    return Notice(id=row[0], body=row[1], attempts=row[2]) if row else None


def arrived(conn: Connection, notice_id: int, answer: str) -> None:
    """The receiver took it; whatever was found against the receiver is mended."""
    conn.execute(
        "UPDATE studio.health_notices SET sent_at = clock_timestamp(), last_answer = %s WHERE id = %s",
        (answer, notice_id),
    )
    conn.execute(
        "UPDATE studio.findings SET mended_at = clock_timestamp() WHERE rule = %s AND mended_at IS NULL",
        (RECEIVER,),
    )


def did_not_arrive(conn: Connection, notice: Notice, answer: str, *, most: int) -> None:
    """The receiver did not take it: a finding; given up after `most` tries."""
    conn.execute(
        """
        UPDATE studio.health_notices SET last_answer = %s,
            given_up_at = CASE WHEN attempts >= %s THEN clock_timestamp() END
        WHERE id = %s
        """,
        (answer, most, notice.id),
    )
    activity.find(conn, RECEIVER, "health_notices", "receiver", f"News of the health rules: {answer}")


def note_look(conn: Connection, name: str, *, ok: bool, seconds: float | None, sentence: str) -> None:
    """What a look at something outside the database saw."""
    conn.execute(
        """
        INSERT INTO studio.health_looks (name, ok, seconds, sentence) VALUES (%s, %s, %s, %s)
        ON CONFLICT (name) DO UPDATE SET at = excluded.at, ok = excluded.ok, seconds = excluded.seconds,
            sentence = excluded.sentence
        """,
        (name, ok, seconds, sentence),
    )


def note_test(conn: Connection, answer: str) -> None:
    """That the person of this connection sent a test message. Raises NotAllowed (needs admin)."""
    conn.execute("SELECT studio.note_test_notice(%s)", (answer,))
