"""The log: one event a line on stderr, the job bound to it, secrets never in it.

Ours and other libraries' events take the same way out, and nothing leaves it unscrubbed: neither a field, nor
a text, nor a traceback. What is scrubbed: fields named like a secret or like a person's words; keys, bearer
tokens and signatures of links wherever they stand in a text; every value given to `keep_out`; and the words
given to `bind_job` while that job runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import re
import sys
import threading
import urllib.parse
from collections.abc import Generator, Iterable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

HIDDEN = "***"
_SHORTEST_SECRET = 4  # anything shorter would blank ordinary words
_DEEPEST = 6
_QUIET = ("httpx", "httpcore", "PIL", "asyncio", "hpack")  # talkative at INFO, and about addresses

_PRIVATE_PARTS = frozenset({
    "key", "apikey", "token", "secret", "password", "passwd", "authorization", "cookie", "credential",
    "credentials", "prompt", "prompts", "negative", "words", "signature", "dsn", "jwt",
})  # fmt: skip
_HARMLESS_FIELDS = frozenset({
    "model_key", "dedupe_key", "stage_words", "error_words", "price_words", "key_id", "prompt_length",
})  # fmt: skip
_ADDRESS_PARTS = frozenset({"url", "uri", "href", "link", "address"})

_NAME_PARTS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_PRIVATE_NAMES = (
    r"(?:[\w-]*(?:token|secret|password|api[_-]?key|apikey|prompt|signature|authorization)|key|jwt)"
)
_SCRUBS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A repr or JSON that slipped into a text: 'prompt': '…', "token": "…", prompt='…'.
    (
        re.compile(rf"""(?i)(['"]?\b{_PRIVATE_NAMES}['"]?\s*[:=]\s*)(['"])(?:\\.|(?!\2).)*(?:\2|$)"""),
        rf"\1\2{HIDDEN}\2",
    ),
    # What pydantic and Postgres add to their sentences: the refused value, the row, the statement's values.
    (re.compile(r"(?s)(input_value=).*?(?=, input_type=)"), rf"\1{HIDDEN}"),
    (re.compile(r"(?im)^(\s*(?:DETAIL|CONTEXT|STATEMENT|QUERY):\s*).*$"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(authorization\s*[:=]\s*)[^\r\n,}]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=:-]{4,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(Key|Token|key)\s+(?=[\w.+/=~-]*(?:\d|:\w))[\w.~+/=:-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)(/object/(?:upload/)?sign/[^\s?\"'<>]*)\?[^\s\"'<>]*"), rf"\1?{HIDDEN}"),
    (re.compile(r"(?i)([?&;]X-(?:Amz|Goog)-[^\s\"'<>]*)"), f"?{HIDDEN}"),
    (re.compile(rf"(?i)\b({_PRIVATE_NAMES}|sig)=(?!['\"])[^\s&\"'<>,;)]+"), rf"\1={HIDDEN}"),
    (re.compile(r"(?i)(://[^\s/:@\"']*):[^\s/@\"']+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"(data:[\w/+.-]+;base64,)[A-Za-z0-9+/=_-]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?"), HIDDEN),
    (re.compile(r"\b(?:sb_secret_|sb_publishable_|whsec_|r8_|rpa_|sk[-_])[\w/+=-]{6,}"), HIDDEN),
)  # fmt: skip
_QUERY = re.compile(r"\?[^\s\"'<>]*")

_secrets: set[str] = set()
_secrets_lock = threading.Lock()
_job_words: ContextVar[tuple[str, ...]] = ContextVar("job_words", default=())


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; events are past-tense names, facts are fields: `log.info("job_settled", seconds=3.1)`."""
    return structlog.stdlib.get_logger(name)


def keep_out(value: str) -> None:
    """Never let `value` (a key, a password) out again, in plain or escaped spelling; for the whole process.

    Values shorter than four characters are not taken: hiding them would blank ordinary words.
    """
    with _secrets_lock:
        _secrets.update(_spellings(value))


@contextlib.contextmanager
def bind_job(job_id: object, *, keep_out: Iterable[str] = ()) -> Generator[None]:
    """Write `job_id` on every event inside the block, and let none of `keep_out` (its prompt) out."""
    words = _job_words.get() + tuple(sorted({one for text in keep_out for one in _spellings(text)}))
    before = _job_words.set(words)
    try:
        with structlog.contextvars.bound_contextvars(job_id=str(job_id)):
            yield
    finally:
        _job_words.reset(before)


def configure(level: str, *, stream: TextIO | None = None, console: bool | None = None) -> None:
    """Send every event of `level` (DEBUG, INFO, WARNING, ERROR) and above to stderr; safe to call again.

    People at a terminal get readable lines, everything else gets JSON (`console` decides otherwise).
    Handlers other libraries brought along are removed, uncaught errors are logged too.
    """
    out = stream or sys.stderr
    readable = out.isatty() if console is None else console
    handler = _Handler(out)
    handler.setFormatter(_formatter(readable=readable))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def scrub(value: object) -> object:
    """`value` with everything private hidden, as plain JSON types: what the log would write of it."""
    return _scrubbed(value, 0)


class _Handler(logging.StreamHandler[TextIO]):
    """Says that an event could not be written, without the event: the stock one prints its raw arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        kind = sys.exc_info()[0]
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(
                json.dumps(
                    {
                        "event": "log_event_lost",
                        "level": "error",
                        "logger": record.name,
                        "error": kind.__name__ if kind else "",
                        "place": f"{record.filename}:{record.lineno}",
                    }
                )
                + self.terminator
            )


def _processors() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _scrub_event,
    ]


def _formatter(*, readable: bool) -> structlog.stdlib.ProcessorFormatter:
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if readable
        else structlog.processors.JSONRenderer(sort_keys=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_processors(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _scrub_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # These two are structlog's own (one is the whole raw record); its formatter takes them out again.
    return {
        name: value if name in {"_record", "_from_structlog"} else _field(name, value, 0)
        for name, value in event.items()
    }


def _field(name: str, value: object, depth: int) -> object:
    parts = {part.lower() for part in _NAME_PARTS.findall(name)}
    if name.lower() not in _HARMLESS_FIELDS and not parts.isdisjoint(_PRIVATE_PARTS):
        return None if value is None else HIDDEN
    clean = _scrubbed(value, depth)
    if isinstance(clean, str) and not parts.isdisjoint(_ADDRESS_PARTS):
        return _QUERY.sub(f"?{HIDDEN}", clean)
    return clean


def _scrubbed(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if depth >= _DEEPEST:
        return "…"
    return _container(value, depth + 1)


def _container(value: object, depth: int) -> object:
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {_text(str(name)): _field(str(name), inner, depth) for name, inner in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_scrubbed(inner, depth) for inner in cast("Iterable[object]", value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = {one.name: getattr(value, one.name) for one in dataclasses.fields(value) if one.repr}
        return {name: _field(name, inner, depth) for name, inner in shown.items()}
    return _text(str(value))


def _text(text: str) -> str:
    for secret in _hidden_words():
        text = text.replace(secret, HIDDEN)
    for pattern, instead in _SCRUBS:
        text = pattern.sub(instead, text)
    return text


def _hidden_words() -> list[str]:
    # The longest first: a secret may hold a shorter one, whose stars would leave the rest standing.
    return sorted({*_secrets, *_job_words.get()}, key=len, reverse=True)


def _spellings(value: str) -> set[str]:
    """How a value may stand in a text: as it is, inside JSON or a repr, inside an address."""
    value = value.strip()
    forms = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        urllib.parse.quote(value, safe="", errors="replace"),
        urllib.parse.quote_plus(value, errors="replace"),
    }
    return {form for form in forms if len(form) >= _SHORTEST_SECRET}


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    get("uncaught").error("uncaught_error", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        name = args.thread.name if args.thread else ""
        trace = (args.exc_type, args.exc_value, args.exc_traceback)
        get("uncaught").error("uncaught_error_in_thread", thread=name, exc_info=trace)


def _prepare() -> None:
    """Set structlog up at import, so that an event before `configure` is scrubbed too."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


_prepare()
