-- Schema studio: what the platform must not see or forge, and the small words every later file uses.

create schema if not exists studio;
revoke all on schema studio from public;
grant usage on schema studio to anon, authenticated, service_role;

create table studio.settings (
  key text primary key,
  value text not null
);
comment on table studio.settings is 'What triggers need to know of the deployment: own_hosts, split by commas.';

-- True for a connection of ours: core/db opens each with this setting. Others are never refused anything.
create function studio.is_ours() returns boolean language sql stable set search_path = '' as $$
  select coalesce(current_setting('studio.writer', true), '') = 'studio'
$$;

-- A role in app_metadata.roles (SPEC "Data"); a customer of the platform has none.
create function studio.has_role(variadic wanted text[]) returns boolean language sql stable set search_path = '' as $$
  select coalesce(auth.jwt() -> 'app_metadata' -> 'roles' ?| wanted, false)
$$;

-- TEAM_SHARING, set by core/db for the transaction; nobody reaches it over REST.
create function studio.shares() returns boolean language sql stable set search_path = '' as $$
  select coalesce(current_setting('studio.team_sharing', true), '') = 'on'
$$;

create function studio.may_read(owner uuid) returns boolean language sql stable set search_path = '' as $$
  select studio.has_role('qa', 'product', 'admin')
      or (studio.has_role('editor') and (owner = auth.uid() or studio.shares()))
$$;

create function studio.may_change(owner uuid) returns boolean language sql stable set search_path = '' as $$
  select studio.has_role('editor') and (owner = auth.uid() or studio.shares())
$$;

create table studio.findings (
  id bigint generated always as identity primary key,
  rule text not null,
  table_name text not null,
  row_id text not null,
  sentence text not null,
  first_seen timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  times integer not null default 1,
  owner uuid,
  mended_by uuid,
  mended_at timestamptz,
  unique (rule, table_name, row_id)
);
create index on studio.findings (last_seen desc) where mended_at is null;

-- For triggers, whoever's statement fires them, and for us; never called by a user directly.
create function studio.refuse_direct_call() returns void language plpgsql stable set search_path = '' as $$
begin
  if pg_trigger_depth() = 0 and not studio.is_ours() then
    raise exception 'This is for the studio itself.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;

create function studio.note_finding(p_rule text, p_table text, p_row text, p_sentence text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.refuse_direct_call();
  insert into studio.findings (rule, table_name, row_id, sentence) values (p_rule, p_table, p_row, p_sentence)
  on conflict (rule, table_name, row_id) do update
    set last_seen = now(), times = studio.findings.times + 1, sentence = excluded.sentence,
        mended_at = null, mended_by = null;
end $$;
revoke execute on function studio.note_finding(text, text, text, text) from public;

create table studio.audit_events (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  who uuid,
  action text not null,
  table_name text,
  row_id text,
  before jsonb,
  after jsonb,
  why text
);
create index on studio.audit_events (at desc, id desc);

-- For people: who is taken from the claims, so an event cannot be written in another's name.
create function studio.note_audit(
  p_action text, p_table text, p_row text, p_before jsonb default null, p_after jsonb default null, p_why text default null
) returns void language plpgsql security definer set search_path = '' as $$
begin
  if auth.uid() is not null and not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  insert into studio.audit_events (who, action, table_name, row_id, before, after, why)
  values (auth.uid(), p_action, p_table, p_row, p_before, p_after, p_why);
end $$;
revoke execute on function studio.note_audit(text, text, text, jsonb, jsonb, text) from public;
grant execute on function studio.note_audit(text, text, text, jsonb, jsonb, text) to authenticated;

create function studio.append_only() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception '%.% is append-only', tg_table_schema, tg_table_name using errcode = 'PS409';
end $$;

create trigger audit_events_append_only before update or delete on studio.audit_events
  for each row execute function studio.append_only();
create trigger audit_events_never_emptied before truncate on studio.audit_events
  for each statement execute function studio.append_only();

-- A uuid in a text, or null: rows of other writers hold anything.
create function studio.as_uuid(value text) returns uuid language sql immutable strict set search_path = '' as $$
  select case when value ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then value::uuid end
$$;

-- The job named by an object's path: `{user}/{job}_{ms or character}.{ext}` and
-- `{user}/portraits/{character}/{job}.{ext}`, with or without the bucket in front (SPEC "Files").
create function studio.job_of_path(path text) returns uuid language sql immutable strict set search_path = '' as $$
  select studio.as_uuid(substring(path from
    '(?:^|/)([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})(?:_[^/]*)?(?:\.thumb)?\.[A-Za-z0-9]+(?:\?.*)?$'))
$$;

-- A signed link of our own project becomes bucket/path; everything else stays (SPEC "Files").
create function studio.plain_address(value text) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  parts text[];
begin
  if value is null or position('token=' in value) = 0 then
    return value;
  end if;
  parts := regexp_match(value, '^/files/([a-z_-]+/[^?]+)\?');
  if parts is not null then
    return parts[1];
  end if;
  parts := regexp_match(value, '^https?://([^/?#]+)/(?:storage/v1/object/sign|files)/([^?]+)\?');
  if parts is null then
    return value;
  end if;
  if exists (
    select from studio.settings s where s.key = 'own_hosts' and lower(parts[1]) = any (string_to_array(s.value, ','))
  ) then
    return parts[2];
  end if;
  return value;
end $$;
revoke execute on function studio.plain_address(text) from public;

-- The studio's own tables are closed to everybody but through policies and functions that say otherwise.
alter table studio.settings enable row level security;
alter table studio.findings enable row level security;
alter table studio.audit_events enable row level security;
create policy team_reads_findings on studio.findings for select to authenticated
  using (studio.has_role('qa', 'product', 'admin'));
create policy team_reads_audit on studio.audit_events for select to authenticated
  using (studio.has_role('qa', 'product', 'admin'));
grant select on studio.findings, studio.audit_events to authenticated;
grant all on studio.settings, studio.findings, studio.audit_events to service_role;
