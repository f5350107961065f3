-- Paths that belong to somebody else (SPEC "Files"): every refusal is an event, and a loop of refusals is no flood. One
-- event tells of a person and a path for an hour, and nobody makes more than thirty in a minute, whichever way they come.

create function studio.bound_foreign_paths() returns trigger language plpgsql set search_path = '' as $$
begin
  -- One after the other, or many at once would each count before the others stand.
  perform pg_advisory_xact_lock(hashtextextended('foreign_path:' || new.who::text, 0));
  if exists (
    select from studio.audit_events e
    where e.table_name = new.table_name and e.row_id = new.row_id and e.at > now() - interval '1 hour'
      and e.who = new.who and e.action = new.action
  ) or (
    select count(*) from (
      select from studio.audit_events e
      where e.who = new.who and e.at > now() - interval '1 minute' and e.action = new.action limit 30) noted
  ) >= 30 then
    return null;
  end if;
  return new;
end $$;
revoke execute on function studio.bound_foreign_paths() from public;

create trigger bound_foreign_paths before insert on studio.audit_events
  for each row when (new.action = 'foreign_path_refused' and new.who is not null)
  execute function studio.bound_foreign_paths();
