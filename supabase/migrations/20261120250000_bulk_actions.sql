-- Bulk actions of the dashboard (SPEC "Audit"): the ids that were shown, frozen with a reason in one transaction, and
-- what became of each. People begin, take and stop them through the functions below; what becomes of an item is written
-- by the use case that carries it out.

-- Who may do which; a kind that is not listed is for qa and admin.
create table studio.bulk_kinds (
  kind text primary key,
  roles text[] not null check (cardinality(roles) > 0)
);
insert into studio.bulk_kinds (kind, roles) values
  ('recover', '{qa,admin}'),
  ('purge', '{qa,admin}'),
  ('cancel', '{editor,qa,admin}'),
  ('retry', '{editor}'),
  ('another_model', '{editor}')
on conflict do nothing;

create table studio.bulk_actions (
  id uuid primary key default gen_random_uuid(),
  kind text not null,
  options jsonb not null default '{}',
  why text not null check (char_length(why) between 1 and 500),
  asked_by uuid not null,
  asked_at timestamptz not null default clock_timestamp(),
  items integer not null check (items > 0),
  runner uuid,
  run_by uuid,
  runs integer not null default 0,
  beat_at timestamptz,
  stop_asked_at timestamptz,
  ended_at timestamptz
);
comment on column studio.bulk_actions.runner is 'the run that carries it out now; null: nobody. One whose beat_at is old is gone';
create index bulk_actions_recent on studio.bulk_actions (asked_at desc, id desc);
create index bulk_actions_unfinished on studio.bulk_actions (asked_at desc, id desc) where ended_at is null;

create table studio.bulk_items (
  action_id uuid not null references studio.bulk_actions (id) on delete cascade,
  place integer not null,
  item_id text not null,
  state text not null default 'waiting' check (state in ('waiting', 'working', 'done', 'refused', 'failed')),
  sentence text,
  runner uuid,
  tries integer not null default 0,
  begun_at timestamptz,
  ended_at timestamptz,
  cost_usd numeric(12,6),
  primary key (action_id, place),
  unique (action_id, item_id)
);
comment on column studio.bulk_items.cost_usd is 'what it was estimated to cost; held against the action''s spending limit while it is worked on';
create index bulk_items_open on studio.bulk_items (action_id, place) where state in ('waiting', 'working');

alter table studio.bulk_kinds enable row level security;
alter table studio.bulk_actions enable row level security;
alter table studio.bulk_items enable row level security;
do $$
declare
  name text;
begin
  foreach name in array array['bulk_kinds', 'bulk_actions', 'bulk_items'] loop
    execute format('create policy studio_service on studio.%I for all to service_role using (true) with check (true)', name);
    execute format('grant all on studio.%I to service_role', name);
    execute format('create policy team_reads on studio.%I for select to authenticated using ((select studio.has_role(''qa'', ''product'', ''admin'')))', name);
    execute format('grant select on studio.%I to authenticated', name);
  end loop;
end $$;
create policy own_read on studio.bulk_actions for select to authenticated
  using (asked_by = (select auth.uid()) and (select studio.has_role('editor')));
create policy own_read on studio.bulk_items for select to authenticated using (exists (
  select from studio.bulk_actions a where a.id = action_id and a.asked_by = (select auth.uid())
    and (select studio.has_role('editor'))));

create function studio.refuse_bulk(p_kind text) returns void language plpgsql stable set search_path = '' as $$
declare
  needed text[] := coalesce((select k.roles from studio.bulk_kinds k where k.kind = p_kind), '{qa,admin}');
begin
  if auth.uid() is null or not studio.has_role(variadic needed) then
    raise exception 'This needs the % role. Ask an admin for it.', array_to_string(needed, ' or ')
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;
revoke execute on function studio.refuse_bulk(text) from public;

-- Freezes the ids, each once and in the order in which they were shown; nothing is done with them yet.
create function studio.begin_bulk(p_kind text, p_items text[], p_options jsonb, p_why text, p_most integer) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  made uuid;
  number integer;
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  perform studio.refuse_bulk(p_kind);
  if char_length(trim(coalesce(p_why, ''))) not between 1 and 500 then
    raise exception 'Say in a few words why, in at most 500 characters.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
  select count(distinct listed.id) into number from unnest(p_items) as listed (id);
  if number not between 1 and least(p_most, 5000) then
    raise exception 'A bulk action takes 1 to % rows, and these are %. Choose fewer.', least(p_most, 5000), number
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'ids';
  end if;
  insert into studio.bulk_actions (kind, options, why, asked_by, items)
  values (p_kind, coalesce(p_options, '{}'), trim(p_why), auth.uid(), number) returning id into made;
  insert into studio.bulk_items (action_id, place, item_id)
  select made, row_number() over (order by min(listed.place)), listed.id
  from unnest(p_items) with ordinality as listed (id, place) group by listed.id;
  perform studio.note_audit('bulk_begun', 'bulk_actions', made::text, null,
    jsonb_build_object('kind', p_kind, 'items', number, 'options', coalesce(p_options, '{}')), trim(p_why));
  return made;
end $$;
revoke execute on function studio.begin_bulk(text, text[], jsonb, text, integer) from public;
grant execute on function studio.begin_bulk(text, text[], jsonb, text, integer) to authenticated;

-- Takes an action that nobody carries out, or whose run was not heard of for `p_silent` seconds. One run at a time.
create function studio.take_bulk(p_action uuid, p_runner uuid, p_silent double precision) returns void
language plpgsql security definer set search_path = '' as $$
declare
  it studio.bulk_actions;
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  select * into it from studio.bulk_actions a where a.id = p_action for update;
  if it.id is null then
    raise exception 'There is no such bulk action.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform studio.refuse_bulk(it.kind);
  if it.ended_at is not null then
    raise exception 'This bulk action has ended. Its report says what became of each row.' using errcode = 'PS409', detail = 'BULK_ENDED';
  end if;
  if it.runner is not null and it.runner <> p_runner
     and it.beat_at > clock_timestamp() - make_interval(secs => greatest(p_silent, 1)) then
    raise exception 'This bulk action is being carried out already. Wait for its report.' using errcode = 'PS409', detail = 'BULK_RUNNING';
  end if;
  update studio.bulk_actions set runner = p_runner, run_by = auth.uid(), runs = runs + 1, beat_at = clock_timestamp()
  where id = p_action;
  if it.runs > 0 then
    perform studio.note_audit('bulk_resumed', 'bulk_actions', p_action::text, null, jsonb_build_object('kind', it.kind, 'run', it.runs + 1));
  end if;
end $$;
revoke execute on function studio.take_bulk(uuid, uuid, double precision) from public;
grant execute on function studio.take_bulk(uuid, uuid, double precision) to authenticated;

-- Asks for an end after the row that is being worked on; rows that were not begun stay `waiting`. True where a run is
-- there to hear it, false where nobody carries the action out or it has ended.
create function studio.stop_bulk(p_action uuid, p_silent double precision) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  it studio.bulk_actions;
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  select * into it from studio.bulk_actions a where a.id = p_action for update;
  if it.id is null then
    raise exception 'There is no such bulk action.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform studio.refuse_bulk(it.kind);
  if it.ended_at is null and it.stop_asked_at is null then
    update studio.bulk_actions set stop_asked_at = clock_timestamp() where id = p_action;
    perform studio.note_audit('bulk_stopped', 'bulk_actions', p_action::text, null, jsonb_build_object('kind', it.kind));
  end if;
  return it.ended_at is null and it.runner is not null
    and it.beat_at > clock_timestamp() - make_interval(secs => greatest(p_silent, 1));
end $$;
revoke execute on function studio.stop_bulk(uuid, double precision) from public;
grant execute on function studio.stop_bulk(uuid, double precision) to authenticated;

-- The run that holds an action ends it, with its figures on record; false where it does not hold it any more.
create function studio.end_bulk(p_action uuid, p_runner uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  it studio.bulk_actions;
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  select * into it from studio.bulk_actions a where a.id = p_action and a.runner = p_runner and a.ended_at is null for update;
  if it.id is null then
    return false;
  end if;
  perform studio.refuse_bulk(it.kind);
  update studio.bulk_actions set ended_at = clock_timestamp(), runner = null where id = p_action;
  perform studio.note_audit('bulk_ended', 'bulk_actions', p_action::text, null, (
    select jsonb_build_object('kind', it.kind, 'items', it.items,
      'done', count(*) filter (where i.state = 'done'), 'refused', count(*) filter (where i.state = 'refused'),
      'failed', count(*) filter (where i.state = 'failed'), 'not_begun', count(*) filter (where i.state = 'waiting'))
    from studio.bulk_items i where i.action_id = p_action));
  return true;
end $$;
revoke execute on function studio.end_bulk(uuid, uuid) from public;
grant execute on function studio.end_bulk(uuid, uuid) to authenticated;

-- What the queue has in hand, as the dashboard reads it to tell a stuck job from one that waits: no payload, no time of
-- anybody's, and only for people with a role. The view reads with its owner's rights; the queue itself stays closed.
create view studio.live_entries with (security_barrier = true) as
select q.id, q.dedupe_key, q.status, q.execute_after
from studio_queue.pgqueuer q
where q.status in ('queued', 'picked') and studio.has_role('qa', 'product', 'admin');
revoke all on studio.live_entries from public;
grant select on studio.live_entries to authenticated;

-- Jobs that ended badly, in the order of asking, with whose they are: what may have left its picture behind is found
-- without reading the jobs themselves.
create index if not exists jobs_ended_badly on public.jobs (created_at, id) include (user_id, status)
  where status in ('failed', 'cancelled');
