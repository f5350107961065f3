"""What the login role must be allowed before its first step, so that a missing right is named and nothing is half done
(SPEC "Data": the login role need not be superuser; a missing right is named).
"""

from __future__ import annotations

from core.db import Connection
from core.db.adoption import TABLES
from core.errors import SetupFailed

_MISSING = """
    WITH login AS (
        SELECT r.oid, r.rolsuper, r.rolcreaterole FROM pg_roles r WHERE r.rolname = current_user
    )
    SELECT 'CREATE on the database (an administrator runs: ' || format(
        'GRANT CREATE ON DATABASE %%I TO %%I', current_database(), current_user) || ')'
    WHERE to_regnamespace('studio') IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    SELECT format('USAGE and CREATE on schema %%s', n.nspname) FROM pg_namespace n
    WHERE n.nspname IN ('public', 'studio', 'studio_queue')
      AND NOT (has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE'))
    UNION ALL
    SELECT format('ownership of table public.%%I (an administrator runs: ALTER TABLE public.%%I OWNER TO %%I)',
                  c.relname, c.relname, current_user)
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY (%(tables)s)
      AND NOT pg_has_role(c.relowner, 'USAGE')
    UNION ALL
    SELECT format('membership in role %%I (an administrator runs: GRANT %%I TO %%I)', r.rolname, r.rolname, current_user)
    FROM pg_roles r, login
    WHERE r.rolname IN ('anon', 'authenticated', 'service_role') AND NOT pg_has_role(r.oid, 'MEMBER')
      AND (%(makes_roles)s OR to_regclass('public.characters') IS NOT NULL)
      AND NOT login.rolsuper
      AND NOT (login.rolcreaterole AND current_setting('server_version_num')::integer < 160000)
    UNION ALL
    SELECT format('CREATEROLE (an administrator runs: ALTER ROLE %%I CREATEROLE)', current_user)
    FROM login
    WHERE %(makes_roles)s AND NOT (login.rolsuper OR login.rolcreaterole)
      AND (SELECT count(*) FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role')) < 3
"""


def missing(conn: Connection, *, makes_roles: bool) -> list[str]:
    """The rights this login lacks to migrate this database, each with what an administrator runs; reads only.

    `makes_roles`: the roles that Supabase brings are ours to make here.
    """
    rows = conn.execute(_MISSING, {"tables": list(TABLES), "makes_roles": makes_roles})
    return [row[0] for row in rows]


def refuse_missing(conn: Connection, *, makes_roles: bool) -> None:
    """Raise SetupFailed, naming every missing right."""
    lacking = missing(conn, makes_roles=makes_roles)
    if lacking:
        raise SetupFailed(
            f"Nothing was changed: the login role {conn.info.user} lacks a right, {'; '.join(lacking)}. "
            "Grant it, or migrate once as a role that has it."
        )
