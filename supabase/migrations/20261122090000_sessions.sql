-- Who is signed in, and who tried to be (SPEC "Two ways to run"; decision 0038).
--
-- The studio's own login is the only one that reaches these tables: who may write here may be anybody. So service_role,
-- the platform's key, has no right on them either.

create table studio.sessions (
  id uuid primary key default gen_random_uuid(),
  token_hash bytea not null unique check (octet_length(token_hash) = 32),
  person uuid not null,
  email text not null default '',
  name text not null default '',
  roles text[] not null default '{}',
  roles_set_at timestamptz,
  way text not null check (way in ('password', 'oidc')),
  sealed bytea,
  access_ends_at timestamptz not null,
  refresh_at timestamptz,
  lease uuid,
  lease_ends_at timestamptz,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  ends_at timestamptz not null,
  ended_at timestamptz,
  ended_why text check (ended_why in ('signed_out', 'signed_out_everywhere', 'replaced', 'refused', 'auth_away')),
  check ((ended_at is null) = (ended_why is null)),
  check (ended_at is null or sealed is null)
);
comment on column studio.sessions.token_hash is 'HMAC-SHA-256 of the cookie with a key made from FILES_SECRET; the cookie itself is stored nowhere';
comment on column studio.sessions.sealed is 'the tokens of Auth, encrypted with a key made from FILES_SECRET; gone with the session';
comment on column studio.sessions.roles_set_at is 'when an admin last changed the roles; an older answer of Auth does not undo it';
comment on column studio.sessions.refresh_at is 'when the tokens are due; null: there is nothing to refresh them by';
comment on column studio.sessions.lease is 'the one request to Auth that is under way for this session';
create index sessions_of_person on studio.sessions (person) where ended_at is null;
create index sessions_by_end on studio.sessions (ends_at);
create index sessions_ended on studio.sessions (ended_at) where ended_at is not null;

create table studio.sign_in_failures (
  kind text not null check (kind in ('account', 'address', 'pair')),
  who bytea not null check (octet_length(who) = 32),
  failures integer not null default 1 check (failures >= 0),
  last_at timestamptz not null default now(),
  next_at timestamptz not null default now(),
  primary key (kind, who)
);
comment on table studio.sign_in_failures is
  'attempts to sign in that did not succeed: by account, by address, and by both. Addresses of either kind are hashed.';
create index sign_in_failures_by_age on studio.sign_in_failures (last_at);

alter table studio.sessions enable row level security;
alter table studio.sign_in_failures enable row level security;
revoke all on studio.sessions, studio.sign_in_failures from public, anon, authenticated, service_role;
create policy nobody on studio.sessions for all to anon, authenticated, service_role using (false) with check (false);
create policy nobody on studio.sign_in_failures for all to anon, authenticated, service_role using (false) with check (false);
