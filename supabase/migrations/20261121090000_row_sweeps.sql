-- Rows against the rules of the studio (SPEC "Adoption"): the sweeps that look at every adopted row, how far each has
-- come, and what it left open. What it finds stands in studio.findings; only workers and `migrate` write here.

create table studio.row_sweeps (
  id uuid primary key default gen_random_uuid(),
  asked_by uuid,
  asked_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  beat_at timestamptz,
  finished_at timestamptz,
  catalogue text not null default '',
  stage text not null default '',
  cursor text not null default '',
  expected bigint not null default 0,
  looked_at bigint not null default 0,
  counts jsonb not null default '{}'
);
comment on column studio.row_sweeps.asked_by is 'the person who asked for it; null: the schedule, or a migration';
comment on column studio.row_sweeps.catalogue is 'which rules it looks by: a sweep of other rules is begun anew';
comment on column studio.row_sweeps.cursor is 'where the stage stands: the last row that was looked at';
comment on column studio.row_sweeps.counts is 'open findings by rule when it ended: {"row.name_long": 2, …}';
create unique index row_sweeps_one_at_a_time on studio.row_sweeps ((true)) where finished_at is null;
create index row_sweeps_recent on studio.row_sweeps (asked_at desc, id desc);

alter table studio.row_sweeps enable row level security;
create policy studio_service on studio.row_sweeps for all to service_role using (true) with check (true);
grant all on studio.row_sweeps to service_role;
create policy team_reads on studio.row_sweeps for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));
grant select on studio.row_sweeps to authenticated;

-- What became of the findings of one rule and time: counted by index, also among hundreds of thousands.
create index findings_mended_by_age on studio.findings (rule, first_seen) where mended_at is not null;
create index findings_aside_by_age on studio.findings (rule, first_seen)
  where mended_at is null and set_aside_at is not null;

-- Asks for a sweep; where one is asked for or runs already, that is the one. A worker carries it out.
create function studio.ask_row_sweep() returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  made uuid;
begin
  if not studio.has_role('qa', 'admin') then
    raise exception 'Checking every row needs the qa role. Ask an admin for it.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  insert into studio.row_sweeps (asked_by) values (auth.uid())
  on conflict ((true)) where finished_at is null do nothing returning id into made;
  if made is not null then
    perform studio.note_audit('rows_check_asked', 'row_sweeps', made::text);
    return made;
  end if;
  select s.id into made from studio.row_sweeps s where s.finished_at is null;
  return made;
end $$;
revoke execute on function studio.ask_row_sweep() from public;
grant execute on function studio.ask_row_sweep() to authenticated;

-- A role is asked for once a question, not once a row: an adoption leaves hundreds of thousands of findings.
alter policy team_reads_findings on studio.findings using ((select studio.has_role('qa', 'product', 'admin')));
