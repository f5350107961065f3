-- Findings that people work through: whose they are, a note, and what is right as it is (SPEC "Audit").

alter table studio.findings
  add column if not exists note text,
  add column if not exists set_aside_at timestamptz,
  add column if not exists set_aside_by uuid,
  add column if not exists set_aside_why text;
comment on column studio.findings.set_aside_at is 'a person said that this is right as it is; it is kept, and comes back where it is seen again with another sentence';

create index if not exists findings_open on studio.findings (last_seen desc, id desc)
  where mended_at is null and set_aside_at is null;
create index if not exists findings_open_by_rule on studio.findings (rule, last_seen desc, id desc)
  where mended_at is null and set_aside_at is null;
create index if not exists findings_open_by_age on studio.findings (rule, first_seen)
  where mended_at is null and set_aside_at is null;
create index if not exists findings_of_owner on studio.findings (owner, last_seen desc, id desc) where owner is not null;
create index if not exists findings_mended on studio.findings (last_seen desc, id desc) where mended_at is not null;
create index if not exists findings_set_aside on studio.findings (last_seen desc, id desc) where set_aside_at is not null;
create index if not exists findings_of_row on studio.findings (table_name, row_id);

create index if not exists audit_events_of_findings on studio.audit_events (row_id, at desc) where table_name = 'findings';

-- What was set aside is another matter once it is seen with another sentence; whoever writes it.
create or replace function studio.finding_comes_back() returns trigger language plpgsql set search_path = '' as $$
begin
  new.set_aside_at := null;
  new.set_aside_by := null;
  new.set_aside_why := null;
  return new;
end $$;
create trigger finding_comes_back before update on studio.findings for each row
  when (old.set_aside_at is not null and new.set_aside_at is not null and new.sentence is distinct from old.sentence)
  execute function studio.finding_comes_back();

create or replace function studio.refuse_unless_reviewing() returns void language plpgsql stable set search_path = '' as $$
begin
  if not studio.has_role('qa', 'product', 'admin') then
    raise exception 'Working through findings needs the qa, product or admin role.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;

create or replace function studio.refuse_too_many_findings(p_ids bigint[]) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if coalesce(cardinality(p_ids), 0) not between 1 and 500 then
    raise exception 'Choose between 1 and 500 findings.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'findings';
  end if;
end $$;

-- Who a finding can be given to: people with a role, and those who worked here lately. The name is what signs in.
create or replace function studio.team() returns table (id uuid, name text)
language plpgsql stable security definer set search_path = '' as $$
begin
  perform studio.refuse_unless_reviewing();
  return query
    select u.id, coalesce(nullif(u.email::text, ''), left(u.id::text, 8)) from auth.users u
    where u.id = auth.uid()
       or u.raw_app_meta_data -> 'roles' ?| array['editor', 'qa', 'product', 'admin']
       or u.id in (select e.who from (
            select a.who from studio.audit_events a order by a.at desc, a.id desc limit 2000) e where e.who is not null)
       or u.id in (select f.owner from studio.findings f where f.owner is not null)
    order by 2 limit 500;
end $$;
revoke execute on function studio.team() from public;
grant execute on function studio.team() to authenticated;

-- Whose findings these are; null gives them back to nobody. The ids that changed.
create or replace function studio.assign_findings(p_ids bigint[], p_owner uuid) returns setof bigint
language plpgsql security definer set search_path = '' as $$
declare
  it studio.findings;
begin
  perform studio.refuse_unless_reviewing();
  perform studio.refuse_too_many_findings(p_ids);
  if p_owner is not null and not exists (select from studio.team() t where t.id = p_owner) then
    raise exception 'There is no such person in the team.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  for it in
    select * from studio.findings f where f.id = any (p_ids) and f.owner is distinct from p_owner order by f.id for update
  loop
    update studio.findings set owner = p_owner where id = it.id;
    perform studio.note_audit('finding_assigned', 'findings', it.id::text,
      jsonb_build_object('owner', it.owner), jsonb_build_object('owner', p_owner));
    return next it.id;
  end loop;
end $$;
revoke execute on function studio.assign_findings(bigint[], uuid) from public;
grant execute on function studio.assign_findings(bigint[], uuid) to authenticated;

-- What the next person should know of a finding; empty takes the note away.
create or replace function studio.note_on_finding(p_id bigint, p_note text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  wanted text := nullif(btrim(p_note), '');
  before text;
begin
  perform studio.refuse_unless_reviewing();
  if length(wanted) > 500 then
    raise exception 'A note takes at most 500 characters.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'note';
  end if;
  select f.note into before from studio.findings f where f.id = p_id for update;
  if not found then
    raise exception 'There is no such finding.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if before is not distinct from wanted then
    return false;
  end if;
  update studio.findings set note = wanted where id = p_id;
  perform studio.note_audit('finding_noted', 'findings', p_id::text,
    jsonb_build_object('noted', before is not null), jsonb_build_object('noted', wanted is not null), wanted);
  return true;
end $$;
revoke execute on function studio.note_on_finding(bigint, text) from public;
grant execute on function studio.note_on_finding(bigint, text) to authenticated;

create or replace function studio.refuse_unless_judging() returns void language plpgsql stable set search_path = '' as $$
begin
  if not studio.has_role('qa', 'admin') then
    raise exception 'Setting a finding aside needs the qa role. Ask an admin for it.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;

-- Right as it is: kept, out of the way, with the reason. The ids that changed; what is mended stays what it is.
create or replace function studio.set_findings_aside(p_ids bigint[], p_why text) returns setof bigint
language plpgsql security definer set search_path = '' as $$
declare
  why text := nullif(btrim(p_why), '');
  it studio.findings;
begin
  perform studio.refuse_unless_judging();
  perform studio.refuse_too_many_findings(p_ids);
  if why is null or length(why) > 500 then
    raise exception 'Say in a few words why it is right as it is (at most 500 characters).'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
  for it in
    select * from studio.findings f
    where f.id = any (p_ids) and f.mended_at is null and f.set_aside_at is null order by f.id for update
  loop
    update studio.findings set set_aside_at = clock_timestamp(), set_aside_by = auth.uid(), set_aside_why = why
    where id = it.id;
    perform studio.note_audit('finding_set_aside', 'findings', it.id::text,
      jsonb_build_object('rule', it.rule, 'row', it.row_id), null, why);
    return next it.id;
  end loop;
end $$;
revoke execute on function studio.set_findings_aside(bigint[], text) from public;
grant execute on function studio.set_findings_aside(bigint[], text) to authenticated;

create or replace function studio.bring_findings_back(p_ids bigint[]) returns setof bigint
language plpgsql security definer set search_path = '' as $$
declare
  it studio.findings;
begin
  perform studio.refuse_unless_judging();
  perform studio.refuse_too_many_findings(p_ids);
  for it in
    select * from studio.findings f where f.id = any (p_ids) and f.set_aside_at is not null order by f.id for update
  loop
    update studio.findings set set_aside_at = null, set_aside_by = null, set_aside_why = null where id = it.id;
    perform studio.note_audit('finding_brought_back', 'findings', it.id::text,
      jsonb_build_object('why', it.set_aside_why), null);
    return next it.id;
  end loop;
end $$;
revoke execute on function studio.bring_findings_back(bigint[]) from public;
grant execute on function studio.bring_findings_back(bigint[]) to authenticated;
