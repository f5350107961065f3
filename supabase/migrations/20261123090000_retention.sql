-- How long what is kept, as an admin sets it (SPEC "Data"; decision 0046). A number that stands here wins over the setting
-- of the installation and over the product's own; none: those count.

create table studio.kept_days (
  kind text primary key,
  least integer not null,
  most integer not null,
  days integer,
  changed_at timestamptz,
  constraint kept_days_bounds check (least <= most),
  constraint kept_days_within check (days between least and most)
);
comment on table studio.kept_days is 'for how many days each kind is kept, and between which bounds that may be said';
comment on column studio.kept_days.days is 'null: the setting or the product''s own number counts';
insert into studio.kept_days (kind, least, most) values
  ('bin', 7, 365), ('workspace', 7, 365), ('history', 30, 3650), ('messages', 30, 3650), ('queue_log', 1, 365);

-- The bin tells everybody who works here how long it keeps; what the upkeep did is for those who look after it.
alter table studio.kept_days enable row level security;
revoke all on studio.kept_days from public, anon, authenticated, service_role;
grant all on studio.kept_days to service_role;
grant select on studio.kept_days to authenticated;
create policy studio_service on studio.kept_days for all to service_role using (true) with check (true);
create policy everybody_reads on studio.kept_days for select to authenticated
  using ((select studio.has_role('editor', 'qa', 'product', 'admin')));

drop policy team_reads on studio.retention_runs;
create policy admins_read on studio.retention_runs for select to authenticated
  using ((select studio.has_role('admin')));

-- `p_seen` is the stored number that the admin saw, `p_days` what is to stand there; null: none. False where it stands so
-- already. The bounds are the table's own check; here they are said in words.
create function studio.set_kept_days(p_kind text, p_seen integer, p_days integer, p_why text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  was studio.kept_days;
begin
  perform studio.refuse_all_but('admin');
  select * into was from studio.kept_days k where k.kind = p_kind for update;
  if was.kind is null then
    raise exception 'There is nothing of that kind whose days can be set.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform studio.refuse_if_changed(to_jsonb(p_seen), to_jsonb(was.days));
  if p_days not between was.least and was.most then
    raise exception 'This is kept for % to % days. Write a number between them.', was.least, was.most
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'days';
  end if;
  if was.days is not distinct from p_days then
    return false;
  end if;
  update studio.kept_days k set days = p_days, changed_at = now() where k.kind = p_kind;
  perform studio.note_audit('retention_changed', 'kept_days', p_kind, jsonb_build_object('days', was.days),
    jsonb_build_object('days', p_days), studio.said_why(p_why));
  return true;
end $$;
revoke execute on function studio.set_kept_days(text, integer, integer, text) from public;
grant execute on function studio.set_kept_days(text, integer, integer, text) to authenticated;

-- As remove_budget, refused where the budget is no longer what the admin saw: its limit and reserve.
create function studio.remove_budget_seen(p_budget uuid, p_seen jsonb, p_why text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  there jsonb;
begin
  perform studio.refuse_all_but('admin');
  perform pg_advisory_xact_lock(hashtextextended('set_budget', 0));
  select jsonb_build_object('limit_usd', b.limit_usd, 'reserve_usd', b.reserve_usd) into there
  from studio.budgets b where b.id = p_budget;
  perform studio.refuse_if_changed(p_seen, coalesce(there, '{}'));
  perform studio.remove_budget(p_budget, studio.said_why(p_why));
end $$;
revoke execute on function studio.remove_budget_seen(uuid, jsonb, text) from public;
grant execute on function studio.remove_budget_seen(uuid, jsonb, text) to authenticated;
