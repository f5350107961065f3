"""The rules over the rows of the platform's tables, each as one SQL condition (SPEC "Adoption"); in words they stand in
core/row_rules.py, and core/db/row_rules.py counts and writes by them.

Which of two rows is older stands within coalesce, or an index of all rows by age would be read for each of them.

A condition reads one row as `r`; `@jobs` and its like are the tables, with null where an older database lacks a column.
`@each` ends a question that is one of several: a sweep asks it of each row by an index, a count of all rows at once.
What another check finds is not found twice: `but` says what that is, wherever that check works too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LINK_RULES = ("library.own_link", "library.external_link", "library.no_address")


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """One rule over one table. `counted`: how many rows break it, where a count needs another form than the condition
    to be quick without our indexes. `is_swept` False: the adoption itself writes it, once.
    """

    name: str
    table: str
    where: str
    sentence: str
    but: str = ""
    counted: str = ""
    is_swept: bool = True


# -- words of SQL ------------------------------------------------------------------------------------------------------

UUID_FORM = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
# Text for text the indexes library_of_older_job and portraits_of_older_job, or they would not serve.
_INDEXED = rf"'(?:^|/)({UUID_FORM})(?:_[^/]*)?\.[A-Za-z0-9]+$'"
_LIBRARY_JOB = f"lower(substring(l.storage_path from {_INDEXED}))"
_PORTRAIT_JOB = (
    f"lower(coalesce(left(p.generation_metadata ->> 'job_id', 36), substring(p.image_url from {_INDEXED})))"
)
_LARGEST = 2**63 - 1


def _uuid(text: str) -> str:
    """The uuid in a text, or null: rows of other writers hold anything."""
    return f"CASE WHEN {_is_uuid(text)} THEN ({text})::uuid END"


def _is_uuid(text: str) -> str:
    """As UUID_FORM says it, in half the time: dashes in four places and nowhere else, and else digits."""
    digits = f"replace({text}, '-', '')"
    return (
        f"({text} LIKE '________-____-____-____-____________' AND length({digits}) = 32"
        f" AND {digits} !~ '[^0-9a-fA-F]')"
    )


def _job_in(address: str) -> str:
    """The job that a picture's address names, as studio.job_of_path reads it, many times faster; or null."""
    file = f"split_part(split_part({address}, '?', 1), '/', -1)"
    return f"CASE WHEN substr({file}, 37, 1) IN ('.', '_') THEN {_uuid(f'left({file}, 36)')} END"


def _folder(path: str, bucket: str) -> str:
    """The first part of a path inside `bucket`, named or not; null of an address."""
    is_address = (
        f"starts_with({path}, '/') OR (strpos({path}, ':') > 0 AND {path} ~ '^[A-Za-z][A-Za-z0-9+.-]*:')"
    )
    inside = (
        f"CASE WHEN starts_with({path}, '{bucket}') THEN substr({path}, {len(bucket) + 1}) ELSE {path} END"
    )
    return f"CASE WHEN NOT ({is_address}) THEN split_part({inside}, '/', 1) END"


def _plain_name(name: str) -> str:
    """As studio.plain_name compares names, where that function is not there yet."""
    return rf"left(lower(btrim({name}, E' \t\n\r\f\x0b\u00a0\u2007\u202f\u3000\ufeff')), 200)"


def _too_large(number: str) -> str:
    """True where a text is a number beyond 63 bits; only what has as many digits is read as one."""
    return (
        f"CASE WHEN length({number}) >= {len(str(_LARGEST))} AND {number} ~ '^[+-]?[0-9]{{1,200}}$'"
        f" THEN abs(({number})::numeric) > {_LARGEST} END"
    )


def _is_no(kind: str, column: str, *keys: str) -> str:
    """True where one of the keys of a JSON column holds another type than `kind`; a missing one and null do not count."""
    said = (f"jsonb_typeof({column} -> '{key}') NOT IN ('{kind}', 'null')" for key in keys)
    return f"({' OR '.join(said)})"


def _any(*conditions: str) -> str:
    return f"({' OR '.join(conditions)})"


def _is_no_id(column: str, key: str) -> str:
    said = f"nullif({column} ->> '{key}', '')"
    return f"(NOT {_is_uuid(said)} OR {_is_no('string', column, key)})"


_NAME_OF_JOB = f"""coalesce(nullif({_plain_name("r.metadata ->> 'character_name'")}, ''),
                            nullif({_plain_name("r.metadata ->> 'characterName'")}, ''))"""
_CHARACTER_OF_JOB = "coalesce(j.character_id, " + _uuid("j.metadata ->> 'character_id'") + ")"
# Columns of ours that the rules read, by table: null on a database that is not adopted yet.
OURS: Mapping[str, Mapping[str, str]] = {
    "characters": {"deleted_at": "timestamptz", "rating_settled_at": "timestamptz"},
    "character_portraits": {"deleted_at": "timestamptz", "job_id": "uuid"},
    "character_scenes": {},
    "jobs": {"character_id": "uuid", "runner": "text", "cancel_requested": "boolean", "stage": "text"},
    "workspace_assets": {"deleted_at": "timestamptz", "cleaned_at": "timestamptz"},
    "user_library": {"deleted_at": "timestamptz", "job_id": "uuid"},
    "attribute_images": {},
    "style_images": {},
    "api_models": {},
    "api_providers": {},
}
# What a rule may know of a row beside its own columns.
LINES: Mapping[str, str] = {
    "characters": "SELECT t.* FROM @batch t WHERE t.deleted_at IS NULL",
    "character_portraits": f"""
        SELECT t.*, c.user_id AS owner,
            coalesce(t.job_id, {_uuid("t.generation_metadata ->> 'job_id'")},
                     {_job_in("t.image_url")}) AS named_job
        FROM @batch t JOIN @characters c ON c.id = t.character_id AND c.deleted_at IS NULL
    """,
    "character_scenes": """
        SELECT t.*, c.user_id AS owner FROM @batch t
        JOIN @characters c ON c.id = t.character_id AND c.deleted_at IS NULL
    """,
    "user_library": f"""
        SELECT t.*, coalesce(t.job_id, {_job_in("t.storage_path")}) AS named_job,
            CASE WHEN NOT starts_with(t.storage_path, 'workspace-temp/')
                THEN {_folder("t.storage_path", "user-library/")} END AS folder
        FROM @batch t WHERE t.deleted_at IS NULL
    """,
    "workspace_assets": f"""
        SELECT t.*, {_folder("t.temp_storage_path", "workspace-temp/")} AS folder
        FROM @batch t WHERE t.deleted_at IS NULL AND t.cleaned_at IS NULL
    """,
    "jobs": """
        SELECT t.*, coalesce(t.metadata ->> 'destination', '') = 'character_portrait' AS is_portrait,
            coalesce(t.runner, 'platform') = 'platform' AS is_platforms
        FROM @batch t
    """,
    "attribute_images": "SELECT t.* FROM @batch t",
    "style_images": "SELECT t.* FROM @batch t",
    "api_models": "SELECT t.* FROM @batch t",
}
TABLES = tuple(LINES)

# A portrait (or a library row) that the seven checks look at by its job. A job is read by its id and then judged: an
# index of all portrait jobs must not look like a way to it.
_IS_PORTRAIT = "j.metadata ->> 'destination' = 'character_portrait'"
_CHECKED_BY_JOB = f"(SELECT j.status = 'completed' AND {_IS_PORTRAIT} FROM @jobs j WHERE j.id = r.named_job)"
_CHECKED_CHARACTER = f"""
    EXISTS (SELECT FROM @character_portraits p WHERE p.character_id = r.id AND p.deleted_at IS NULL
            AND (SELECT j.status = 'completed' AND {_IS_PORTRAIT} FROM @jobs j
                 WHERE j.id = coalesce(p.job_id, {_uuid(_PORTRAIT_JOB)})) @each)
"""
_HAS_PORTRAIT = (
    "EXISTS (SELECT FROM @character_portraits p WHERE p.character_id = r.id AND p.deleted_at IS NULL @each)"
)


def _of_somebody_else(job: str, owner: str) -> str:
    """True where a job is neither the owner's nor for a character of theirs."""
    return f"""
        EXISTS (SELECT FROM @jobs j WHERE j.id = {job} AND j.user_id <> {owner}
                AND lower(coalesce(j.metadata ->> 'owner', '')) <> {owner}::text
                AND NOT EXISTS (SELECT FROM @characters c WHERE c.id = {_CHARACTER_OF_JOB} AND c.user_id = {owner}))
    """


_HAS_RESULT = "EXISTS (SELECT FROM @workspace_assets a WHERE a.job_id = r.id)"
_FOR_WEEKS = "coalesce(r.started_at, r.created_at) < now() - interval '14 days' AND r.is_platforms"
_TAKEN = "This row names a job that another row belongs to already; it was kept without the job."
_FOREIGN = "This row names a job of somebody else; it was kept without the job."
_TWICE = "SELECT coalesce(sum(g.n - 1), 0) FROM (SELECT count(*) AS n FROM @lines r WHERE {key} IS NOT NULL{where} GROUP BY {key}) g"


def _rules_of_characters() -> tuple[RowRule, ...]:
    named = {
        "row.name_long": (
            "char_length(r.name) > 50",
            "Its name has more than 50 characters.",
        ),
        "row.name_empty": ("r.is_public AND btrim(r.name) = ''", "It is public and has no name."),
        "row.description_short": (
            f"char_length(btrim(r.description)) < 50 AND (r.is_public OR {_HAS_PORTRAIT})",
            "It is public or has portraits, and its description has fewer than 50 characters.",
        ),
        "row.description_long": (
            "char_length(r.description) > 500",
            "Its description has more than 500 characters.",
        ),
        "row.tags_many": (
            "cardinality(r.appearance_tags) > 20 OR cardinality(r.clothing_tags) > 20",
            "It has more than 20 tags of one kind.",
        ),
        "row.rating_unsettled": (
            "r.content_rating = 'nsfw' AND r.rating_settled_at IS NULL",
            "It is rated nsfw by the platform's default, and nobody of the team has confirmed that.",
        ),
        "row.reference_in_workspace": (
            "starts_with(r.reference_image_url, 'workspace-temp/') OR starts_with(r.preview_image_url, 'workspace-temp/')",
            "Its reference or preview picture lies in the workspace, which is cleaned.",
        ),
    }
    return tuple(
        RowRule(name=name, table="characters", where=where, sentence=sentence)
        for name, (where, sentence) in named.items()
    )


_RULES_OF_PICTURES = (
    RowRule(
        name="row.no_primary",
        table="characters",
        where="""
            NOT EXISTS (SELECT FROM @character_portraits p WHERE p.character_id = r.id AND p.is_primary)
            AND EXISTS (SELECT FROM @character_portraits p LEFT JOIN @jobs j ON j.id = p.job_id
                        WHERE p.character_id = r.id AND p.deleted_at IS NULL AND NOT coalesce(j.cancel_requested, false))
        """,
        but=_CHECKED_CHARACTER,
        sentence="It has portraits, and none of them is the primary one.",
    ),
    RowRule(
        name="row.image_in_workspace",
        table="characters",
        where="starts_with(r.image_url, 'workspace-temp/')",
        but=_CHECKED_CHARACTER,
        sentence="It shows a picture of the workspace, which is cleaned.",
    ),
    RowRule(
        name="row.image_in_workspace",
        table="character_portraits",
        where="r.deleted_at IS NULL AND starts_with(r.image_url, 'workspace-temp/')",
        but=_CHECKED_BY_JOB,
        sentence="It shows a picture of the workspace, which is cleaned.",
    ),
    RowRule(
        name="row.image_in_workspace",
        table="character_scenes",
        where="starts_with(r.image_url, 'workspace-temp/')",
        sentence="It shows a picture of the workspace, which is cleaned.",
    ),
    RowRule(
        name="row.image_in_workspace",
        table="user_library",
        where="starts_with(r.storage_path, 'workspace-temp/')",
        sentence="It shows a picture of the workspace, which is cleaned.",
    ),
    RowRule(
        name="portrait.second_primary",
        table="character_portraits",
        where="r.is_primary AND r.deleted_at IS NULL",
        counted=_TWICE.format(key="r.character_id", where=" AND r.is_primary AND r.deleted_at IS NULL"),
        sentence="This character had several primary portraits. The newest kept the star; choose another where that is wrong.",
        is_swept=False,
    ),
    RowRule(
        name="row.primary_deleted",
        table="character_portraits",
        where="r.is_primary AND r.deleted_at IS NOT NULL",
        sentence="It was removed, and is the primary portrait of its character all the same.",
    ),
    RowRule(
        name="row.portrait_job_gone",
        table="character_portraits",
        where="r.deleted_at IS NULL AND r.named_job IS NOT NULL AND NOT EXISTS (SELECT FROM @jobs j WHERE j.id = r.named_job)",
        sentence="It names a job that is not there any more.",
    ),
    RowRule(
        name="character_portraits.job_taken",
        table="character_portraits",
        where=f"""
            r.deleted_at IS NULL AND r.job_id IS NULL AND r.named_job IS NOT NULL AND (
                EXISTS (SELECT FROM @character_portraits p WHERE p.job_id = r.named_job AND p.id <> r.id AND p.deleted_at IS NULL @each)
                OR EXISTS (SELECT FROM @character_portraits p JOIN @characters c ON c.id = p.character_id
                           WHERE p.job_id IS NULL AND {_PORTRAIT_JOB} = r.named_job::text AND p.deleted_at IS NULL
                             AND c.deleted_at IS NULL AND coalesce((p.created_at, p.id) < (r.created_at, r.id), false) @each))
        """,
        counted=_TWICE.format(key="r.named_job", where=" AND r.deleted_at IS NULL"),
        sentence=_TAKEN,
    ),
    RowRule(
        name="character_portraits.foreign_job",
        table="character_portraits",
        where=f"r.deleted_at IS NULL AND r.named_job IS NOT NULL AND {_of_somebody_else('r.named_job', 'r.owner')}",
        sentence=_FOREIGN,
    ),
    RowRule(
        name="row.library_job_gone",
        table="user_library",
        where="r.named_job IS NOT NULL AND NOT EXISTS (SELECT FROM @jobs j WHERE j.id = r.named_job)",
        sentence="It names a job that is not there any more.",
    ),
    RowRule(
        name="user_library.job_taken",
        table="user_library",
        where=f"""
            r.job_id IS NULL AND r.named_job IS NOT NULL AND (
                EXISTS (SELECT FROM @user_library l WHERE l.job_id = r.named_job AND l.id <> r.id AND l.deleted_at IS NULL @each)
                OR EXISTS (SELECT FROM @user_library l
                           WHERE l.job_id IS NULL AND {_LIBRARY_JOB} = r.named_job::text AND l.deleted_at IS NULL
                             AND coalesce((l.created_at, l.id) < (r.created_at, r.id), false) @each))
        """,
        counted=_TWICE.format(key="r.named_job", where=""),
        sentence=_TAKEN,
    ),
    RowRule(
        name="user_library.foreign_job",
        table="user_library",
        where=f"r.named_job IS NOT NULL AND {_of_somebody_else('r.named_job', 'r.user_id')}",
        sentence=_FOREIGN,
    ),
    RowRule(
        name="row.library_foreign_folder",
        table="user_library",
        where="lower(r.folder) <> r.user_id::text",
        but=_CHECKED_BY_JOB,
        sentence="Its picture lies in somebody else's folder.",
    ),
    RowRule(
        name="row.asset_job_gone",
        table="workspace_assets",
        where="r.job_id IS NOT NULL AND NOT EXISTS (SELECT FROM @jobs j WHERE j.id = r.job_id)",
        sentence="It is the result of a job that is not there any more.",
    ),
    RowRule(
        name="row.asset_foreign_job",
        table="workspace_assets",
        where=f"r.job_id IS NOT NULL AND {_of_somebody_else('r.job_id', 'r.user_id')}",
        sentence="It is the result of somebody else's job.",
    ),
    RowRule(
        name="row.asset_foreign_folder",
        table="workspace_assets",
        where="lower(r.folder) <> r.user_id::text",
        but=f"(SELECT {_IS_PORTRAIT} FROM @jobs j WHERE j.id = r.job_id)",
        sentence="It lies in somebody else's folder.",
    ),
)
_RULES_OF_JOBS = (
    RowRule(
        name="row.job_open_with_result",
        table="jobs",
        where=f"r.status IN ('queued', 'processing') AND {_FOR_WEEKS} AND {_HAS_RESULT}",
        but="r.is_portrait",
        sentence="It has not ended for more than two weeks, though its result is there.",
    ),
    RowRule(
        name="row.job_open_for_weeks",
        table="jobs",
        where=f"r.status IN ('queued', 'processing') AND {_FOR_WEEKS} AND NOT {_HAS_RESULT}",
        sentence="It has not ended for more than two weeks, and nothing came of it.",
    ),
    RowRule(
        name="row.job_character_unknown",
        table="jobs",
        where=f"""
            r.status = 'completed' AND r.is_portrait AND r.created_at < now() - interval '1 day'
            AND r.stage IS DISTINCT FROM 'saved' AND r.stage IS DISTINCT FROM 'not_saved'
            AND r.character_id IS NULL AND ({_uuid("r.metadata ->> 'character_id'")}) IS NULL
            AND NOT EXISTS (SELECT FROM @user_library l WHERE l.job_id = r.id)
            AND NOT EXISTS (SELECT FROM @user_library l WHERE l.job_id IS NULL AND {_LIBRARY_JOB} = r.id::text)
            AND NOT EXISTS (SELECT FROM @character_portraits p WHERE p.job_id = r.id)
            AND NOT EXISTS (SELECT FROM @character_portraits p WHERE p.job_id IS NULL AND {_PORTRAIT_JOB} = r.id::text)
        """,
        but=f"""
            EXISTS (SELECT FROM @characters c WHERE c.user_id = r.user_id AND c.deleted_at IS NULL
                    AND {_plain_name("c.name")} = {_NAME_OF_JOB} @each)
            OR EXISTS (SELECT FROM studio.removed_portraits g WHERE g.job_id = r.id @each)
            OR EXISTS (SELECT FROM studio.removed_items g WHERE g.job_id = r.id @each)
        """,
        sentence="Its picture is not saved, because it names no character that is there.",
    ),
    RowRule(
        name="row.job_ended_early",
        table="jobs",
        where="r.completed_at < r.created_at",
        sentence="It ended before it was asked for, by its own times.",
    ),
    RowRule(
        name="row.details_no_object",
        table="jobs",
        where="jsonb_typeof(r.metadata) <> 'object'",
        sentence="Its details cannot be read: they are no list of names and values.",
    ),
    RowRule(
        name="row.details_wrong_type",
        table="jobs",
        where=f"""
            {_is_no_id("r.metadata", "character_id")}
            OR {_is_no("string", "r.metadata", "destination", "character_name", "characterName", "reference_image_url", "generation_mode", "consistency_method", "fal_request_id", "provider", "model_key")}
            OR {_is_no("number", "r.metadata", "generation_time_ms")} OR {_is_no("object", "r.metadata", "presets")}
        """,
        sentence="One of its details has another type than is read.",
    ),
    RowRule(
        name="row.seed_too_large",
        table="jobs",
        where=_too_large("r.metadata ->> 'seed'"),
        sentence="The seed in its details is larger than is kept.",
    ),
)


def _rules_of_details() -> tuple[RowRule, ...]:
    """What JSON beside a picture says: read where it fits, and else left alone."""
    found: list[RowRule] = []
    for table, column, odd in (
        (
            "character_portraits",
            "r.generation_metadata",
            _any(
                _is_no_id("r.generation_metadata", "job_id"),
                _is_no("object", "r.generation_metadata", "presets"),
                _is_no(
                    "string", "r.generation_metadata", "model", "model_key", "generation_mode", "storage_path"
                ),
            ),
        ),
        (
            "user_library",
            "r.roleplay_metadata",
            _any(
                _is_no_id("r.roleplay_metadata", "character_id"),
                _is_no("string", "r.roleplay_metadata", "type", "character_name"),
            ),
        ),
        (
            "workspace_assets",
            "r.generation_settings",
            _is_no("number", "r.generation_settings", "width", "height"),
        ),
    ):
        live = "r.deleted_at IS NULL AND "
        found += [
            RowRule(
                name="row.details_no_object",
                table=table,
                where=f"{live}jsonb_typeof({column}) <> 'object'",
                sentence="Its details cannot be read: they are no list of names and values.",
            ),
            RowRule(
                name="row.details_wrong_type",
                table=table,
                where=f"{live}({odd})",
                sentence="One of its details has another type than is read.",
            ),
            RowRule(
                name="row.seed_too_large",
                table=table,
                where=f"{live}{_too_large(f'{column} ->> {chr(39)}seed{chr(39)}')}",
                sentence="The seed in its details is larger than is kept.",
            ),
        ]
    return tuple(found)


_RULES_OF_OPTIONS = (
    RowRule(
        name="row.attribute_unknown",
        table="attribute_images",
        where="NOT (lower(r.category || '/' || btrim(r.value)) = ANY(%(values)s::text[]) AND r.style = ANY(%(styles)s::text[]))",
        sentence="Its category, value or style is none of the options.",
    ),
    RowRule(
        name="row.attribute_unknown",
        table="style_images",
        where="NOT r.style = ANY(%(styles)s::text[])",
        sentence="Its style is none of the options.",
    ),
    RowRule(
        name="row.model_unreadable",
        table="api_models",
        where=f"""
            jsonb_typeof(r.capabilities) NOT IN ('object', 'null')
            OR {_is_no("boolean", "r.capabilities", "supports_i2i", "supports_seed", "supports_negative", "needs_reference")}
            OR {_is_no("number", "r.capabilities", "max_reference_images")}
            OR {_is_no("array", "r.capabilities", "supported_formats", "aspect_ratios")}
            OR jsonb_typeof(r.capabilities -> 'max_resolution') NOT IN ('number', 'string', 'null')
            OR jsonb_typeof(r.input_defaults) NOT IN ('object', 'null')
        """,
        sentence="What it can do, or what it is given by default, is written in a form that cannot be read.",
    ),
    RowRule(
        name="row.model_twice",
        table="api_models",
        where="""
            EXISTS (SELECT FROM @api_models m WHERE m.provider_id = r.provider_id AND m.model_key = r.model_key
                    AND (m.created_at, m.id) < (r.created_at, r.id))
        """,
        sentence="Its provider has another model of the same key.",
    ),
)
RULES: tuple[RowRule, ...] = (
    *_rules_of_characters(),
    *_RULES_OF_PICTURES,
    *_RULES_OF_JOBS,
    *_rules_of_details(),
    *_RULES_OF_OPTIONS,
)
"""Every rule over every table; one name may stand for several tables."""
NAMES = tuple(dict.fromkeys([*(rule.name for rule in RULES), *LINK_RULES]))
"""What `count` and `sweep` answer for, links included."""
SWEPT = tuple(dict.fromkeys([*(rule.name for rule in RULES if rule.is_swept), *LINK_RULES]))
